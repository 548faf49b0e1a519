# SPDX-License-Identifier: Apache-2.0
"""A device that errs, hangs or answers wrongly is replaced, with the same bits, and taken back.

The device is OpenCL's with the stand-in of tests/faults/ before it. Under the thread sanitizer,
where its compiler takes long, only what many threads do at once is run."""

import concurrent.futures
import shutil
import signal
import threading
import time

import httpx
import pytest

from tests.http.conftest import assert_problem, embed, needs_faces, wait_for
from tests.http.test_faults import Plan, with_device

QUICK = {"device_stall_ms": 2000, "device_retry_ms": 300, "self_test_ms": 100}
READ = "clEnqueueReadBuffer"


@pytest.fixture
def plan(tmp_path):
    return Plan("cl_shim", "FN_SHIM_PLAN", tmp_path)


@pytest.fixture
def begin(start, plan, model, tmp_path):
    def on_opencl(model=model, **config):
        config = {"cache_dir": str(tmp_path / "cache"), "deadline_ms": 60000, **QUICK, **config}
        try:
            return start(model=model, device="auto", config=config, env=plan.environment)
        except RuntimeError as error:
            if "no OpenCL" in str(error):
                pytest.skip("there is no OpenCL device")
            raise

    return on_opencl


@pytest.fixture(scope="module")
def right(daemon, jpeg):
    """What the reference engine says."""
    with httpx.Client(base_url=daemon.url) as client:
        return embed(client, jpeg)


def ask(daemon, jpeg):
    answer = httpx.post(daemon.url + "/embed", files={"img": jpeg})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return body["backend"].split(":")[0], body["faces"][0]["embedding"]


def is_ready(daemon):
    return httpx.get(daemon.url + "/readyz").status_code == 200


@with_device
@pytest.mark.parametrize("fault", ["error -36", "hang"])
def test_the_batch_that_a_device_fails_is_computed_by_the_next(begin, plan, jpeg, right, fault):
    daemon = begin(self_test_ms=60000)
    assert ask(daemon, jpeg) == ("opencl", right)
    plan.set(f"{READ} 1+ {fault}")
    assert ask(daemon, jpeg) == ("reference", right)
    assert daemon.metric('device_up{device="auto"}') == 0
    assert daemon.metric('device_serving{device="reference"}') == 1
    assert daemon.metric("device_failovers_total") == 1
    assert daemon.metric("device_stalls_total") == (fault == "hang")
    assert httpx.get(daemon.url + "/model").json()["backend"] == "reference"
    assert is_ready(daemon)
    plan.set("")
    wait_for(lambda: ask(daemon, jpeg) == ("opencl", right))
    assert daemon.metric('device_serving{device="auto"}') == 1
    daemon.stop()
    assert "event=device_failed" in daemon.log and "event=device_back" in daemon.log


@with_device
def test_wrong_numbers_take_a_device_out_before_anybody_asks(begin, plan, jpeg, right):
    daemon = begin()
    plan.set(f"{READ} 1+ flip")
    wait_for(lambda: daemon.metric('device_up{device="auto"}') == 0)
    assert daemon.metric("selftest_failures_total") >= 1
    assert ask(daemon, jpeg) == ("reference", right)
    time.sleep(1)
    assert daemon.metric('device_up{device="auto"}') == 0, "a wrong device is not taken back"
    plan.set("")
    wait_for(lambda: ask(daemon, jpeg) == ("opencl", right))


@with_device
def test_with_nothing_left_work_is_refused_until_the_device_is_back(begin, plan, jpeg, right):
    daemon = begin(fallback=[])
    plan.set(f"{READ} 1+ flip")
    wait_for(lambda: not is_ready(daemon))
    assert_problem(httpx.get(daemon.url + "/readyz"), 503, "no_device")
    answer = httpx.post(daemon.url + "/embed", files={"img": jpeg})
    problem = assert_problem(answer, 503, "no_device")
    assert problem["retry_after_ms"] > 0 and "retry-after" in answer.headers
    assert httpx.get(daemon.url + "/healthz").status_code == 200
    assert daemon.metric("ready") == 0
    plan.set("")
    wait_for(lambda: is_ready(daemon))
    assert ask(daemon, jpeg) == ("opencl", right)


