# SPDX-License-Identifier: Apache-2.0
"""Training of the face detector's networks in small: what they write is what `facenet-model` reads,
the loss falls, a resumed run ends with the same bits, damages are refused by name."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from model.train import curves
from model.train.detector import fit, networks, rounds, scenes, solve, windows
from model.train.pictures import BadPictures
from tests.train.conftest import DATA, ROOT, smooth_picture, tool

CPU = torch.device("cpu")
WEIGHTS, CALIBRATION = DATA / "mtcnn-npy", DATA / "calibration"
REAL = WEIGHTS.exists() and CALIBRATION.exists()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Some of the calibration pictures, or noise where they are not."""
    folder = tmp_path_factory.mktemp("photographs")
    for i, path in enumerate(sorted(CALIBRATION.glob("*.jpg"))[:12] if REAL else range(12)):
        picture = Image.open(path) if REAL else smooth_picture(i, i, 120)
        picture.save(folder / f"{i}.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """The published networks, or random ones where they are not."""
    if REAL:
        return WEIGHTS
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(3)
    for name in networks.NAMES:
        networks.save(networks.Net(name), folder)
    return folder


def small(**changed):
    given = {"steps": 100, "batch": 16, "learning_rate": 2e-3, "pieces": 60}
    return fit.Settings(**{**given, **changed})


def start(folder, name, photographs, teacher, settings):
    return fit.open_run(folder, name, scenes.Pictures([photographs]), teacher, settings, CPU)


def test_networks_come_back_as_they_were_written_to_half_precision(tmp_path):
    torch.manual_seed(1)
    for name in networks.NAMES:
        made = networks.Net(name)
        networks.save(made, tmp_path)
        again = networks.load(tmp_path, name)
        for (which, a), b in zip(
            made.state_dict().items(), again.state_dict().values(), strict=True
        ):
            assert torch.equal(a.half().float(), b), which


def test_the_engine_finds_the_same_networks(tmp_path):
    """Asymmetric kernels: an exchange of axes would show."""
    from safetensors.numpy import load_file

    torch.manual_seed(2)
    for name in networks.NAMES:
        networks.save(networks.Net(name), tmp_path / "run")
    networks.save_name(tmp_path / "run", "a-test")
    model = tmp_path / "model.safetensors"
    tool(
        "untrained",
        "--width",
        1,
        "--embedding-size",
        8,
        "--detector",
        tmp_path / "run",
        "-o",
        model,
    )
    assert json.loads(tool("info", model, "--json"))["detector"] == "a-test"
    stored = load_file(model)
    for name in networks.NAMES:
        net = networks.load(tmp_path / "run", name)
        for layer, conv in zip(networks.LAYERS[name], net.convs, strict=True):
            kernel = stored[f"MTCNN/{name}/{layer.name}/weights"]
            assert np.array_equal(kernel, conv.weight.numpy().transpose(0, 2, 3, 1)), layer.name
        for (head, _), conv in zip(networks.HEADS[name], net.heads, strict=True):
            assert np.array_equal(stored[f"MTCNN/{name}/{head}/bias"], conv.bias.numpy())


@pytest.mark.parametrize("name", networks.NAMES)
def test_the_loss_falls(name, photographs, teacher, tmp_path):
    settings = small(steps=200, batch={"pnet": 3, "rnet": 16, "onet": 8}[name])
    run = start(tmp_path / "run", name, photographs, teacher, settings)
    run.train()
    first, last = (run.rows[i]["loss"] for i in (0, 1))
    assert last < 0.8 * first, run.rows
    assert [row["step"] for row in curves.read(tmp_path / "run" / f"{name}.csv")] == [100, 200]
    assert (tmp_path / "run" / f"{name}.svg").read_text().count("<path") > 4
    written = networks.load(tmp_path / "run", name)
    pixels = run.pieces.batch(0)
    with torch.no_grad():
        off = (written(pixels) - run.student(pixels)).abs().max()
    assert off < 0.05  # half precision


def test_a_resumed_run_ends_with_the_same_bits(photographs, teacher, tmp_path):
    settings = small(steps=6, batch=4)
    whole = start(tmp_path / "whole", "rnet", photographs, teacher, settings)
    whole.train()
    start(tmp_path / "parts", "rnet", photographs, teacher, settings).train(stop_after=3)
    parts = start(tmp_path / "parts", "rnet", photographs, teacher, settings)
    parts.resume()
    assert parts.step == 3
    parts.train()
    a, b = (run.student.state_dict() for run in (whole, parts))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_the_end_moves_only_before_the_learning_rate_falls(photographs, teacher, tmp_path):
    def again(**changed):
        return start(
            tmp_path, "rnet", photographs, teacher, small(**{"steps": 10, "batch": 4, **changed})
        )

    again().train(stop_after=5)
    again(steps=20).resume()
    with pytest.raises(fit.BadRun, match="too late"):
        again(steps=6).resume()
    with pytest.raises(fit.BadRun, match="other settings"):
        again(learning_rate=1.0).resume()
    path = tmp_path / "rnet.checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:999])
    with pytest.raises(fit.BadRun, match="no checkpoint"):
        again().resume()


def test_pieces_follow_from_the_seed(photographs, teacher, tmp_path):
    for name in ("a", "b"):
        start(tmp_path / name, "rnet", photographs, teacher, small())
    start(tmp_path / "c", "rnet", photographs, teacher, small(seed=2))
    a, b, c = ((tmp_path / n / "rnet.pieces.npy").read_bytes() for n in "abc")
    assert a == b != c


def test_a_piece_is_cut_where_its_window_is():
    scene = np.zeros((60, 80, 3), np.uint8)
    scene[20:40, 30:50] = 200
    (piece,) = windows.cut(scene, [(40, 30, 20)], 24, 1.0)
    assert piece.shape == (3, 24, 24) and (piece == 200).all()
    (piece,) = windows.cut(scene, [(0, 0, 20)], 24, 1.7)
    assert piece.shape == (3, 40, 40) and (piece == 0).all()  # beyond the scene: black


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: np.save(path, np.zeros(11, np.float32)),
        lambda path: np.save(path, np.full(10, np.nan, np.float32)),
        lambda path: np.save(path, np.array([{}], object), allow_pickle=True),
    ],
)
def test_damaged_networks_are_refused_by_name(damage, tmp_path):
    networks.save(networks.Net("pnet"), tmp_path)
    damage(tmp_path / "pnet" / "conv1_biases.npy")
    with pytest.raises(networks.BadDetector, match="conv1_biases"):
        networks.load(tmp_path, "pnet")


def test_folders_without_readable_pictures_are_refused(tmp_path):
    with pytest.raises(BadPictures, match="no picture"):
        scenes.Pictures([tmp_path])
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(BadPictures, match="cannot be read"):
        scenes.small(scenes.Pictures([tmp_path]), 40, np.random.default_rng(1))


def test_the_command_trains_and_goes_on(photographs, teacher, tmp_path):
    def run(*more):
        return subprocess.run(
            [
                *(sys.executable, "-m", "model.train", "detector", str(photographs)),
                *("--teacher", str(teacher), "-o", str(tmp_path / "run"), "--network", "pnet"),
                *(
                    "--steps",
                    "4",
                    "4",
                    "4",
                    "--pieces",
                    "9",
                    "9",
                    "9",
                    "--threads",
                    "1",
                    "--name",
                    "of-a-test",
                    *more,
                ),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    assert run("--stop-after", "2").returncode == 0
    again = run()
    assert again.returncode == 1 and "--resume" in again.stderr
    assert run("--resume").returncode == 0
    assert (tmp_path / "run" / "name.txt").read_text() == "of-a-test\n"
    assert (tmp_path / "run" / "pnet" / "conv4-2_weights.npy").exists()


def test_rounds_go_on_from_each_other_and_end_with_the_last_of_each_network(
    photographs, teacher, tmp_path
):
    def part(steps):
        return rounds.Part(steps, batch=4, pieces=60)

    plan = ({name: part(2) for name in networks.NAMES}, {"pnet": part(3)})

    def train(folder, resume=False, of=plan):
        rounds.train(folder, seen, teacher, CPU, resume=resume, rounds=of)
        names = (f"{name}/conv1_weights.npy" for name in ("pnet", "onet"))
        return [(folder / name).read_bytes() for name in names]

    seen = scenes.Pictures([photographs])
    early = train(tmp_path / "a", of=plan[:1])
    with pytest.raises(fit.BadRun, match="--resume"):
        train(tmp_path / "a")
    pnet, onet = train(tmp_path / "a", resume=True)
    assert pnet != early[0] and onet == early[1]
    assert train(tmp_path / "b") == [pnet, onet]
    goes_on = fit.settings("pnet", 3, 60, start=str(tmp_path / "a" / "round-1"))
    student = fit.Run(tmp_path / "c", "pnet", goes_on, None, None, CPU).student
    before = networks.load(tmp_path / "a" / "round-1", "pnet")
    assert all(map(torch.equal, student.parameters(), before.parameters()))


def test_solved_heads_answer_as_the_teacher_where_they_can():
    """A teacher with the student's own features: its heads are found again."""
    torch.manual_seed(4)
    teacher, student = networks.Net("rnet"), networks.Net("rnet")
    student.convs.load_state_dict(teacher.convs.state_dict())
    random = np.random.default_rng(5)
    batches = (
        torch.from_numpy(random.uniform(0, 255, (64, 3, 24, 24)).astype(np.float32))
        for _ in range(20)
    )
    solve.solve_places(student, teacher, batches, lambda told: torch.ones(len(told)))
    pixels = torch.from_numpy(random.uniform(0, 255, (64, 3, 24, 24)).astype(np.float32))
    with torch.no_grad():
        mine, theirs = student(pixels)[:, 2:], teacher(pixels)[:, 2:]
    assert (mine - theirs).abs().max() < 0.02 * theirs.std()
