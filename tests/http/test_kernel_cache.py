# SPDX-License-Identifier: Apache-2.0
"""Kernels are compiled by a process of their own, once."""

import os
from pathlib import Path

import httpx
import pytest

from tests.http.conftest import BUILD, embed

pytestmark = pytest.mark.skipif("san-" in str(BUILD), reason="the OpenCL runtime's own reports")


def children_seconds(pid):
    """CPU time of a process's children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def test_kernels_are_built_by_a_process_of_their_own_and_then_found(start, tmp_path, daemon, jpeg):
    with httpx.Client(base_url=daemon.url) as client:
        right = embed(client, jpeg)
    config = {"cache_dir": str(tmp_path / "programs")}
    seconds = []
    for _ in range(2):
        device = start(device="auto", config=config, seconds=300)
        seconds.append(children_seconds(device.process.pid))
        with httpx.Client(base_url=device.url) as client:
            backend = client.get("/model").json()["backend"]
            assert embed(client, jpeg) == right
        device.stop()
    assert "opencl" in str(backend)
    assert len(list((tmp_path / "programs").glob("*.clbin"))) == 1
    assert seconds[0] > 0 and seconds[1] == 0
