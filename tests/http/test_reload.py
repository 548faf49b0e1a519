# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: all of a new configuration counts, or nothing of it."""

import concurrent.futures
import json
import re
import shutil
import signal
import subprocess
import threading

import httpx
import pytest

from tests.http.conftest import BIN, BUILD, assert_problem, embed, refuse, wait_for


@pytest.fixture(scope="session")
def other_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("other") / "other.safetensors"
    tool = [BUILD / "facenet-model", "untrained", "--width", "2", "--embedding-size", "128"]
    subprocess.run([*tool, "--seed", "7", "-o", path], check=True)
    return path


def configure(daemon, **changes):
    path = daemon.process.args[daemon.process.args.index("--config") + 1]
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return path


def reloads(daemon, result):
    text = httpx.get(daemon.url + "/metrics").text
    return int(re.search(f'reloads_total{{result="{result}"}} (\\d+)', text)[1])


def reload(daemon, result="succeeded"):
    """Hang up and wait for the result."""
    before = reloads(daemon, result)
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: reloads(daemon, result) != before, "the end of the reload")


def test_limits_count_from_then_on(start, jpeg):
    daemon = start()
    with httpx.Client(base_url=daemon.url) as client:
        assert len(embed(client, jpeg)) == 128
        configure(daemon, max_body=2048, log_level="debug")
        reload(daemon)
        assert_problem(client.post("/embed", content=jpeg), 413, "body_too_large")
        assert client.get("/model").json()["limits"]["max_body"] == 2048
        configure(daemon, max_body=None)
        reload(daemon)
        assert len(embed(client, jpeg)) == 128
    daemon.stop()
    assert daemon.log.count("event=reload result=succeeded") == 2
    assert daemon.log.count("same_device=yes") == 2
    assert daemon.log.count("event=self_test") == 1


def test_keys_are_exchanged(start, tmp_path):
    lines = {}
    for name in ("old", "new"):
        made = subprocess.run([BIN, "--make-key", name], capture_output=True, text=True, check=True)
        lines[name] = made.stdout, {"X-API-Key": made.stderr.strip()}
    file = tmp_path / "keys"
    file.write_text(lines["old"][0].replace("infer", "infer,metrics"))
    daemon = start(config={"keys_file": str(file)})
    ask = lambda name: httpx.get(daemon.url + "/model", headers=lines[name][1]).status_code  # noqa: E731
    assert (ask("old"), ask("new")) == (200, 401)
    file.write_text(lines["new"][0])
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: ask("new") == 200)
    assert (ask("old"), ask("new")) == (401, 200)
    file.write_text("nonsense")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_logged("event=reload result=failed")
    assert (ask("old"), ask("new")) == (401, 200)
    daemon.stop()
    assert "event=reload result=failed" in daemon.log


def test_a_model_is_exchanged_under_load_without_a_failed_request(
    start, model, other_model, jpeg, tmp_path
):
    path = tmp_path / "model.safetensors"
    shutil.copy(model, path)
    daemon = start(model=path, config={"deadline_ms": 60000, "max_batch": 1})
    stop, seen = threading.Event(), []

    def ask():
        with httpx.Client(base_url=daemon.url) as client:
            while not stop.is_set():
                answer = client.post("/embed", content=jpeg)
                assert answer.status_code == 200, answer.text
                body = answer.json()
                seen.append((body["model"], tuple(body["faces"][0]["embedding"])))

    def wait_for_more():
        before = len(seen)
        wait_for(lambda: len(seen) > before + 4)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = [pool.submit(ask) for _ in range(2)]
        for source in (other_model, model):
            wait_for_more()
            shutil.copy(source, path.with_suffix(".new"))
            path.with_suffix(".new").rename(path)
            reload(daemon)
        wait_for_more()
        stop.set()
        for future in running:
            future.result()
    by_model = {}
    for name, embedding in seen:
        by_model.setdefault(name, set()).add(embedding)
    assert len(by_model) == 2, "both models have answered"
    assert all(len(embeddings) == 1 for embeddings in by_model.values()), "each with its own bits"
    daemon.stop()
    assert daemon.log.count("same_device=no") == 2


def test_a_failed_reload_changes_nothing(start, model, jpeg, tmp_path):
    path = tmp_path / "model.safetensors"
    shutil.copy(model, path)
    daemon = start(model=path)
    with httpx.Client(base_url=daemon.url) as client:
        before = client.get("/model").json(), embed(client, jpeg)
        wrong = [
            {"max_body": 2048, "no_such_key": 1},
            {"max_body": 2048, "keys_file": str(tmp_path / "missing")},
            {"max_body": 2048, "lanes": 7},
            {"max_body": 2048, "max_connections": 7},
            {"max_body": 2048, "workers": 7},
            {"max_body": 2048, "max_batch": 4, "kernel_family": None, "device": 3},
        ]
        good = json.loads(configure(daemon).read_text())
        for changes in wrong:
            configure(daemon, **changes)
            reload(daemon, "failed")
            configure(daemon).write_text(json.dumps(good))
        whole = path.read_bytes()
        path.write_bytes(whole[:-9] + b"123456789")
        reload(daemon, "failed")
        path.unlink()
        reload(daemon, "failed")
        assert client.get("/readyz").status_code == 200
        after = client.get("/model").json(), embed(client, jpeg)
        for answer in before[0], after[0]:
            del answer["request_id"]
        assert before == after
        path.write_bytes(whole)
        reload(daemon)
    daemon.stop()
    assert 'detail="' in daemon.log and "no_such_key" in daemon.log


def test_many_reloads_leave_nothing_behind(start, jpeg):
    daemon = start()
    with httpx.Client(base_url=daemon.url) as client:
        for i in range(4):
            configure(daemon, max_batch=1 + i % 2)
            reload(daemon)
            assert len(embed(client, jpeg)) == 128
        text = client.get("/metrics").text
    assert int(re.search(r"process_open_fds (\d+)", text)[1]) < 30
    threads = int(re.search(r"Threads:\s+(\d+)", status_of(daemon))[1])
    configure(daemon, max_batch=1)
    reload(daemon)
    assert int(re.search(r"Threads:\s+(\d+)", status_of(daemon))[1]) == threads


def status_of(daemon):
    with open(f"/proc/{daemon.process.pid}/status") as file:
        return file.read()


def test_a_hangup_while_draining_does_no_harm(start):
    daemon = start(config={"drain_delay_ms": 500})
    daemon.process.send_signal(signal.SIGHUP)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.finish()
    assert daemon.process.returncode == 0


def test_checking_a_configuration_is_complete(tmp_path):
    path, keys = tmp_path / "facenetd.conf", tmp_path / "keys"

    def check(config, word):
        path.write_text(json.dumps(config, indent=1))
        line = refuse("--check-config", "--config", path)
        assert word in line, line

    check({"max_batch": 1, "nonsense": 1}, 'line 3: "nonsense": unknown key')
    check({"listen": "nowhere"}, "host:port")
    check({"listen": ["127.0.0.1:1", "0.0.0.0:1"]}, "0.0.0.0:1")
    check({"listen": "unix:relative"}, "absolute")
    check({"keys_file": str(keys)}, str(keys))
    keys.write_text("a infer 1")
    check({"keys_file": str(keys)}, "line 1")
    keys.write_text("a infer " + "0" * 64)
    path.write_text(json.dumps({"keys_file": str(keys), "listen": "0.0.0.0:1"}))
    done = subprocess.run([BIN, "--check-config", "--config", path], check=False)
    assert done.returncode == 0, "no address was taken and no device opened"
