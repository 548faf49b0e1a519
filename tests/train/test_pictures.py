# SPDX-License-Identifier: Apache-2.0
"""The index of pictures, the order of training, and what damages do."""

import numpy as np
import pytest
import torch

from model.train import augment, pairs, pictures, teacher
from tests.train.conftest import smooth_picture


@pytest.mark.parametrize(
    ("path", "person"),
    [
        ("lfw/Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee"),
        ("calibration/Ann_Lee_0012.jpg", "Ann_Lee"),
        ("vgg/n000001/0034_01.jpg", "n000001"),
        ("casia/0000045/001.jpg", "0000045"),
        ("people/ann/holiday.png", "ann"),
    ],
)
def test_whose_picture_it_is(path, person):
    assert pictures.person_of(path) == person


def test_the_index_names_every_picture_once_in_one_order(people, tmp_path):
    facts = pictures.index([people], tmp_path / "a", "whole", 0.2)
    pictures.index([people], tmp_path / "b", "whole", 0.2)
    data = pictures.Pictures(tmp_path / "a")
    names = [data.path(i) for i in range(len(data))]
    assert len(set(names)) == len(names) == facts["pictures"] == 64
    assert names == sorted(names)
    assert (tmp_path / "a" / "paths.bin").read_bytes() == (
        tmp_path / "b" / "paths.bin"
    ).read_bytes()
    held = {pictures.person_of(n) for n, h in zip(names, data.held_out, strict=True) if h}
    seen = {pictures.person_of(n) for n, h in zip(names, data.held_out, strict=True) if not h}
    assert held and seen and not held & seen  # by person, never by picture


def test_people_of_a_pairs_file_are_left_out(people, tmp_path):
    (tmp_path / "pairs.txt").write_text("1\nPerson_A\t1\t2\nPerson_B\t1\tPerson_C\t1\n")
    without = pictures.people_in_pairs(tmp_path / "pairs.txt")
    assert without == {"Person_A", "Person_B", "Person_C"}
    facts = pictures.index([people], tmp_path / "data", "whole", 0.2, without)
    assert facts["left_out"] == 12 and facts["pictures"] == 52


def test_folders_without_pictures_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no picture")
    with pytest.raises(pictures.BadPictures, match="no picture"):
        pictures.index([tmp_path / "empty"], tmp_path / "data", "whole")


def test_an_index_that_was_cut_short_is_refused(people, tmp_path):
    pictures.index([people], tmp_path / "data", "whole", 0.2)
    path = tmp_path / "data" / "paths.bin"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(pictures.BadPictures, match="do not belong together"):
        pictures.Pictures(tmp_path / "data")


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "bomb"])
def test_damaged_pictures_are_named_and_passed_over(
    people, random_teacher, tmp_path, damage, capsys
):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(8):
        smooth_picture(i, i).save(folder / f"p{i}_0001.png")
    whole = (folder / "p3_0001.png").read_bytes()
    bomb = bytearray(whole)
    bomb[16:24] = (60000).to_bytes(4, "big") * 2
    content = {"empty": b"", "text": b"hello", "truncated": whole[: len(whole) // 2]}
    (folder / "p3_0001.png").write_bytes(content.get(damage, bytes(bomb)))
    pictures.index([folder], tmp_path / "data", "whole", 0.2)
    with pytest.raises(pictures.BadPictures, match="p3_0001"):
        pictures.read_crop(folder / "p3_0001.png", "whole")
    data = pictures.Pictures(tmp_path / "data", skip_unreadable=True)
    there = teacher.teach(data, random_teacher, workers=0, threads=1).there().tolist()
    assert there == [0, 1, 2, 4, 5, 6, 7]
    assert "1 pictures are unreadable" in capsys.readouterr().err


def test_the_order_can_begin_anywhere_and_shows_every_picture_once_an_epoch():
    numbers = np.arange(100, 123)
    order = pictures.Order(numbers, 4, seed=9, first_step=0)
    steps = iter(order)
    batches = [next(steps) for _ in range(2 * order.steps_an_epoch)]
    assert order.steps_an_epoch == 5
    for epoch in (batches[:5], batches[5:]):
        flat = [n for batch in epoch for n in batch]
        assert len(set(flat)) == 20 and set(flat) <= set(numbers.tolist())
    assert batches[:5] != batches[5:]
    later = iter(pictures.Order(numbers, 4, seed=9, first_step=7))
    assert [next(later) for _ in range(3)] == batches[7:10]


def test_augmentation_depends_on_seed_and_step_only():
    pixels = torch.from_numpy(
        np.stack([np.asarray(smooth_picture(i, i)).transpose(2, 0, 1) for i in range(40)])
    )
    one = augment.augment(pixels, 1, 5)
    torch.rand(3)  # other draws change nothing
    assert torch.equal(one, augment.augment(pixels, 1, 5))
    assert not torch.equal(one, augment.augment(pixels, 1, 6))
    assert one.min() >= 0 and one.max() <= 255
    change = (one - pixels).abs().mean((1, 2, 3))
    assert change.min() > 0.5  # every picture is changed ...
    plain = pixels.float().flatten(1)
    alike = [
        torch.nn.functional.cosine_similarity(x.flatten(1), plain) for x in (one, one.flip(-1))
    ]
    assert torch.maximum(*alike).median() > 0.95  # ... and stays what it was
    assert 0.2 < (alike[0] < alike[1]).float().mean() < 0.8
    grey = ((one[:, 0] - one[:, 1]).abs().amax((1, 2)) < 1e-3).float().mean()
    assert 0 < grey < 0.5


def test_an_unchanged_draw_changes_nothing(monkeypatch):
    middle = torch.tensor([0.5] * 5 + [1.0, 0.5] + [0.5] * 5 + [1.0])
    monkeypatch.setattr(augment, "_draw", lambda seed, step, n: middle.expand(n, 13))
    pixels = torch.randint(0, 256, (2, 3, 160, 160), dtype=torch.uint8)
    assert (augment.augment(pixels, 0, 0) - pixels).abs().max() < 0.05


@pytest.mark.parametrize(
    "text",
    ["", "ten\n", "1\nA\t1\n", "1\nA\t1\t2\n", "1\nA\tx\t2\nA\t1\tB\t1\n"],
)
def test_bad_pairs_files_are_refused(tmp_path, text):
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(pictures.BadPictures):
        pairs.read_pairs(tmp_path / "pairs.txt")


def test_accuracy_of_known_distances():
    """Same pairs at 0.0 ... 0.9, different at 0.85 ... 1.75: one same pair is beyond one other."""
    same = np.array([True] * 10 + [False] * 10)
    distances = np.array([*np.arange(10) / 10, *(0.85 + np.arange(10) / 10)])
    facts = pairs.measure(distances, same, np.tile(np.arange(5), 4))
    assert facts["threshold"] in (pytest.approx(0.825), pytest.approx(0.925))
    assert 0.8 <= facts["accuracy"] < 1
    assert facts["true_accepts_at_0.1"] == 1.0  # one impostor may pass, so up to 0.95
    assert "true_accepts_at_0.01" not in facts
    apart = pairs.measure(np.where(same, 0.1, 0.9), same, np.tile(np.arange(5), 4))
    assert apart["accuracy"] == 1 and apart["threshold"] == pytest.approx(0.5)
