# SPDX-License-Identifier: Apache-2.0
"""The rounds in which this repository's own detector is made, by one command.

In the first round the networks look at what the teacher's networks propose. In the next they go on
from what they have learned, half of their windows being ones that they proposed themselves: their
own mistakes. O-Net, which decides last, has one round more, behind the final two. All follows from
the seed, on one machine; sums of floats differ between CPUs.
"""

from dataclasses import dataclass
from pathlib import Path

from model.train.detector import fit, networks


@dataclass(frozen=True)
class Part:
    """Of a round, for one network."""

    steps: int
    batch: int
    pieces: int


ROUNDS = (
    {"pnet": Part(1200, 16, 2500), "rnet": Part(1500, 128, 6000), "onet": Part(700, 64, 5000)},
    {"pnet": Part(900, 8, 2500), "rnet": Part(1100, 64, 14000), "onet": Part(600, 48, 8000)},
    {"onet": Part(550, 48, 8000)},
)


def train(folder, pictures, teacher, device, seed=1, resume=False, rounds=ROUNDS):
    """Write the networks of the last round to `folder`, each round's runs to a folder below it."""
    folder, before = Path(folder), None
    for number, parts in enumerate(rounds, 1):
        place = folder / f"round-{number}"
        for name in networks.NAMES:
            if name in parts:
                _train_one(
                    place,
                    name,
                    parts[name],
                    pictures,
                    teacher,
                    before,
                    seed + number,
                    device,
                    resume,
                )
            else:
                networks.save(networks.load(before, name), place)
        before = place
    for name in networks.NAMES:
        networks.save(networks.load(before, name), folder)


def _train_one(place, name, part, pictures, teacher, before, seed, device, resume):
    start = str(before) if before else ""
    settings = fit.Settings(part.steps, part.batch, fit.RATES[name], part.pieces, seed, start)
    run = fit.open_run(place, name, pictures, teacher, settings, device, before)
    if run.checkpoint.exists():
        if not resume:
            raise fit.BadRun(f"{run.checkpoint}: there is one already; --resume it")
        run.resume()
    run.train()
