# SPDX-License-Identifier: Apache-2.0
"""Training of the three networks, one after the other, each toward its teacher's answers.

Nothing is labelled: what counts is that the student answers what the teacher answers, wherever it
looks. Faces are rare, so they weigh more; edges and landmarks count where the teacher sees a face.

A run is a folder: below it what `facenet-model quantize --detector` reads, and for each network
its curves, its checkpoint and the windows that it looks at. Every step follows from the seed, so
a run that was interrupted and resumed ends with the same bits.
"""

import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from model.train import checkpoint, curves
from model.train.detector import networks, scenes, solve, windows
from model.train.detector.networks import NAMES, margin
from model.train.fit import BadRun

FACE_WEIGHT = 4.0  # above that of a background
MOST_MARGIN = 8.0  # a teacher that is surer than this need not be followed
MARGIN_WEIGHT = 0.05
PLACE_WEIGHT = 20.0  # of edges and of landmarks
# P-Net is to propose sooner than its teacher: what it passes over, nobody looks at again.
LEAN = {"pnet": 1.0, "rnet": 0.0, "onet": 0.0}
SURE = 0.847297860  # the margin at which R-Net and O-Net keep a window
WARMUP = 100  # steps
COOL_SHARE = 0.35  # of the steps, the last
SAVE_EVERY = 500  # steps
FACE_SHARE = {"pnet": 0.0, "rnet": 0.45, "onet": 0.55}  # of the windows of a step
BATCHES = {"pnet": 8, "rnet": 64, "onet": 48}
RATES = {"pnet": 3e-3, "rnet": 2e-3, "onet": 1.2e-3}
STEPS = (20000, 40000, 40000)
PIECES = (2500, 12000, 8000)
LOSSES = ("loss", "face", "edges", "landmarks", "agree")
COLUMNS = ("step", "seconds", "learning_rate", *LOSSES)
PANELS = (
    ("loss", ("loss", "face"), "top"),
    ("squared error, sides of the window", ("edges", "landmarks"), "top"),
    ("faces agreed about", ("agree",), "bottom"),
)
ROW_EVERY = 100  # steps
LEAST_SOLVED, MOST_SOLVED = 4000, 400  # windows, batches


@dataclass(frozen=True)
class Settings:
    """All that decides a network's result, kept in its checkpoint."""

    steps: int
    batch: int
    learning_rate: float
    pieces: int
    seed: int = 1
    start: str = ""  # folder of networks to begin with


@dataclass
class Losses:
    loss: torch.Tensor
    face: torch.Tensor
    edges: torch.Tensor
    landmarks: torch.Tensor
    agree: torch.Tensor  # share of the teacher's faces about which both say the same


def losses(answers, told):
    """Of student and teacher, both [n][6 or 16][h][w]."""
    mine, theirs = margin(answers), margin(told)
    sure = torch.sigmoid(theirs)
    weight = 1 + FACE_WEIGHT * sure
    face = F.binary_cross_entropy_with_logits(mine, sure, reduction="none")
    # Less the teacher's own doubt, which nobody can learn away.
    doubt = F.binary_cross_entropy_with_logits(theirs, sure, reduction="none")
    near = F.smooth_l1_loss(mine, theirs.clamp(-MOST_MARGIN, MOST_MARGIN), reduction="none")
    face = ((face - doubt + MARGIN_WEIGHT * near) * weight).mean()
    square = sure**2
    there = square.sum() + 1

    def place(first, last):
        off = (answers[:, first:last] - told[:, first:last]) ** 2
        return (off.sum(1) * square).sum() / (there * (last - first))

    edges = place(2, 6)
    landmarks = place(6, 16) if told.shape[1] > 6 else torch.zeros_like(edges)
    agree = (((mine > SURE) == (theirs > SURE)) * square).sum() / there
    return Losses(face + PLACE_WEIGHT * (edges + landmarks), face, edges, landmarks, agree)


class Pieces:
    """What a network looks at; R-Net and O-Net at faces oftener than they are proposed."""

    def __init__(self, path, name, teacher, settings, device):
        self.pieces = np.load(path, mmap_mode="r")
        self.name, self.settings, self.device = name, settings, device
        self.side = windows.LOOKED_AT[name]
        if name == "pnet":
            self.faces, self.others = np.zeros(0, int), np.arange(len(self.pieces))
            return
        sure = torch.cat([self._sure(teacher, i) for i in range(0, len(self.pieces), 256)]).numpy()
        self.faces, self.others = np.flatnonzero(sure > 0.5), np.flatnonzero(sure <= 0.5)
        if not len(self.faces) or not len(self.others):
            raise BadRun(f"{path}: {len(self.faces)} faces, {len(self.others)} windows without")

    def _sure(self, teacher, first):
        room = (self.pieces.shape[-1] - self.side) // 2
        inner = slice(room, room + self.side)
        middle = np.array(self.pieces[first : first + 256, :, inner, inner])
        with torch.no_grad():
            answers = teacher(torch.from_numpy(middle).float().to(self.device))
        return torch.sigmoid(margin(answers)[:, 0, 0]).cpu()

    def batch(self, step):
        """Pixels float32 [n][3][side][side] of a step."""
        random = np.random.default_rng((self.settings.seed, self.side, step, 7))
        n = round(self.settings.batch * FACE_SHARE[self.name])
        chosen = random.choice(self.others, self.settings.batch - n)
        if n:
            chosen = random.permutation(np.concatenate([random.choice(self.faces, n), chosen]))
        pixels = windows.moved(self.pieces[chosen], self.side, random, self.device)
        return scenes.relight(pixels, random)


