# SPDX-License-Identifier: Apache-2.0
"""facenet-model from its command line: help, errors, info, verify and the untrained network."""

import json

import pytest

COMMANDS = ["quantize", "evaluate", "onnx", "untrained", "info", "verify"]


def test_help_lists_every_command(tool):
    for word in ("help", "--help", "-h"):
        out = tool(word).stdout
        assert all(f"\n  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_of_its_own(tool, name):
    out = tool(name, "--help").stdout
    assert out.startswith(f"Usage: facenet-model {name} ")
    assert "  -" in out


def test_version_is_one_line(tool):
    assert tool("--version").stdout.startswith("facenet-model ")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["frobnicate"], "unknown command frobnicate; expected quantize"),
        (["quantize", "--calibrate", "x"], "unknown option --calibrate; expected one of: --cali"),
        (["quantize"], "SOURCE is missing"),
        (["quantize", "x"], "-o is missing"),
        (["quantize", "x", "-o", "y"], "--calibration is missing"),
        (["quantize", "x", "y"], "unexpected argument y"),
        (["quantize", "x", "-o"], "-o needs MODEL"),
        (["quantize", "x", "-o", "a", "-o", "b"], "-o is given twice"),
        (["quantize", "x", "-o", "y", "--calibration", "z", "--threads", "0"], "1...64"),
        (["evaluate", "x"], "--pairs is missing"),
        (["evaluate", "x", "--pairs", "p", "--images", "i", "--far", "x"], "--far x"),
        (["evaluate", "x", "--pairs", "p", "--images", "i", "--far", "2"], "--far 2"),
        (["evaluate", "x", "--pairs", "p", "--images", "i", "--impostors", "most"], "all or lis"),
        (["evaluate", "x", "--json=yes"], "takes no value"),
        (["untrained", "-o", "x", "--width", "33"], "1...32"),
        (["untrained", "-o", "x", "--seed", "-1"], "--seed -1"),
        (["info", "a", "b"], "unexpected argument b"),
    ],
)
def test_wrong_usage_is_2_and_says_what_was_expected(tool, args, says):
    err = tool(*args, status=2).stderr
    assert says in err
    assert "Try: facenet-model " in err


def test_nothing_at_all_prints_the_help(tool):
    assert "Usage:" in tool(status=2).stderr


def test_a_hostile_name_reaches_no_terminal(tool, tmp_path):
    err = tool("info", tmp_path / "\x1b[31mred", status=1).stderr
    assert "\x1b" not in err


def test_untrained_models_repeat_and_verify(tool, tmp_path):
    paths = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    for path, seed in zip(paths, (7, 7, 8), strict=True):
        tool("untrained", "-o", path, "--seed", seed, "--width", 1, "--embedding-size", 16)
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    assert "self-test     passed" in tool("verify", paths[0], "--device", "reference").stdout
    assert '"untrained-' in tool("info", paths[0], "--json").stdout


def test_verify_refuses_a_damaged_model(tool, tmp_path):
    path = tmp_path / "m"
    tool("untrained", "-o", path, "--width", 1, "--embedding-size", 16)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert "sha256" in tool("verify", path, "--device", "reference", status=1).stderr


def test_verify_names_the_device_it_cannot_find(tool, model):
    assert "no-such-device" in tool("verify", model, "--device", "no-such-device", status=1).stderr


def test_info_tells_the_same_in_lines_and_in_json(tool, model, sources):
    facts = json.loads(tool("info", model, "--json").stdout)
    assert facts["convolutions"] == 132
    assert facts["embedding_size"] == 32
    assert facts["preprocessing"] == "fixed"
    assert facts["source"]["format"] == "npy"
    assert facts["source"]["name"] == sources[0].name
    assert facts["calibration"]["pictures"] == 15
    assert facts["activation_frac_bits"]["image"] == 7
    assert facts["widths"]["InceptionResnetV1/Bottleneck"] == 32
    assert facts["largest_accumulator_log2"] <= 31
    lines = tool("info", model).stdout
    assert facts["model"] in lines
    assert facts["digests"]["golden_embedding"] in lines
