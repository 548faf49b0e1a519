# SPDX-License-Identifier: Apache-2.0
"""evaluate and onnx, against the same figures computed here from a NumPy forward pass."""

import json
import shutil

import numpy as np
import onnxruntime
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def truth(network, pictures):
    """Squared distances of all pictures by name, in float64."""
    paths = sorted(pictures.glob("*/*.png"))
    vectors = {p.stem: network.embed(np.asarray(Image.open(p))) for p in paths}
    return {(a, b): np.sum((x - y) ** 2) for a, x in vectors.items() for b, y in vectors.items()}


def args_of(what, pictures):
    return ("evaluate", what, "--pairs", pictures / "pairs.txt", "--images", pictures)


def listed(pictures):
    same, different = [], []
    for line in (pictures / "pairs.txt").read_text().splitlines()[1:]:
        f = line.split("\t")
        if len(f) == 3:
            same.append((f"{f[0]}_{int(f[1]):04}", f"{f[0]}_{int(f[2]):04}"))
        else:
            different.append((f"{f[0]}_{int(f[1]):04}", f"{f[2]}_{int(f[3]):04}"))
    return same, different


def accuracy(same, different, threshold):
    return (sum(d < threshold for d in same) + sum(d >= threshold for d in different)) / (
        len(same) + len(different)
    )


def test_the_float_networks_figures_are_right(tool, sources, pictures, truth):
    report = json.loads(tool(*args_of(sources[0], pictures), "--json", "--far", 0.2, 0.05).stdout)
    same, different = ([truth[p] for p in pairs] for pairs in listed(pictures))
    (result,) = report["results"]
    assert report["pairs"] == 20 and report["pictures"] == 15 and report["subfolds"]
    assert report["crop"] == "whole-160"
    assert result["what"] == "float32"
    wins = np.mean([(s < d) + 0.5 * (s == d) for s in same for d in different])
    assert result["auc"] == pytest.approx(wins, abs=1e-9)
    best = result["best_threshold"]
    candidates = [*same, *different, 5]
    assert best["accuracy"] == max(accuracy(same, different, t) for t in candidates)
    assert best["accuracy"] == accuracy(same, different, best["l2_squared"])
    two, none = result["tar_at_far"]
    threshold = sorted(different)[2]
    assert two["threshold"] == pytest.approx(threshold, abs=1e-5)
    assert two["tar"] == np.mean([d < threshold for d in same])
    assert not none["measurable"]
    folds = result["accuracy"]["folds"]
    assert len(folds) == report["folds"] == 10
    assert result["accuracy"]["mean"] == pytest.approx(np.mean(folds))
    deviation = np.std(folds, ddof=1)
    assert result["accuracy"]["standard_deviation"] == pytest.approx(deviation, abs=1e-8)
    assert result["accuracy"]["standard_error"] == pytest.approx(deviation / 10**0.5, abs=1e-8)


def test_all_impostors_are_every_two_people(tool, sources, pictures, truth):
    options = ("--impostors", "all", "--json", "--far", 0.1)
    report = json.loads(tool(*args_of(sources[1], pictures), *options).stdout)
    impostors = [d for (a, b), d in truth.items() if a < b and a[:-5] != b[:-5]]
    assert report["impostors"] == {"which": "all", "count": len(impostors) == 90 and 90}
    (point,) = report["results"][0]["tar_at_far"]
    assert point["threshold"] == pytest.approx(sorted(impostors)[9], abs=1e-5)


def test_a_model_is_compared_with_its_float_network(tool, model, sources, pictures, tmp_path):
    svg = tmp_path / "roc.svg"
    extra = ("--float", sources[0], "--device", "reference", "--roc", svg)
    if not shutil.which("gnuplot"):
        extra = extra[:-2]
    out = tool(*args_of(model, pictures), *extra).stdout
    for words in (
        "fixed point",
        "float32",
        "standard deviation",
        "standard error",
        "10 stratified sub-folds: every 10th same and every 10th different pair",
        "1st percentile",
        "not measurable",
        "computed by reference",
    ):
        assert words in out, out
    report = json.loads(tool(*args_of(model, pictures), *extra[:4], "--json").stdout)
    assert [r["what"] for r in report["results"]] == ["fixed point", "float32"]
    assert report["cosine_to_float"]["pictures"] == 15
    assert 0.9 < report["cosine_to_float"]["percentile_1"] <= report["cosine_to_float"]["mean"] < 1
    if len(extra) > 4:
        assert "</svg>" in svg.read_text()


