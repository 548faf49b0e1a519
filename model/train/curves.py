# SPDX-License-Identifier: Apache-2.0
"""The curves of a run: a CSV file, a picture of it by gnuplot, and what they say in words."""

import csv
import math
import shutil
import statistics
import subprocess
from pathlib import Path

from model.train.files import write_whole

COLUMNS = (
    "step",
    "epoch",
    "seconds",
    "learning_rate",
    "loss",
    "cosine_loss",
    "relation_loss",
    "training_cosine",
    "validation_cosine",
)
STILL_RISING = 0.001  # of cosine, between one fifth of the run and the next
GAP = 0.03  # training above validation: too few pictures rather than too small a network


def write(path, rows, columns=COLUMNS):
    """Write all rows anew, so that a resumed run leaves no row of the time after its checkpoint."""

    def fill(part):
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({k: f"{row[k]:.6g}" for k in columns} for row in rows)

    write_whole(path, fill)


def read(path):
    with Path(path).open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


PANELS = (
    ("loss", ("loss", "cosine_loss"), "top"),
    ("cosine to the teacher", ("training_cosine", "validation_cosine"), "bottom"),
)


def _plot_of(name, across, panel):
    label, columns, key = panel
    curves = ", ".join(
        f"{name} using '{across}':'{c}' with lines lw 2 title '{c.replace('_', ' ')}'"
        for c in columns
    )
    return f"set ylabel '{label}'\nset key {key} right\nplot {curves}\n"


def plot(csv_path, svg_path, across="epoch", panels=PANELS):
    """Draw panels (label, columns, where their names stand) one below the other; False where there
    is no gnuplot, or nothing to draw yet."""
    if not shutil.which("gnuplot") or len(read(csv_path)) < 2:
        return False
    name = "'{}'".format(str(csv_path).replace("'", "''"))

    def draw(part):
        target = str(part).replace("'", "''")
        script = (
            f"set terminal svg size 900,{450 * len(panels)} noenhanced font 'sans,14' "
            "background 'white'\n"
            f"set output '{target}'\nset datafile separator ','\nset key autotitle columnheader\n"
            f"set grid\nset multiplot layout {len(panels)},1\nset xlabel '{across}'\n"
        )
        script += "".join(_plot_of(name, across, panel) for panel in panels)
        subprocess.run(["gnuplot"], input=script + "unset multiplot\n", text=True, check=True)

    write_whole(svg_path, draw)
    return True


def judge(rows):
    """What more time would bring, in one sentence with its figures."""
    found = [r["validation_cosine"] for r in rows]
    if len(found) < 10:
        return f"{len(found)} evaluations are too few to say whether more time would help."
    k = len(found) // 5
    late, before = found[-k:], found[-2 * k : -k]
    gain = statistics.fmean(late) - statistics.fmean(before)
    steps = [b - a for a, b in zip(found[-2 * k - 1 :], found[-2 * k :], strict=False)]
    noise = statistics.stdev(steps) / math.sqrt(k)
    figures = (
        f"validation cosine {before[-1]:.4f} to {late[-1]:.4f} over the last fifth of the run, "
        f"{gain:+.4f} on average (noise {noise:.4f})"
    )
    if gain > max(STILL_RISING, 2 * noise):
        return f"More time would help: {figures}."
    best = max(found)
    since = next(i for i, v in enumerate(found) if v >= best - STILL_RISING)
    gap = rows[-1]["training_cosine"] - found[-1]
    why = (
        f"training cosine is {gap:.3f} above it, so more and more varied pictures would help"
        if gap > GAP
        else f"training cosine is within {gap:.3f} of it, so a wider network would help"
    )
    return (
        f"More time would not help: {figures}; within {STILL_RISING} of its best since epoch "
        f"{rows[since]['epoch']:.3g}. {why[0].upper()}{why[1:]}."
    )
