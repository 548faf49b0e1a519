# SPDX-License-Identifier: Apache-2.0
"""Start, readiness, load, stop."""

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import threading

import httpx
import pytest
from PIL import Image

from tests.http.conftest import (
    BIN,
    PATIENCE,
    Daemon,
    assert_problem,
    embed,
    encode,
    make_image,
    refuse,
    wait_for,
)

HEADERS = {"Host": "localhost"}


def base_args(model, listen="127.0.0.1:0"):
    return ["--model", model, "--listen", listen, "--device", "reference", "--allow-untrained"]


def test_healthz_readyz_and_model(client):
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/readyz").json()["ready"] is True
    model = client.get("/model").json()
    assert model["model"].startswith("untrained-") and model["untrained"] is True
    assert model["embedding_size"] == 128
    assert model["device"]["backend"] == "reference"
    assert model["operating_points"] == [] and model["evaluations"] == []
    assert model["limits"]["max_body"] == 4 << 20


def test_an_untrained_model_must_be_allowed(model):
    args = base_args(model)
    args.remove("--allow-untrained")
    assert "untrained" in refuse(*args)


def test_an_untrained_model_is_said_loudly(start):
    daemon = start()
    daemon.stop()
    assert "UNTRAINED" in daemon.log


def test_a_port_in_use_is_one_line(daemon, model):
    assert "in use" in refuse(*base_args(model, f"127.0.0.1:{daemon.port}"))


@pytest.mark.parametrize(
    "listen",
    [
        "0.0.0.0:0",
        "[::]:0",
        ":8080",
        "localhost",
        "127.0.0.1:x",
        "127.0.0.1:65536",
        "unix:relative",
        "unix:/" + "x" * 200,
    ],
)
def test_addresses_that_cannot_be_are_one_line(model, listen):
    assert "listen" in refuse(*base_args(model, listen))


def test_damaged_models_are_one_line(model, tmp_path):
    whole = model.read_bytes()
    broken = tmp_path / "broken.safetensors"
    for content in (b"", b"x", whole[:100], whole[:-1], whole[:-9] + b"123456789", b"\0" * 4096):
        broken.write_bytes(content)
        assert "broken.safetensors" in refuse(*base_args(broken))
    assert "missing" in refuse(*base_args(tmp_path / "missing"))


def test_no_opencl_platform_is_one_line(model):
    args = base_args(model)
    args[args.index("reference")] = "auto"
    refuse(*args, env={**os.environ, "OCL_ICD_VENDORS": "/nonexistent"})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "line 1"),
        ('{\n "max_batch": 4,\n "max_bach": 4\n}', "line 3"),
        ('{"max_batch": 33}', "1...32"),
        ('{"max_batch": "4"}', "whole number"),
        ('{"listen": 8080}', "string"),
        ('{"allow_untrained": true}', "unknown key"),
        ('{"max_batch": 1, "max_batch": 2}', "duplicate"),
        ("[]", "object"),
        ('{"allowed_hosts": "x"}', "array"),
        ('{"log_level": "loud"}', "debug"),
    ],
)
def test_wrong_configurations_are_one_line(tmp_path, text, word):
    path = tmp_path / "facenetd.conf"
    path.write_text(text)
    assert word in refuse("--check-config", "--config", path)


def test_right_configurations_pass(tmp_path):
    done = subprocess.run([BIN, "--check-config", "--config", "config/facenetd.conf"], check=False)
    assert done.returncode == 0
    assert "missing.conf" in refuse("--config", tmp_path / "missing.conf")


def test_help_version_and_unknown_flags():
    for flag in ("--help", "--version"):
        done = subprocess.run([BIN, flag], capture_output=True, text=True, check=True)
        assert "facenetd" in done.stdout
    for args in (["--nonsense"], ["extra"], ["--model"]):
        assert subprocess.run([BIN, *args], capture_output=True, check=False).returncode == 2


def test_a_unix_socket_serves_and_is_removed(start, tmp_path, jpeg):
    path = tmp_path / "facenetd.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    daemon = start(listen=f"unix:{path}")
    assert os.stat(path).st_mode & 0o777 == 0o660
    transport = httpx.HTTPTransport(uds=str(path))
    with httpx.Client(transport=transport, base_url="http://any.name") as client:
        assert len(embed(client, jpeg)) == 128
    assert "in use" in refuse(*base_args(daemon.process.args[2], f"unix:{path}"))
    daemon.stop()
    assert not path.exists()


