# SPDX-License-Identifier: Apache-2.0
"""The detector's networks on an OpenCL device: the same faces, said by whom, and the CPU when the
device cannot.

Embeddings are the reference engine's throughout, so the stand-in of tests/faults/ meets the
detector alone. With the detector's published weights; skipped without."""

import concurrent.futures
import shutil

import httpx
import pytest

from tests.http.conftest import BUILD, ONE, SIX, needs_faces
from tests.http.test_faults import Plan

pytestmark = [
    pytest.mark.skipif("san-" in str(BUILD), reason="the stand-in is not instrumented"),
    needs_faces,
]


@pytest.fixture
def plan(tmp_path):
    return Plan("cl_shim", "FN_SHIM_PLAN", tmp_path)


@pytest.fixture
def begin(start, plan, seeing, tmp_path):
    """Start a daemon that looks with the device of that name."""
    model = shutil.copy(seeing.model, tmp_path)

    def with_detector(name, **config):
        config = {"detector": name, "cache_dir": str(tmp_path / "cache"), **config}
        config["deadline_ms"] = 60000
        return start(model=model, config=config, env=plan.environment)

    return with_detector


def look(daemon, path):
    answer = httpx.post(daemon.url + "/detect", content=path.read_bytes())
    assert answer.status_code == 200, answer.text
    return answer.json()


def kernels(daemon):
    return httpx.get(daemon.url + "/model").json()["detector"]["kernels"]


def test_a_device_finds_the_same_faces_and_the_cpu_takes_over_when_it_fails(begin, plan, seeing):
    expected = [look(seeing, path)["faces"] for path in (ONE, SIX)]
    cpu = kernels(seeing)
    daemon = begin("auto")
    if "no OpenCL" in daemon.log_so_far():
        pytest.skip("there is no OpenCL device")
    assert kernels(daemon).startswith("opencl:")
    for path, faces in zip((ONE, SIX), expected, strict=True):
        body = look(daemon, path)
        assert body["detector"] == kernels(daemon)
        assert body["faces"] == faces
    plan.set("clEnqueueNDRangeKernel 1+ error -5")
    for path, faces in zip((ONE, SIX), expected, strict=True):
        body = look(daemon, path)
        assert body["detector"] == cpu and body["faces"] == faces
    plan.set("")
    assert kernels(daemon) == cpu
    log = daemon.log_so_far()
    assert log.count("event=detector_device result=failed") == 1
    assert "CL_OUT_OF_RESOURCES" in log


def test_a_device_that_hangs_holds_nobody_up_and_not_the_end(begin, plan, seeing):
    expected = [look(seeing, path)["faces"] for path in (ONE, SIX)]
    daemon = begin("auto", device_stall_ms=300)
    if "no OpenCL" in daemon.log_so_far():
        pytest.skip("there is no OpenCL device")
    plan.set("clEnqueueReadBuffer 1+ hang")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        bodies = list(pool.map(lambda path: look(daemon, path), (ONE, SIX) * 4))
    for body, faces in zip(bodies, expected * 4, strict=True):
        assert body["detector"] == kernels(seeing) and body["faces"] == faces
    log = daemon.log_so_far()
    assert log.count("event=detector_device result=failed") == 1
    assert "did not answer within" in log
    assert daemon.stop() == 0, "it still hangs"


def test_a_device_that_is_not_there_is_told_and_the_cpu_looks(begin, seeing):
    daemon = begin("no such board")
    assert kernels(daemon) == kernels(seeing)
    assert look(daemon, ONE)["faces"] == look(seeing, ONE)["faces"]
    log = daemon.log_so_far()
    assert "event=detector_device result=refused" in log and "no such board" in log
