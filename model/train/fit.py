# SPDX-License-Identifier: Apache-2.0
"""Training: a student learns to say what its teacher says of a face.

The loss is mean(1 - cosine) to the teacher's embedding of the plain crop, and the squared
difference of the batch's similarity matrices, which keeps who is like whom. In fixed point (see
fixed.py) the teacher is the float network that was started from, seeing the same changed picture.

A run is a folder: `network.safetensors` (the latest), `curves.csv` and `curves.svg`, `report.txt`,
`checkpoint.safetensors`. Pictures, changes and weights of every step follow from the seed, so a run
that was interrupted and resumed ends with the same bits as one that was not (same machine, same
number of threads).
"""

import copy
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from model.train import checkpoint, curves, fixed, network
from model.train.augment import augment
from model.train.pictures import Order, in_order, load

RELATION_WEIGHT = 5.0
MOST_VALIDATION = 5000  # pictures; more say nothing new
NORM_MOMENTUM = 0.05
CHECKPOINT = "checkpoint.safetensors"
GRIDS_EVERY = 10  # steps, in fixed point


class BadRun(Exception):
    """A run that cannot be started or resumed as asked."""


@dataclass(frozen=True)
class Settings:
    """All that decides a run's result, kept in its checkpoint."""

    steps: int
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup: int = 50  # steps
    evaluate_every: int = 0  # steps; 0: once an epoch
    seed: int = 1
    width: float = 0.25
    start: str = ""
    frac_bits: str = ""  # train in fixed point with these


def distillation_loss(embeddings, targets):
    """(whole loss, its cosine part, its relation part) of unit vectors [n][d]."""
    cosine = (1 - (embeddings * targets).sum(1)).mean()
    mine, theirs = embeddings @ embeddings.T, targets @ targets.T
    relation = ((mine - theirs) ** 2).mean()
    return cosine + RELATION_WEIGHT * relation, cosine, relation


