# SPDX-License-Identifier: Apache-2.0
"""Start the real daemon on a free port with a small untrained model, and stop it again.

FACENETD_BUILD names the directory of the programs (a sanitizer build's, for one). Every daemon must
end by itself with status 0 and without a sanitizer's report.
"""

import io
import itertools
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import time

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.http.documented import HOOKS

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("FACENETD_BUILD", "build")).resolve()
BIN = BUILD / "facenetd"
DATA = ROOT.parent / "shared" / "data"
WEIGHTS = DATA / "mtcnn-npy"
SIX = DATA / "photos" / "multiface.jpg"
ONE = DATA / "lfw-fold1" / "Abel_Pacheco" / "Abel_Pacheco_0001.jpg"
REPORT = re.compile(r"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:")

# For tests with faces: the detector's published weights, and pictures.
needs_faces = pytest.mark.skipif(
    not (WEIGHTS.is_dir() and SIX.is_file() and ONE.is_file()),
    reason="the detector's weights and pictures are not beside the checkout",
)

_numbers = itertools.count()

# Seconds for whatever has to come. A machine that is much slower than another passes all the same:
# tests wait for a state and fail when it does not come in this time, never by how long it took.
PATIENCE = 120
for phase in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, phase, PATIENCE)


def wait_for(condition, what="it"):
    """Ask until the answer is true, and return it."""
    until = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < until, f"{what} did not come"
        time.sleep(0.02)
    return found


class Daemon:
    """A running facenetd."""

    def __init__(self, model, directory, listen="127.0.0.1:0", config=None, args=(), **options):
        """options: `device`; `env`, added to the environment; `seconds` to get ready in."""
        device = options.pop("device", "reference")
        environment = {**os.environ, **options.pop("env", {})}
        seconds = options.pop("seconds", 300)
        assert not options, options
        command = [BIN, "--model", model, "--device", device, "--allow-untrained", *args]
        command += ["--listen", listen] if listen else []
        # The self-test runs a whole batch: small ones let tests start soon, also under sanitizers.
        path = directory / "facenetd.conf"
        path.write_text(json.dumps({"max_batch": 2, **(config or {})}))
        command += ["--config", path]
        self.model = model
        self.log = None
        self._log_path = directory / f"{next(_numbers)}.log"
        with self._log_path.open("w") as stderr:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
            )
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            self.process.kill()
        self.ready_line = self.process.stdout.readline().strip()
        self.curl_line = self.process.stdout.readline().strip()
        if not self.curl_line:
            self.finish()
            raise RuntimeError("the daemon did not get ready: " + self.log)
        match = re.search(r"http://([^:]+|\[[^]]+\]):(\d+)", self.ready_line)
        if match:
            self.host, self.port = match[1], int(match[2])
            self.url = f"http://{self.host}:{self.port}"

    def connect(self):
        """A raw connection."""
        return socket.create_connection((self.host, self.port), timeout=PATIENCE)

    def stop(self, number=signal.SIGTERM, seconds=PATIENCE):
        """Signal and wait; returns the exit status."""
        if self.log is None:
            self.process.send_signal(number)
            self.finish(seconds)
        return self.process.returncode

    def end(self):
        """Stop it; it must end by itself, with nothing to say for a sanitizer."""
        assert self.stop() == 0, self.log
        assert not REPORT.search(self.log), self.log

    def finish(self, seconds=PATIENCE):
        """Wait for the end and read what was said on stderr."""
        self.process.wait(timeout=seconds)
        self.process.stdout.close()
        self.log = self._log_path.read_text()

    def log_so_far(self):
        return self._log_path.read_text()

    def wait_logged(self, text, times=1):
        wait_for(lambda: self.log_so_far().count(text) >= times, text)

    def metric(self, name):
        """One sample; name: with its labels, without our prefix."""
        text = httpx.get(self.url + "/metrics").text
        return float(re.search(f"^facenetd_{re.escape(name)} (\\S+)$", text, re.M)[1])

    def rss_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "untrained.safetensors"
    tool = [BUILD / "facenet-model", "untrained", "--width", "2", "--embedding-size", "128"]
    subprocess.run([*tool, "-o", path], check=True)
    return path


