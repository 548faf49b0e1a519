# SPDX-License-Identifier: Apache-2.0
"""A training in small: the loss falls, a resumed run ends with the same bits, the export loads."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from model.train import curves, fit, network, pictures, teacher
from tests.train.conftest import DATA, ROOT, tool

CPU = torch.device("cpu")
CALIBRATION = DATA / "calibration"
WEIGHTS = DATA / "facenet-512-npy"


def settings(**changed):
    given = {"steps": 8, "batch": 8, "width": 0.1, "warmup": 2, "evaluate_every": 4}
    return fit.Settings(**{**given, **changed})


def train(folder, chosen, taught, stop_after=None, resume=False):
    folder.mkdir(exist_ok=True)
    run = fit.Run(folder, chosen, *taught, CPU, workers=0)
    if resume:
        run.resume()
    run.train(stop_after)
    return run


def test_a_resumed_run_ends_with_the_same_bits(taught, tmp_path):
    whole = train(tmp_path / "whole", settings(), taught)
    train(tmp_path / "parts", settings(), taught, stop_after=3)
    parts = train(tmp_path / "parts", settings(), taught, resume=True)
    for (name, a), b in zip(
        whole.student.state_dict().items(), parts.student.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    a, b = (curves.read(tmp_path / f / "curves.csv") for f in ("whole", "parts"))
    assert [r["step"] for r in a] == [4, 8]
    assert [{**r, "seconds": 0} for r in a] == [{**r, "seconds": 0} for r in b]
    a, b = (load_file(tmp_path / f / "network.safetensors") for f in ("whole", "parts"))
    assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_a_run_is_not_resumed_with_other_settings_or_from_damage(taught, tmp_path):
    train(tmp_path / "run", settings(steps=1), taught)
    with pytest.raises(fit.BadRun, match="another learning_rate"):
        train(tmp_path / "run", settings(steps=1, learning_rate=0.5), taught, resume=True)
    path = tmp_path / "run" / fit.CHECKPOINT
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(fit.BadRun, match="no checkpoint"):
        train(tmp_path / "run", settings(steps=1), taught, resume=True)


def test_a_pickle_in_place_of_a_checkpoint_is_not_executed(taught, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    (tmp_path / "run").mkdir()
    torch.save({"settings": Evil()}, tmp_path / "run" / fit.CHECKPOINT)
    with pytest.raises(fit.BadRun, match="no checkpoint"):
        train(tmp_path / "run", settings(), taught, resume=True)
    assert not (tmp_path / "owned").exists()


def test_a_loss_that_is_no_number_ends_the_run(taught, tmp_path):
    with pytest.raises(fit.BadRun, match="smaller learning rate"):
        train(tmp_path / "run", settings(learning_rate=float("inf")), taught)


def test_the_exported_network_is_the_trained_one(taught, tmp_path):
    run = train(tmp_path / "run", settings(steps=2), taught)
    again = network.load(tmp_path / "run" / "network.safetensors").eval()
    pixels = torch.rand(2, 3, 160, 160) * 255
    with torch.no_grad():
        assert torch.equal(run.student.eval()(pixels), again(pixels))


@pytest.mark.parametrize("half", [False, True])
def test_facenet_model_sees_the_same_network(people, taught, tmp_path, half):
    import onnxruntime

    torch.manual_seed(1)
    made = network.new(0.1, 32).eval()
    network.save(made, tmp_path / "net.safetensors", half=half)
    tool("onnx", tmp_path / "net.safetensors", "-o", tmp_path / "net.onnx")
    how = {"providers": ["CPUExecutionProvider"]}
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", **how)
    crop = pictures.read_crop(people / "Person_A" / "Person_A_0001.png", "whole")[None]
    (theirs,) = session.run(None, {"image": (crop.astype(np.float32) - 127.5) / 128})
    with torch.no_grad():
        ours = network.load(tmp_path / "net.safetensors").eval()(torch.from_numpy(crop).float())
    assert np.abs(ours.numpy() - theirs / np.linalg.norm(theirs)).max() < 1e-5


def run_trainer(*args, status=0):
    done = subprocess.run(
        [sys.executable, "-m", "model.train", *map(str, args)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_whole_run_from_pictures_to_a_model(people, random_teacher, tmp_path):
    """On the calibration pictures and the full network where they are."""
    real = CALIBRATION.exists() and WEIGHTS.exists()
    onnx = random_teacher
    if real:
        onnx = tmp_path / "teacher.onnx"
        tool("onnx", WEIGHTS, "-o", onnx)
    folders, crop = ([CALIBRATION], "centre") if real else ([people], "whole")
    data, run = tmp_path / "data", tmp_path / "run"
    run_trainer("index", *folders, "-o", data, "--crop", crop, "--validation", "0.2")
    said = run_trainer(
        *("fit", data, "-o", run, "--teacher", onnx, "--width", "0.1", "--steps", "60"),
        *("--batch", "16", "--evaluate-every", "6", "--warmup", "8", "--threads", "1"),
    )
    rows = curves.read(run / "curves.csv")
    assert len(rows) == 10
    losses = [row["loss"] for row in rows]
    assert losses[-1] < 0.9 * losses[0], losses
    assert rows[-1]["training_cosine"] > rows[0]["training_cosine"] + 0.02, rows
    assert "More time would" in said
    assert (run / "curves.svg").read_text().count("<path") > 4
    model, pins = tmp_path / "model.safetensors", tmp_path / "pins.json"
    source = run / "network.safetensors"
    plain = ("--no-equalisation", "--no-bias-correction")
    args = ("--calibration", *folders, *plain, "--device", "reference", "--write-frac-bits", pins)
    assert "cosine" in tool("quantize", source, *args, "-o", model)
    assert "self-test     passed" in tool("verify", model, "--device", "reference")
    refined = tmp_path / "refined"
    run_trainer(
        *("fit", data, "-o", refined, "--start", source, "--fixed", pins, "--steps", "2"),
        *("--batch", "4", "--learning-rate", "1e-4", "--threads", "1", "--workers", "0"),
    )
    out = tmp_path / "refined.safetensors"
    tool("quantize", refined / "network.safetensors", "--frac-bits", pins, "-o", out)
    again = run_trainer("fit", data, "-o", run, "--teacher", onnx, "--steps", "60", status=1)
    assert "--resume" in again


def test_evaluation_tells_people_apart(people, random_teacher, tmp_path, taught):
    train(tmp_path / "run", settings(steps=2), taught)
    said = run_trainer(
        *("evaluate", tmp_path / "run" / "network.safetensors", "--threads", "1"),
        *("--pairs", people / "pairs.txt", "--images", people),
    )
    assert '"pairs": 40' in said and '"accuracy"' in said


def test_teaching_again_asks_nothing_and_a_changed_folder_everything(
    taught, random_teacher, monkeypatch
):
    data, answers = taught
    asked = []
    original = teacher.load
    monkeypatch.setattr(teacher, "load", lambda p, b, *a: asked.extend(b) or original(p, b, *a))
    again = teacher.teach(data, random_teacher, workers=0, threads=1)
    assert asked == []
    assert np.array_equal(again.vectors, answers.vectors)
    data.facts = {**data.facts, "digest": "another"}
    teacher.teach(data, random_teacher, workers=0, threads=1)
    assert sum(map(len, asked)) == len(data)
