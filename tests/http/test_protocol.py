# SPDX-License-Identifier: Apache-2.0
"""HTTP itself, mostly by raw sockets: framing, limits, keep-alive, time, hosts and origins."""

import contextlib
import json
import re
import signal
import time

import httpx
import pytest

from tests.http.conftest import PATIENCE, assert_problem, embed, exchange, receive

HOST = b"Host: localhost\r\n"
PHASES = ("idle", "headers", "body", "reply")


def post(path, body, *headers):
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: localhost", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def status_of(received):
    return int(received.split(b" ", 2)[1])


def code_of(received):
    return json.loads(received.partition(b"\r\n\r\n")[2].split(b"\n")[0])["code"]


def assert_refused(received, status, code):
    """One problem, and the connection is closed after it."""
    assert status_of(received) == status, received
    assert code_of(received) == code
    assert b"<open>" not in received
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"X-Request-Id: " in received


@pytest.mark.parametrize(
    "headers",
    [
        [b"Content-Length: 4", b"Content-Length: 4"],
        [b"Content-Length: 4", b"Content-Length: 40"],
        [b"Content-Length: 4", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 4"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: xchunked"],
        [b"Content-Length : 4"],
        [b"Content-Length: +4"],
        [b"Content-Length: 4, 4"],
        [b"Content-Length: -4"],
        [b"Content-Length: 0x4"],
        [b"Content-Length: 4 4"],
        [b"Content-Length: "],
        [b"Content-Length: 4", b"Host: localhost"],
        [b"Content-Length: 4", b"X(y): z"],
        [b"Content-Length: 4", b"Expect: miracles"],
    ],
)
def test_framing_that_two_servers_could_read_differently_is_refused(daemon, headers):
    received = exchange(daemon, post(b"/embed", b"GET /healthz HTTP/1.1\r\n\r\n", *headers))
    # What libmicrohttpd refuses itself it may say twice; no second request was read in any case.
    assert set(re.findall(rb"HTTP/1.1 (\d+)", received)) == {b"400"}, received
    assert b"<open>" not in received and received.count(b"X-Request-Id") <= 1
    assert httpx.get(daemon.url + "/healthz").status_code == 200


def test_a_doubled_content_length_is_refused_with_a_problem(daemon):
    headers = [b"Content-Length: 4", b"Content-Length: 4"]
    assert_refused(exchange(daemon, post(b"/embed", b"abcd", *headers)), 400, "bad_request")
    headers = [b"Content-Length: 4", b"Transfer-Encoding: chunked"]
    assert_refused(exchange(daemon, post(b"/embed", b"abcd", *headers)), 400, "bad_request")
    headers = [b"Content-Length : 4"]
    assert_refused(exchange(daemon, post(b"/embed", b"abcd", *headers)), 400, "bad_request")


