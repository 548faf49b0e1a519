# SPDX-License-Identifier: Apache-2.0
"""What the curves of a run are said to mean."""

import math

from model.train import curves


def rows(validation, gap=0.0):
    return [
        {**dict.fromkeys(curves.COLUMNS, 0.0), "epoch": i, "validation_cosine": v}
        | {"training_cosine": v + gap}
        for i, v in enumerate(validation, 1)
    ]


def rising(n):
    return [0.8 * (1 - math.exp(-i / 40)) for i in range(n)]


def flat(n):
    return [0.8 * (1 - math.exp(-i / 4)) + (-1) ** i * 0.0005 for i in range(n)]


def test_a_rising_curve_wants_more_time():
    said = curves.judge(rows(rising(40)))
    assert said.startswith("More time would help: validation cosine 0.4")


def test_a_flat_curve_with_a_gap_wants_more_pictures():
    said = curves.judge(rows(flat(60), gap=0.1))
    assert said.startswith("More time would not help") and "more varied pictures" in said
    assert "since epoch 2" in said


def test_a_flat_curve_without_a_gap_wants_a_wider_network():
    assert "wider network" in curves.judge(rows(flat(60), gap=0.01))


def test_noise_is_not_a_rise():
    noisy = [0.5 + 0.02 * math.sin(7.3 * i * i) for i in range(50)]
    assert curves.judge(rows(noisy)).startswith("More time would not help")


def test_a_few_evaluations_say_nothing():
    assert "too few" in curves.judge(rows(rising(9)))


def test_curves_are_written_and_read_back(tmp_path):
    curves.write(tmp_path / "c.csv", rows(rising(12)))
    back = curves.read(tmp_path / "c.csv")
    assert [r["epoch"] for r in back] == list(range(1, 13))
    assert abs(back[-1]["validation_cosine"] - rising(12)[-1]) < 1e-6
