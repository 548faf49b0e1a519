# SPDX-License-Identifier: Apache-2.0
"""facenet-model's commands on sources and models, from the outside."""

import gzip
import json
import os
import pathlib
import shutil
import subprocess

import pytest
from PIL import Image

BUILD = pathlib.Path(os.environ.get("FACENETD_BUILD", "build"))
FIXTURES = pathlib.Path(__file__).parent / "fixtures"


def tool(*words, status=0):
    """Run facenet-model; its stdout, or its stderr where it is to fail."""
    command = [BUILD / "facenet-model", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Unpack one of the fixtures by its name."""
    folder = tmp_path_factory.mktemp("sources")

    def unpack(name):
        with gzip.open(FIXTURES / f"{name}.gz") as packed, open(folder / name, "wb") as plain:
            shutil.copyfileobj(packed, plain)
        return folder / name

    return unpack


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "untrained.safetensors"
    tool("untrained", "--width", "2", "--embedding-size", "128", "-o", path)
    return path


def test_help_lists_every_command():
    page = tool("--help")
    for name in ("quantize", "layers", "extract", "show", "report", "export", "bin"):
        assert f"\n  {name} " in page
        assert tool(name, "--help").startswith(f"Usage: facenet-model {name} ")


def test_two_dashes_end_the_options():
    assert tool("bin", "-n", "3", "--", "-4.5") == "10100100\n"
    assert "unknown option -4.5" in tool("bin", "-n", "3", "-4.5", status=2)
    assert "VALUE is missing" in tool("bin", "-n", "3", "--", status=2)
    assert "expected a number" in tool("bin", "-n", "3", "--", "--help", status=2)


def test_bin_goes_there_and_back():
    assert tool("bin", "-n", "3", "--decode", "10100100") == "-4.5\n"


@pytest.mark.parametrize(
    "name", ["frozen.pb", "keras-model.h5", "slim.safetensors", "torch-bn.onnx", "torch-zip.pt"]
)
def test_what_was_extracted_is_the_same_network(source, tmp_path, name):
    tool("extract", source(name), "-o", tmp_path / "out")
    before = json.loads(tool("layers", "--json", source(name)))
    after = json.loads(tool("layers", "--json", tmp_path / "out"))
    assert before["layers"] == after["layers"]
    assert len(before["layers"]) > 100


def test_averages_that_are_not_there_are_refused(source, tmp_path):
    weights = source("torch-zip.pt")
    assert "--ema" in tool("layers", "--ema", weights, status=2)
    assert "--ema" in tool("onnx", "--ema", weights, "-o", tmp_path / "net.onnx", status=2)


def test_the_memory_limit_holds_in_every_command(source, tmp_path):
    weights = source("torch-zip.pt")
    output = tmp_path / "net.onnx"
    assert "--memory 0" in tool("onnx", "--memory", "0", weights, "-o", output, status=2)
    assert "unknown command" in tool("layer", weights, status=2)


def test_evaluate_takes_a_state_dict_for_weights(source, tmp_path):
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("1\t1\nAda\t1\t2\nAda\t1\tBob\t1\n")
    for picture in ("Ada/Ada_0001", "Ada/Ada_0002", "Bob/Bob_0001"):
        path = tmp_path / f"{picture}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (16, 16)).save(path)
    words = ("--pairs", pairs, "--images", tmp_path, "--device", "reference")
    error = tool("evaluate", source("torch-zip.pt"), *words, status=2)
    assert "holds float weights" in error


def test_show_export_and_report_read_a_model(model, tmp_path):
    tensors = tool("show", model, "--tensor", "InceptionResnetV1/Conv2d_1a_3x3/weights")
    assert "fixed point" in tensors
    tool("export", model, "-o", tmp_path / "images")
    assert any((tmp_path / "images").iterdir())
    tool("report", model, "-o", tmp_path / "page.html")
    assert "<h1>Quantization of model untrained-" in (tmp_path / "page.html").read_text()
