# SPDX-License-Identifier: Apache-2.0
"""The array in Verilog: the same bytes as the engine, the clocks of the planner's formula, the
multipliers that it says. Verilator simulates, Yosys counts."""

import json
import os
import pathlib
import re
import subprocess

import pytest

from tests.targets import make

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = os.environ.get("FACENETD_BUILD", "build")
RTL = ROOT / "kernels" / "rtl"
NETWORK = "InceptionResnetV1"
# The picture's signed bytes with stride 2, one vector a window, SAME borders each way, a residual,
# two blocks of lanes, the signed output of the last block.
LAYERS = [
    "Conv2d_1a_3x3",
    "Conv2d_3b_1x1",
    "Repeat/block35_1/Branch_1/Conv2d_0b_3x3",
    "Repeat/block35_5/Conv2d_1x1",
    "Mixed_6a/Branch_0/Conv2d_1a_3x3",
    "Repeat_1/block17_1/Branch_1/Conv2d_0b_1x7",
    "Repeat_1/block17_10/Branch_1/Conv2d_0c_7x1",
    "Repeat_2/block8_1/Branch_1/Conv2d_0b_1x3",
    "Block8/Conv2d_1x1",
]


def run(*command):
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def simulations():
    make("rtl")
    return ROOT / BUILD / "rtl"


@pytest.fixture(scope="module")
def layers(simulations, tmp_path_factory):
    folder = tmp_path_factory.mktemp("layers")
    scopes = [f"{NETWORK}/{name}" for name in LAYERS]
    run(simulations / "dump_layers", "models/thin-512.safetensors", folder, *scopes)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("array", ["8-8-1", "16-16-1", "8-8-0"])
def test_the_design_gives_the_engine_s_bytes_in_the_planned_clocks(simulations, layers, array):
    lines = run(simulations / f"conv-{array}", *layers).splitlines()
    assert len(lines) == len(LAYERS)
    assert all(line.endswith(": ok") for line in lines)


def test_the_plan_has_the_clocks_of_the_design(simulations, layers):
    """Where no plane has a gap, the array has a clock for each vector and no more; the first
    layer alone waits for its first weights: 9 vectors of one burst, and the gap of 16 clocks."""
    bench = run(simulations / "conv-8-8-0", *layers).splitlines()
    clocks = [int(re.search(r"formula (\d+) ", line).group(1)) for line in bench]
    board = ["--board", "DE10-Nano", "--vec", "8", "--lane", "8", "--batch", "1", "--json"]
    plan = json.loads(
        run(ROOT / BUILD / "facenet-model", "plan", "models/thin-512.safetensors", *board)
    )
    planned = {layer["name"]: layer["stages"]["array"]["clocks"] for layer in plan["layers"]}
    waiting = [9 + 16] + [0] * (len(LAYERS) - 1)
    assert [planned[f"{NETWORK}/{name}"] for name in LAYERS] == [
        a + b for a, b in zip(clocks, waiting, strict=True)
    ]


@pytest.mark.parametrize("members", [1, 8])
def test_two_products_in_one_multiplier_are_never_wrong(simulations, members):
    line = run(simulations / f"dot-{members}")
    tried = int(re.search(r"(\d+) operands, 0 wrong: ok", line).group(1))
    assert tried == (255 * 255 * 256 if members == 1 else 2**24)


@pytest.mark.parametrize(
    ("family", "packed", "cell", "count"),
    [("synth_xilinx -family xcup", 1, "DSP48E2", 8), ("synth_intel_alm", 0, "MISTRAL_MUL9X9", 16)],
)
def test_yosys_finds_the_multipliers_that_the_planner_says(family, packed, cell, count):
    script = (
        f"read_verilog {RTL}/fn_dot_two.v {RTL}/fn_array.v; "
        f"chparam -set VEC 4 -set LANE 4 -set PACKED {packed} fn_array; "
        f"{family} -top fn_array; flatten; stat"
    )
    counted = re.findall(rf"{cell}\s+(\d+)", run("yosys", "-p", script))
    assert int(counted[-1]) == count
