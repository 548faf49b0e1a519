# SPDX-License-Identifier: Apache-2.0
"""A daemon without memory, and one whose device fails, hangs or drags: no crash, no wrong number.

The stand-ins of tests/faults/ are preloaded; their plans change while the daemon runs.
"""

import os
import subprocess

import httpx
import pytest

from tests.http.conftest import BIN, BUILD, PATIENCE, embed, wait_for

PROOF = os.environ.get("FACENETD_PROOF", "check")
own_malloc = pytest.mark.skipif("san-" in str(BUILD), reason="sanitizers bring their own malloc")
with_device = pytest.mark.skipif(
    "san-thread" in str(BUILD),
    reason="the compiler of OpenCL takes seconds there; tests/unit/test_devices.c is run instead",
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


@own_malloc
def test_requests_without_memory_are_refused_or_answered_rightly(start, memory, jpeg, right):
    """Each allocation of a request's life fails in turn."""
    daemon = start(env=memory.environment)
    outcomes = {}
    for n in numbers():
        memory.set(str(n))
        try:
            answer = httpx.post(daemon.url + "/embed", files={"img": jpeg})
            outcome = answer.status_code
            if outcome == 200:
                assert answer.json()["faces"][0]["embedding"] == right, n
            else:
                assert outcome in (500, 503), (n, answer.text)
        except httpx.TransportError as error:
            outcome = type(error).__name__
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        fired = memory.fired()
        memory.set("")
        assert daemon.process.poll() is None, f"allocation {n} ended the daemon"
        with httpx.Client(base_url=daemon.url) as client:
            assert embed(client, jpeg) == right, n
        if not fired:
            break
    assert outcomes.get(503, 0) >= 3, outcomes


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
