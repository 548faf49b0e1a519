# SPDX-License-Identifier: Apache-2.0
"""The daemon on Intel's FPGA emulator gives the reference engine's embedding and says what ran.

Skipped where `make fpga-emulator` has not been run, and under sanitizers, which Intel's runtime is
not made for.
"""

import httpx
import pytest

from tests.http.conftest import BUILD, ROOT, Daemon, embed

VENDORS = ROOT / "build" / "fpga-emulator" / "vendors"
TRIES = 3  # on a loaded machine a program's first batch may miss its deadline

pytestmark = pytest.mark.skipif(
    not VENDORS.is_dir() or "san-" in str(BUILD), reason="no FPGA emulator, or a sanitizer build"
)


def start_on_emulator(model, directory):
    for attempt in range(TRIES):
        try:
            return Daemon(
                model,
                directory,
                device="FPGA Emulation",
                env={"OCL_ICD_VENDORS": str(VENDORS)},
                config={"max_batch": 1, "fallback": [], "deadline_ms": 120000},
                seconds=300,
            )
        except RuntimeError as error:
            if "did not end in" not in str(error) or attempt + 1 == TRIES:
                raise
    return None


def test_embed_answers_with_the_emulators_name_and_the_same_bits(model, tmp_path, client, jpeg):
    daemon = start_on_emulator(model, tmp_path)
    try:
        answer = httpx.post(daemon.url + "/embed", files={"img": jpeg}, timeout=120)
        assert answer.status_code == 200, answer.text
        assert answer.json()["backend"] == "opencl:fpga:Intel(R) FPGA Emulation Device"
        assert answer.json()["faces"][0]["embedding"] == embed(client, jpeg)
    finally:
        daemon.end()


def test_a_program_file_that_is_missing_stops_the_start_with_one_line(model, tmp_path):
    with pytest.raises(RuntimeError) as failure:
        Daemon(
            model,
            tmp_path,
            device="FPGA Emulation",
            env={"OCL_ICD_VENDORS": str(VENDORS)},
            config={"program": str(tmp_path / "absent.aocx")},
        )
    assert "absent.aocx" in str(failure.value)