def rate_at(step, settings):
    """Learning rate: a short rise, then a cosine to zero."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    share = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1, share)))


def _groups(student, decay):
    """Weight decay for kernels only."""
    kernels = [p for p in student.parameters() if p.ndim > 1]
    rest = [p for p in student.parameters() if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]


class Run:
    """One training run in its folder."""

    def __init__(self, folder, settings, pictures, embeddings, device, workers=2):
        self.folder, self.settings, self.device = Path(folder), settings, device
        self.pictures, self.embeddings, self.workers = pictures, embeddings, workers
        there = embeddings.there() if embeddings else np.arange(len(pictures))
        held_out = np.asarray(pictures.held_out)[there] == 1
        self.training, self.validation = there[~held_out], there[held_out][:MOST_VALIDATION]
        if len(self.training) < settings.batch:
            raise BadRun(
                f"{len(self.training)} pictures to train on, fewer than a batch of {settings.batch}"
            )
        if len(self.validation) == 0:
            raise BadRun("no picture is held out for validation; index with a larger share")
        self.step, self.rows, self.seconds = 0, [], 0.0
        self.sums = [0.0, 0.0, 0.0, 0]  # three losses since the last evaluation, and how many
        self._build()

    def _build(self):
        s = self.settings
        torch.manual_seed(s.seed)
        self.teacher = None
        if s.start:
            self.student = network.load(s.start)
        else:
            if s.frac_bits or not self.embeddings:
                raise BadRun("fixed point starts from a trained network: name one with --start")
            self.student = network.new(s.width, self.embeddings.size)
        if s.frac_bits:
            self.teacher = copy.deepcopy(self.student).eval().to(self.device)
            self.student = fixed.from_network(self.student, fixed.read_frac_bits(s.frac_bits))
        elif self.student.embedding_size() != self.embeddings.size:
            raise BadRun("teacher and student have embeddings of different lengths")
        for module in self.student.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = NORM_MOMENTUM
        self.student.to(self.device)
        self.optimizer = torch.optim.AdamW(_groups(self.student, s.weight_decay))

    # ---- checkpoints ----

    def save(self):
        facts = {
            "settings": asdict(self.settings),
            "data": self.pictures.facts["digest"],
            "step": self.step,
            "rows": self.rows,
            "seconds": self.seconds,
            "sums": self.sums,
        }
        checkpoint.save(self.folder / CHECKPOINT, self.student, self.optimizer, facts)
        save = fixed.save if self.settings.frac_bits else network.save
        save(self.student, self.folder / "network.safetensors", trained_steps=self.step)
        curves.write(self.folder / "curves.csv", self.rows)

    def resume(self):
        """Go on from the checkpoint in the folder."""
        path = self.folder / CHECKPOINT
        try:
            arrays, facts = checkpoint.read(path)
            mine = asdict(self.settings)
            changed = [k for k, v in mine.items() if facts["settings"].get(k) != v]
            if changed:
                raise BadRun(f"{path}: made with another {', '.join(changed)}")
            if facts["data"] != self.pictures.facts["digest"]:
                raise BadRun(f"{path}: made with other pictures")
            checkpoint.restore(arrays, self.student, self.optimizer)
            self.step, self.rows, self.seconds = facts["step"], facts["rows"], facts["seconds"]
            self.sums = facts["sums"]
        except checkpoint.BadCheckpoint as error:
            raise BadRun(f"{path}: no checkpoint to resume from: {error}") from error

    # ---- the loop ----

    def _targets(self, numbers, pixels):
        if self.teacher is None:
            return self.embeddings.of(numbers, self.device)
        with torch.no_grad():
            return self.teacher(pixels)

    def _train_one(self, numbers, pixels):
        s = self.settings
        rate = rate_at(self.step, s)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        pixels = augment(pixels, s.seed, self.step)
        self.student.train()
        losses = distillation_loss(self.student(pixels), self._targets(numbers, pixels))
        if not torch.isfinite(losses[0]):
            raise BadRun(f"step {self.step}: the loss is no number; try a smaller learning rate")
        self.optimizer.zero_grad()
        losses[0].backward()
        self.optimizer.step()
        self.step += 1
        if s.frac_bits and (self.step % GRIDS_EVERY == 0 or self.step == s.steps):
            self.student.choose_grids()
        return [x.item() for x in losses]

    @torch.no_grad()
    def _cosine(self, chosen):
        """Mean cosine to the teacher on plain crops."""
        self.student.eval()
        total = 0.0
        batches = in_order(chosen, self.settings.batch)
        for numbers, pixels in load(self.pictures, batches, 0, self.device):
            found = self.student(pixels.float())
            total += (found * self._targets(numbers, pixels.float())).sum().item()
        return total / len(chosen)

    def _evaluate(self, steps_an_epoch):
        if self.settings.frac_bits:
            self.student.choose_grids()
        loss, cosine, relation = (x / self.sums[3] for x in self.sums[:3])
        self.sums = [0.0, 0.0, 0.0, 0]
        some = self.training[:: max(1, len(self.training) // len(self.validation))]
        self.rows.append(
            {
                "step": self.step,
                "epoch": self.step / steps_an_epoch,
                "seconds": self.seconds,
                "learning_rate": rate_at(self.step - 1, self.settings),
                "loss": loss,
                "cosine_loss": cosine,
                "relation_loss": relation,
                "training_cosine": self._cosine(some[: len(self.validation)]),
                "validation_cosine": self._cosine(self.validation),
            }
        )
        row = self.rows[-1]
        print(
            f"epoch {row['epoch']:.1f}, step {self.step} of {self.settings.steps}: loss {loss:.4f},"
            f" cosine {row['training_cosine']:.4f} on training pictures,"
            f" {row['validation_cosine']:.4f} on people held out; {self.seconds:.0f} s",
            file=sys.stderr,
            flush=True,
        )

    def train(self, stop_after=None):
        """Run to the last step, or to `stop_after`; give the verdict on the curves."""
        s = self.settings
        order = Order(self.training, s.batch, s.seed, self.step)
        every = s.evaluate_every or order.steps_an_epoch
        end = min(s.steps, stop_after or s.steps)
        began = time.monotonic() - self.seconds
        if self.step < end:
            for numbers, pixels in load(self.pictures, order, self.workers, self.device):
                losses = self._train_one(numbers, pixels)
                self.sums = [a + b for a, b in zip(self.sums, [*losses, 1], strict=True)]
                self.seconds = time.monotonic() - began
                if self.step % every == 0 or self.step == s.steps:
                    self._evaluate(order.steps_an_epoch)
                    self.save()
                if self.step >= end:
                    break
        self.save()
        curves.plot(self.folder / "curves.csv", self.folder / "curves.svg")
        verdict = curves.judge(self.rows)
        (self.folder / "report.txt").write_text(verdict + "\n")
        return verdict
