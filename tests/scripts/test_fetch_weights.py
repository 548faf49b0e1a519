# SPDX-License-Identifier: Apache-2.0
"""scripts/fetch-weights.sh against a local HTTP server that behaves and misbehaves.

The pinned digests belong to 94 MB that a test cannot have, so the script runs in a small copy of
the tree whose model/sources/facenet-512.sha256 lists files made here; all else is the script as
it is.
"""

import hashlib
import http.server
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "fetch-weights.sh"
FILES = {f"layer_{i}_kernel.npy": bytes([i]) * (3000 + i) for i in range(6)}
VICTIM = "layer_3_kernel.npy"


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` under /weights/ and remembers what it was asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(FILES)
        self.cut = None  # name sent with half its bytes, then the connection closes
        self.hang = None  # name whose answer stops half way until `release`
        self.hanging = threading.Event()
        self.release = threading.Event()
        self.asked = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/weights"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.removeprefix("/weights/")
        self.server.asked.append(name)
        body = self.server.files.get(name)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if name == self.server.hang:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.server.hanging.set()
            self.server.release.wait(30)
            self.close_connection = True
        elif name == self.server.cut:
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        else:
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.release.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def tree(tmp_path):
    """A checkout with the script and a digest list of FILES; no repository, no network."""
    for folder in ("scripts", "model/sources"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(SCRIPT, tmp_path / "scripts")
    digests = [f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in FILES.items()]
    (tmp_path / "model" / "sources" / "facenet-512.sha256").write_text("".join(digests))
    return tmp_path


def start(tree, url):
    return subprocess.Popen(
        [tree / "scripts" / "fetch-weights.sh", tree / "out" / "weights"],
        env={**os.environ, "FACENET_WEIGHTS_URL": url, "no_proxy": "127.0.0.1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def fetch(tree, url):
    process = start(tree, url)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


def got(tree):
    target = tree / "out" / "weights"
    return {p.name: p.read_bytes() for p in target.iterdir()} if target.exists() else None


def leftovers(tree):
    partial = tree / "out" / "weights.partial"
    return sorted(p.name for p in partial.iterdir()) if partial.exists() else []


def test_a_good_server_gives_every_file(tree, server):
    code, stderr = fetch(tree, server.url)
    assert code == 0, stderr
    assert got(tree) == FILES
    assert leftovers(tree) == []


def test_a_second_run_asks_the_server_nothing(tree, server):
    assert fetch(tree, server.url)[0] == 0
    server.asked.clear()
    assert fetch(tree, server.url) == (0, "")
    assert server.asked == []


def test_one_wrong_byte_refuses_everything_and_says_which(tree, server):
    wrong = bytearray(FILES[VICTIM])
    wrong[1234] ^= 1
    server.files[VICTIM] = bytes(wrong)
    code, stderr = fetch(tree, server.url)
    assert code == 3
    assert VICTIM in stderr
    assert hashlib.sha256(wrong).hexdigest() in stderr
    assert hashlib.sha256(FILES[VICTIM]).hexdigest() in stderr
    assert got(tree) is None
    assert leftovers(tree) == []


def test_a_missing_file_is_named_and_gives_no_result(tree, server):
    del server.files[VICTIM]
    code, stderr = fetch(tree, server.url)
    assert code == 1
    assert "404" in stderr
    assert f"failed at {VICTIM}" in stderr
    assert got(tree) is None


def test_a_file_cut_by_the_server_gives_no_result(tree, server):
    server.cut = VICTIM
    code, _ = fetch(tree, server.url)
    assert code == 1
    assert got(tree) is None
    assert VICTIM not in leftovers(tree)


def test_a_file_short_but_complete_to_http_is_refused(tree, server):
    server.files[VICTIM] = FILES[VICTIM][:-1]
    code, stderr = fetch(tree, server.url)
    assert code == 3
    assert VICTIM in stderr
    assert got(tree) is None


def test_an_error_page_in_place_of_a_file_is_refused(tree, server):
    server.files = dict.fromkeys(FILES, b"<html>log in first</html>")
    code, stderr = fetch(tree, server.url)
    assert code == 3
    assert all(name in stderr for name in FILES)
    assert leftovers(tree) == []


def test_a_server_that_is_down_fails_soon_and_plainly(tree):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        began = time.monotonic()
        code, stderr = fetch(tree, f"http://127.0.0.1:{unused.getsockname()[1]}/weights")
    assert code == 1
    assert "download failed" in stderr
    assert time.monotonic() - began < 60
    assert got(tree) is None


def test_an_interrupted_run_goes_on_where_it_stopped(tree, server):
    server.hang = VICTIM
    process = start(tree, server.url)
    assert server.hanging.wait(30)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    server.release.set()
    assert process.returncode != 0
    assert got(tree) is None

    server.hang = None
    server.asked.clear()
    code, stderr = fetch(tree, server.url)
    assert code == 0, stderr
    assert got(tree) == FILES
    assert VICTIM in server.asked
    assert "layer_0_kernel.npy" not in server.asked


def test_a_result_that_changed_on_disk_is_fetched_again(tree, server):
    assert fetch(tree, server.url)[0] == 0
    (tree / "out" / "weights" / VICTIM).write_bytes(b"bit rot")
    code, stderr = fetch(tree, server.url)
    assert code == 0
    assert "does not match" in stderr
    assert got(tree) == FILES


def test_two_runs_at_once_share_one_download(tree, server):
    runs = [start(tree, server.url) for _ in range(2)]
    for run in runs:
        _, stderr = run.communicate(timeout=60)
        assert run.returncode == 0, stderr
    assert got(tree) == FILES
    assert len(server.asked) == len(FILES)