def test_port_zero_by_ipv6(start):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 loopback here")
    daemon = start(listen="[::1]:0")
    assert httpx.get(daemon.url + "/healthz").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_what_was_accepted(start, number):
    daemon = start(config={"deadline_ms": 60000})
    pictures = [encode(make_image(i)) for i in range(8)]
    with httpx.Client(base_url=daemon.url) as client:
        wanted = [embed(client, picture) for picture in pictures]
    sent = threading.Barrier(9)

    def one(i):
        with daemon.connect() as sock:
            head = f"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(pictures[i])}"
            sock.sendall(head.encode() + b"\r\n\r\n" + pictures[i])
            sent.wait()
            received = b""
            while chunk := sock.recv(65536):
                received += chunk
            return received

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(one, i) for i in range(8)]
        sent.wait()
        assert daemon.stop(number) == 0
        received = [answer.result() for answer in answers]
    for i, answer in enumerate(received):
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer[:200]
        faces = json.loads(answer.partition(b"\r\n\r\n")[2])["faces"]
        assert faces[0]["embedding"] == wanted[i]
    with pytest.raises(OSError):
        daemon.connect()


def refused(answer):
    return answer if answer.status_code == 503 else None


def test_readiness_fails_first_while_draining(start, jpeg):
    daemon = start(config={"drain_delay_ms": 5000})
    with httpx.Client(base_url=daemon.url) as client:
        assert client.get("/readyz").status_code == 200
        daemon.process.send_signal(signal.SIGTERM)
        answer = wait_for(lambda: refused(client.get("/readyz")))
        assert_problem(answer, 503, "draining")
        assert answer.headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == 200
        assert answer.json()["retry_after_ms"] > 0
        assert len(embed(client, jpeg)) == 128, "what still comes is served until the end"
    daemon.finish()


def test_a_second_signal_is_immediate(model, tmp_path):
    daemon = Daemon(model, tmp_path, config={"drain_delay_ms": 600000})
    daemon.process.send_signal(signal.SIGINT)
    wait_for(lambda: refused(httpx.get(daemon.url + "/readyz")))
    daemon.process.send_signal(signal.SIGINT)
    daemon.finish()
    assert daemon.process.returncode == 128 + signal.SIGINT


def test_idle_and_half_open_clients_do_not_hold_up_the_end(start):
    hour = 3600000
    config = {"idle_timeout_ms": hour, "header_timeout_ms": hour, "drain_timeout_ms": hour}
    daemon = start(config=config)
    idle, silent = daemon.connect(), daemon.connect()
    idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert idle.recv(65536).startswith(b"HTTP/1.1 200")
    silent.sendall(b"GET /healthz HT")
    assert daemon.stop() == 0
    idle.close(), silent.close()


def test_a_full_queue_is_said_with_when_to_retry(start):
    daemon = start(config={"max_queue": 2, "deadline_ms": 600000})
    picture = encode(make_image(5, (3000, 3000)), quality=80)

    def one(_):
        return httpx.post(daemon.url + "/embed", content=picture, timeout=600)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(32)))
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 503}
    for answer in answers:
        if answer.status_code == 503:
            assert_problem(answer, 503, "overloaded")
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["retry_after_ms"] >= 1
    assert len({str(a.json()["faces"]) for a in answers if a.status_code == 200}) == 1


def test_a_deadline_is_kept_and_a_client_may_only_shorten_it(start, slow):
    daemon = start(config={"deadline_ms": 30000})
    with httpx.Client(base_url=daemon.url) as client:
        answer = client.post("/embed", content=slow, headers={"X-Timeout-Ms": "1"})
        assert_problem(answer, 504, "deadline_exceeded")
        answer = client.post("/embed", content=slow, headers={"X-Timeout-Ms": "999999999"})
        assert answer.status_code == 200
    strict = start(config={"deadline_ms": 1})
    answer = httpx.post(
        strict.url + "/embed", content=slow, headers={"X-Timeout-Ms": "60000"}, timeout=60
    )
    assert_problem(answer, 504, "deadline_exceeded")


