# SPDX-License-Identifier: Apache-2.0
"""Keys, scopes, rates, who may listen where, and pages of other origins."""

import socket
import subprocess
import time

import httpx
import pytest

from tests.http.conftest import BIN, assert_problem, embed, exchange, refuse, wait_for

PAGE = "https://app.example"


def make_key(what):
    """A fresh key and its line, as an operator makes them."""
    done = subprocess.run([BIN, "--make-key", what], capture_output=True, text=True, check=True)
    return done.stderr.strip(), done.stdout


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A file with keys of every kind, and the keys by name."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    made = {name: make_key(f"{name}:{name}") for name in ("infer", "metrics")}
    made["slow"] = make_key("slow")
    lines = [line for _, line in made.values()]
    lines[2] = lines[2].replace("\n", " 2\n")
    path.write_text("# of the tests\n" + "".join(lines))
    return path, {name: key for name, (key, _) in made.items()}


@pytest.fixture
def guarded(start, keys):
    config = {"keys_file": str(keys[0]), "key_burst": 3, "deadline_ms": 60000}
    daemon = start(config=config, listen="0.0.0.0:0")
    daemon.url = f"http://127.0.0.1:{daemon.port}"
    daemon.host = "127.0.0.1"
    return daemon


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def test_a_key_is_needed_but_for_health(guarded, keys, jpeg):
    names = keys[1]
    assert '-H "X-API-Key: $KEY"' in guarded.curl_line
    with httpx.Client(base_url=guarded.url) as client:
        for path in ("/healthz", "/readyz"):
            assert client.get(path).status_code == 200
        for path in ("/model", "/metrics", "/nowhere"):
            answer = client.get(path)
            assert_problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
        assert_problem(client.post("/embed", content=jpeg), 401, "unauthorized")
        assert_problem(
            client.post("/embed", content=jpeg, headers=bearer("fnk_no")), 401, "unauthorized"
        )
        assert len(embed(client, jpeg, headers=bearer(names["infer"]))) == 128
        assert len(embed(client, jpeg, headers={"X-API-Key": names["infer"]})) == 128
        assert client.get("/model", headers=bearer(names["infer"])).status_code == 200
        assert client.get("/metrics", headers=bearer(names["metrics"])).status_code == 200
        assert_problem(client.get("/metrics", headers=bearer(names["infer"])), 403, "forbidden")
        answer = client.post("/embed", content=jpeg, headers=bearer(names["metrics"]))
        assert_problem(answer, 403, "forbidden")
        assert_problem(client.get("/nowhere", headers=bearer(names["infer"])), 404, "not_found")
        answer = client.get("/model", headers={**bearer(names["infer"]), "Host": "box.example"})
        assert answer.status_code == 200, "with keys the name in Host is free"


def test_without_a_key_large_bodies_are_not_read(guarded):
    head = b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    received = exchange(guarded, head % 1000000)
    assert received.startswith(b"HTTP/1.1 401 ") and b"<open>" not in received
    with guarded.connect() as sock:
        for _ in range(2):
            sock.sendall(head % 4 + b"body")
            assert sock.recv(65536).startswith(b"HTTP/1.1 401 "), "the connection stays"


def too_often(answer):
    return answer if answer.status_code == 429 else None


def test_a_key_may_ask_as_often_as_its_rate(guarded, keys, jpeg):
    slow = bearer(keys[1]["slow"])
    with httpx.Client(base_url=guarded.url) as client:
        for _ in range(3):
            assert client.get("/model", headers=slow).status_code == 200
        limited = wait_for(lambda: too_often(client.get("/model", headers=slow)))
        problem = assert_problem(limited, 429, "rate_limited")
        assert 0 < problem["retry_after_ms"] <= 500
        assert limited.headers["retry-after"] == "1"
        assert client.get("/model", headers=bearer(keys[1]["infer"])).status_code == 200
        time.sleep(problem["retry_after_ms"] / 1000)
        assert client.get("/model", headers=slow).status_code == 200


