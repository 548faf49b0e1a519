# SPDX-License-Identifier: Apache-2.0
"""TLS: what is spoken, which certificate is shown, and how it is exchanged."""

import re
import signal
import socket
import ssl
import subprocess
import time

import httpx
import pytest

from tests.http.conftest import PATIENCE, embed, exchange, refuse, wait_for


def make_certificate(directory, name):
    """A self-signed certificate for localhost; its files."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    files = ["-keyout", key, "-out", certificate]
    subprocess.run(
        [*command.split(), "-subj", f"/CN={name}", "-addext", names, *files],
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    return make_certificate(directory, "first"), make_certificate(directory, "second")


@pytest.fixture
def secured(start, pairs, tmp_path):
    shown, key = tmp_path / "shown.pem", tmp_path / "shown.key"
    shown.write_bytes(pairs[0][0].read_bytes())
    key.write_bytes(pairs[0][1].read_bytes())
    daemon = start(config={"tls_certificate": str(shown), "tls_key": str(key)})
    match = re.search(r"https://127\.0\.0\.1:(\d+),", daemon.ready_line)
    daemon.host, daemon.port = "127.0.0.1", int(match[1])
    daemon.url = f"https://127.0.0.1:{daemon.port}"
    daemon.certificate, daemon.key = shown, key
    return daemon


def trusting(*certificates):
    context = ssl.create_default_context()
    for certificate in certificates:
        context.load_verify_locations(certificate)
    return context


def shown_name(daemon, context):
    with (
        socket.create_connection((daemon.host, daemon.port), timeout=PATIENCE) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as secure,
    ):
        subject = dict(pair[0] for pair in secure.getpeercert()["subject"])
        return subject["commonName"]


def test_everything_works_as_without(secured, pairs, jpeg):
    with httpx.Client(base_url=secured.url, verify=trusting(pairs[0][0])) as client:
        assert len(embed(client, jpeg)) == 128
        assert len(embed(client, jpeg)) == 128, "on the same connection"
        big = client.post("/embed", content=b"x" * (1 << 20))
        assert big.status_code == 415
        text = client.get("/metrics").text
        expiry = float(re.search(r"^facenetd_tls_certificate_expiry\S+ (\d+)$", text, re.M)[1])
        assert 86400 < expiry - time.time() < 3 * 86400
        origin = client.get("/healthz", headers={"Origin": secured.url})
        assert origin.status_code == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_only_current_versions_are_spoken(secured, pairs):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = trusting(pairs[0][0])
        context.minimum_version = context.maximum_version = version
        assert shown_name(secured, context) == "first"
    context = trusting(pairs[0][0])
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shown_name(secured, context)


def test_plain_http_and_garbage_are_cut_off(secured, pairs):
    assert b"200" not in exchange(secured, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"HTTP" not in exchange(secured, bytes(range(256)) * 8)
    assert shown_name(secured, trusting(pairs[0][0])) == "first"


def test_a_handshake_that_does_not_end_is_cut_off(start, pairs):
    config = {"tls_certificate": str(pairs[0][0]), "tls_key": str(pairs[0][1])}
    daemon = start(config={**config, "header_timeout_ms": 200})
    port = int(re.search(r"https://127\.0\.0\.1:(\d+),", daemon.ready_line)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00")
        assert sock.recv(100) == b""


def test_a_reload_shows_the_new_certificate_and_keeps_old_connections(secured, pairs):
    context = trusting(pairs[0][0], pairs[1][0])
    with httpx.Client(base_url=secured.url, verify=context) as old:
        assert old.get("/healthz").status_code == 200
        secured.certificate.write_bytes(pairs[1][0].read_bytes())
        secured.process.send_signal(signal.SIGHUP)  # the key does not fit yet
        secured.wait_logged("result=failed")
        assert shown_name(secured, context) == "first"
        secured.key.write_bytes(pairs[1][1].read_bytes())
        secured.process.send_signal(signal.SIGHUP)
        wait_for(lambda: shown_name(secured, context) == "second")
        assert old.get("/healthz").status_code == 200
    secured.stop()
    assert secured.log.count("result=failed") == 1
    assert secured.log.count("result=succeeded") == 1


def test_wrong_certificates_are_one_line(pairs, tmp_path):
    path = tmp_path / "facenetd.conf"
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    cases = [
        (pairs[0][0], pairs[1][1], "first.pem"),
        (wrong, pairs[0][1], "wrong.pem"),
        (pairs[0][0], wrong, "pem"),
        (tmp_path / "missing.pem", pairs[0][1], "missing.pem"),
    ]
    for certificate, key, word in cases:
        path.write_text(f'{{"tls_certificate": "{certificate}", "tls_key": "{key}"}}')
        assert word in refuse("--check-config", "--config", path)
    path.write_text(f'{{"tls_certificate": "{pairs[0][0]}"}}')
    assert "tls_key" in refuse("--check-config", "--config", path)
