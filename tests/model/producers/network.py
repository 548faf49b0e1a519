# SPDX-License-Identifier: Apache-2.0
"""The network, once: its walk, its names here and there, and one seeded set of weights."""

import pathlib
import re

import numpy as np

EPSILON = 1e-3
ROOT = "InceptionResnetV1"
SCALES = {"block35_": 0.17, "block17_": 0.1, "block8_": 0.2}  # of residuals; Block8 has none


def walk(net, x, width, embedding):
    """Call net.conv, .pool, .concat, .residual and .head in order, with slim scopes."""

    def w(full):
        return max(1, full * width // 16)

    def chain(x, scope, *steps):
        for name, oc, kernel, stride, same in steps:
            x = net.conv(x, f"{scope}/{name}", w(oc), kernel, stride, same)
        return x

    def block(x, scope, oc, scale, relu, branches):
        parts = []
        for b, steps in enumerate(branches):
            parts.append(chain(x, f"{scope}/Branch_{b}", *steps))
        up = net.up(net.concat(parts, scope), f"{scope}/Conv2d_1x1", net.channels(x))
        return net.residual(x, up, scale, relu, scope)

    x = chain(
        x,
        ROOT,
        ("Conv2d_1a_3x3", 32, (3, 3), 2, False),
        ("Conv2d_2a_3x3", 32, (3, 3), 1, False),
        ("Conv2d_2b_3x3", 64, (3, 3), 1, True),
    )
    x = net.pool(x, f"{ROOT}/MaxPool_3a_3x3")
    x = chain(
        x,
        ROOT,
        ("Conv2d_3b_1x1", 80, (1, 1), 1, False),
        ("Conv2d_4a_3x3", 192, (3, 3), 1, False),
        ("Conv2d_4b_3x3", 256, (3, 3), 2, False),
    )
    for i in range(5):
        x = block(
            x,
            f"{ROOT}/Repeat/block35_{i + 1}",
            32,
            0.17,
            True,
            [
                [("Conv2d_1x1", 32, (1, 1), 1, True)],
                [("Conv2d_0a_1x1", 32, (1, 1), 1, True), ("Conv2d_0b_3x3", 32, (3, 3), 1, True)],
                [
                    ("Conv2d_0a_1x1", 32, (1, 1), 1, True),
                    ("Conv2d_0b_3x3", 32, (3, 3), 1, True),
                    ("Conv2d_0c_3x3", 32, (3, 3), 1, True),
                ],
            ],
        )
    m = f"{ROOT}/Mixed_6a"
    x = net.concat(
        [
            chain(x, f"{m}/Branch_0", ("Conv2d_1a_3x3", 384, (3, 3), 2, False)),
            chain(
                x,
                f"{m}/Branch_1",
                ("Conv2d_0a_1x1", 192, (1, 1), 1, True),
                ("Conv2d_0b_3x3", 192, (3, 3), 1, True),
                ("Conv2d_1a_3x3", 256, (3, 3), 2, False),
            ),
            net.pool(x, f"{m}/Branch_2/MaxPool_1a_3x3"),
        ],
        m,
    )
    for i in range(10):
        x = block(
            x,
            f"{ROOT}/Repeat_1/block17_{i + 1}",
            128,
            0.10,
            True,
            [
                [("Conv2d_1x1", 128, (1, 1), 1, True)],
                [
                    ("Conv2d_0a_1x1", 128, (1, 1), 1, True),
                    ("Conv2d_0b_1x7", 128, (1, 7), 1, True),
                    ("Conv2d_0c_7x1", 128, (7, 1), 1, True),
                ],
            ],
        )
    m = f"{ROOT}/Mixed_7a"
    one = ("Conv2d_0a_1x1", 256, (1, 1), 1, True)
    x = net.concat(
        [
            chain(x, f"{m}/Branch_0", one, ("Conv2d_1a_3x3", 384, (3, 3), 2, False)),
            chain(x, f"{m}/Branch_1", one, ("Conv2d_1a_3x3", 256, (3, 3), 2, False)),
            chain(
                x,
                f"{m}/Branch_2",
                one,
                ("Conv2d_0b_3x3", 256, (3, 3), 1, True),
                ("Conv2d_1a_3x3", 256, (3, 3), 2, False),
            ),
            net.pool(x, f"{m}/Branch_3/MaxPool_1a_3x3"),
        ],
        m,
    )
    eight = [
        [("Conv2d_1x1", 192, (1, 1), 1, True)],
        [
            ("Conv2d_0a_1x1", 192, (1, 1), 1, True),
            ("Conv2d_0b_1x3", 192, (1, 3), 1, True),
            ("Conv2d_0c_3x1", 192, (3, 1), 1, True),
        ],
    ]
    for i in range(5):
        x = block(x, f"{ROOT}/Repeat_2/block8_{i + 1}", 192, 0.20, True, eight)
    x = block(x, f"{ROOT}/Block8", 192, 1.0, False, eight)
    return net.head(x, f"{ROOT}/Bottleneck", embedding)


def here(scope):
    """Scope as Keras ports name it: Block35_1_Branch_0_Conv2d_1x1."""
    s = scope[len(ROOT) + 1 :]
    s = re.sub(r"^Block8/", "Block8_6/", s)
    s = re.sub(r"^Repeat(_\d)?/block", "Block", s)
    return s.replace("/", "_")


def there(scope):
    """Scope as facenet-pytorch names its module."""
    s = scope[len(ROOT) + 1 :]
    if s == "Bottleneck":
        return "last_linear"
    s = re.sub(r"^Repeat/block35_(\d+)", lambda m: f"repeat_1.{int(m[1]) - 1}", s)
    s = re.sub(r"^Repeat_1/block17_(\d+)", lambda m: f"repeat_2.{int(m[1]) - 1}", s)
    s = re.sub(r"^Repeat_2/block8_(\d+)", lambda m: f"repeat_3.{int(m[1]) - 1}", s)
    s = re.sub(r"^(Mixed_..|Block8)", lambda m: m[1].lower(), s)
    alone = re.search(r"Branch_0/Conv2d_1(x1|a_3x3)$", s) and not s.startswith("mixed_7a")
    s = s.replace("Branch_", "branch")
    if "/branch" in s:
        block, branch, conv = s.split("/")
        if alone:
            return f"{block}.{branch}"
        order = {"0a": 0, "0b": 1, "0c": 2, "1a": 1}[conv.split("_")[1]]
        if conv.endswith("1a_3x3") and block + branch in ("mixed_6abranch1", "mixed_7abranch2"):
            order = 2
        return f"{block}.{branch}.{order}"
    if "/" in s:
        return s.split("/")[0] + ".conv2d"
    return s.lower().rsplit("_", 1)[0]  # Conv2d_1a_3x3 -> conv2d_1a


class Shapes:
    """A walk that only counts channels: what asks for every weight, in order."""

    def __init__(self, weights):
        self.weights = weights

    def channels(self, x):
        return x

    def conv(self, x, scope, oc, kernel, stride, same):
        self.weights.get(scope, (*kernel, x, oc), True)
        return oc

    def up(self, x, scope, oc):
        self.weights.get(scope, (1, 1, x, oc), False)
        return oc

    def pool(self, x, scope):
        return x

    def concat(self, parts, scope):
        return sum(parts)

    def residual(self, x, up, scale, relu, scope):
        return x

    def head(self, x, scope, oc):
        self.weights.get(scope, (1, 1, x, oc), True)


class Weights:
    """Name -> array, made as they are asked for in the order of the walk."""

    def __init__(self, directory=None):
        self.random = np.random.default_rng(20181203)
        self.directory = directory and pathlib.Path(directory)
        self.made = {}

    def get(self, scope, shape, bn):  # shape HWIO
        if scope in self.made:
            return self.made[scope]
        r, oc = self.random, shape[3]
        p = {"kernel": r.normal(0, (2 / np.prod(shape[:3])) ** 0.5, shape)}
        if bn:
            p |= {
                "beta": r.normal(0, 0.1, oc),
                "mean": r.normal(0, 0.1, oc),
                "variance": r.uniform(0.5, 1.5, oc),
            }
        else:
            p["bias"] = r.normal(0, 0.05, oc)
        if self.directory:
            name = here(scope)
            if scope.endswith("Bottleneck"):
                kernel = np.load(self.directory / "Bottleneck_kernel_transpose.npy").T[None, None]
                bias = np.load(self.directory / "Bottleneck_MatMul_bias.npy")
            else:
                kernel = np.load(self.directory / f"{name}_kernel.npy").transpose(1, 2, 3, 0)
                bias = np.load(self.directory / f"{name}_Conv2D_bias.npy")
            p["kernel"] = kernel
            if bn:  # beside a BatchNorm that has something to do
                factor = (p["variance"].astype(np.float32) + EPSILON) ** -0.5
                p["beta"] = bias + p["mean"] * factor
            else:
                scale = next((s for block, s in SCALES.items() if block in scope), 1.0)
                p |= {"kernel": kernel.astype(np.float32) / scale, "bias": bias / scale}
        # Half-precision values: the files compress to half their size.
        self.made[scope] = {
            k: np.ascontiguousarray(v, np.float16 if not self.directory else np.float32).astype(
                np.float32
            )
            for k, v in p.items()
        }
        return self.made[scope]


def all_weights(width, embedding, directory=None):
    """Every layer's parts by slim scope: kernel HWIO; beta, mean and variance, or bias."""
    weights = Weights(directory)
    walk(Shapes(weights), 3, width, embedding)
    return weights


SLIM = {
    "kernel": "weights",
    "bias": "biases",
    "beta": "BatchNorm/beta",
    "mean": "BatchNorm/moving_mean",
    "variance": "BatchNorm/moving_variance",
}


def slim_tensors(weights):
    """The same by slim's names of tensors; the head's kernel is a matrix."""
    tensors = {}
    for scope, parts in weights.made.items():
        for part, value in parts.items():
            matrix = part == "kernel" and scope.endswith("Bottleneck")
            tensors[f"{scope}/{SLIM[part]}"] = value[0, 0] if matrix else value
    return tensors