def test_keys_are_never_logged(start, keys, jpeg):
    config = {"keys_file": str(keys[0]), "log_level": "debug"}
    daemon = start(config=config)
    with httpx.Client(base_url=daemon.url) as client:
        for key in (*keys[1].values(), "fnk_unknown"):
            client.post("/embed", content=jpeg, headers=bearer(key))
            client.get("/metrics", headers={"X-API-Key": key})
    daemon.stop()
    assert "fnk_" not in daemon.log and "keys number=3" in daemon.log
    for key in keys[1].values():
        assert key[4:20] not in daemon.log


def test_a_unix_socket_needs_no_key_beside_a_port_that_does(start, keys, tmp_path, jpeg):
    path = tmp_path / "socket"
    config = {"keys_file": str(keys[0]), "listen": ["127.0.0.1:0", f"unix:{path}"]}
    daemon = start(config=config, listen=None)
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost"
    ) as client:
        assert len(embed(client, jpeg)) == 128
    assert_problem(httpx.get(daemon.url + "/model"), 401, "unauthorized")


def test_others_are_let_in_only_with_keys_or_knowingly(model, start, keys, tmp_path):
    args = ["--model", model, "--device", "reference", "--allow-untrained"]
    assert "keys_file" in refuse(*args, "--listen", "0.0.0.0:0")
    config = tmp_path / "two.conf"
    config.write_text('{"listen": ["127.0.0.1:0", "0.0.0.0:0"]}')
    assert "0.0.0.0" in refuse(*args, "--config", config)
    daemon = start(listen="0.0.0.0:0", args=["--insecure"])
    url = f"http://127.0.0.1:{daemon.port}/model"
    assert httpx.get(url, headers={"Host": "box.example"}).status_code == 200


def test_wrong_key_files_are_one_line(model, tmp_path):
    path, config = tmp_path / "keys", tmp_path / "facenetd.conf"
    config.write_text(f'{{"keys_file": "{path}"}}')
    args = ["--model", model, "--device", "reference", "--allow-untrained", "--config", config]
    assert str(path) in refuse(*args, "--listen", "127.0.0.1:0")
    path.write_text("edge infer nothex\n")
    assert "line 1" in refuse(*args, "--listen", "127.0.0.1:0")
    assert "--make-key" in refuse("--make-key", "a:admin")


def test_pages_of_allowed_origins_may_ask_and_read(start, jpeg):
    daemon = start(config={"cors_origins": [PAGE]})
    with httpx.Client(base_url=daemon.url) as client:
        answer = client.post("/embed", content=jpeg, headers={"Origin": PAGE})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["vary"] == "Origin"
        assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
        refused = client.post("/embed", content=b"x", headers={"Origin": PAGE})
        assert refused.status_code == 415
        assert refused.headers["access-control-allow-origin"] == PAGE
        ask = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        preflight = client.options("/embed", headers=ask)
        assert preflight.status_code == 204
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        for other in ("https://app.example.evil", "http://app.example", "null"):
            answer = client.post("/embed", content=jpeg, headers={"Origin": other})
            assert_problem(answer, 403, "forbidden")
            assert "access-control-allow-origin" not in answer.headers


def test_no_cors_header_is_sent_unless_configured(client):
    answer = client.get("/healthz", headers={"Origin": str(client.base_url).rstrip("/")})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "access-control-allow-methods" not in client.options("/embed").headers


@pytest.mark.parametrize("value", ['["*"]', '["app.example"]', '["https://a/b"]', '"https://a"'])
def test_origins_that_cannot_be_are_refused(tmp_path, value):
    path = tmp_path / "facenetd.conf"
    path.write_text(f'{{"cors_origins": {value}}}')
    assert "cors_origins" in refuse("--check-config", "--config", path)


def test_no_core_is_left_behind(daemon):
    with open(f"/proc/{daemon.process.pid}/limits") as file:
        core = next(line for line in file if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


def test_a_second_port_serves_like_the_first(start, jpeg):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    daemon = start(listen=None, config={"listen": ["127.0.0.1:0", f"127.0.0.1:{port}"]})
    answers = []
    for url in (daemon.url, f"http://127.0.0.1:{port}"):
        with httpx.Client(base_url=url) as client:
            answers.append(embed(client, jpeg))
    assert answers[0] == answers[1]