def test_host_must_be_there_once(daemon):
    assert_refused(exchange(daemon, b"GET /healthz HTTP/1.1\r\n\r\n"), 400, "bad_request")
    twice = b"GET /healthz HTTP/1.1\r\n" + HOST + HOST + b"\r\n"
    assert_refused(exchange(daemon, twice), 400, "bad_request")
    old = exchange(daemon, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert status_of(old) == 200 and b"<open>" not in old


@pytest.mark.parametrize("version", [b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/11"])
def test_other_versions_are_refused(daemon, version):
    received = exchange(daemon, b"GET /healthz " + version + b"\r\n" + HOST + b"\r\n")
    assert received == b"" or status_of(received) in (400, 505), received
    assert b"<open>" not in received


def test_too_many_headers_are_refused(daemon):
    many = b"".join(b"X-%d: y\r\n" % i for i in range(100))
    received = exchange(daemon, b"GET /healthz HTTP/1.1\r\n" + HOST + many + b"\r\n")
    assert_refused(received, 400, "bad_request")


def test_a_huge_header_or_target_ends_the_connection(daemon):
    big = b"a" * 200000
    for request in (b"GET /healthz HTTP/1.1\r\nX: " + big, b"GET /" + big):
        received = exchange(daemon, request)
        assert b"<open>" not in received
        assert b"HTTP/1.1 200" not in received


def test_garbage_does_no_harm(daemon):
    for garbage in (b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 5000):
        received = exchange(daemon, garbage + b"\r\n\r\n")
        assert b" 200 " not in received and b"<open>" not in received
    assert httpx.get(daemon.url + "/healthz").status_code == 200


def test_a_body_over_the_limit_is_refused_before_it_is_sent(daemon):
    headers = [b"Content-Length: 4194305", b"Expect: 100-continue"]
    received = exchange(daemon, post(b"/embed", b"", *headers))
    assert_refused(received, 413, "body_too_large")
    assert b"100 Continue" not in received
    received = exchange(daemon, post(b"/embed", b"", b"Content-Length: 99999999999999"))
    assert_refused(received, 413, "body_too_large")


def test_expect_continue_is_answered_and_the_picture_taken(daemon, jpeg):
    headers = [b"Content-Length: %d" % len(jpeg), b"Expect: 100-continue", b"Connection: close"]
    with daemon.connect() as sock:
        sock.sendall(post(b"/embed", b"", *headers))
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(jpeg)
        assert receive(sock).startswith(b"HTTP/1.1 200 OK\r\n")


def chunks(data, size):
    return b"".join(
        b"%x\r\n%s\r\n" % (len(data[i : i + size]), data[i : i + size])
        for i in range(0, len(data), size)
    )


def test_a_chunked_body_is_counted(client, daemon, jpeg):
    head = post(b"/embed", b"", b"Transfer-Encoding: chunked", b"Connection: close")
    received = exchange(daemon, head + chunks(jpeg, 17) + b"0\r\n\r\n")
    assert status_of(received) == 200
    floats = json.loads(received.partition(b"\r\n\r\n")[2])["faces"][0]["embedding"]
    assert floats == embed(client, jpeg)
    received = exchange(daemon, head + chunks(b"x" * 4194304, 65536) + b"0\r\n\r\n")
    assert status_of(received) == 415
    received = exchange(daemon, head + chunks(b"x" * 4194305, 65536) + b"0\r\n\r\n")
    assert status_of(received) == 413 and code_of(received) == "body_too_large"


def test_an_endless_chunked_body_is_cut(daemon):
    before = daemon.rss_kib()
    head = post(b"/embed", b"", b"Transfer-Encoding: chunked")
    block = chunks(b"x" * 1048576, 65536)
    received = exchange(daemon, head, *[block] * 16)
    assert b"<open>" not in received
    assert b" 200 " not in received
    assert daemon.rss_kib() - before < 64 * 1024


def test_keep_alive_survives_answers_and_small_refusals(daemon, jpeg):
    requests = [
        (b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 200),
        (b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"HEAD /model HTTP/1.1\r\n" + HOST + b"\r\n", 200),
        (post(b"/healthz", b"abc", b"Content-Length: 3"), 405),
        (post(b"/embed", jpeg, b"Content-Length: %d" % len(jpeg)), 200),
        (post(b"/embed", b"hello", b"Content-Length: 5"), 415),
        (post(b"/embed?x=1", b"hello", b"Content-Length: 5"), 400),
        (b"OPTIONS /embed HTTP/1.1\r\n" + HOST + b"\r\n", 204),
        (b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    ]
    with daemon.connect() as sock:
        stream = sock.makefile("rb")
        for request, status in requests:
            sock.sendall(request)
            assert int(stream.readline().split()[1]) == status
            length = 0
            while (line := stream.readline()) != b"\r\n":
                assert not line.lower().startswith(b"connection: close"), request
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if not request.startswith(b"HEAD"):
                stream.read(length)


def test_pipelined_requests_are_answered_in_order(daemon, jpeg, other_jpeg):
    sent = b"".join(
        post(b"/embed", x, b"Content-Length: %d" % len(x), b"X-Request-Id: n%d" % i)
        for i, x in enumerate([jpeg, other_jpeg, jpeg, b"nothing", other_jpeg])
    )
    last = b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    received = exchange(daemon, sent + last)
    assert [int(p.split()[0]) for p in received.split(b"HTTP/1.1 ")[1:]] == [
        200, 200, 200, 415, 200, 200,
    ]  # fmt: skip
    order = [line for line in received.split(b"\r\n") if line.startswith(b"X-Request-Id: n")]
    assert order == [b"X-Request-Id: n%d" % i for i in range(5)]


def test_head_is_get_without_the_body(client):
    get, head = client.get("/model"), client.head("/model")
    assert head.status_code == 200 and head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]
    assert abs(int(head.headers["content-length"]) - int(get.headers["content-length"])) < 8
    assert client.head("/embed").status_code == 405


def test_wrong_methods_and_paths(client, daemon):
    for method, path, allow in [
        ("GET", "/embed", "POST, OPTIONS"),
        ("PUT", "/embed", "POST, OPTIONS"),
        ("DELETE", "/v1/distance", "POST, OPTIONS"),
        ("POST", "/", "GET, HEAD, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
        ("PATCH", "/model", "GET, HEAD, OPTIONS"),
        ("BREW", "/readyz", "GET, HEAD, OPTIONS"),
    ]:
        answer = client.request(method, path)
        assert_problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == allow
    assert client.options("/embed").headers["allow"] == "POST, OPTIONS"
    for path in (b"/page", b"/embed/", b"//embed", b"/embed%00", b"/embe%64", b"/v1",
                 b"/v1/v1/embed", b"/v2/x", b"/../embed", b"/etc/passwd", b"/embed;x", b"embed",
                 b"*"):  # fmt: skip
        received = exchange(daemon, post(path, b"abcd", b"Content-Length: 4", b"Connection: close"))
        assert status_of(received) == 404 and code_of(received) == "not_found", path
    assert client.get("/v1/healthz?x=1").status_code == 200


def test_an_absolute_target_is_understood(daemon):
    target = b"GET http://localhost/healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    assert status_of(exchange(daemon, target)) == 200


def test_request_ids_are_taken_or_replaced(client):
    for good in ("a", "A-b_c.9", "x" * 64):
        assert client.get("/healthz", headers={"X-Request-Id": good}).json()["request_id"] == good
    for bad in ("", "x" * 65, "a b", 'a"b', "é".encode("latin-1")):
        answer = client.get("/healthz", headers={"X-Request-Id": bad})
        assert answer.json()["request_id"] not in (bad, "")
        assert answer.headers["x-request-id"] == answer.json()["request_id"]


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "[",
                                  "10.0.0.1", ""])  # fmt: skip
def test_other_host_names_are_misdirected(client, host):
    assert_problem(client.get("/healthz", headers={"Host": host}), 421, "unknown_host")


@pytest.mark.parametrize("host", ["localhost", "LocalHost:99", "127.0.0.1", "[::1]:8080"])
def test_own_host_names_are_answered(client, host):
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_foreign_origins_are_refused(client, daemon):
    for origin in ("http://evil.example", "null", "http://localhost:1", "ftp://localhost", ""):
        headers = {"Origin": origin, "Host": "localhost"}
        assert_problem(client.post("/embed", headers=headers), 403, "forbidden")
    same = {"Origin": f"http://localhost:{daemon.port}", "Host": f"localhost:{daemon.port}"}
    answer = client.get("/healthz", headers=same)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_allowed_hosts_are_answered(start):
    daemon = start(config={"allowed_hosts": ["faces.example"]})
    for host, status in (("faces.example:80", 200), ("face.example", 421), ("localhost", 200)):
        answer = httpx.get(daemon.url + "/healthz", headers={"Host": host})
        assert answer.status_code == status


def drip(daemon, first, piece):
    """Send a little again and again until the server hangs up."""
    until = time.monotonic() + PATIENCE
    with daemon.connect() as sock:
        sock.sendall(first)
        with contextlib.suppress(OSError):
            while time.monotonic() < until:
                sock.sendall(piece)
                time.sleep(0.02)
    assert time.monotonic() < until, "the connection stayed"


def test_slow_clients_are_cut_off(start, jpeg):
    daemon = start(
        config={
            "header_timeout_ms": 400, "body_timeout_ms": 400, "idle_timeout_ms": 400,
            "min_rate": 1 << 20,
        }
    )  # fmt: skip
    stalls = {
        "nothing at all": b"",
        "half a request line": b"GET /hea",
        "half the headers": b"GET /healthz HTTP/1.1\r\nHost: loc",
        "half a body": post(b"/embed", jpeg[:100], b"Content-Length: %d" % len(jpeg)),
        "an idle connection": b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    }
    for what, sent in stalls.items():
        began = time.monotonic()
        assert b"<open>" not in exchange(daemon, sent), what
        assert time.monotonic() - began > 0.3, what
    drip(daemon, b"GET /healthz HTTP/1.1\r\n", b"X: y\r\n")
    drip(daemon, post(b"/embed", b"", b"Content-Length: 10000000"), b"x")
    cut = {phase: daemon.metric(f'connections_cut_total{{phase="{phase}"}}') for phase in PHASES}
    assert sum(cut.values()) == 7, cut
    assert cut["body"] == 2 and cut["headers"] >= 2 and cut["idle"] >= 2, cut


def test_a_daemon_that_stood_still_blames_no_client(start, jpeg):
    """What came meanwhile waits in the sockets: it is read before anybody is found slow."""
    slow = {"header_timeout_ms": 3000, "body_timeout_ms": 3000, "idle_timeout_ms": 3000}
    daemon = start(config={**slow, "deadline_ms": 60000})
    length = b"Content-Length: %d" % len(jpeg)
    request = post(b"/embed", jpeg, length, b"Connection: close")
    fresh, used, half = (daemon.connect() for _ in range(3))
    used.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    assert status_of(used.recv(65536)) == 200
    half.sendall(request[:-50])
    daemon.process.send_signal(signal.SIGSTOP)
    fresh.sendall(request)
    used.sendall(request)
    half.sendall(request[-50:])
    time.sleep(3.5)
    daemon.process.send_signal(signal.SIGCONT)
    for sock in (fresh, used, half):
        assert status_of(receive(sock)) == 200
        sock.close()


def test_idle_connections_leave_room_for_others(start):
    daemon = start(config={"max_connections": 16, "idle_timeout_ms": 10 * PATIENCE * 1000})
    idle = [daemon.connect() for _ in range(16)]
    for sock in idle:
        sock.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    assert httpx.get(daemon.url + "/healthz").status_code == 200
    for sock in idle:
        sock.close()


def test_a_client_that_stops_sending_while_it_waits_counts_as_gone(start, jpeg):
    daemon = start(config={"log_level": "debug", "drain_timeout_ms": 5000})
    with daemon.connect() as sock:
        sock.sendall(post(b"/embed", jpeg, b"Content-Length: %d" % len(jpeg)))
        sock.shutdown(1)
        received = receive(sock)
    assert b"<open>" not in received
    assert received == b"" or status_of(received) == 200
    assert httpx.get(daemon.url + "/readyz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/model", 400),
        ("HEAD", "/model", 400),
        ("GET", "/embed", 405),
        ("PUT", "/embed", 405),
    ],
)
def test_only_post_has_a_body(client, method, path, status):
    assert client.request(method, path, content=b"x").status_code == status
    assert client.get("/healthz").status_code == 200
