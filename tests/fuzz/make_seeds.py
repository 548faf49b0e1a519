#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the seeds in tests/fuzz/corpus/ for the readers of trained weights: files of a layer or two,
by the programs that make such files. `make_seeds.py plain`, `tensorflow` and `torch`, each
with the environment that tests/model/producers names. (initializer-without-name was found by
fuzzing.)
"""

import collections
import io
import os
import pathlib
import pickle
import sys
import tempfile
import zipfile

CORPUS = pathlib.Path(__file__).parent / "corpus"
SCOPE = "InceptionResnetV1/Conv2d_1a_3x3"


def put(target, name, data):
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    (CORPUS / target / name).write_bytes(data)


def varint(n):
    return bytes([n & 127 | 128]) + varint(n >> 7) if n > 127 else bytes([n])


def plain(tmp):
    """What needs no producer but NumPy and safetensors."""
    import hashlib
    import json
    import struct

    import numpy as np
    from safetensors.numpy import save

    kernel = np.ones((1, 3, 3, 3), np.float32)
    slim = {f"{SCOPE}/weights": kernel.transpose(2, 3, 1, 0).copy()}
    slim |= {f"{SCOPE}/BatchNorm/{p}": np.ones(1, np.float32) for p in ("beta", "moving_mean")}
    put("source_safetensors", "slim", save(slim, metadata={"residual_scale": "folded"}))
    torch_names = {"module.conv2d_1a.conv.weight": kernel, "block8.5.up.bias": np.ones(2)}
    put("source_safetensors", "torch", save(torch_names))

    file = io.BytesIO()
    np.save(file, np.ones(3, np.float32))
    entry = {
        "name": f"{SCOPE}/BatchNorm/beta",
        "file": "ones.npy",
        "sha256": hashlib.sha256(file.getvalue()).hexdigest(),
    }
    manifest = {
        "format": "facenetd-extract",
        "version": 1,
        "layout": "HWIO",
        "batchnorm_epsilon": 0.001,
        "residual_scale": "folded",
        "tensors": [entry],
    }
    put("source_extract", "one", json.dumps(manifest, indent=1).encode())

    # Changes to a graph (fuzz_graph.c): none; two nodes that lead to each other; other operations.
    for name, changes in (
        ("none", []),
        ("circle", [(0, 5, 9), (0, 8, 6), (0, 6, 8), (1, 7, 12)]),
        ("operations", [(1, i, i) for i in range(0, 60, 7)]),
        ("shapes", [(2, i, 0x1234 + i) for i in range(1, 40, 3)]),
    ):
        put("graph", name, b"".join(struct.pack("<BHH", *c) for c in changes))


def tensorflow(tmp):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import keras
    import numpy as np
    import tensorflow as tf

    v1 = tf.compat.v1

    def variable(name, *shape):
        return v1.get_variable(name, initializer=np.ones(shape, np.float32), use_resource=False)

    with tf.Graph().as_default() as graph, v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 8, 8, 3], "input")
        weights = variable(f"{SCOPE}/weights", 3, 3, 3, 1)
        beta = variable(f"{SCOPE}/BatchNorm/beta", 1)
        variable(f"{SCOPE}/weights/Momentum", 3, 3, 3, 1)
        scale = tf.constant(2.0, shape=[1])
        tf.nn.relu(tf.nn.conv2d(x, weights, 2, "VALID") * scale + beta, name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp / "m"), write_meta_graph=False)
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["y"])
    graph = frozen.SerializeToString()
    put("source_graphdef", "one-conv", graph)
    put("graph_meta", "one-conv", b"\x12" + varint(len(graph)) + graph)
    index = (tmp / "m.index").read_bytes()
    put("source_tf_checkpoint", "index", b"\0" + index)
    put("source_tf_checkpoint", "index-repaired", b"\1" + index)

    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(1, 3, use_bias=False, name="Conv2d_1a_3x3")(inputs)
    x = keras.layers.BatchNormalization(scale=False, name="Conv2d_1a_3x3_BatchNorm")(x)
    model = keras.Model(inputs, x)
    model.save(tmp / "model.h5")
    model.save_weights(tmp / "model.weights.h5")
    put("source_keras", "model", (tmp / "model.h5").read_bytes())
    put("source_keras", "keras3", (tmp / "model.weights.h5").read_bytes())
    model.save(tmp / "model.keras")  # under Keras 2.15 too, which does not name layers in it
    number = keras.__version__.split(".")[0]
    put("source_keras", f"keras{number}-zip", (tmp / "model.keras").read_bytes())
    put("zip", f"keras{number}", (tmp / "model.keras").read_bytes())

    for name, array in (
        ("half", np.arange(6, dtype=np.float16).reshape(2, 3)),
        ("fortran", np.asfortranarray(np.ones((2, 3, 1, 1), np.float32))),
    ):
        file = io.BytesIO()
        np.save(file, array)
        put("npy", name, file.getvalue())


def torch(tmp):
    import torch

    state = collections.OrderedDict(
        [
            ("conv2d_1a.conv.weight", torch.ones(1, 3, 3, 3)),
            ("conv2d_1a.bn.weight", torch.ones(2)[1:]),
            ("conv2d_1a.bn.num_batches_tracked", torch.tensor(3)),
        ]
    )
    for name, what, options in (
        ("zip", state, {}),
        ("protocol4", {"state_dict": state}, {"pickle_protocol": 4}),
        ("legacy", state, {"_use_new_zipfile_serialization": False}),
    ):
        torch.save(what, tmp / name, **options)
        put("source_torch", name, (tmp / name).read_bytes())
        if name != "legacy":
            put("zip", name, (tmp / name).read_bytes())
            with zipfile.ZipFile(tmp / name) as file:
                member = next(n for n in file.namelist() if n.endswith("data.pkl"))
                put("pickle", name, file.read(member))
    put(
        "pickle",
        "plain",
        pickle.dumps({"a": [1, 2.5, None, True, -7, 2**40], "b": (b"x", {3})}, protocol=2),
    )

    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 1, 3), torch.nn.BatchNorm2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 2)
    ).eval()
    for name, options in (
        ("folded", {}),
        ("bn", {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE}),
    ):
        torch.onnx.export(
            model, (torch.zeros(1, 3, 4, 4),), str(tmp / name), dynamo=False, **options
        )
        put("source_onnx", name, (tmp / name).read_bytes())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        {"plain": plain, "tensorflow": tensorflow, "torch": torch}[sys.argv[1]](
            pathlib.Path(folder)
        )
