# SPDX-License-Identifier: Apache-2.0
"""A small teacher, pictures of a few people, and the programs to try the trainer with.

Real ones where they lie beside the checkout; elsewhere a network of random weights and smooth
random pictures, so that every test runs everywhere.
"""

import os
import pathlib
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from model.train import pictures, teacher
from tests.model import slim

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = (ROOT / os.environ.get("FACENETD_BUILD", "build")).resolve() / "facenet-model"
DATA = ROOT.parent / "shared" / "data"

torch.set_num_threads(1)


def tool(*args):
    done = subprocess.run(
        [TOOL, *map(str, args)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def smooth_picture(person, number, side=160):
    """Pictures of one person differ less than those of two."""
    base, own = (np.random.default_rng(s).integers(0, 256, (5, 5, 3)) for s in (person, number))
    coarse = (0.8 * base + 0.2 * own).astype(np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """Sixteen people, four pictures each, in LFW's folders and with a pairs file."""
    folder = tmp_path_factory.mktemp("people")
    names = [f"Person_{chr(65 + i)}" for i in range(16)]
    for p, name in enumerate(names):
        (folder / name).mkdir()
        for i in range(1, 5):
            smooth_picture(p, 100 * p + i).save(folder / name / f"{name}_{i:04}.png")
    same = [f"{name}\t{i}\t{i + 1}" for name in names[:10] for i in (1, 2)]
    other = [f"{a}\t1\t{b}\t2" for a, b in zip(names, names[1:] + names[:1], strict=True)]
    lines = ["20", *same, *other, *(f"{names[i]}\t3\t{names[i + 4]}\t3" for i in range(4))]
    (folder / "pairs.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def random_teacher(tmp_path_factory):
    """A network of random weights as ONNX, 32 floats."""
    folder = tmp_path_factory.mktemp("teacher")
    slim.Network(seed=3).write_safetensors(folder / "teacher.safetensors", preprocessing="fixed")
    tool("onnx", folder / "teacher.safetensors", "-o", folder / "teacher.onnx")
    return folder / "teacher.onnx"


@pytest.fixture(scope="session")
def taught(people, random_teacher, tmp_path_factory):
    """(Pictures, Embeddings) of the sixteen people."""
    data = tmp_path_factory.mktemp("data")
    pictures.index([people], data, "whole", 0.2)
    answers = teacher.teach(pictures.Pictures(data, True), random_teacher, workers=0, threads=1)
    return pictures.Pictures(data), answers