@pytest.fixture
def start(model, tmp_path):
    """Start daemons of a test's own; each must end cleanly."""
    daemons = []

    def begin(**kwargs):
        daemons.append(Daemon(kwargs.pop("model", model), tmp_path, **kwargs))
        return daemons[-1]

    yield begin
    for daemon in daemons:
        daemon.end()


@pytest.fixture(scope="session")
def daemon(model, tmp_path_factory):
    """The one that most tests share."""
    config = {
        "max_batch": 16,
        "lanes": 2,
        "max_body": 4 << 20,
        "deadline_ms": 20000,
        "log_level": "debug",
    }
    daemon = Daemon(model, tmp_path_factory.mktemp("config"), config=config)
    yield daemon
    assert daemon.process.poll() is None, "the daemon died during the tests"
    daemon.end()


@pytest.fixture
def client(daemon):
    with httpx.Client(base_url=daemon.url, timeout=30, event_hooks=HOOKS) as client:
        yield client


@pytest.fixture(scope="session")
def seeing(tmp_path_factory):
    """A daemon whose untrained model has the published detector."""
    place = tmp_path_factory.mktemp("faces")
    model = place / "model.safetensors"
    tool = [BUILD / "facenet-model", "untrained", "--width", "2", "--embedding-size", "128"]
    subprocess.run([*tool, "--detector", WEIGHTS, "-o", model], check=True)
    config = {"max_batch": 8, "deadline_ms": 600000, "max_pictures": 10}
    daemon = Daemon(model, place, config=config)
    yield daemon
    daemon.end()


@pytest.fixture
def eyes(seeing):
    with httpx.Client(base_url=seeing.url, timeout=90, event_hooks=HOOKS) as client:
        yield client


@pytest.fixture(scope="session")
def six():
    return SIX.read_bytes()


@pytest.fixture(scope="session")
def one():
    return ONE.read_bytes()


@pytest.fixture(scope="session")
def none():
    """Slopes: nothing that looks like a face."""
    y, x = np.mgrid[0:120, 0:160]
    return encode(Image.fromarray(np.stack([x, y, x + y // 2], 2).astype(np.uint8)), "PNG")


def refuse(*args, env=None):
    """Run a facenetd that must not start; its one line."""
    done = subprocess.run(
        [BIN, *args], check=False, capture_output=True, text=True, timeout=PATIENCE, env=env
    )
    assert done.returncode in (1, 2), done
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("facenetd: ")
    return done.stderr


def make_image(seed=1, size=(200, 180)):
    """A picture with detail at every scale, the same for the same seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    noise = rng.integers(-20, 20, (size[1], size[0], 3))
    pixels = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(int) + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encode(image, kind="JPEG", **kwargs):
    out = io.BytesIO()
    image.save(out, kind, **kwargs)
    return out.getvalue()


@pytest.fixture(scope="session")
def jpeg():
    return encode(make_image(), quality=90)


@pytest.fixture(scope="session")
def other_jpeg():
    return encode(make_image(2), quality=90)


def embed(client, picture, **kwargs):
    """The embedding of one picture by multipart."""
    answer = client.post("/embed", files={"img": picture}, **kwargs)
    assert answer.status_code == 200, answer.text
    return answer.json()["faces"][0]["embedding"]


def assert_problem(answer, status, code):
    """An RFC 9457 problem with our members."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == code, problem
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"] and "detail" in problem
    return problem


def exchange(daemon, *pieces):
    """Send raw bytes, read until the server closes or is silent for long; returns what came."""
    with daemon.connect() as sock:
        for piece in pieces:
            try:
                sock.sendall(piece)
            except OSError:
                break
        return receive(sock)


def receive(sock):
    sock.settimeout(PATIENCE)
    received = b""
    try:
        while chunk := sock.recv(65536):
            received += chunk
    except TimeoutError:
        received += b"<open>"
    except ConnectionResetError:
        received += b"<reset>"
    return received
