# SPDX-License-Identifier: Apache-2.0
"""Training's fixed point is the engine's, bit for bit; and gradients reach every weight."""

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from model.train import fixed, network
from tests.train.conftest import DATA, tool

MASK = 2**64 - 1
THIN = DATA / "thin" / "thin-512.safetensors"


def golden_picture(seed):
    """The self-test's picture, as docs/model-format.md has it: splitmix64, low bytes first."""
    out = bytearray()
    while len(out) < 160 * 160 * 3:
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        out += (z ^ (z >> 31)).to_bytes(8, "little")
    pixels = np.frombuffer(bytes(out[: 160 * 160 * 3]), np.uint8).reshape(160, 160, 3)
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32))


@pytest.fixture(params=["random", "trained"])
def source(request, tmp_path):
    """A float network with BatchNorm apart, as a file."""
    if request.param == "trained":
        if not THIN.exists():
            pytest.skip(f"no {THIN}")
        return THIN
    torch.manual_seed(5)
    random = network.new(0.125, 24)
    for module in random.modules():  # statistics that a fold must get right
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.4)
    network.save(random, tmp_path / "random.safetensors")
    return tmp_path / "random.safetensors"


@pytest.fixture
def student(source, people, tmp_path):
    """The network in fixed point, its pins chosen by facenet-model."""
    pins = tmp_path / "pins.json"
    args = ("--calibration", people / "Person_A", "--device", "reference")
    plain = ("--no-equalisation", "--no-bias-correction")
    tool("quantize", source, *args, *plain, "--write-frac-bits", pins, "-o", tmp_path / "first")
    return fixed.from_network(network.load(source), fixed.read_frac_bits(pins)), pins


def quantized(student, pins, tmp_path):
    """What facenet-model makes of the student: (tensors, metadata)."""
    fixed.save(student, tmp_path / "student.safetensors")
    path = tmp_path / "model.safetensors"
    tool("quantize", tmp_path / "student.safetensors", "--frac-bits", pins, "-o", path)
    with safe_open(path, "numpy") as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, file.metadata()


def check_bits(student, pins, tmp_path):
    tensors, facts = quantized(student, pins, tmp_path)
    for scope, unit in student.units.items():
        weights, bias = unit.integers()
        assert (weights.numpy().transpose(0, 2, 3, 1) == tensors[f"{scope}/weights"]).all(), scope
        assert (bias.numpy() == tensors[f"{scope}/bias"]).all(), scope
        assert (unit.frac.numpy() == tensors[f"{scope}/frac_bits"]).all(), scope
    picture = golden_picture(int(facts["golden_seed"], 0))
    with torch.no_grad():
        found = student.accumulators(picture).numpy()[0]
    assert np.abs(found).max() > 1000  # a dead network would agree with anything
    digest = hashlib.sha256(found.astype("<i4").tobytes()).hexdigest()
    assert digest == facts["golden_accumulators_sha256"]


def test_the_accumulators_are_the_engines(student, tmp_path):
    check_bits(*student, tmp_path)


def test_the_accumulators_are_the_engines_after_training(student, tmp_path):
    trained, pins = student
    optimizer = torch.optim.SGD(trained.parameters(), lr=1e-3)
    pixels = torch.rand(4, 3, 160, 160, generator=torch.Generator().manual_seed(1)) * 255
    before = trained(pixels).detach()
    for _ in range(2):
        loss = (trained(pixels) * torch.linspace(-1, 1, before.shape[1])).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        trained.choose_grids()
    assert not torch.equal(before, trained(pixels))
    check_bits(trained, pins, tmp_path)


def test_gradients_reach_every_layer(student):
    trained, _ = student
    pixels = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(2)) * 255
    (trained(pixels) * torch.linspace(-1, 1, trained.embedding_size())).sum().backward()
    for scope, unit in trained.units.items():
        assert unit.weight.grad.abs().sum() > 0, scope
        assert unit.bias.grad.abs().sum() > 0, scope


def test_fixed_point_stays_near_the_float_network(source, student):
    pixels = torch.rand(4, 3, 160, 160, generator=torch.Generator().manual_seed(3)) * 255
    exact = network.load(source).eval()
    with torch.no_grad():
        cosine = (student[0](pixels) * exact(pixels)).sum(1)
    assert cosine.min() > 0.9


def test_a_half_rounds_up_and_clamps():
    x = torch.tensor([-0.75, -0.25, 0.25, 0.75, 99.0, -99.0])
    assert fixed.on_grid(x, 2.0, -4, 7).tolist() == [-0.5, 0.0, 0.5, 1.0, 3.5, -2.0]


def test_pins_of_another_network_are_refused(source, student, tmp_path):
    bits = fixed.read_frac_bits(student[1])
    bits.pop("image")
    with pytest.raises(network.BadNetwork, match="image"):
        fixed.from_network(network.load(source), bits)
    (tmp_path / "bad").write_text(json.dumps({"frac_bits": {"image": "seven"}}))
    with pytest.raises(network.BadNetwork, match="no fractional bits"):
        fixed.read_frac_bits(tmp_path / "bad")
    (tmp_path / "scaled").write_text(json.dumps({"frac_bits": {"image": 7}, "scales": {"a": "h"}}))
    with pytest.raises(network.BadNetwork, match="has scales"):
        fixed.read_frac_bits(tmp_path / "scaled")
