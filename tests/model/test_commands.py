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
    assert "unknown option -4.5 (a negative value goes last, after --)" in tool(
        "bin", "-n", "3", "-4.5", status=2
    )
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


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two people of two pictures each, and the pairs of them."""
    folder = tmp_path_factory.mktemp("people")
    for i, name in enumerate(("Ada/Ada_0001", "Ada/Ada_0002", "Bob/Bob_0001", "Bob/Bob_0002")):
        path = folder / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.effect_noise((160, 160), 20 + 20 * i).convert("RGB").save(path)
    pairs = ("Ada\t1\t2", "Bob\t1\t2", "Ada\t1\tBob\t1", "Ada\t2\tBob\t2")
    (folder / "pairs.txt").write_text("1\t2\n" + "\n".join(pairs) + "\n")
    return folder


def test_dot_is_a_picture_to_graphviz(source):
    if not shutil.which("dot"):
        pytest.skip("graphviz is not installed")
    text = tool("layers", "--dot", source("slim.safetensors"))
    words = ("dot", "-Tsvg")
    svg = subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout
    assert svg.count('class="node"') > 130 and "Block8" in svg


def browse(page, tmp_path, *words):
    """What headless Chromium makes of a page; a page of its own profile, no network."""
    if not shutil.which("chromium"):
        pytest.skip("chromium is not installed")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command += ["--enable-logging=stderr", "--window-size=1200,2400", *words, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def test_the_report_opens_in_a_browser(source, pictures, tmp_path):
    weights, model, page = source("slim.safetensors"), tmp_path / "m", tmp_path / "report.html"
    words = ("--crop", "whole", "--preprocessing", "fixed", "--device", "reference")
    tool("quantize", weights, "--calibration", pictures / "Ada", *words, "-o", model)
    words = ("--images", pictures, "--crop", "whole", "--device", "reference", "--float", weights)
    found = tool("evaluate", model, "--pairs", pictures / "pairs.txt", *words, "--json")
    (tmp_path / "evaluation").write_text(found)
    words = ("--source", weights, "--calibration", pictures / "Bob")
    tool("report", model, *words, "--evaluation", tmp_path / "evaluation", "-o", page)
    opened = browse(page, tmp_path, "--dump-dom")
    assert "CONSOLE" not in opened.stderr
    dom = opened.stdout
    assert dom.count("<svg") == 3 and dom.count("<rect") > 300
    assert dom.count("<tr>") > 130 + 3 and "float32" in dom and "fixed point" in dom
    assert "src=" not in dom and "href=" not in dom  # nothing beside the page
    browse(page, tmp_path, f"--screenshot={tmp_path / 'page.png'}")
    with Image.open(tmp_path / "page.png") as shot:
        assert len(shot.convert("RGB").getcolors(1 << 24)) > 20  # not an empty page


def test_a_report_refuses_anothers_evaluation(model, tmp_path):
    other = tmp_path / "other.json"
    words = ("report", model, "-o", tmp_path / "page.html", "--evaluation", other)
    other.write_text("{}")
    assert "evaluate --json" in tool(*words, status=2)
    result = {"what": "fixed point", "model": "0123", "auc": 0.5}
    result["accuracy"] = {"mean": 0.5, "standard_error": 0.1}
    other.write_text(json.dumps({"results": [result]}))
    assert "is about model 0123" in tool(*words, status=2)
    assert not (tmp_path / "page.html").exists()


def test_show_export_and_report_read_a_model(model, tmp_path):
    tensors = tool("show", model, "--tensor", "InceptionResnetV1/Conv2d_1a_3x3/weights")
    assert "fixed point" in tensors
    tool("export", model, "-o", tmp_path / "images")
    assert any((tmp_path / "images").iterdir())
    tool("report", model, "-o", tmp_path / "page.html")
    assert "<h1>Quantization of model untrained-" in (tmp_path / "page.html").read_text()
