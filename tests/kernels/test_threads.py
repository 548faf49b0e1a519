# SPDX-License-Identifier: Apache-2.0
"""The kernels that share a run out among cores, with other numbers of threads than usual."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("FACENETD_BUILD", "build")).resolve()


@pytest.mark.skipif("san-" in str(BUILD), reason="a sanitizer build")
@pytest.mark.parametrize(("threads", "cores"), [(1, 1), (5, 2), (3, 1)])
def test_no_bit_depends_on_the_number_of_threads_or_cores(threads, cores):
    """(3, 1): threads that wait for one that has no core leave the rest of the run to it."""
    subprocess.run(["make", "-s", "build/tests/test_opencl_networks"], cwd=ROOT, check=True)
    mine = sorted(os.sched_getaffinity(0))[:cores]
    run = subprocess.run(
        ["taskset", "-c", ",".join(map(str, mine)), "build/tests/test_opencl_networks"],
        cwd=ROOT,
        env=dict(os.environ, POCL_MAX_PTHREAD_COUNT=str(threads)),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr
