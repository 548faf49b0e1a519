# SPDX-License-Identifier: Apache-2.0
"""The network in the engine's fixed point, to be trained: bit for bit what the engine computes.

Values stay real numbers that lie on the engine's grids (q * 2^-f). Scaling by powers of two is
exact in floating point, so a sum of products here is the engine's integer as long as it fits the
mantissa: a convolution whose worst sum is below 2^24 runs in float32, any other in float64; bias,
residual and rounding are in float64. Gradients pass the rounding as if it were not there, and stop
where a value is clamped (the straight-through estimate).

Weights are the folded ones (BatchNorm and residual scale within), as `facenet-model quantize` sees
them. The activations' fractional bits come from its `--write-frac-bits` and stay.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional

from model.train import topology
from model.train.files import write_whole
from model.train.network import EPSILON, METADATA, BadNetwork

FRAC_W = range(-6, 31)
SHIFT_MAX = 30  # of an accumulator
RESIDUAL_MAX = 23  # of a block's input
CANDIDATES = 6  # grids tried, each twice as fine as the one before
FLOAT32_EXACT = 2.0**24


class _Floor(torch.autograd.Function):
    """floor(x + 1/2); the gradient passes."""

    @staticmethod
    def forward(context, x):
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(context, gradient):
        return gradient


def on_grid(x, scale, low, high):
    """The nearest q / scale with low <= q <= high, halves upwards; scale a power of two."""
    return _Floor.apply((x * scale).clamp(low, high)) / scale


def fold(unit, layer):
    """Weights and bias of a layer in float64, as model/sources/source_fold.c folds them."""
    weights, bias = unit.conv.weight.detach().double(), unit.conv.bias
    rs = layer.residual_scale
    bias = torch.zeros(len(weights)).double() if bias is None else bias.detach().double()
    scale = torch.full_like(bias, rs)
    if unit.norm:
        norm = unit.norm
        scale = rs * norm.weight.detach().double()
        scale = scale / torch.sqrt(norm.running_var.double() + EPSILON)
        bias = bias - norm.running_mean.double()
    bias = scale * bias
    if unit.norm:
        bias = bias + rs * unit.norm.bias.detach().double()
    return weights * scale[:, None, None, None], bias


def best_frac(weights, low, high):
    """Per channel the f of least squared error within low...high. weights: float64 [oc][k]."""
    # From the finest grid that clips nothing on, rounding errors fall and clipping errors grow.
    most = weights.abs().amax(1).clamp(min=2.0**-40)
    widest = torch.floor(torch.log2(127.5 / most))
    best, least = widest.clamp(low, high), torch.full_like(most, float("inf"))
    for finer in range(CANDIDATES):
        f = (widest + finer).clamp(low, high)
        scale = torch.exp2(f)[:, None]
        q = torch.floor(weights * scale + 0.5).clamp(-127, 127)
        error = ((weights - q / scale) ** 2).sum(1)
        best = torch.where(error < least, f, best)
        least = torch.minimum(error, least)
    return best.long()


def coarsest(q, frac, low):
    """The smallest f that holds the same values: what the quantizer takes of equals."""
    frac = frac.clone()
    while True:
        halves = (q % 2 == 0).all(1) & (frac > low)
        if not halves.any():
            return frac
        q = torch.where(halves[:, None], q / 2, q)
        frac[halves] -= 1


class FixedUnit(nn.Module):
    """One layer's weights, to be trained, and the grids they are on at present."""

    def __init__(self, layer, weights, bias, f_in, f_out, f_residual):
        super().__init__()
        self.layer = layer
        self.weight = nn.Parameter(weights.float())
        self.bias = nn.Parameter(bias.float())
        self.f_in, self.f_out, self.f_residual = f_in, f_out, f_residual
        self.register_buffer("frac", torch.zeros(len(bias), dtype=torch.int64))
        self.register_buffer("exact_in_float32", torch.tensor(False))
        self.choose_grids()

    def _limits(self):
        """The range of f_w in which both shifts are legal."""
        low, high = FRAC_W[0], FRAC_W[-1]
        if self.f_out is not None:
            low = max(low, self.f_out - self.f_in)
            high = min(high, self.f_out - self.f_in + SHIFT_MAX)
        if self.f_residual is not None:
            low = max(low, self.f_residual - self.f_in)
            high = min(high, self.f_residual - self.f_in + RESIDUAL_MAX)
        if low > high:
            raise BadNetwork(f"{self.layer.scope}: no f_w keeps both shifts within their limits")
        return low, high

    def integers(self):
        """Weights and bias as the engine's integers, in float64."""
        scale = torch.exp2(self.frac.double())
        q = torch.floor(self.weight.detach().double() * scale[:, None, None, None] + 0.5)
        q = q.clamp(-127, 127)
        bias = self.bias.detach().double() * scale * 2.0**self.f_in
        if self.layer.input == topology.IMAGE:
            bias = bias + 0.5 * q.sum((1, 2, 3))  # the pixel's half step
        return q, torch.floor(bias * self.positions() + 0.5)

    def positions(self):
        return 9 if self.layer.op == "head" else 1

    @torch.no_grad()
    def choose_grids(self):
        """Choose every channel's f_w anew, as the quantizer does, with sums that fit int32."""
        low, high = self._limits()
        flat = self.weight.double().flatten(1)
        best = best_frac(flat, low, high)
        q = torch.floor(flat * torch.exp2(best.double())[:, None] + 0.5).clamp(-127, 127)
        self.frac.copy_(coarsest(q, best, low))
        while True:
            q, bias = self.integers()
            worst = 128 * q.abs().sum((1, 2, 3)) * self.positions()
            products = worst.max()
            shift = self.frac + self.f_in
            worst = worst + bias.abs()
            if self.f_residual is not None:
                worst = worst + 127 * torch.exp2((shift - self.f_residual).double())
            if self.f_out is not None:
                worst = worst + torch.exp2((shift - self.f_out).double()) / 2
            over = (worst >= 2**31) & (self.frac > low)
            if not over.any():
                break
            self.frac[over] -= 1
        if (worst >= 2**31).any():
            raise BadNetwork(f"{self.layer.scope}: a channel's sums do not fit 32 bits")
        self.exact_in_float32.copy_(products < FLOAT32_EXACT)

    def weights_on_grid(self):
        """float64, because the sum of a float32 and a half can round up."""
        scale = torch.exp2(self.frac.double())[:, None, None, None]
        return on_grid(self.weight.double(), scale, -127, 127)

    def products(self, x):
        """The convolution without its bias, on the grid of the accumulator."""
        weights = self.weights_on_grid()
        if self.exact_in_float32:
            weights = weights.float()
        return functional.conv2d(
            x.to(weights.dtype), weights, None, self.layer.stride, self.layer.pad
        ).double()

    def add_bias(self, products):
        """What the engine adds, the pixel's half step included; the gradient goes to the bias."""
        _, whole = self.integers()
        exact = whole / torch.exp2((self.frac + self.f_in).double())
        bias = self.bias.double() * self.positions()
        return products + (bias + (exact - bias).detach())[:, None, None]


class FixedNetwork(nn.Module):
    """Pixels 0...255 as float [n][3][160][160] to unit-length embeddings [n][d]."""

    def __init__(self, layer_list, folded, frac_bits):
        super().__init__()
        self.layers, self.frac_bits = layer_list, frac_bits
        self.units = nn.ModuleDict()
        for layer in layer_list:
            if layer.op == "pool":
                continue
            f_out = None if layer.op == "head" else frac_bits[layer.output]
            f_residual = frac_bits[layer.residual] if layer.residual else None
            self.units[layer.scope] = FixedUnit(
                layer, *folded[layer.scope], frac_bits[layer.input], f_out, f_residual
            )

    def choose_grids(self):
        for unit in self.units.values():
            unit.choose_grids()

    def _run(self, layer, x, residual):
        if layer.op == "head":
            return self._head(self.units[layer.scope], x)
        low, f_out = 0 if layer.relu else -128, self.frac_bits[layer.output]
        if layer.op == "pool":
            x = functional.max_pool2d(x, layer.kernel, layer.stride)
            return on_grid(x, 2.0**f_out, -128, 127)
        unit = self.units[layer.scope]
        total = unit.add_bias(unit.products(x))
        if residual is not None:
            total = total + residual
        return on_grid(total, 2.0**f_out, low, 127).float()

    def _head(self, unit, x):
        """The sum over the positions, float64: the engine's accumulator * 2^-(f_in + f_w)."""
        summed = x.double().sum((2, 3), keepdim=True)
        return unit.add_bias(functional.conv2d(summed, unit.weights_on_grid())).flatten(1)

    def sums(self, pixels):
        """The head's sums before they are brought to unit length, float64 [n][d]."""
        image = on_grid(pixels - 128, 1, -128, 127) / 128
        return topology.walk(self.layers, image, self._run, lambda parts: torch.cat(parts, 1))

    def accumulators(self, pixels):
        """The engine's int32 accumulators of the head."""
        unit = self.units[self.layers[-1].scope]
        return torch.round(self.sums(pixels) * torch.exp2((unit.frac + unit.f_in).double()))

    def forward(self, pixels):
        return functional.normalize(self.sums(pixels)).float()

    def embedding_size(self):
        return self.layers[-1].out_channels


def read_frac_bits(path):
    """Tensor name to f, from the file of `facenet-model quantize --write-frac-bits`."""
    try:
        pins = json.loads(Path(path).read_text())
        bits = {str(name): int(f) for name, f in pins["frac_bits"].items()}
        extra = [key for key in ("scales", "corrections") if pins.get(key)]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise BadNetwork(f"{path}: no fractional bits: {error}") from error
    if extra:  # training knows nothing of them, and quantizing would apply them once more
        raise BadNetwork(f"{path}: has {extra[0]}; quantize --no-equalisation --no-bias-correction")
    return bits


def from_network(network, frac_bits):
    """The fixed-point form of a float network."""
    written = {layer.output for layer in network.layers if layer.op != "head"} | {topology.IMAGE}
    if written != frac_bits.keys():
        odd = sorted(written ^ frac_bits.keys())[0]
        raise BadNetwork(f"fractional bits of {odd}: one side only has them")
    folded = {
        layer.scope: fold(network.units[layer.scope], layer)
        for layer in network.layers
        if layer.op != "pool"
    }
    return FixedNetwork(network.layers, folded, frac_bits)


def save(network, path, **metadata):
    """Write folded weights that lie on their grids, so that quantizing them changes nothing."""
    arrays = {}
    for scope, unit in network.units.items():
        q, _ = unit.integers()
        weights = (q / torch.exp2(unit.frac.double())[:, None, None, None]).cpu().numpy()
        weights = weights.transpose(2, 3, 1, 0).astype(np.float32)
        if unit.layer.op == "head":
            weights = weights[0, 0]
        arrays[f"{scope}/weights"] = np.ascontiguousarray(weights)
        arrays[f"{scope}/biases"] = unit.bias.detach().cpu().numpy()
    text = {
        **METADATA,
        "residual_scale": "folded",
        "embedding_size": str(network.embedding_size()),
        **{key: str(value) for key, value in metadata.items()},
    }
    write_whole(path, lambda part: save_file(arrays, part, metadata=text))
