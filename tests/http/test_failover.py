# SPDX-License-Identifier: Apache-2.0
"""A device that errs, hangs or answers wrongly is replaced, with the same bits, and taken back.

The device is OpenCL's with the stand-in of tests/faults/ before it."""

import concurrent.futures
import re
import signal
import time

import httpx
import pytest
from conftest import BUILD, assert_problem, embed
from test_faults import Plan

pytestmark = pytest.mark.skipif("san-" in str(BUILD), reason="the stand-in is not instrumented")

QUICK = {"device_stall_ms": 400, "device_retry_ms": 300, "self_test_ms": 100}
READ = "clEnqueueReadBuffer"


@pytest.fixture
def plan(tmp_path):
    return Plan("cl_shim", "FN_SHIM_PLAN", tmp_path)


@pytest.fixture
def begin(start, plan, tmp_path):
    def on_opencl(**config):
        config = {"cache_dir": str(tmp_path / "cache"), "deadline_ms": 20000, **QUICK, **config}
        try:
            return start(device="auto", config=config, env=plan.environment)
        except RuntimeError as error:
            if "no OpenCL" in str(error):
                pytest.skip("there is no OpenCL device")
            raise

    return on_opencl


@pytest.fixture(scope="module")
def right(daemon, jpeg):
    """What the reference engine says."""
    with httpx.Client(base_url=daemon.url, timeout=30) as client:
        return embed(client, jpeg)


def ask(daemon, jpeg):
    answer = httpx.post(daemon.url + "/embed", files={"img": jpeg}, timeout=30)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return body["backend"].split(":")[0], body["faces"][0]["embedding"]


def metric(daemon, name):
    text = httpx.get(daemon.url + "/metrics").text
    return float(re.search(f"^facenetd_{re.escape(name)} (\\S+)$", text, re.M)[1])


def wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.03)


def is_ready(daemon):
    return httpx.get(daemon.url + "/readyz").status_code == 200


@pytest.mark.parametrize("fault", ["error -36", "hang"])
def test_the_batch_that_a_device_fails_is_computed_by_the_next(begin, plan, jpeg, right, fault):
    daemon = begin(self_test_ms=60000)
    assert ask(daemon, jpeg) == ("opencl", right)
    plan.set(f"{READ} 1+ {fault}")
    began = time.monotonic()
    assert ask(daemon, jpeg) == ("reference", right)
    assert time.monotonic() - began < 5
    assert metric(daemon, 'device_up{device="auto"}') == 0
    assert metric(daemon, 'device_serving{device="reference"}') == 1
    assert metric(daemon, "device_failovers_total") == 1
    assert metric(daemon, "device_stalls_total") == (fault == "hang")
    assert httpx.get(daemon.url + "/model").json()["backend"] == "reference"
    assert is_ready(daemon)
    plan.set("")
    wait_for(lambda: ask(daemon, jpeg) == ("opencl", right))
    assert metric(daemon, 'device_serving{device="auto"}') == 1
    daemon.stop()
    assert "event=device_failed" in daemon.log and "event=device_back" in daemon.log


def test_wrong_numbers_take_a_device_out_before_anybody_asks(begin, plan, jpeg, right):
    daemon = begin()
    plan.set(f"{READ} 1+ flip")
    wait_for(lambda: metric(daemon, 'device_up{device="auto"}') == 0)
    assert metric(daemon, "selftest_failures_total") >= 1
    assert ask(daemon, jpeg) == ("reference", right)
    time.sleep(1)
    assert metric(daemon, 'device_up{device="auto"}') == 0, "a wrong device is not taken back"
    plan.set("")
    wait_for(lambda: ask(daemon, jpeg) == ("opencl", right))


def test_with_nothing_left_work_is_refused_until_the_device_is_back(begin, plan, jpeg, right):
    daemon = begin(fallback=[])
    plan.set(f"{READ} 1+ flip")
    wait_for(lambda: not is_ready(daemon))
    assert_problem(httpx.get(daemon.url + "/readyz"), 503, "no_device")
    answer = httpx.post(daemon.url + "/embed", files={"img": jpeg}, timeout=30)
    problem = assert_problem(answer, 503, "no_device")
    assert problem["retry_after_ms"] > 0 and "retry-after" in answer.headers
    assert httpx.get(daemon.url + "/healthz").status_code == 200
    assert metric(daemon, "ready") == 0
    plan.set("")
    wait_for(lambda: is_ready(daemon))
    assert ask(daemon, jpeg) == ("opencl", right)


def test_faults_under_load_lose_no_request(begin, plan, jpeg, right):
    daemon = begin()
    until = time.monotonic() + 4
    faults = [f"{READ} 3+ error -5", "", "clEnqueueNDRangeKernel 50+ error -36", ""]

    def work():
        backends = []
        while time.monotonic() < until:
            backend, embedding = ask(daemon, jpeg)
            assert embedding == right
            backends.append(backend)
        return backends

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(work) for _ in range(4)]
        for fault in faults:
            plan.set(fault)
            time.sleep(0.8)
        seen = {backend for future in running for backend in future.result()}
    assert seen == {"opencl", "reference"}


def test_a_device_that_hangs_does_not_hold_up_the_end(begin, plan, jpeg, right):
    daemon = begin()
    plan.set(f"{READ} 1+ hang")
    assert ask(daemon, jpeg) == ("reference", right)
    began = time.monotonic()
    assert daemon.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 10


def test_a_device_that_does_not_start_is_no_fallback(begin, plan):
    plan.set(f"{READ} 1+ flip")
    with pytest.raises(RuntimeError, match="self-test"):
        begin()
