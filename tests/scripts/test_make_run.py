# SPDX-License-Identifier: Apache-2.0
"""`make run` as a newcomer meets it: a checkout alone, no weights, and the line it prints."""

import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START_SECONDS = 600  # a whole build on two busy cores
MANIFEST = (ROOT / "tests" / "golden" / "MANIFEST").read_text()
THIN_ID = re.search(r"^models/thin-512\.safetensors 0 0 512 (\w{16}) ", MANIFEST, re.MULTILINE)[1]
CURL = re.compile(r"^\s*(curl .+)$")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """What is committed or about to be, alone in a folder: nothing built, nothing beside it."""
    root = tmp_path_factory.mktemp("alone") / "facenetd"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    return root


class Run:
    """`make run` in the background; what it says, output and errors mixed, ends up in `lines`."""

    def __init__(self, checkout, port):
        dead = f"http://127.0.0.1:{free_port()}/weights"  # nobody listens there
        clean = {
            k: v for k, v in os.environ.items() if not k.startswith(("FACENET", "MAKE", "MFL"))
        }
        self.process = subprocess.Popen(
            ["make", "run", f"LISTEN=127.0.0.1:{port}"],
            cwd=checkout,
            env={**clean, "FACENET_WEIGHTS_URL": dead, "PIP_NO_INDEX": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines = []
        self.arriving = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.arriving.put(line.rstrip("\n"))
        self.arriving.put(None)

    def wait_for(self, pattern, seconds):
        deadline = time.monotonic() + seconds
        while True:
            line = self.arriving.get(timeout=max(0.1, deadline - time.monotonic()))
            assert line is not None, "make run ended:\n" + "\n".join(self.lines[-40:])
            self.lines.append(line)
            if found := pattern.match(line):
                return found

    def interrupt(self):
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=60)


def running(checkout, port):
    run = Run(checkout, port)
    try:
        yield run, run.wait_for(CURL, START_SECONDS).group(1)
    finally:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()


@pytest.fixture(scope="module")
def first(checkout):
    yield from running(checkout, free_port())


def ask(line, checkout):
    """Run a printed line exactly as printed, from where it was printed."""
    answer = subprocess.run(
        ["bash", "-c", line], cwd=checkout, capture_output=True, text=True, timeout=120, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_the_printed_line_works_exactly_as_printed(checkout, first):
    answer = ask(first[1], checkout)
    (face,) = answer["faces"]
    assert answer["model"] == THIN_ID
    assert abs(sum(x * x for x in face["embedding"]) - 1) < 1e-5


def test_it_says_that_the_network_is_the_thin_default_and_how_to_get_the_full_one(first):
    said = "\n".join(first[0].lines)
    assert "download failed" in said
    assert "this is the thin default" in said
    assert "FACENET_WEIGHTS=path" in said


def test_ctrl_c_ends_it_and_a_second_start_serves_again(checkout, first):
    run, _ = first
    run.interrupt()
    for again, line in running(checkout, free_port()):
        assert ask(line, checkout)["model"] == THIN_ID
        again.interrupt()
