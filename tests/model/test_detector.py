# SPDX-License-Identifier: Apache-2.0
"""The detector's weights come to the same model from each form that people have them in."""

import collections
import io
import pickle
import subprocess
import sys
import types
import zipfile

import numpy as np
import pytest

from tests.model.conftest import TOOL

# Name of the .npy, axes [x, y, in, out] or [rows, out], and the name in a state dict.
LAYERS = {
    "pnet": [
        ("conv1", (3, 3, 3, 10), "conv1"), ("conv2", (3, 3, 10, 16), "conv2"),
        ("conv3", (3, 3, 16, 32), "conv3"), ("conv4-1", (1, 1, 32, 2), "conv4_1"),
        ("conv4-2", (1, 1, 32, 4), "conv4_2"),
    ],
    "rnet": [
        ("conv1", (3, 3, 3, 28), "conv1"), ("conv2", (3, 3, 28, 48), "conv2"),
        ("conv3", (2, 2, 48, 64), "conv3"), ("conv4", (576, 128), "dense4"),
        ("conv5-1", (128, 2), "dense5_1"), ("conv5-2", (128, 4), "dense5_2"),
    ],
    "onet": [
        ("conv1", (3, 3, 3, 32), "conv1"), ("conv2", (3, 3, 32, 64), "conv2"),
        ("conv3", (3, 3, 64, 64), "conv3"), ("conv4", (2, 2, 64, 128), "conv4"),
        ("conv5", (1152, 256), "dense5"), ("conv6-1", (256, 2), "dense6_1"),
        ("conv6-2", (256, 4), "dense6_2"), ("conv6-3", (256, 10), "dense6_3"),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def nets():
    """{net: {group: {part: array}}} as davidsandberg/facenet publishes them."""
    rng = np.random.default_rng(1)
    result = {}
    for net, layers in LAYERS.items():
        groups = {}
        for i, (group, shape, _) in enumerate(layers):
            groups[group] = {
                "weights": rng.standard_normal(shape).astype("<f4"),
                "biases": rng.standard_normal(shape[-1]).astype("<f4"),
            }
            if "-" not in group:
                slopes = f"{'PReLU' if net == 'pnet' else 'prelu'}{i + 1}"
                groups[slopes] = {"alpha": rng.standard_normal(shape[-1]).astype("<f4")}
        result[net] = groups
    return result


def write_folders(nets, root):
    for net, groups in nets.items():
        (root / net).mkdir(parents=True)
        for group, parts in groups.items():
            for part, array in parts.items():
                np.save(root / net / f"{group}_{part}.npy", array)


def write_pickles(nets, root):
    root.mkdir()
    for i, groups in enumerate(nets.values()):
        np.save(root / f"det{i + 1}.npy", groups, allow_pickle=True)


class StateDict(pickle.Pickler):
    """torch.save() without torch: tensors are calls of its function on numbered storages."""

    def __init__(self, file):
        super().__init__(file, protocol=2)
        self.storages = []

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        self.storages.append(value.data)
        key = str(len(self.storages) - 1)
        return ("storage", sys.modules["torch"].FloatStorage, key, "cpu", len(value.data) // 4)


class Storage:
    def __init__(self, data):
        self.data = data


class Tensor:
    def __init__(self, array):
        self.array = np.ascontiguousarray(array)

    def __reduce__(self):
        strides = tuple(s // 4 for s in self.array.strides)
        arguments = (Storage(self.array.tobytes()), 0, self.array.shape, strides, False)
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (
            *arguments, collections.OrderedDict(),
        )  # fmt: skip


@pytest.fixture
def torch_names(monkeypatch):
    """Modules with the names that a state dict calls; nothing in them is ever run."""

    def _rebuild_tensor_v2():
        raise AssertionError

    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    torch._utils = utils
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def write_state_dicts(nets, root):
    root.mkdir()
    for net, groups in nets.items():
        state = collections.OrderedDict()
        for i, (group, shape, name) in enumerate(LAYERS[net]):
            state[f"{name}.weight"] = Tensor(groups[group]["weights"].transpose())
            state[f"{name}.bias"] = Tensor(groups[group]["biases"])
            slopes = groups.get(f"PReLU{i + 1}") or groups.get(f"prelu{i + 1}")
            if "-" not in group:
                state[f"prelu{i + 1}.weight"] = Tensor(slopes["alpha"])
            assert shape[-1] == groups[group]["biases"].size
        text = io.BytesIO()
        pickler = StateDict(text)
        pickler.dump(state)
        with zipfile.ZipFile(root / f"{net}.pt", "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(f"{net}/data.pkl", text.getvalue())
            archive.writestr(f"{net}/byteorder", "little")
            for k, data in enumerate(pickler.storages):
                archive.writestr(f"{net}/data/{k}", data)
            archive.writestr(f"{net}/version", "3\n")


def make(detector, output):
    tool = [TOOL, "untrained", "--width", "1", "--embedding-size", "8"]
    return subprocess.run(
        [*tool, "--detector", detector, "-o", output], capture_output=True, text=True, check=False
    )


def test_every_form_of_the_weights_gives_the_same_model(nets, tmp_path, torch_names):
    said = []
    for name, write in (
        ("folders", write_folders), ("pickles", write_pickles), ("states", write_state_dicts),
    ):  # fmt: skip
        write(nets, tmp_path / name)
        done = make(tmp_path / name, tmp_path / f"{name}.safetensors")
        assert done.returncode == 0, done.stderr
        said.append((tmp_path / f"{name}.safetensors").read_bytes())
    assert said[0] == said[1] == said[2]


def test_added_to_a_finished_model_it_is_the_model_made_with_it(nets, tmp_path):
    write_folders(nets, tmp_path / "weights")
    with_it, without, added = (tmp_path / f"{n}.safetensors" for n in ("with", "without", "added"))
    assert make(tmp_path / "weights", with_it).returncode == 0
    base = [TOOL, "untrained", "--width", "1", "--embedding-size", "8", "-o", without]
    subprocess.run(base, check=True, capture_output=True)
    add = [TOOL, "add-detector", without, "--detector", tmp_path / "weights", "-o", added]
    subprocess.run(add, check=True, capture_output=True)
    assert added.read_bytes() == with_it.read_bytes()
    wrong = subprocess.run(
        [*add, "--crop", "whole-160"], check=False, capture_output=True, text=True
    )
    assert wrong.returncode == 2 and "--crop whole-160" in wrong.stderr


def add(model, detector, output, status=0):
    done = subprocess.run(
        [TOOL, "add-detector", model, "--detector", detector, "-o", output],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_model_takes_over_the_detector_of_another_with_its_name(nets, tmp_path):
    write_folders(nets, tmp_path / "weights")
    (tmp_path / "weights" / "name.txt").write_text("of-ours-1\n")
    first, bare, second = (tmp_path / f"{n}.safetensors" for n in ("first", "bare", "second"))
    assert make(tmp_path / "weights", first).returncode == 0
    base = [TOOL, "untrained", "--width", "1", "--embedding-size", "8", "-o", bare]
    subprocess.run(base, check=True, capture_output=True)
    assert "faces found by of-ours-1" in add(bare, first, second)
    assert second.read_bytes() == first.read_bytes()
    assert "no detector to take" in add(first, bare, tmp_path / "x", status=1)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["", "\n", "Own", "two words", "a" * 32, "nul\0", "a\nb"])
def test_a_name_that_is_no_word_is_refused(nets, tmp_path, name):
    write_folders(nets, tmp_path / "weights")
    (tmp_path / "weights" / "name.txt").write_text(name)
    done = make(tmp_path / "weights", tmp_path / "x")
    assert done.returncode == 1 and "name.txt" in done.stderr


def test_a_state_dict_that_lacks_a_tensor_is_refused(nets, tmp_path, torch_names):
    less = {net: dict(groups) for net, groups in nets.items()}
    write_state_dicts(less, tmp_path / "states")
    broken = (
        (tmp_path / "states" / "rnet.pt").read_bytes().replace(b"dense5_1.bias", b"dense5_1.bits")
    )
    (tmp_path / "states" / "rnet.pt").write_bytes(broken)
    done = make(tmp_path / "states", tmp_path / "x")
    assert done.returncode == 1
    assert "rnet.pt" in done.stderr
