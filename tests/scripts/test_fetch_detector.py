# SPDX-License-Identifier: Apache-2.0
"""scripts/fetch-detector.sh and detector.sh against a folder of wheels instead of PyPI.

The pinned digest belongs to a wheel of others, so the scripts run in a small copy of the tree whose
model/sources/detector-wheel.txt names one made here; all else is the scripts as they are.
"""

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NETS = {f"{net}.pt": net.encode() * 100 for net in ("pnet", "rnet", "onet")}


def make_wheel(folder):
    info = "facenet_pytorch-2.6.0.dist-info"
    path = folder / "facenet_pytorch-2.6.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in NETS.items():
            wheel.writestr(f"facenet_pytorch/data/{name}", data)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: facenet-pytorch\nVersion: 2.6.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def tree(tmp_path):
    """A checkout with nothing beside it, and pip that sees one wheel only."""
    root = tmp_path / "alone" / "facenetd"
    (root / "scripts").mkdir(parents=True)
    (root / "model" / "sources").mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    for name in ("fetch-detector.sh", "detector.sh"):
        shutil.copy2(ROOT / "scripts" / name, root / "scripts" / name)
    digest = hashlib.sha256(make_wheel(tmp_path / "wheels").read_bytes()).hexdigest()
    pin(root, digest)
    return root


def pin(root, digest):
    (root / "model" / "sources" / "detector-wheel.txt").write_text(
        f"facenet-pytorch==2.6.0 --hash=sha256:{digest}\n"
    )


def run(root, script, *args, **env):
    wheels = root.parents[1] / "wheels"
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FACENET", "PIP_"))}
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(
        [root / "scripts" / script, *args], env={**clean, **offline, **env}, check=False,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_the_weights_arrive_whole_and_once(tree):
    done = run(tree, "detector.sh")
    folder = tree / "build" / "weights" / "mtcnn"
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{folder}\n"
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == NETS
    shutil.rmtree(tree.parents[1] / "wheels")
    again = run(tree, "detector.sh")
    assert again.stdout == done.stdout and "downloading" not in again.stderr


def test_a_wheel_that_is_not_the_pinned_one_is_refused(tree):
    pin(tree, "0" * 64)
    done = run(tree, "fetch-detector.sh", tree / "out")
    assert done.returncode == 1 and "sha256" in done.stderr
    assert [p.name for p in tree.iterdir() if p.name.startswith("out")] == ["out.lock"]


def test_without_a_network_it_is_the_repositorys_own_and_that_is_said(tree):
    shutil.rmtree(tree.parents[1] / "wheels")
    done = run(tree, "detector.sh")
    assert done.returncode == 0 and done.stdout == f"{tree}/models/thin-512.safetensors\n"
    assert "download failed" in done.stderr and "the repository's own" in done.stderr


def test_a_named_detector_comes_first_and_must_be_there(tree, tmp_path):
    named = run(tree, "detector.sh", FACENET_DETECTOR=str(tmp_path))
    assert named.stdout == f"{tmp_path}\n"
    absent = run(tree, "detector.sh", FACENET_DETECTOR=str(tmp_path / "absent"))
    assert absent.returncode == 1 and absent.stdout == ""


def test_one_beside_the_checkout_is_not_downloaded(tree):
    beside = tree.parent / "shared" / "data" / "mtcnn-npy"
    beside.mkdir(parents=True)
    assert run(tree, "detector.sh").stdout == f"{beside.resolve()}\n"


def test_usage(tree):
    assert run(tree, "fetch-detector.sh").returncode == 2
