# SPDX-License-Identifier: Apache-2.0
"""Inception-ResNet-v1 in NumPy, written from its table of layers and from nothing of ours.

A network of small random weights, in the two forms that facenet-model reads (a folder of .npy files,
a safetensors file with BatchNorm and residual scales apart), and its forward pass in float64.
"""

import numpy as np
from safetensors.numpy import save_file

ROOT = "InceptionResnetV1"
EPSILON = 0.001


def conv(name, kernel, width, stride=1, same=True):
    return name, kernel, width, stride, same


def block35(w):
    return [
        [conv("Branch_0/Conv2d_1x1", (1, 1), w)],
        [conv("Branch_1/Conv2d_0a_1x1", (1, 1), w), conv("Branch_1/Conv2d_0b_3x3", (3, 3), w)],
        [
            conv("Branch_2/Conv2d_0a_1x1", (1, 1), w),
            conv("Branch_2/Conv2d_0b_3x3", (3, 3), w),
            conv("Branch_2/Conv2d_0c_3x3", (3, 3), w),
        ],
    ]


def block17(w):
    return [
        [conv("Branch_0/Conv2d_1x1", (1, 1), w)],
        [
            conv("Branch_1/Conv2d_0a_1x1", (1, 1), w),
            conv("Branch_1/Conv2d_0b_1x7", (1, 7), w),
            conv("Branch_1/Conv2d_0c_7x1", (7, 1), w),
        ],
    ]


def block8(w):
    return [
        [conv("Branch_0/Conv2d_1x1", (1, 1), w)],
        [
            conv("Branch_1/Conv2d_0a_1x1", (1, 1), w),
            conv("Branch_1/Conv2d_0b_1x3", (1, 3), w),
            conv("Branch_1/Conv2d_0c_3x1", (3, 1), w),
        ],
    ]


def mixed_6a(w):
    return [
        [conv("Branch_0/Conv2d_1a_3x3", (3, 3), w, 2, False)],
        [
            conv("Branch_1/Conv2d_0a_1x1", (1, 1), w),
            conv("Branch_1/Conv2d_0b_3x3", (3, 3), w),
            conv("Branch_1/Conv2d_1a_3x3", (3, 3), w + 1, 2, False),
        ],
    ]


def mixed_7a(w):
    return [
        [
            conv("Branch_0/Conv2d_0a_1x1", (1, 1), w),
            conv("Branch_0/Conv2d_1a_3x3", (3, 3), w + 2, 2, False),
        ],
        [
            conv("Branch_1/Conv2d_0a_1x1", (1, 1), w),
            conv("Branch_1/Conv2d_1a_3x3", (3, 3), w, 2, False),
        ],
        [
            conv("Branch_2/Conv2d_0a_1x1", (1, 1), w),
            conv("Branch_2/Conv2d_0b_3x3", (3, 3), w),
            conv("Branch_2/Conv2d_1a_3x3", (3, 3), w, 2, False),
        ],
    ]


