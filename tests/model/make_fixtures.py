#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make tests/model/fixtures/ with the programs that make such files in the world.

One set of seeded random weights, a FaceNet of a sixteenth of the width, written by TensorFlow,
Keras, PyTorch, onnx and safetensors. Run it once with each environment (they do not go well
together in one):

    pip install tensorflow-cpu safetensors   # TensorFlow 2.21, Keras 3.15
    make_fixtures.py tensorflow --gzip tests/model/fixtures
    pip install torch onnx onnxscript        # PyTorch 2.15
    make_fixtures.py torch --gzip tests/model/fixtures

--width 16 gives the full network (OUT must not be the fixtures' folder then); --weights takes the
kernels and biases from a directory of .npy files like facenet-512-npy.
"""

import argparse
import gzip
import os
import pathlib
import re

import numpy as np

EPSILON = 1e-3
ROOT = "InceptionResnetV1"


# ---- the network, once --------------------------------------------------------------------------


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
            if bn:
                p |= {"beta": bias, "mean": np.zeros(oc), "variance": np.full(oc, 1 - EPSILON)}
            else:
                scale = (
                    0.17
                    if "35_" in scope
                    else 0.1
                    if "17_" in scope
                    else 0.2
                    if "Repeat_2" in scope
                    else 1.0
                )
                p |= {"kernel": kernel.astype(np.float32) / scale, "bias": bias / scale}
        # Half-precision values: the files compress to half their size.
        self.made[scope] = {
            k: np.ascontiguousarray(v, np.float16 if not self.directory else np.float32).astype(
                np.float32
            )
            for k, v in p.items()
        }
        return self.made[scope]


# ---- TensorFlow ---------------------------------------------------------------------------------


def tensorflow(out, width, embedding, weights):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import tensorflow as tf

    v1 = tf.compat.v1
    for folder in ("tf-checkpoint", "tf-sharded", "tf-meta", "tf-partitioned", "tf2-object"):
        (out / folder).mkdir(parents=True, exist_ok=True)

    class Graph:
        def __init__(self, variant):
            self.variant = variant

        def channels(self, x):
            return int(x.shape[-1])

        def variable(self, name, value, trainable=True):
            with tf.device(
                "/cpu:1" if self.variant == "sharded" and "Repeat_1" in name else "/cpu:0"
            ):
                return v1.get_variable(
                    name, initializer=value, trainable=trainable, use_resource=False
                )

        def norm(self, x, scope, p):
            name = f"{scope}/BatchNorm"
            beta = self.variable(f"{name}/beta", p["beta"])
            mean = self.variable(f"{name}/moving_mean", p["mean"], False)
            variance = self.variable(f"{name}/moving_variance", p["variance"], False)
            if self.variant == "fused":
                gamma = tf.constant(1.0, shape=[len(p["beta"])], name=f"{name}/Const")
                return v1.nn.fused_batch_norm(
                    x,
                    gamma,
                    beta,
                    mean,
                    variance,
                    EPSILON,
                    is_training=False,
                    name=f"{name}/FusedBatchNorm",
                )[0]
            with v1.name_scope(f"{name}/"):
                return tf.nn.batch_normalization(x, mean, variance, beta, None, EPSILON)

        def conv(self, x, scope, oc, kernel, stride, same):
            p = weights.get(scope, (*kernel, self.channels(x), oc), True)
            k = self.variable(f"{scope}/weights", p["kernel"])
            x = tf.nn.conv2d(x, k, stride, "SAME" if same else "VALID", name=f"{scope}/Conv2D")
            return tf.nn.relu(self.norm(x, scope, p), name=f"{scope}/Relu")

        def up(self, x, scope, oc):
            p = weights.get(scope, (1, 1, self.channels(x), oc), False)
            k = self.variable(f"{scope}/weights", p["kernel"])
            b = self.variable(f"{scope}/biases", p["bias"])
            x = tf.nn.conv2d(x, k, 1, "SAME", name=f"{scope}/Conv2D")
            return tf.nn.bias_add(x, b, name=f"{scope}/BiasAdd")

        def pool(self, x, scope):
            return tf.nn.max_pool2d(x, 3, 2, "VALID", name=f"{scope}/MaxPool")

        def concat(self, parts, scope):
            return tf.concat(parts, 3, name=f"{scope}/concat")

        def residual(self, x, up, scale, relu, scope):
            with v1.name_scope(f"{scope}/"):
                x = x + up * scale
            return tf.nn.relu(x, name=f"{scope}/Relu") if relu else x

        def head(self, x, scope, oc):
            x = tf.nn.avg_pool2d(x, 3, 1, "VALID", name=f"{ROOT}/Logits/AvgPool_1a_8x8/AvgPool")
            x = tf.reshape(x, [-1, self.channels(x)], name=f"{ROOT}/Logits/Flatten/Reshape")
            p = weights.get(scope, (1, 1, self.channels(x), oc), True)
            k = self.variable(f"{scope}/weights", p["kernel"][0, 0])
            x = tf.matmul(x, k, name=f"{scope}/MatMul")
            if self.variant == "fused":  # the op wants four dimensions
                x = self.norm(x[:, None, None, :], scope, p)[:, 0, 0, :]
            else:
                x = self.norm(x, scope, p)
            self.variable("Logits/weights", np.ones((oc, 3), np.float32))
            self.variable("Logits/biases", np.zeros(3, np.float32))
            return tf.nn.l2_normalize(x, 1, 1e-10, name="embeddings")

    def build(variant):
        graph = tf.Graph()
        with graph.as_default():
            x = v1.placeholder(tf.float32, [None, 160, 160, 3], "input")
            y = walk(Graph(variant), x, width, embedding)
        return graph, y

    def session(graph):
        return v1.Session(graph=graph, config=v1.ConfigProto(device_count={"CPU": 2}))

    # A checkpoint as training leaves it: averages (of other values), one optimizer slot, a counter.
    graph, y = build("separate")
    with graph.as_default():
        variables = v1.global_variables()
        step = v1.train.get_or_create_global_step()
        ema = tf.train.ExponentialMovingAverage(0.9999)
        ema_op = ema.apply(v1.trainable_variables())
        v1.train.MomentumOptimizer(0.1, 0.9).minimize(tf.reduce_sum(y), step)
        with session(graph) as s:
            s.run([v.initializer for v in variables])
            s.run(v1.global_variables_initializer())
            s.run([v1.assign(ema.average(v), v * 1.5) for v in v1.trainable_variables()])
            del ema_op
            v1.train.Saver().save(s, str(out / "tf-checkpoint/model-small.ckpt"), global_step=7)
    os.remove(out / "tf-checkpoint/model-small.ckpt-7.meta")  # mostly the optimizer's graph

    graph, y = build("sharded")
    with session(graph) as s:
        s.run([v.initializer for v in graph.get_collection("variables")])
        with graph.as_default():
            v1.train.Saver(sharded=True).save(
                s, str(out / "tf-sharded/model.ckpt"), write_meta_graph=False
            )
    for variant, name in (("separate", "frozen.pb"), ("fused", "frozen-fused.pb")):
        graph, y = build(variant)
        with session(graph) as s:
            s.run([v.initializer for v in graph.get_collection("variables")])
            if variant == "fused":  # a checkpoint with the graph beside it
                with graph.as_default():
                    v1.train.Saver().save(s, str(out / "tf-meta/model.ckpt"))
            frozen = v1.graph_util.convert_variables_to_constants(
                s, graph.as_graph_def(), [y.op.name]
            )
        (out / name).write_bytes(frozen.SerializeToString(deterministic=True))

    with tf.Graph().as_default() as graph:
        v1.get_variable(
            f"{ROOT}/Conv2d_1a_3x3/weights",
            [3, 3, 3, 4],
            use_resource=False,
            partitioner=v1.fixed_size_partitioner(2, axis=3),
        )
        with session(graph) as s:
            s.run(v1.global_variables_initializer())
            v1.train.Saver().save(s, str(out / "tf-partitioned/model.ckpt"), write_meta_graph=False)
    tf2 = tf.train.Checkpoint(kernel=tf.Variable(np.ones(3, np.float32)))
    tf2.write(str(out / "tf2-object/model.ckpt"))
    for f in out.glob("tf-*/checkpoint"):
        f.unlink()
    keras(out, width, embedding, weights)

    from safetensors.numpy import save_file

    tensors = {}
    for scope, p in weights.made.items():
        kernel = p["kernel"][0, 0] if scope.endswith("Bottleneck") else p["kernel"]
        tensors[f"{scope}/weights"] = kernel
        for part, name in (
            ("bias", "biases"),
            ("beta", "BatchNorm/beta"),
            ("mean", "BatchNorm/moving_mean"),
            ("variance", "BatchNorm/moving_variance"),
        ):
            if part in p:
                tensors[f"{scope}/{name}"] = p[part]
    save_file(tensors, str(out / "slim.safetensors"), metadata={"layout": "HWIO"})


def keras(out, width, embedding, weights):
    import keras as k

    layers = k.layers
    to_set = {}

    class Functional:
        def channels(self, x):
            return int(x.shape[-1])

        def norm(self, x, scope, p):
            layer = layers.BatchNormalization(
                axis=-1,
                momentum=0.995,
                epsilon=EPSILON,
                scale=False,
                name=f"{here(scope)}_BatchNorm",
            )
            x = layer(x)
            to_set[layer] = [p["beta"], p["mean"], p["variance"]]
            return x

        def conv(self, x, scope, oc, kernel, stride, same):
            p = weights.get(scope, (*kernel, self.channels(x), oc), True)
            layer = layers.Conv2D(
                oc,
                kernel,
                strides=stride,
                padding="same" if same else "valid",
                use_bias=False,
                name=here(scope),
            )
            x = layer(x)
            to_set[layer] = [p["kernel"]]
            return layers.Activation("relu", name=f"{here(scope)}_Activation")(
                self.norm(x, scope, p)
            )

        def up(self, x, scope, oc):
            p = weights.get(scope, (1, 1, self.channels(x), oc), False)
            layer = layers.Conv2D(oc, 1, padding="same", name=here(scope))
            x = layer(x)
            to_set[layer] = [p["kernel"], p["bias"]]
            return x

        def pool(self, x, scope):
            return layers.MaxPooling2D(3, strides=2, name=here(scope))(x)

        def concat(self, parts, scope):
            return layers.Concatenate(axis=3, name=here(scope + "/Concatenate"))(parts)

        def residual(self, x, up, scale, relu, scope):
            up = layers.Rescaling(scale, name=here(scope + "/ScaleSum"))(up)
            x = layers.Add(name=here(scope + "/Add"))([x, up])
            return layers.Activation("relu", name=here(scope + "/Activation"))(x) if relu else x

        def head(self, x, scope, oc):
            x = layers.GlobalAveragePooling2D(name="AvgPool")(x)
            p = weights.get(scope, (1, 1, self.channels(x), oc), True)
            layer = layers.Dense(oc, use_bias=False, name="Bottleneck")
            x = layer(x)
            to_set[layer] = [p["kernel"][0, 0]]
            return self.norm(x, scope, p)

    inputs = k.Input((160, 160, 3))
    model = k.Model(
        inputs, walk(Functional(), inputs, width, embedding), name="inception_resnet_v1"
    )
    for layer, values in to_set.items():
        layer.set_weights(values)
    model.save(str(out / "keras-model.h5"))
    model.save_weights(str(out / "keras3.weights.h5"))
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # A plain function: traced as one, whatever Keras makes of its own __call__.
    call = tf.function(lambda x: model(x)).get_concrete_function(  # noqa: PLW0108
        tf.TensorSpec((None, 160, 160, 3), tf.float32)
    )
    frozen = convert_variables_to_constants_v2(call).graph.as_graph_def()
    (out / "keras-frozen.pb").write_bytes(frozen.SerializeToString(deterministic=True))
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(out / "keras-weights.h5", "w") as f:
        legacy_h5_format.save_weights_to_hdf5_group(f, model)


# ---- PyTorch ------------------------------------------------------------------------------------


def pytorch(out, width, embedding, weights):
    import torch
    from torch import nn

    class Tree(nn.Module):
        """Modules by facenet-pytorch's names; the forward pass is the walk."""

        def __init__(self):
            super().__init__()
            self.input_channels = {}

        def put(self, path, module):
            at = self
            *folders, last = path.split(".")
            for name in folders:
                if not hasattr(at, name):
                    at.add_module(name, nn.Module())
                at = getattr(at, name)
            at.add_module(last, module)

        def find(self, path):
            at = self
            for name in path.split("."):
                at = getattr(at, name)
            return at

        def channels(self, x):
            return x.shape[1]

        @staticmethod
        def gamma(n):  # powers of two: folding them changes no bit
            return np.ldexp(np.float32(1), np.arange(n) % 3 - 1)

        def norm(self, make, p, path):
            n, bn = len(p["beta"]), make(len(p["beta"]), eps=EPSILON)
            g = self.gamma(n)
            with torch.no_grad():
                bn.weight.copy_(torch.from_numpy(g))
                bn.bias.copy_(torch.from_numpy(p["beta"]))
                bn.running_mean.copy_(torch.from_numpy(p["mean"] / g))
                bn.running_var.copy_(torch.from_numpy(p["variance"]))
            self.put(path, bn)
            return g

        def conv(self, x, scope, oc, kernel, stride, same):
            path = there(scope)
            if scope not in self.input_channels:
                self.input_channels[scope] = self.channels(x)
                p = weights.get(scope, (*kernel, self.channels(x), oc), True)
                conv = nn.Conv2d(
                    self.channels(x),
                    oc,
                    kernel,
                    stride,
                    bias=False,
                    padding=tuple((k - 1) // 2 if same else 0 for k in kernel),
                )
                self.put(f"{path}.conv", conv)
                g = self.norm(nn.BatchNorm2d, p, f"{path}.bn")
                with torch.no_grad():
                    conv.weight.copy_(
                        torch.from_numpy(p["kernel"].transpose(3, 2, 0, 1) / g[:, None, None, None])
                    )
                self.eval()
            m = self.find(path)
            return torch.relu(m.bn(m.conv(x)))

        def up(self, x, scope, oc):
            path = there(scope)
            if scope not in self.input_channels:
                self.input_channels[scope] = self.channels(x)
                p = weights.get(scope, (1, 1, self.channels(x), oc), False)
                conv = nn.Conv2d(self.channels(x), oc, 1)
                with torch.no_grad():
                    conv.weight.copy_(torch.from_numpy(p["kernel"].transpose(3, 2, 0, 1)))
                    conv.bias.copy_(torch.from_numpy(p["bias"]))
                self.put(path, conv)
            return self.find(path)(x)

        def pool(self, x, scope):
            return nn.functional.max_pool2d(x, 3, 2)

        def concat(self, parts, scope):
            return torch.cat(parts, 1)

        def residual(self, x, up, scale, relu, scope):
            x = up * scale + x
            return torch.relu(x) if relu else x

        def head(self, x, scope, oc):
            x = nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)
            if scope not in self.input_channels:
                self.input_channels[scope] = x.shape[1]
                p = weights.get(scope, (1, 1, x.shape[1], oc), True)
                linear = nn.Linear(x.shape[1], oc, bias=False)
                self.put("last_linear", linear)
                g = self.norm(nn.BatchNorm1d, p, "last_bn")
                with torch.no_grad():
                    linear.weight.copy_(torch.from_numpy(p["kernel"][0, 0].T / g[:, None]))
                self.put("logits", nn.Linear(oc, 3))
                self.eval()
            return nn.functional.normalize(self.last_bn(self.last_linear(x)), dim=1)

        def forward(self, x):
            return walk(self, x, width, embedding)

    model = Tree().eval()
    x = torch.zeros(1, 3, 160, 160)
    with torch.no_grad():
        model(x)
        reference = model(x)
    with torch.no_grad():
        model.logits.weight.fill_(1)
        model.logits.bias.fill_(0)
    state = model.state_dict()
    torch.save(state, out / "torch-zip.pt")
    torch.save(state, out / "torch-legacy.pt", _use_new_zipfile_serialization=False)
    # A state dict under a key, with views: kernels channels_last, the head a slice of a larger one.
    views = {
        k: v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v
        for k, v in state.items()
    }
    n = state["last_linear.weight"].shape[0]
    larger = torch.cat(
        [torch.zeros(2, state["last_linear.weight"].shape[1]), state["last_linear.weight"]]
    )
    views["last_linear.weight"] = larger[2 : 2 + n]
    torch.save(
        {"epoch": 3, "state_dict": {"module." + k: v for k, v in views.items()}},
        out / "torch-views.pt",
    )
    for name, options in (
        ("torch-folded.onnx", {"dynamo": False}),
        (
            "torch-bn.onnx",
            {
                "dynamo": False,
                "do_constant_folding": False,
                "training": torch.onnx.TrainingMode.PRESERVE,
            },
        ),
    ):
        torch.onnx.export(
            model,
            (x,),
            str(out / name),
            input_names=["image"],
            output_names=["embedding"],
            **options,
        )
    return reference


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("producer", choices=["tensorflow", "torch"])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--width", type=int, default=1, help="sixteenths of the full network")
    parser.add_argument("--embedding", type=int, default=32)
    parser.add_argument("--gzip", action="store_true", help="compress what was written")
    parser.add_argument("--weights", help="directory of .npy files")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    make = tensorflow if args.producer == "tensorflow" else pytorch
    make(args.out, args.width, args.embedding, Weights(args.weights))
    for path in sorted(args.out.rglob("*")) if args.gzip else []:
        if path.is_file() and path.suffix != ".gz":
            path.with_name(path.name + ".gz").write_bytes(
                gzip.compress(path.read_bytes(), 9, mtime=0)
            )
            path.unlink()


if __name__ == "__main__":
    main()
