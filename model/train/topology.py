# SPDX-License-Identifier: Apache-2.0
"""Inception-ResNet-v1 as a list of layers over named tensors: the twin of engine/network.c.

Both the float network and the fixed-point one walk this list, so neither knows the topology. The
numbers here are the full network's widths; a thin one scales them.
"""

from dataclasses import dataclass, replace

ROOT = "InceptionResnetV1"
SIDE = 160
IMAGE = "image"


@dataclass(frozen=True)
class Layer:
    op: str  # "conv", "pool" or "head"
    scope: str  # TensorFlow-slim name
    input: str  # tensor read
    output: str  # tensor written, alone or as a part of a concat
    in_channels: int
    out_channels: int
    kernel: tuple = (1, 1)
    stride: int = 1
    pad: tuple = (0, 0)
    relu: bool = True
    residual: str | None = None  # tensor added before the ReLU
    residual_scale: float = 1.0  # of the convolution, not of what is added
    parts: int = 1  # how many layers write `output`, in their order


def _conv(name, kernel, width, stride=1, same=True):
    return name, kernel, width, stride, same


_STEM = (
    _conv("Conv2d_1a_3x3", (3, 3), 32, 2, False),
    _conv("Conv2d_2a_3x3", (3, 3), 32, 1, False),
    _conv("Conv2d_2b_3x3", (3, 3), 64),
    _conv("Conv2d_3b_1x1", (1, 1), 80, 1, False),
    _conv("Conv2d_4a_3x3", (3, 3), 192, 1, False),
    _conv("Conv2d_4b_3x3", (3, 3), 256, 2, False),
)
_BLOCK35 = (
    (_conv("Branch_0/Conv2d_1x1", (1, 1), 32),),
    (
        _conv("Branch_1/Conv2d_0a_1x1", (1, 1), 32),
        _conv("Branch_1/Conv2d_0b_3x3", (3, 3), 32),
    ),
    (
        _conv("Branch_2/Conv2d_0a_1x1", (1, 1), 32),
        _conv("Branch_2/Conv2d_0b_3x3", (3, 3), 32),
        _conv("Branch_2/Conv2d_0c_3x3", (3, 3), 32),
    ),
)
_MIXED_6A = (
    (_conv("Branch_0/Conv2d_1a_3x3", (3, 3), 384, 2, False),),
    (
        _conv("Branch_1/Conv2d_0a_1x1", (1, 1), 192),
        _conv("Branch_1/Conv2d_0b_3x3", (3, 3), 192),
        _conv("Branch_1/Conv2d_1a_3x3", (3, 3), 256, 2, False),
    ),
)
_BLOCK17 = (
    (_conv("Branch_0/Conv2d_1x1", (1, 1), 128),),
    (
        _conv("Branch_1/Conv2d_0a_1x1", (1, 1), 128),
        _conv("Branch_1/Conv2d_0b_1x7", (1, 7), 128),
        _conv("Branch_1/Conv2d_0c_7x1", (7, 1), 128),
    ),
)
_MIXED_7A = (
    (
        _conv("Branch_0/Conv2d_0a_1x1", (1, 1), 256),
        _conv("Branch_0/Conv2d_1a_3x3", (3, 3), 384, 2, False),
    ),
    (
        _conv("Branch_1/Conv2d_0a_1x1", (1, 1), 256),
        _conv("Branch_1/Conv2d_1a_3x3", (3, 3), 256, 2, False),
    ),
    (
        _conv("Branch_2/Conv2d_0a_1x1", (1, 1), 256),
        _conv("Branch_2/Conv2d_0b_3x3", (3, 3), 256),
        _conv("Branch_2/Conv2d_1a_3x3", (3, 3), 256, 2, False),
    ),
)
_BLOCK8 = (
    (_conv("Branch_0/Conv2d_1x1", (1, 1), 192),),
    (
        _conv("Branch_1/Conv2d_0a_1x1", (1, 1), 192),
        _conv("Branch_1/Conv2d_0b_1x3", (1, 3), 192),
        _conv("Branch_1/Conv2d_0c_3x1", (3, 1), 192),
    ),
)


