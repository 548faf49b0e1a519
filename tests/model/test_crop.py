# SPDX-License-Identifier: Apache-2.0
"""crop: the daemon's crops as PNG files, in the folders of their pictures."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from tests.model.conftest import ROOT

DATA = ROOT.parent / "shared" / "data"


def test_crops_lie_in_the_folders_of_their_pictures(tool, model, pictures, tmp_path):
    out = tmp_path / "out"
    said = tool("crop", model, "--pictures", pictures, "-o", out, "--crop", "whole-160").stdout
    assert "15 crops by whole-160" in said and "1 files are no pictures" in said
    found = sorted(p.relative_to(out) for p in out.rglob("*.png"))
    assert found == sorted(p.relative_to(pictures) for p in pictures.rglob("*.png"))
    for path in found:  # 160 x 160 already: a crop of the whole changes nothing
        assert np.array_equal(*(np.asarray(Image.open(f / path)) for f in (out, pictures)))


def test_what_is_there_is_left_alone(tool, model, pictures, tmp_path):
    out = tmp_path / "out"
    args = ("crop", model, "--pictures", pictures, "-o", out, "--crop", "whole-160")
    tool(*args)
    (out / "Person_A" / "Person_A_0001.png").write_bytes(b"mine")
    (out / "Person_B" / "Person_B_0002.png").unlink()
    said = tool(*args).stdout
    assert "1 crops" in said and "14 were there already" in said
    assert (out / "Person_A" / "Person_A_0001.png").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--crop", "mtcnn-p17-160"), "no detector"),
        (("--crop", "round"), "--crop round"),
        (("--face", "any"), "--face any"),
        (("--threads", "0"), "--threads"),
    ],
)
def test_what_cannot_be_cut_is_refused(tool, model, pictures, tmp_path, args, says):
    done = tool("crop", model, "--pictures", pictures, "-o", tmp_path / "out", *args, status=2)
    assert says in done.stderr
    assert not (tmp_path / "out").exists()


def test_faces_are_found_and_pictures_without_one_are_counted(tool, sources, pictures, tmp_path):
    detector, photos = DATA / "mtcnn-npy", DATA / "calibration"
    if not detector.exists() or not photos.exists():
        pytest.skip("no detector's weights or no calibration pictures")
    model, some = tmp_path / "model", tmp_path / "some"
    args = ("--calibration", pictures, "--crop", "whole", "--device", "reference")
    tool("quantize", sources[0], *args, "--detector", detector, "-o", model)
    some.mkdir()
    chosen = sorted(photos.iterdir())[:3]
    for path in chosen:
        (some / path.name).write_bytes(path.read_bytes())
    Image.new("RGB", (200, 200), (90, 120, 60)).save(some / "grass.png")
    (some / "damaged.jpg").write_bytes(chosen[0].read_bytes()[:200])
    said = tool(
        "crop", model, "--pictures", some, "-o", tmp_path / "out", "--crop", "mtcnn-p17-160"
    )
    assert "3 crops by mtcnn-p17-160" in said.stdout
    assert "1 pictures show no face" in said.stdout and "1 files are no pictures" in said.stdout
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == sorted(f"{p.stem}.png" for p in chosen)
    assert Image.open(tmp_path / "out" / names[0]).size == (160, 160)


def test_a_threshold_is_fitted_on_crops_that_were_cut_before(tool, model, pictures, tmp_path):
    """The point is of the contract that cut them, and what it says is that of whole pictures."""
    people = sorted(p.name for p in pictures.iterdir() if p.is_dir())
    same = [f"{n}/{n}_0001.png,{n}/{n}_000{i}.png,1" for n in people for i in (2, 3)]
    other = [f"{a}/{a}_0001.png,{b}/{b}_0001.png,0" for a, b in itertools.pairwise(people)]
    (tmp_path / "pairs.csv").write_text("\n".join([*same, *other]) + "\n")
    args = ("--pairs", tmp_path / "pairs.csv", "--images", pictures, "--far", "0.1")
    args = (*args, "--device", "reference")
    tool("fit-threshold", model, *args, "-o", tmp_path / "whole")
    tool("fit-threshold", model, *args, "--cut-by", "mtcnn-p17-160", "-o", tmp_path / "cut")
    (whole,), (cut,) = (
        json.loads(tool("info", tmp_path / f, "--json").stdout)["operating_points"]
        for f in ("whole", "cut")
    )
    assert (whole["crop"], cut["crop"]) == ("whole-160", "mtcnn-p17-160")
    assert {**whole, "crop": 0} == {**cut, "crop": 0}
    done = tool("fit-threshold", model, *args, "--cut-by", "round", status=2)
    assert "unknown crop contract round" in done.stderr
