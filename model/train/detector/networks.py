# SPDX-License-Identifier: Apache-2.0
"""The three networks (engine/detect/mtcnn.h has the same table) and the folder of .npy files that
`facenet-model quantize --detector` reads.

The files are in the published order: x and y exchanged, kernels [x][y][in][out], layers that see
their whole input [x * y * in][out].
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from model.train.files import save_array, write_whole


class BadDetector(Exception):
    """Files that hold no detector."""


@dataclass(frozen=True)
class Layer:
    name: str
    inputs: int
    outputs: int
    kernel: int
    pool: int = 0  # window of the maximum after it, stride 2; 0: none


LAYERS = {
    "pnet": (Layer("conv1", 3, 10, 3, 2), Layer("conv2", 10, 16, 3), Layer("conv3", 16, 32, 3)),
    "rnet": (
        Layer("conv1", 3, 28, 3, 3),
        Layer("conv2", 28, 48, 3, 3),
        Layer("conv3", 48, 64, 2),
        Layer("conv4", 64, 128, 3),
    ),
    "onet": (
        Layer("conv1", 3, 32, 3, 3),
        Layer("conv2", 32, 64, 3, 3),
        Layer("conv3", 64, 64, 3, 2),
        Layer("conv4", 64, 128, 2),
        Layer("conv5", 128, 256, 3),
    ),
}
HEADS = {
    "pnet": (("conv4-1", 2), ("conv4-2", 4)),
    "rnet": (("conv5-1", 2), ("conv5-2", 4)),
    "onet": (("conv6-1", 2), ("conv6-2", 4), ("conv6-3", 10)),
}
NAMES = tuple(LAYERS)
SIDES = {"pnet": 12, "rnet": 24, "onet": 48}  # pixels of the least input
FIRST_SLOPE = 0.25


class Net(nn.Module):
    """Pixels 0...255 [n][3][h][w] to [n][6 or 16][h'][w']: no face, face, four edges, and O-Net's
    five x and five y of landmarks."""

    def __init__(self, name):
        super().__init__()
        self.name = name
        self.convs = nn.ModuleList(nn.Conv2d(x.inputs, x.outputs, x.kernel) for x in LAYERS[name])
        self.slopes = nn.ModuleList(nn.PReLU(x.outputs, FIRST_SLOPE) for x in LAYERS[name])
        last = LAYERS[name][-1].outputs
        self.heads = nn.ModuleList(nn.Conv2d(last, n, 1) for _, n in HEADS[name])
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, a=FIRST_SLOPE)
        self.to(memory_format=torch.channels_last)  # three times as fast on a CPU

    def features(self, pixels):
        """What the heads read."""
        x = (pixels - 127.5) * 0.0078125
        for layer, conv, slope in zip(LAYERS[self.name], self.convs, self.slopes, strict=True):
            x = slope(conv(x))
            if layer.pool:
                x = F.max_pool2d(x, layer.pool, 2, ceil_mode=True)
        return x

    def forward(self, pixels):
        x = self.features(pixels)
        return torch.cat([head(x) for head in self.heads], 1)


def margin(answers):
    """How much more face than no face: the difference of the two logits."""
    return answers[:, 1] - answers[:, 0]


def _files(net):
    """(file's name without .npy, parameter, whether it is a kernel that sees its whole input)."""
    prelu = "PReLU" if net.name == "pnet" else "prelu"
    for i, (layer, conv, slope) in enumerate(
        zip(LAYERS[net.name], net.convs, net.slopes, strict=True)
    ):
        whole = net.name != "pnet" and i == len(net.convs) - 1
        yield f"{layer.name}_weights", conv.weight, whole
        yield f"{layer.name}_biases", conv.bias, False
        yield f"{prelu}{i + 1}_alpha", slope.weight, False
    for (name, _), head in zip(HEADS[net.name], net.heads, strict=True):
        yield f"{name}_weights", head.weight, net.name != "pnet"
        yield f"{name}_biases", head.bias, False


def load(folder, name):
    """Network `name` of the folder of .npy files, in `eval` and without gradients."""
    net = Net(name)
    for file, parameter, _ in _files(net):
        path = Path(folder) / name / f"{file}.npy"
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise BadDetector(f"{path}: {error}") from error
        shape = tuple(parameter.shape)
        if parameter.ndim == 4:
            if array.size != parameter.numel() or array.shape[-1] != shape[0]:
                raise BadDetector(f"{path}: {array.shape} numbers do not make {shape}")
            array = array.reshape(shape[::-1]).transpose(3, 2, 1, 0)
        if array.shape != shape or not np.isfinite(array).all():
            raise BadDetector(f"{path}: {array.shape} numbers, expected {shape}, all finite")
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(array, np.float32)))
    return net.eval().requires_grad_(False)


def save_name(folder, name):
    """Say whose networks they are."""
    write_whole(Path(folder) / "name.txt", lambda part: part.write_text(name + "\n"))


def save(net, folder):
    """Write the network's .npy files below `folder`, their numbers rounded to half precision: what
    is zero takes no room in a repository."""
    below = Path(folder) / net.name
    below.mkdir(parents=True, exist_ok=True)
    for file, parameter, whole in _files(net):
        array = parameter.detach().cpu().half().float().numpy()
        if array.ndim == 4:
            array = array.transpose(3, 2, 1, 0)
        if whole:
            array = array.reshape(-1, array.shape[-1])

        save_array(below / f"{file}.npy", np.ascontiguousarray(array))
