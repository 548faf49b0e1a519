# SPDX-License-Identifier: Apache-2.0
"""Run facenet-model as its users do. FACENETD_BUILD names the directory of the programs."""

import os
import pathlib
import subprocess

import numpy as np
import pytest
from PIL import Image

from tests.model import slim

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = (ROOT / os.environ.get("FACENETD_BUILD", "build")).resolve() / "facenet-model"


@pytest.fixture(scope="session")
def tool():
    """Run a command; expect its exit status; give the finished process."""

    def run(*args, status=0):
        done = subprocess.run(
            [TOOL, *map(str, args)], capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def network():
    return slim.Network()


@pytest.fixture(scope="session")
def sources(network, tmp_path_factory):
    """The same network as (folder of .npy files, safetensors file)."""
    folder = tmp_path_factory.mktemp("sources")
    network.write_npy(folder / "npy")
    network.write_safetensors(folder / "net.safetensors")
    return folder / "npy", folder / "net.safetensors"


def picture(seed, side=160):
    """A smooth random picture."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Five people, three pictures each, in LFW's folders, 160 x 160 as PNG, and their pairs."""
    folder = tmp_path_factory.mktemp("people")
    people = [f"Person_{c}" for c in "ABCDE"]
    for p, name in enumerate(people):
        (folder / name).mkdir()
        for i in (1, 2, 3):
            base = np.asarray(picture(p), dtype=float)
            mixed = 0.7 * base + 0.3 * np.asarray(picture(100 * p + i), dtype=float)
            Image.fromarray(mixed.astype(np.uint8)).save(folder / name / f"{name}_{i:04}.png")
    lines = ["10"]
    lines += [f"{n}\t{i}\t{j}" for n in people for i, j in ((1, 2), (2, 3))]
    lines += [f"{a}\t1\t{b}\t2" for k, a in enumerate(people) for b in people[k + 1 :]]
    (folder / "pairs.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def model(tool, sources, pictures, tmp_path_factory):
    """The network quantized on the pictures."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    tool("quantize", sources[0], "--calibration", pictures, "-o", path, "--device", "reference")
    return path
