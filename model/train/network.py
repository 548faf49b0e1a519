# SPDX-License-Identifier: Apache-2.0
"""The network in float32, and its file: safetensors under TensorFlow-slim names.

The file is what `facenet-model quantize` reads: kernels HWIO, BatchNorm (gamma, beta, moving mean
and variance) and residual scales apart, the Bottleneck a matrix.
"""

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional

from model.train import topology
from model.train.files import write_whole

EPSILON = 0.001
METADATA = {
    "network": topology.ROOT,
    "layout": "HWIO",
    "preprocessing": "fixed",
    "batchnorm_epsilon": str(EPSILON),
    "residual_scale": "separate: block35 0.17, block17 0.10, block8 0.20, Block8 1.0",
}


class BadNetwork(Exception):
    """A file of weights that is not what it should be."""


class Unit(nn.Module):
    """A convolution with BatchNorm, or, for an up-projection, with a bias."""

    def __init__(self, layer):
        super().__init__()
        plain = layer.residual is not None
        self.conv = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel,
            layer.stride,
            layer.pad,
            bias=plain,
        )
        self.norm = None if plain else nn.BatchNorm2d(layer.out_channels, eps=EPSILON)
        if plain:
            nn.init.zeros_(self.conv.bias)
        else:
            nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x):
        x = self.conv(x)
        return x if self.norm is None else self.norm(x)


class Network(nn.Module):
    """Pixels 0...255 as float [n][3][160][160] to unit-length embeddings [n][d]."""

    def __init__(self, layer_list):
        super().__init__()
        self.layers = layer_list
        self.units = nn.ModuleDict(
            {layer.scope: Unit(layer) for layer in layer_list if layer.op != "pool"}
        )

    def _run(self, layer, x, residual):
        if layer.op == "pool":
            return functional.max_pool2d(x, layer.kernel, layer.stride)
        if layer.op == "head":
            x = x.mean((2, 3), keepdim=True)
            return functional.normalize(self.units[layer.scope](x).flatten(1))
        x = self.units[layer.scope](x)
        if residual is not None:
            x = residual + layer.residual_scale * x
        return functional.relu(x) if layer.relu else x

    def forward(self, pixels):
        return topology.walk(self.layers, (pixels - 127.5) / 128, self._run, _join)

    def embedding_size(self):
        return self.layers[-1].out_channels


def _join(parts):
    return torch.cat(parts, 1)


def new(width, embedding_size):
    """An untrained network of `width` times the full one's widths."""
    return Network(topology.layers(topology.scaled(width), embedding_size))


_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def _arrays(network):
    """Slim name to (tensor of the module, how many axes its array has)."""
    found = {}
    for scope, unit in network.units.items():
        found[f"{scope}/weights"] = unit.conv.weight, 2 if scope.endswith("/Bottleneck") else 4
        if unit.conv.bias is not None:
            found[f"{scope}/biases"] = unit.conv.bias, 1
        for slim, name in _NORM.items() if unit.norm else ():
            found[f"{scope}/BatchNorm/{slim}"] = getattr(unit.norm, name), 1
    return found


def save(network, path, half=False, **metadata):
    """Write the file whole or not at all. half: kernels as float16."""
    arrays = {}
    for name, (tensor, rank) in _arrays(network).items():
        array = tensor.detach().cpu().float().numpy()
        if rank == 4:
            array = array.transpose(2, 3, 1, 0)
        elif rank == 2:
            array = array[:, :, 0, 0].T
        kind = np.float16 if half and rank > 1 else np.float32
        arrays[name] = np.ascontiguousarray(array, dtype=kind)
    n = network.embedding_size()
    text = {**METADATA, "embedding_size": str(n), **{k: str(v) for k, v in metadata.items()}}
    write_whole(path, lambda part: save_file(arrays, part, metadata=text))


def _read(path):
    try:
        with safe_open(path, "numpy") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except Exception as error:  # the library has no one class of its own for what it refuses
        raise BadNetwork(f"{path}: {error}") from error


def load(path):
    """Read a network that `save` wrote, or any slim file with BatchNorm apart."""
    arrays, metadata = _read(path)
    for key in ("layout", "preprocessing", "batchnorm_epsilon"):
        if metadata.get(key, METADATA[key]) != METADATA[key]:
            raise BadNetwork(f"{path}: {key} {metadata[key]!r}; expected {METADATA[key]!r}")
    if not metadata.get("residual_scale", "separate").startswith("separate"):
        raise BadNetwork(f"{path}: residual scales are folded; expected them separate")

    def width_of(scope, _full):
        name = f"{scope}/weights"
        if name not in arrays:
            raise BadNetwork(f"{path}: {name} is missing")
        return arrays[name].shape[-1]

    head = f"{topology.ROOT}/Bottleneck"
    network = Network(topology.layers(width_of, width_of(head, None)))
    wanted = _arrays(network)
    if wanted.keys() != arrays.keys():
        odd = sorted(wanted.keys() ^ arrays.keys())[0]
        raise BadNetwork(f"{path}: {odd} is {'missing' if odd in wanted else 'not expected'}")
    with torch.no_grad():
        for name, (tensor, rank) in wanted.items():
            array = arrays[name].astype(np.float32)
            if rank == 4 and array.ndim == 4:
                array = array.transpose(3, 2, 0, 1)
            elif rank == 2 and array.ndim == 2:
                array = array.T[:, :, None, None]
            if array.shape != tuple(tensor.shape):
                raise BadNetwork(f"{path}: {name} has shape {list(arrays[name].shape)}")
            if not np.isfinite(array).all():
                raise BadNetwork(f"{path}: {name} has a number that is not finite")
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    return network