def test_departed_clients_leave_nothing_behind(start, jpeg):
    daemon = start(config={"deadline_ms": 60000})
    request = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
    for cut in (10, len(request), len(request) + 50, len(request) + len(jpeg)):
        for _ in range(20):
            with daemon.connect() as sock:
                sock.sendall((request + jpeg)[:cut])
    with httpx.Client(base_url=daemon.url) as client:
        assert len(embed(client, jpeg)) == 128
    wait_for(lambda: len(os.listdir(f"/proc/{daemon.process.pid}/fd")) <= 20)


@pytest.fixture(scope="session")
def slow():
    """A small file that takes long to decode."""
    return encode(Image.new("RGB", (7000, 7000), "gray"), "PNG")


def test_work_of_a_departed_client_is_given_up(start, slow):
    daemon = start(config={"deadline_ms": 60000, "workers": 1})
    head = f"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(slow)}\r\n\r\n"
    for _ in range(4):
        with daemon.connect() as sock:
            sock.sendall(head.encode() + slow)
    daemon.stop()
    assert daemon.log.count("status=499") >= 3, daemon.log


def test_bodies_in_memory_are_bounded_together(start, jpeg):
    daemon = start(config={"max_inflight_bytes": 1 << 20})
    with httpx.Client(base_url=daemon.url) as client:
        for _ in range(3):
            answer = client.post("/embed", content=b"x" * (2 << 20))
            assert_problem(answer, 503, "overloaded")
        assert len(embed(client, jpeg)) == 128, "what was refused is counted no longer"


def test_what_is_not_done_when_the_drain_ends_is_told_so(start, slow):
    daemon = start(config={"deadline_ms": 600000, "drain_timeout_ms": 0, "workers": 1})
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        url = daemon.url + "/embed"
        posts = [pool.submit(httpx.post, url, content=slow) for _ in range(3)]
        wait_for(lambda: daemon.metric("requests_in_work") == 3)
        assert daemon.stop() == 0
        told = [answer for post in posts if (answer := post.result()).status_code != 200]
    assert told, "the one worker cannot have been through with all of them"
    for answer in told:
        assert_problem(answer, 503, "draining")


def test_memory_does_not_grow_with_requests(start, jpeg):
    if "san-" in str(BIN):
        pytest.skip("a sanitizer keeps what was freed for a while; it finds leaks by itself")
    daemon = start()
    with httpx.Client(base_url=daemon.url) as client:
        for _ in range(100):
            embed(client, jpeg)
        before = daemon.rss_kib()
        for _ in range(300):
            embed(client, jpeg)
            client.post("/embed", content=b"nonsense")
            client.post("/embed", json={"img": "!"})
    assert daemon.rss_kib() - before < 4096


def test_nothing_of_a_request_is_logged(start, jpeg):
    daemon = start(config={"log_level": "debug"})
    secret = "s3cretname"
    with httpx.Client(base_url=daemon.url) as client:
        client.post(f"/{secret}")
        client.post(f"/embed?{secret}=1", files={"img": (secret, jpeg)})
        client.post("/embed", files={secret: jpeg}, headers={"X-Note": secret})
        client.post("/embed", json={secret: 1})
        client.post("/embed", content='{"img": ' + secret)
        answer = client.post("/embed", files={"img": jpeg}, headers={"X-Request-Id": "find-me"})
    daemon.stop()
    assert secret not in daemon.log
    assert "id=find-me" in daemon.log
    assert str(answer.json()["faces"][0]["embedding"][0]) not in daemon.log


def test_bodies_that_do_not_come_stand_before_nobody(start, jpeg):
    """What was announced and never sent is no load: otherwise a few idle sockets close the shop."""
    daemon = start(config={"deadline_ms": 5000, "body_timeout_ms": 10 * PATIENCE * 1000})
    header = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
    with httpx.Client(base_url=daemon.url) as client:
        for _ in range(3):  # from these it learns what a byte costs
            embed(client, jpeg)
        waiting = [daemon.connect() for _ in range(300)]
        for sock in waiting:
            sock.sendall(header + b"Content-Length: 400000\r\n\r\n")
        wait_for(lambda: daemon.metric("requests_in_flight") == 301)
        for _ in range(3):
            embed(client, jpeg)
        for sock in waiting:
            sock.close()
