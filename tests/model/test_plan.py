# SPDX-License-Identifier: Apache-2.0
"""facenet-model plan as its users call it."""

import json
import pathlib

import pytest

THIN = pathlib.Path(__file__).resolve().parents[2] / "models" / "thin-512.safetensors"


def test_a_board_is_planned_and_the_figures_are_called_predicted(tool):
    out = tool("plan", THIN, "--board", "zcu102", "--layers").stdout
    assert "predicted, not measured" in out
    assert "InceptionResnetV1/Block8/Conv2d_1x1" in out


def test_json_has_every_layer_and_batch(tool):
    plan = json.loads(tool("plan", THIN, "--board", "KV260", "--batch", "1,4", "--json").stdout)
    assert plan["predicted"] is True
    assert [entry["batch"] for entry in plan["batches"]] == [1, 4]
    slow, fast = (entry["pictures_per_second"] for entry in plan["batches"])
    assert 0 < slow < fast
    assert sum(layer["macs"] for layer in plan["layers"]) > 80e6
    assert plan["array"]["dsp_blocks"] <= plan["board"]["dsp_blocks"]


def test_every_known_board_has_its_line(tool):
    out = tool("plan", THIN, "--boards").stdout
    boards = ["DE10-Nano", "DE5a-Net", "A10-PAC", "S10-PAC", "Ultra96", "KV260"]
    for board in [*boards, "ZCU102", "ZCU104", "U50", "U55C", "U250"]:
        assert board in out


def test_a_board_of_one_s_own_can_be_described(tool):
    out = tool(
        "plan", THIN, "--dsp", 512, "--mhz", 200, "--bandwidth", 10, "--vec", 16, "--lane", 16
    ).stdout
    assert "array       16 x 16 products at 200 MHz" in out


@pytest.mark.parametrize("name", ["plan.svg", "plan.png"])
def test_a_plan_is_drawn(tool, tmp_path, name):
    tool("plan", THIN, "--board", "U50", "--plot", tmp_path / name)
    drawn = (tmp_path / name).read_bytes()
    assert b"</svg>" in drawn if name.endswith("svg") else drawn.startswith(b"\x89PNG")
    assert b"predicted" in drawn or name.endswith("png")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--board", "zx81"], "--board zx81 is not known"),
        ([], "expected --board, or --dsp, --mhz and --bandwidth together"),
        (["--board", "KV260", "--vec", "16"], "--vec and --lane; expected both"),
        (["--board", "DE10-Nano", "--vec", "64", "--lane", "64"], "DE10-Nano has 112 and 557"),
        (["--board", "KV260", "--batch", "0"], "--batch takes one number from 1 to 4096"),
        (["--board", "KV260", "--mhz", "nan"], "--mhz"),
        (["--dsp", "8", "--mhz", "1", "--bandwidth", "1", "--fabric", "wool"], "--fabric wool"),
    ],
)
def test_what_cannot_be_planned_is_refused(tool, options, said):
    done = tool("plan", THIN, *options, status=2)
    assert said in done.stderr
    assert done.stdout == ""
