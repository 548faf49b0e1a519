# SPDX-License-Identifier: Apache-2.0
"""`make run` as a newcomer meets it: a checkout alone, no weights, and the line it prints."""

import itertools
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
LFW = ROOT.parent / "shared" / "data" / "lfw-fold1"
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


@pytest.fixture(scope="module")
def pairs():
    """Raw photographs of people whom no network of ours has seen: 20 pairs of one person and 20 of
    two, spread over LFW's first fold."""
    if not LFW.exists():
        pytest.skip("LFW's first fold is not beside the checkout")
    same, other = [], []
    for line in (LFW / "pairs.txt").read_text().splitlines()[1:]:
        fields = line.split("\t")
        if len(fields) == 3:
            fields.insert(2, fields[0])
        (same if fields[0] == fields[2] else other).append(
            [LFW / n / f"{n}_{int(i):04}.jpg" for n, i in (fields[:2], fields[2:])]
        )
    return same[::15], other[::15]


def address_of(line):
    return re.search(r"http://[\d.:]+", line).group()


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


def test_raw_photographs_are_judged_rightly_without_network_or_weights(checkout, first, pairs):
    url = f"{address_of(first[1])}/distance"

    def distance(a, b):
        answer = ask(f"curl -sS -F 'img1=@{a}' -F 'img2=@{b}' {url}", checkout)
        assert answer["model"] == THIN_ID
        return answer

    answers = [[distance(*pair) for pair in kind] for kind in pairs]
    for answer in itertools.chain(*answers):
        assert answer["same"] == (answer["l2_squared"] <= answer["threshold"]["value"])
    same, other = answers
    # At the threshold of one error in a hundred the network passes nine true pairs in ten.
    assert sum(answer["same"] for answer in same) >= 15
    assert not any(answer["same"] for answer in other)


def test_it_says_that_the_network_is_the_thin_default_and_how_to_get_the_full_one(checkout, first):
    said = "\n".join(first[0].lines)
    assert "download failed" in said
    assert "this is the thin default" in said and "a face detector of our own" in said
    assert "FACENET_WEIGHTS=path make run" in said
    model = ask(f"curl -sS {address_of(first[1])}/model", checkout)
    assert model["model"] == THIN_ID and model["detector"]["name"] == "facenetd-1"
    assert model["crop"] == "mtcnn-p17-160"
    measured = [e for e in model["evaluations"] if e["crop"] == model["crop"]]
    assert measured and all(0.94 < e["accuracy"] < 0.99 for e in measured)
    for note in (e["note"] for e in measured):
        assert "99.67 %" in note and "FACENET_WEIGHTS=path make run" in note
    fitted = {(p["crop"], p["far"]) for p in model["operating_points"]}
    assert {(crop, 1e-2) for crop in ("mtcnn-p17-160", "whole-160")} <= fitted


def test_ctrl_c_ends_it_and_a_second_start_serves_again(checkout, first):
    run, _ = first
    run.interrupt()
    for again, line in running(checkout, free_port()):
        assert ask(line, checkout)["model"] == THIN_ID
        again.interrupt()
