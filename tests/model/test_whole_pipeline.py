# SPDX-License-Identifier: Apache-2.0
"""From raw pictures: faces found, cut, embedded and judged, as the daemon does it.

With the detector's published weights and pictures of LFW that lie beside the checkout; skipped
without.
"""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.model.conftest import ROOT

DATA = ROOT.parent / "shared" / "data"
WEIGHTS = DATA / "mtcnn-npy"
LFW = DATA / "lfw-fold1"

pytestmark = pytest.mark.skipif(
    not (WEIGHTS.is_dir() and LFW.is_dir()),
    reason="the detector's weights and pictures are not beside the checkout",
)


@pytest.fixture(scope="module")
def seeing(tool, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "seeing.safetensors"
    tool("untrained", "--width", 1, "--embedding-size", 64, "--detector", WEIGHTS, "-o", path)
    return path


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Four people of two pictures each; the second of the first shows nothing."""
    folder = tmp_path_factory.mktemp("people")
    lines = (LFW / "pairs.txt").read_text().splitlines()[1:]
    same, seen = [], set()
    for name, *numbers in (line.split("\t") for line in lines):
        if len(numbers) == 2 and name not in seen and len(same) < 4:
            seen.add(name)
            same.append((name, *map(int, numbers)))
            (folder / name).mkdir()
            for k in same[-1][1:]:
                shutil.copy(LFW / name / f"{name}_{k:04}.jpg", folder / name)
    name, _, k = same[0]
    Image.fromarray(np.full((250, 250, 3), 99, np.uint8)).save(folder / name / f"{name}_{k:04}.jpg")
    text = ["4"] + [f"{n}\t{a}\t{b}" for n, a, b in same]
    for i in range(4):
        (a, ka, _), (b, kb, _) = same[i], same[(i + 1) % 4]
        text.append(f"{a}\t{ka}\t{b}\t{kb}")
    (folder / "pairs.txt").write_text("\n".join(text) + "\n")
    return folder, same


def evaluate(tool, model, folder, *more):
    args = ("evaluate", model, "--pairs", folder / "pairs.txt", "--images", folder)
    return tool(*args, "--device", "reference", *more).stdout


def test_a_missing_face_makes_its_pairs_wrong_and_is_reported(tool, seeing, people):
    folder, _ = people
    said = evaluate(tool, seeing, folder)
    assert "the most central face found, as mtcnn-p17-160" in said
    assert "none in 1 pictures: 1 listed pairs count as wrong" in said
    report = json.loads(evaluate(tool, seeing, folder, "--json", "--far", 0.9))
    assert report["crop"] == "mtcnn-p17-160"
    assert (report["pictures_without_face"], report["pairs_without_face"]) == (1, 1)
    # Three of four same pairs can be accepted, whatever the threshold.
    assert report["results"][0]["tar_at_far"][0]["tar"] <= 0.75
    everyone = json.loads(evaluate(tool, seeing, folder, "--json", "--impostors", "all"))
    assert everyone["impostors"]["count"] == 8 * 6 // 2 - 6


def test_another_contract_or_none_may_be_asked_for(tool, seeing, people):
    folder, _ = people
    asked = json.loads(evaluate(tool, seeing, folder, "--json", "--crop", "mtcnn-m32-160"))
    assert asked["crop"] == "mtcnn-m32-160"
    centre = json.loads(evaluate(tool, seeing, folder, "--json", "--crop", "centre"))
    assert centre["crop"] == "lfw-centre-120" and centre["pictures_without_face"] == 0


def test_a_contract_needs_a_detector(tool, model, people):
    folder, _ = people
    args = ("evaluate", model, "--pairs", folder / "pairs.txt", "--images", folder)
    err = tool(*args, "--device", "reference", "--crop", "mtcnn-p17-160", status=2).stderr
    assert "no detector" in err
    assert (
        "--crop round" in tool(*args, "--crop", "round", "--device", "reference", status=2).stderr
    )


def test_calibration_is_on_the_faces_found(tool, sources, people, tmp_path):
    folder, _ = people
    out = tmp_path / "model.safetensors"
    done = tool(
        "quantize", sources[0], "--calibration", folder, "--detector", WEIGHTS, "-o", out,
        "--device", "reference",
    )  # fmt: skip
    assert "7 in" in done.stdout and "as mtcnn-p17-160" in done.stdout
    assert "1 pictures show no face" in done.stderr
    info = tool("info", out).stdout
    assert "mtcnn-p17-160" in info
    tool(
        "quantize", sources[0], "--calibration", folder, "--detector", WEIGHTS, "-o", out,
        "--device", "reference", "--crop", "mtcnn-m32-160",
    )  # fmt: skip
    assert "mtcnn-m32-160" in tool("info", out).stdout


def test_a_threshold_is_fitted_and_shown(tool, seeing, people, tmp_path):
    folder, _ = people
    fitted = tmp_path / "fitted.safetensors"
    done = tool(
        "fit-threshold", seeing, "--pairs", folder / "pairs.txt", "--images", folder,
        "--face", "center", "--far", "0.2", "0.1", "--device", "reference", "--name", "four people",
        "-o", fitted,
    )  # fmt: skip
    assert "no usable face in 1 of 8 pictures" in done.stderr
    assert done.stdout.count("LOW CONFIDENCE") == 2
    info = tool("info", fitted).stdout
    words = [line.split(maxsplit=1) for line in info.splitlines()]
    facts = {w[0]: w[1] for w in words if len(w) == 2}
    assert facts["detector"] == "mtcnn" and facts["crop"] == "mtcnn-p17-160"
    for i, far in enumerate(("0.2", "0.1")):
        assert facts[f"operating_points.{i}.far"] == far
        assert facts[f"operating_points.{i}.fitted_on"] == "four people"
        assert facts[f"operating_points.{i}.low_confidence"] == "true"
    plain = tool("info", seeing, "--json").stdout
    assert json.loads(plain)["operating_points"] == []


def test_the_report_looks_at_faces_as_the_daemon_cuts_them(tool, seeing, people, tmp_path):
    folder, same = people
    name, _, faceless = same[0]
    words = ("report", seeing, "-o", tmp_path / "page.html", "--calibration", folder)
    tool(*words)
    text = (tmp_path / "page.html").read_text()
    assert "<b>7</b><span>pictures, mtcnn-p17-160<" in text  # one of eight shows no face
    tool(*words, "--crop", "centre", "--pictures", 3)
    text = (tmp_path / "page.html").read_text()
    assert "<b>3</b><span>pictures, lfw-centre-120<" in text
    (tmp_path / "none").mkdir()
    shutil.copy(folder / name / f"{name}_{faceless:04}.jpg", tmp_path / "none")
    words = ("report", seeing, "-o", tmp_path / "no.html", "--calibration", tmp_path / "none")
    assert "no picture with a face" in tool(*words, status=1).stderr
    assert not (tmp_path / "no.html").exists()


def test_contracts_are_compared_with_the_models_own(tool, seeing, people):
    folder, _ = people
    done = tool(
        "compare-crops", seeing, "--pairs", folder / "pairs.txt", "--images", folder,
        "--sizes", "1", "2", "--device", "reference",
    )  # fmt: skip
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    names = [row[0].strip("`") for row in rows]
    assert names == [
        name for name in ("mtcnn-p17-160", "mtcnn-m32-160", "aligned-5p-160") for _ in range(2)
    ]
    assert [row[1] for row in rows] == ["1", "2"] * 3
    for row in rows:
        low, high = map(float, row[4].split("(")[1].strip(")").split("..."))
        assert 0 <= low <= float(row[4].split()[0]) <= high <= 100
        assert bool(row[5].strip()) == (row[0] != "`mtcnn-p17-160`")