def rate_at(step, settings):
    """Learning rate: a short rise, level, and down to zero over the last part: until then a run
    may be resumed with another number of steps."""
    down = (settings.steps - step) / (settings.steps * COOL_SHARE)
    return settings.learning_rate * min(1.0, (step + 1) / WARMUP, down)


def settings(name, steps, pieces, seed=1, start=""):
    """Those of network `name`."""
    return Settings(steps, BATCHES[name], RATES[name], pieces, seed, start)


class Run:
    """Training of one network in the run's folder."""

    def __init__(self, folder, name, settings, teacher, pieces, device):
        self.folder, self.name, self.settings = Path(folder), name, settings
        self.teacher, self.pieces = teacher, pieces
        self.checkpoint = self.folder / f"{name}.checkpoint.safetensors"
        torch.manual_seed(settings.seed)
        self.student = networks.Net(name)
        if settings.start:
            self.student.load_state_dict(networks.load(settings.start, name).state_dict())
        self.student.to(device)
        self.optimizer = torch.optim.Adam(self.student.parameters())
        self.step, self.rows, self.seconds = 0, [], 0.0
        self.sums = [0.0] * len(LOSSES)  # since the last row

    def save(self):
        facts = {
            "settings": asdict(self.settings),
            "step": self.step,
            "rows": self.rows,
            "seconds": self.seconds,
            "sums": self.sums,
        }
        checkpoint.save(self.checkpoint, self.student, self.optimizer, facts)
        networks.save(self.student, self.folder)
        table = self.folder / f"{self.name}.csv"
        curves.write(table, self.rows, COLUMNS)
        curves.plot(table, table.with_suffix(".svg"), "step", PANELS)

    def resume(self):
        """Go on from the checkpoint; before the learning rate falls, with another end too."""
        try:
            arrays, facts = checkpoint.read(self.checkpoint)
            before, mine = Settings(**facts["settings"]), self.settings
            level = min(before.steps, mine.steps) * (1 - COOL_SHARE)
            if replace(before, steps=mine.steps) != mine:
                raise BadRun(f"{self.checkpoint}: made with other settings, {before}")
            if before != mine and facts["step"] > level:
                raise BadRun(f"{self.checkpoint}: step {facts['step']} is too late for another end")
            checkpoint.restore(arrays, self.student, self.optimizer)
            self.step, self.rows, self.seconds = facts["step"], facts["rows"], facts["seconds"]
            self.sums = facts["sums"]
        except (checkpoint.BadCheckpoint, KeyError, TypeError) as error:
            raise BadRun(f"{self.checkpoint}: no checkpoint of this run: {error}") from error

    def train(self, stop_after=None):
        """To the end, or to a step."""
        end = min(self.settings.steps, stop_after or self.settings.steps)
        began = time.monotonic() - self.seconds
        while self.step < end:
            found = self._one_step()
            if not math.isfinite(found[0]):
                raise BadRun(f"{self.name}: a loss of {found[0]} at step {self.step}")
            self.sums = [a + b for a, b in zip(self.sums, found, strict=True)]
            self.step += 1
            self.seconds = time.monotonic() - began
            if self.step % ROW_EVERY == 0:
                self._end_row()
            if self.step == self.settings.steps:
                self._solve()
            if self.step % SAVE_EVERY == 0 or self.step == end:
                self.save()

    def _end_row(self):
        row = {name: total / ROW_EVERY for name, total in zip(LOSSES, self.sums, strict=True)}
        rate = rate_at(self.step - 1, self.settings)
        self.rows.append({"step": self.step, "seconds": self.seconds, "learning_rate": rate} | row)
        self.sums = [0.0] * len(LOSSES)
        print(f"{self.name}: " + ", ".join(f"{k} {v:.4g}" for k, v in self.rows[-1].items()))

    def _solve(self):
        """See solve.py; too few windows would say too little."""
        batches = min(MOST_SOLVED, self.settings.steps // 4)
        if batches * self.settings.batch < LEAST_SOLVED:
            return
        unseen = range(self.settings.steps, self.settings.steps + batches)
        solve.solve_places(
            self.student,
            self.teacher,
            (self.pieces.batch(step) for step in unseen),
            lambda told: torch.sigmoid(margin(told)) ** 2,
        )

    def _one_step(self):
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.step, self.settings)
        pixels = self.pieces.batch(self.step).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            told = self.teacher(pixels)
            told[:, 1] += LEAN[self.name]
        found = losses(self.student(pixels), told)
        self.optimizer.zero_grad()
        found.loss.backward()
        self.optimizer.step()
        return [getattr(found, name).item() for name in LOSSES]


def open_run(folder, name, pictures, teacher_folder, settings, device, proposers=None):
    """A run of network `name`, which looks at what the teacher's networks before it propose, and
    in every other scene at what those of the folder `proposers` do: it has to judge their mistakes
    too."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    teacher = networks.load(teacher_folder, name).to(device)
    path = folder / f"{name}.pieces.npy"
    if not path.exists():
        before = NAMES[: NAMES.index(name)]
        cascades = [
            [networks.load(whose, n).to(device) for n in before]
            for whose in filter(None, (teacher_folder, proposers))
        ]
        windows.collect(path, name, pictures, cascades, settings.pieces, settings.seed, device)
    pieces = Pieces(path, name, teacher, settings, device)
    return Run(folder, name, settings, teacher, pieces, device)
