# SPDX-License-Identifier: Apache-2.0
"""The portable kernels under oclgrind: no access out of bounds, no race, right bits."""

import os
import pathlib
import shutil
import subprocess

import pytest

from tests.targets import make

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("FACENETD_BUILD", "build")).resolve()


@pytest.mark.skipif(shutil.which("oclgrind") is None, reason="no oclgrind (Debian: oclgrind)")
@pytest.mark.skipif("san-" in str(BUILD), reason="a sanitizer build")
def test_small_layers_of_every_kind_touch_only_what_is_theirs(tmp_path):
    log = tmp_path / "oclgrind.log"
    make("build/tests/test_oclgrind")
    # Without optimisation, as oclgrind does not know every instruction that it leads to.
    command = ["oclgrind", "--build-options", "-cl-opt-disable", "--data-races", "--check-api"]
    run = subprocess.run(
        [*command, "--log", log, "build/tests/test_oclgrind"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "SKIPPED" not in run.stdout, "oclgrind's device was not found"
    assert log.read_text().strip() == ""