def windows(x, kernel, stride, same):
    """[h, w, c] to [h', w', kh, kw, c]."""
    if same:
        pads = [((k - 1) // 2, (k - 1) // 2) for k in kernel]
        x = np.pad(x, [*pads, (0, 0)])
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(0, 1))
    return np.moveaxis(view[::stride, ::stride], 2, -1)


class Network:
    """Walks the topology: with no picture it makes the weights, with one it computes."""

    def __init__(self, seed=1, width=4, embedding_size=32):
        self.random = np.random.default_rng(seed)
        self.width, self.embedding_size = width, embedding_size
        self.raw = {}  # slim names, weights HWIO, BatchNorm and scales apart
        self.folded = {}  # scope to ([oc][kh][kw][ic], [oc]) in float64
        self.forward(np.zeros((160, 160, 3)))

    def layer(self, scope, kernel, n_in, n_out, norm=True, scale=1.0):
        """The folded weights of a scope, made when it is first asked for."""
        if scope in self.folded:
            return self.folded[scope]
        reach = np.sqrt(6 / (kernel[0] * kernel[1] * n_in))
        shape = (*kernel, n_in, n_out) if scope != f"{ROOT}/Bottleneck" else (n_in, n_out)
        w = self.random.uniform(-reach, reach, shape).astype("<f2")
        self.raw[f"{scope}/weights"] = w
        w = np.moveaxis(w.astype("<f8").reshape(*kernel, n_in, n_out), 3, 0)
        if norm:
            draw = {"beta": (-0.1, 0.4), "moving_mean": (-0.2, 0.2), "moving_variance": (0.5, 2)}
            parts = {k: self.random.uniform(*v, n_out).astype("<f4") for k, v in draw.items()}
            self.raw |= {f"{scope}/BatchNorm/{k}": v for k, v in parts.items()}
            beta, mean, variance = (v.astype("<f8") for v in parts.values())
            factor = 1 / np.sqrt(variance + EPSILON)
            b = factor * (0 - mean) + beta
        else:
            b = self.random.uniform(-0.1, 0.1, n_out).astype("<f4")
            self.raw[f"{scope}/biases"] = b
            b = b.astype("<f8") * scale
            factor = np.full(n_out, scale)
        self.folded[scope] = (w * factor[:, None, None, None], b)
        return self.folded[scope]

    def conv(self, scope, x, kernel, n_out, stride, same, **how):
        w, b = self.layer(scope, kernel, x.shape[2], n_out, **how)
        return np.tensordot(windows(x, kernel, stride, same), w, ((2, 3, 4), (1, 2, 3))) + b

    def branches(self, scope, x, chains):
        out = []
        for chain in chains:
            y = x
            for name, kernel, width, stride, same in chain:
                y = np.maximum(self.conv(f"{scope}/{name}", y, kernel, width, stride, same), 0)
            out.append(y)
        return out

    def block(self, scope, x, chains, scale, relu=True):
        y = np.concatenate(self.branches(scope, x, chains), axis=2)
        up = f"{scope}/Conv2d_1x1"
        x = x + self.conv(up, y, (1, 1), x.shape[2], 1, True, norm=False, scale=scale)
        return np.maximum(x, 0) if relu else x

    def reduction(self, scope, x, chains):
        pooled = windows(x, (3, 3), 2, False).max(axis=(2, 3))
        return np.concatenate([*self.branches(scope, x, chains), pooled], axis=2)

    def forward(self, x):
        w = self.width
        stem = [
            conv("Conv2d_1a_3x3", (3, 3), w, 2, False),
            conv("Conv2d_2a_3x3", (3, 3), w, 1, False),
            conv("Conv2d_2b_3x3", (3, 3), w + 1),
            conv("Conv2d_3b_1x1", (1, 1), w, 1, False),
            conv("Conv2d_4a_3x3", (3, 3), 2 * w, 1, False),
            conv("Conv2d_4b_3x3", (3, 3), 2 * w, 2, False),
        ]
        (x,) = self.branches(ROOT, x, [stem[:3]])
        x = windows(x, (3, 3), 2, False).max(axis=(2, 3))
        (x,) = self.branches(ROOT, x, [stem[3:]])
        for i in range(1, 6):
            x = self.block(f"{ROOT}/Repeat/block35_{i}", x, block35(w), 0.17)
        x = self.reduction(f"{ROOT}/Mixed_6a", x, mixed_6a(w))
        for i in range(1, 11):
            x = self.block(f"{ROOT}/Repeat_1/block17_{i}", x, block17(w), 0.10)
        x = self.reduction(f"{ROOT}/Mixed_7a", x, mixed_7a(w))
        for i in range(1, 6):
            x = self.block(f"{ROOT}/Repeat_2/block8_{i}", x, block8(w), 0.20)
        x = self.block(f"{ROOT}/Block8", x, block8(w), 1.0, relu=False)
        x = x.mean(axis=(0, 1))
        weights, bias = self.layer(f"{ROOT}/Bottleneck", (1, 1), x.size, self.embedding_size)
        return weights[:, 0, 0] @ x + bias

    def embed(self, crop):
        """Unit-length embedding of [160][160][3] bytes."""
        v = self.forward((crop.astype("<f8") - 127.5) / 128)
        return v / np.linalg.norm(v)

    def write_safetensors(self, path, **metadata):
        save_file(self.raw, path, metadata={"layout": "HWIO", **metadata})

    def write_npy(self, folder):
        folder.mkdir(parents=True)
        for scope, (weights, bias) in self.folded.items():
            stem = scope.removeprefix(f"{ROOT}/")
            if stem == "Bottleneck":
                np.save(folder / "Bottleneck_kernel_transpose.npy", weights[:, 0, 0])
                np.save(folder / "Bottleneck_MatMul_bias.npy", bias)
                continue
            for slim, here in (("Repeat/b", "B"), ("Repeat_1/b", "B"), ("Repeat_2/b", "B")):
                stem = stem.replace(slim, here)
            stem = stem.replace("Block8/", "Block8_6/").replace("/", "_")
            np.save(folder / f"{stem}_kernel.npy", np.ascontiguousarray(weights))
            np.save(folder / f"{stem}_Conv2D_bias.npy", bias)
