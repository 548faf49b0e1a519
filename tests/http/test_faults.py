# SPDX-License-Identifier: Apache-2.0
"""A daemon without memory, and one whose device fails, hangs or drags: no crash, no wrong number.

The stand-ins of tests/faults/ are preloaded; their plans change while the daemon runs.
"""

import base64
import os
import re
import subprocess

import httpx
import pytest

from tests.http.conftest import BIN, BUILD, PATIENCE, ROOT, embed, encode, make_image, wait_for

PROOF = os.environ.get("FACENETD_PROOF", "check")
own_malloc = pytest.mark.skipif("san-" in str(BUILD), reason="sanitizers bring their own malloc")
with_device = pytest.mark.skipif(
    "san-thread" in str(BUILD),
    reason="the compiler of OpenCL takes seconds there; tests/unit/test_devices.c and two tests of "
    "test_failover.py are run instead",
)


def sanitizer_runtime():
    """What wants to come before whatever is preloaded; "" in a plain build."""
    if "san-address" not in BUILD.name:
        return ""
    command = ["gcc", "-print-file-name=libasan.so"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


RUNTIME = sanitizer_runtime()


class Plan:
    """What a preloaded stand-in is to do."""

    def __init__(self, shim, variable, directory):
        self.path = directory / f"{shim}.plan"
        self.fired_path = directory / f"{shim}.plan.fired"
        self.path.write_text("")
        self.environment = {
            "LD_PRELOAD": f"{RUNTIME} {BUILD / 'shims' / shim}.so".strip(),
            variable: str(self.path),
        }

    def set(self, text):
        self.fired_path.unlink(missing_ok=True)
        before = self.path.stat().st_mtime_ns
        while self.path.stat().st_mtime_ns == before:
            self.path.write_text(text)

    def fired(self):
        return self.fired_path.exists()


@pytest.fixture
def memory(tmp_path):
    return Plan("memory_shim", "FN_MEMORY_PLAN", tmp_path)


@pytest.fixture
def device(tmp_path):
    return Plan("cl_shim", "FN_SHIM_PLAN", tmp_path)


@pytest.fixture(scope="session")
def right(client, jpeg):
    return embed(client, jpeg)


@pytest.fixture(scope="session")
def client(daemon):
    with httpx.Client(base_url=daemon.url) as client:
        yield client


def numbers():
    """1, 2, 3 ... growing faster and faster, or one by one where every place is wanted."""
    n = 1
    while True:
        yield n
        n += 1 if PROOF != "check" else max(1, n // 4)


# ---- memory ---------------------------------------------------------------------------------


@own_malloc
@pytest.mark.parametrize("after", ["", "+"], ids=["one", "all_after"])
def test_a_start_without_memory_is_one_line_or_a_whole_start(model, tmp_path, memory, after):
    """Each allocation between main() and readiness fails in turn."""
    args = [BIN, "--model", model, "--listen", "127.0.0.1:0", "--device", "reference"]
    args += ["--allow-untrained", "--config", tmp_path / "f.conf"]
    (tmp_path / "f.conf").write_text('{"max_batch": 1, "allowed_hosts": ["a", "b"]}')
    refused = 0
    for n in numbers():
        memory.set(f"{n}{after}")
        process = subprocess.Popen(
            args,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **memory.environment},
        )
        ready = process.stdout.readline()
        process.terminate()
        said = process.communicate(timeout=PATIENCE)[1]
        if ready:
            assert process.returncode == 0, (n, said)
        else:
            refused += 1
            assert process.returncode in (1, 2), (n, process.returncode, said)
            ours = [line for line in said.splitlines() if not line.startswith("time=")]
            assert len(ours) == 1 and ours[0].startswith("facenetd: "), (n, said)
        if not memory.fired():
            break
    assert refused > 10


def ask_infer(client, name, datatype, shape, data):
    tensor = {"name": name, "datatype": datatype, "shape": shape, "data": data}
    return client.post("/v2/models/facenet/infer", json={"inputs": [tensor]})


def verify(client, _):
    face = (ROOT / "tests/data/pictures/face.jpg").read_bytes()
    files = {"source_image": ("a.jpg", face), "target_image": ("b.jpg", face)}
    return client.post("/api/v1/verification/verify", files=files)


# A request to every kind of route; what it answers depends on nothing but the model.
QUESTIONS = {
    "embed": lambda client, jpeg: client.post("/embed", files={"img": jpeg}),
    "batch": lambda client, jpeg: client.post("/embed/batch", files=[("img", jpeg)] * 3),
    "distance": lambda client, jpeg: client.post("/distance", files={"img1": jpeg, "img2": jpeg}),
    "distances": lambda client, jpeg: client.post(
        "/distances", json={"a": [[0.125] * 64 + [0.0] * 64], "b": [[0.0] * 64 + [0.125] * 64] * 2}
    ),
    "crop": lambda client, jpeg: client.post("/crop?align=none", content=jpeg),
    "kept crop": lambda client, jpeg: client.post(
        "/embed?align=none", content=encode(make_image(4, (160, 160)), "PNG")
    ),
    "infer image": lambda client, jpeg: ask_infer(
        client, "image", "BYTES", [1], [base64.b64encode(jpeg).decode()]
    ),
    "infer crop": lambda client, jpeg: ask_infer(
        client, "crop", "UINT8", [1, 160, 160, 3], [7] * 76800
    ),
    "infer model": lambda client, jpeg: client.get("/v2/models/facenet"),
    "infer ready": lambda client, jpeg: client.get("/v2/health/ready"),
    "verify": verify,
    "model": lambda client, jpeg: client.get("/model"),
    "page": lambda client, jpeg: client.get("/"),
    "asset": lambda client, jpeg: client.get("/page/main.js"),
    "openapi": lambda client, jpeg: client.get("/openapi.json"),
}


def essence(answer):
    """An answer's body without what differs from request to request."""
    text = re.sub(r'"request_id":"[^"]*"', "", answer.text)
    return re.sub(r'"\w*ms":(\{[^}]*\}|[\d.]+)', "", text)


def agrees(answer, first):
    """Whether it says the same; of many pictures some may have been refused."""
    if essence(answer) == essence(first):
        return True
    images = answer.json().get("images", [])
    return any(image["status"] != 200 for image in images) and all(
        image["status"] in (500, 503) or image["faces"] == right["faces"]
        for image, right in zip(images, first.json()["images"], strict=True)
    )


@own_malloc
@pytest.mark.parametrize("name", QUESTIONS)
def test_requests_without_memory_are_refused_or_answered_rightly(start, memory, jpeg, name):
    """Each allocation of a request's life fails in turn."""
    seeing = {"model": ROOT / "models/thin-512.safetensors"} if name == "verify" else {}
    daemon = start(env=memory.environment, config={"deadline_ms": 60000}, **seeing)

    def ask_once():
        with httpx.Client(base_url=daemon.url) as client:
            return QUESTIONS[name](client, jpeg)

    first = ask_once()
    assert first.status_code == 200, first.text
    outcomes = {}
    for n in numbers():
        memory.set(str(n))
        try:
            answer = ask_once()
            outcome = answer.status_code
            assert outcome in (200, 500, 503), (n, answer.text)
            assert outcome != 200 or agrees(answer, first), (n, answer.text)
        except httpx.TransportError as error:
            outcome = type(error).__name__
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        fired = memory.fired()
        memory.set("")
        assert daemon.process.poll() is None, f"allocation {n} ended the daemon"
        assert essence(ask_once()) == essence(first), n
        if not fired:
            break
    assert len(outcomes) > 1, f"no allocation of {n} made a difference: {outcomes}"


# ---- the device -----------------------------------------------------------------------------


@pytest.fixture
def on_device(start, device, tmp_path):
    """A daemon on the OpenCL device with the stand-in before it."""
    config = {"cache_dir": str(tmp_path / "cache"), "deadline_ms": 1500}
    try:
        return start(device="auto", config=config, env=device.environment)
    except RuntimeError as error:
        if "no OpenCL" in str(error):
            pytest.skip("there is no OpenCL device")
        raise


def ask(daemon, jpeg, right):
    """One request; its status, after a look at the embedding."""
    answer = httpx.post(daemon.url + "/embed", files={"img": jpeg})
    if answer.status_code == 200:
        assert answer.json()["faces"][0]["embedding"] == right, "a wrong embedding"
    return answer.status_code


def recover(daemon, jpeg, right):
    wait_for(lambda: ask(daemon, jpeg, right) == 200)


@with_device
@pytest.mark.parametrize(
    "call",
    ["clEnqueueWriteBuffer", "clEnqueueNDRangeKernel", "clEnqueueReadBuffer", "*"],
)
def test_a_device_that_fails_is_said_and_comes_back(on_device, device, jpeg, right, call):
    assert ask(on_device, jpeg, right) == 200
    device.set(f"{call} 1+ error -36")
    statuses = [ask(on_device, jpeg, right) for _ in range(4)]
    assert set(statuses) <= {200, 503}, statuses
    device.set("")
    recover(on_device, jpeg, right)


@with_device
def test_a_device_that_hangs_holds_nobody_beyond_the_deadline(on_device, device, jpeg, right):
    device.set("clEnqueueReadBuffer 1+ hang")
    assert ask(on_device, jpeg, right) in (200, 503, 504)
    assert httpx.get(on_device.url + "/healthz").status_code == 200
    device.set("")
    recover(on_device, jpeg, right)


@with_device
def test_a_device_that_drags_expires_what_is_late(on_device, device, jpeg, right):
    device.set("clEnqueueReadBuffer 1+ slow 2500000")
    assert ask(on_device, jpeg, right) in (200, 503, 504)
    device.set("")
    recover(on_device, jpeg, right)