def test_a_missing_picture_is_named_with_its_line(tool, model, pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "p")
    (tmp_path / "p" / "Person_C" / "Person_C_0003.png").unlink()
    err = tool(*args_of(model, tmp_path / "p"), "--device", "reference", status=1).stderr
    assert "pairs.txt:7:" in err and "Person_C_0003" in err


def test_pairs_and_sources_that_do_not_fit_are_refused(tool, model, sources, pictures, tmp_path):
    (tmp_path / "pairs").write_text("1\nPerson_A\t1\n")
    args = ("evaluate", model, "--pairs", tmp_path / "pairs", "--images", pictures)
    assert "pairs:2: expected" in tool(*args, status=1).stderr
    (tmp_path / "pairs").write_text("1\nPerson_A\t1\t2\nPerson_A\t1\tPerson_B\t1\n")
    device = ("--device", "reference")
    assert "at least two" in tool(*args, *device, status=2).stderr
    err = tool(*args_of(sources[0], pictures), "--float", sources[1], status=2).stderr
    assert "--float goes with a model" in err
    err = tool(*args_of(sources[0], pictures), *device, status=2).stderr
    assert "--device goes with a model" in err
    assert "nowhere" in tool(*args_of(tmp_path / "nowhere", pictures), status=1).stderr


def test_onnx_files_repeat_and_need_a_whole_source(tool, sources, tmp_path):
    paths = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for path in paths:
        tool("onnx", sources[0], "-o", path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    source = tmp_path / "npy"
    shutil.copytree(sources[0], source)
    (source / "Conv2d_4b_3x3_kernel.npy").unlink()
    tool("onnx", source, "-o", tmp_path / "c.onnx", status=1)
    assert not (tmp_path / "c.onnx").exists()


@pytest.mark.parametrize("form", [0, 1])
def test_onnx_runtime_computes_the_same_network(tool, network, sources, pictures, tmp_path, form):
    tool("onnx", sources[form], "-o", tmp_path / "net.onnx")
    crops = np.stack([np.asarray(Image.open(p)) for p in sorted(pictures.glob("*/*.png"))[:4]])
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=providers)
    images = np.moveaxis((crops.astype("<f4") - 127.5) / 128, 3, 1)
    (found,) = session.run(["embedding"], {"image": images})
    expected = np.stack([network.embed(crop) for crop in crops])
    assert np.abs(found - expected).max() < 1e-4


def test_figures_are_recorded_in_the_model(tool, sources, pictures, model, tmp_path):
    path = tmp_path / "model"
    shutil.copy(model, path)
    args = (*args_of(path, pictures), "--device", "reference", "--json")
    found = json.loads(tool(*args, "--float", sources[0], "--record", "people").stdout)
    before, after = (json.loads(tool("info", p, "--json").stdout) for p in (model, path))
    assert before["evaluations"] is None
    assert {**after, "file": 0, "evaluations": 0} == {**before, "file": 0, "evaluations": 0}
    (entry,) = after["evaluations"]
    fixed, floats = found["results"]
    assert entry["on"] == "people" and entry["crop"] == "whole-160" and entry["pairs"] == 20
    assert entry["accuracy"] == pytest.approx(fixed["accuracy"]["mean"], abs=1e-5)
    assert entry["threshold"] == pytest.approx(fixed["best_threshold"]["l2_squared"], abs=1e-5)
    assert entry["float32"]["accuracy"] == pytest.approx(floats["accuracy"]["mean"], abs=1e-5)
    assert entry["cosine"]["mean"] == pytest.approx(found["cosine_to_float"]["mean"], abs=1e-5)
    assert "note" not in entry
    tool(*args, "--record", "people", "--note", "again")  # replaces
    tool(*args, "--record", "people", "--cut-by", "mtcnn-p17-160")  # another crop stands beside
    again = json.loads(tool("info", path, "--json").stdout)["evaluations"]
    assert [(e["crop"], e.get("note")) for e in again] == [
        ("whole-160", "again"),
        ("mtcnn-p17-160", None),
    ]
    tool("verify", path, "--device", "reference")


def test_recording_goes_with_a_model_only(tool, sources, pictures):
    done = tool(*args_of(sources[0], pictures), "--record", "x", status=2)
    assert "--record goes with a model" in done.stderr
    done = tool(*args_of(sources[0], pictures), "--note", "x", status=2)
    assert "--note goes with --record" in done.stderr