def test_faults_under_load_lose_no_request(begin, plan, jpeg, right):
    daemon = begin()
    stop, backends = threading.Event(), []
    faults = [f"{READ} 3+ error -5", "", "clEnqueueNDRangeKernel 5+ error -36", ""]

    def work():
        while not stop.is_set():
            backend, embedding = ask(daemon, jpeg)
            assert embedding == right
            backends.append(backend)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(work) for _ in range(4)]
        try:
            for fault in faults:
                plan.set(fault)
                wanted, before = ("reference" if fault else "opencl"), len(backends)
                wait_for(lambda: wanted in backends[before:], wanted)  # noqa: B023
        finally:
            stop.set()
        for future in running:
            future.result()


def test_a_device_that_hangs_does_not_hold_up_the_end(begin, plan, jpeg, right):
    daemon = begin()
    plan.set(f"{READ} 1+ hang")
    assert ask(daemon, jpeg) == ("reference", right)
    time.sleep(0.6)  # it is being opened again, and hangs again
    assert daemon.stop(signal.SIGTERM) == 0


@with_device
def test_a_device_that_fails_at_the_start_is_replaced_and_taken_back(begin, plan, jpeg, right):
    plan.set(f"{READ} 2+ flip")
    daemon = begin()
    assert is_ready(daemon)
    assert ask(daemon, jpeg) == ("reference", right)
    assert daemon.metric('device_up{device="auto"}') == 0
    plan.set("")
    wait_for(lambda: ask(daemon, jpeg) == ("opencl", right))
    daemon.stop()
    (line,) = [line for line in daemon.log.splitlines() if "at=start" in line]
    assert "event=device_failed" in line and "self-test" in line


@with_device
def test_with_no_fallback_a_device_that_fails_at_the_start_ends_it(begin, plan):
    plan.set(f"{READ} 2+ flip")
    with pytest.raises(RuntimeError, match="self-test"):
        begin(fallback=[])


@with_device
def test_what_would_be_late_is_refused_by_its_headers_with_when_to_come(begin, plan, jpeg):
    """A device of known capacity: 100 ms for each batch of at most 2."""
    config = {"max_batch": 2, "deadline_ms": 600, "device_stall_ms": 5000, "self_test_ms": 60000}
    plan.set(f"{READ} 1+ cost 100000 0")
    daemon = begin(**config)
    ask(daemon, jpeg)

    def post(_):
        return httpx.post(daemon.url + "/embed", files={"img": jpeg})

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        answers = []
        while sum(answer.status_code == 503 for answer in answers) < 5:
            assert len(answers) < 720, "this machine cannot ask for more than the device does"
            answers += pool.map(post, range(72))
        behind = [pool.submit(post, i) for i in range(4)]
        time.sleep(0.05)
        headers = {"X-Timeout-Ms": "50"}
        hurried = httpx.post(daemon.url + "/embed", content=jpeg, headers=headers)
        assert hurried.status_code in (503, 504)
        assert all(answer.result().status_code in (200, 503, 504) for answer in behind)
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 503, 504}
    assert 200 in statuses, statuses
    refused = [answer for answer in answers if answer.status_code == 503]
    for answer in refused:
        problem = assert_problem(answer, 503, "overloaded")
        seconds = int(answer.headers["retry-after"])
        assert 1 <= problem["retry_after_ms"] <= 60000
        assert seconds == -(-problem["retry_after_ms"] // 1000)
    wait_for(lambda: daemon.metric("decode_ahead_seconds") == 0)
    assert httpx.post(daemon.url + "/embed", files={"img": jpeg}).status_code == 200


@needs_faces
@with_device
def test_more_faces_than_there_is_time_for_are_refused_once_counted(
    begin, plan, seeing, six, jpeg, tmp_path
):
    """A second a crop, twelve crops ahead, 16 seconds: time for what one face would take, not six.
    What is ahead and what is left shrink alike, so how long the looking takes is no matter."""
    plan.set(f"{READ} 1+ cost 1000000 0")
    config = {"max_batch": 1, "deadline_ms": 600000, "device_stall_ms": 10000}
    daemon = begin(model=shutil.copy(seeing.model, tmp_path), **config, self_test_ms=60000)
    url = daemon.url + "/embed"
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        ahead = [
            pool.submit(httpx.post, url, content=jpeg, params={"align": "none"}, timeout=120)
            for _ in range(12)
        ]
        wait_for(lambda: daemon.metric("queue_depth") >= 10)
        answer = httpx.post(url, content=six, headers={"X-Timeout-Ms": "16000"}, timeout=120)
        problem = assert_problem(answer, 503, "overloaded")
        assert "6 faces would take about" in problem["detail"], problem
        assert all(one.result().status_code == 200 for one in ahead)