class _Builder:
    """Collects layers; `width_of(scope, full)` gives a convolution's output channels."""

    def __init__(self, width_of):
        self.width_of = width_of
        self.layers = []
        self.channels = {IMAGE: 3}

    def conv(self, block, spec, source, output=None, parts=1):
        name, kernel, full, stride, same = spec
        scope = f"{block}/{name}"
        layer = Layer(
            "conv",
            scope,
            source,
            output or scope,
            self.channels[source],
            self.width_of(scope, full),
            kernel,
            stride,
            tuple((k - 1) // 2 if same else 0 for k in kernel),
            parts=parts,
        )
        self.layers.append(layer)
        self.channels.setdefault(layer.output, 0)
        self.channels[layer.output] += layer.out_channels
        return layer.output

    def pool(self, scope, source, output=None, parts=1):
        n = self.channels[source]
        layer = Layer("pool", scope, source, output or scope, n, n, (3, 3), 2, parts=parts)
        self.layers.append(layer)
        self.channels[layer.output] = self.channels.get(layer.output, 0) + n
        return layer.output

    def branches(self, block, source, chains, pool=None):
        concat = f"{block}/concat"
        parts = len(chains) + (pool is not None)
        for chain in chains:
            at = source
            for spec in chain[:-1]:
                at = self.conv(block, spec, at)
            self.conv(block, chain[-1], at, concat, parts)
        if pool:
            self.pool(f"{block}/{pool}", source, concat, parts)
        return concat

    def block(self, block, source, chains, scale, relu=True):
        concat = self.branches(block, source, chains)
        n = self.channels[source]
        spec = ("Conv2d_1x1", (1, 1), n, 1, True)
        self.conv(block, spec, concat, block)
        self.channels[block] = n
        self.layers[-1] = replace(
            self.layers[-1], out_channels=n, relu=relu, residual=source, residual_scale=scale
        )
        return block


def layers(width_of, embedding_size):
    """The layers in the order of execution."""
    b = _Builder(width_of)
    x = IMAGE
    for i, spec in enumerate(_STEM):
        if i == 3:
            x = b.pool(f"{ROOT}/MaxPool_3a_3x3", x)
        x = b.conv(ROOT, spec, x)
    for i in range(1, 6):
        x = b.block(f"{ROOT}/Repeat/block35_{i}", x, _BLOCK35, 0.17)
    x = b.branches(f"{ROOT}/Mixed_6a", x, _MIXED_6A, "Branch_2/MaxPool_1a_3x3")
    for i in range(1, 11):
        x = b.block(f"{ROOT}/Repeat_1/block17_{i}", x, _BLOCK17, 0.10)
    x = b.branches(f"{ROOT}/Mixed_7a", x, _MIXED_7A, "Branch_3/MaxPool_1a_3x3")
    for i in range(1, 6):
        x = b.block(f"{ROOT}/Repeat_2/block8_{i}", x, _BLOCK8, 0.20)
    x = b.block(f"{ROOT}/Block8", x, _BLOCK8, 1.0, relu=False)
    scope = f"{ROOT}/Bottleneck"
    b.layers.append(Layer("head", scope, x, scope, b.channels[x], embedding_size, relu=False))
    return b.layers


def scaled(width):
    """Widths of a network `width` times as wide: multiples of 8, which is what vectors hold."""

    def width_of(_scope, full):
        return max(8, 8 * round(full * width / 8))

    return width_of


def walk(layer_list, image, run, join):
    """Execute the layers; the head's values are returned.

    `run(layer, input, residual)` gives a layer's values, `join(parts)` makes a concat of its parts.
    A tensor is let go after its last use.
    """
    last_use = {}
    for i, layer in enumerate(layer_list):
        last_use[layer.input] = last_use[layer.residual] = i
    values, waiting, out = {IMAGE: image}, {}, None
    for i, layer in enumerate(layer_list):
        residual = values[layer.residual] if layer.residual else None
        out = run(layer, values[layer.input], residual)
        parts = waiting.setdefault(layer.output, [])
        parts.append(out)
        if len(parts) == layer.parts:
            values[layer.output] = out if layer.parts == 1 else join(parts)
            del waiting[layer.output]
        for name in {layer.input, layer.residual} & values.keys():
            if last_use[name] == i:
                del values[name]
    return out
