# SPDX-License-Identifier: Apache-2.0
"""Files as users of deepface, keras-facenet and facenet-pytorch have them, by these packages."""

import importlib.util
import os
import re
import sys
import types

import numpy as np

from tests.model.producers import network
from tests.model.producers.network import here, there


def module_of(package, name):
    """A module of a package without the package's own imports: detectors, video, ..."""
    found = importlib.util.find_spec(package)
    sys.modules[package] = module = types.ModuleType(package)
    module.__path__ = found.submodule_search_locations
    return importlib.import_module(f"{package}.{name}")


def fill_keras(model, weights):
    """Our weights by the names of the ports' layers."""
    scopes = {here(scope): parts for scope, parts in weights.made.items()}
    used = set()
    for layer in model.layers:
        if not layer.weights:
            continue
        stem = layer.name.removesuffix("_BatchNorm")
        block = stem.split("_")
        if stem not in scopes:  # deepface's Block17_4_Branch_4 is Branch_1 of Block17_4
            block[3] = "1"
            stem = "_".join(block)
        parts = scopes[stem]
        if layer.name.endswith("_BatchNorm"):
            layer.set_weights([parts["beta"], parts["mean"], parts["variance"]])
        else:
            kernel = parts["kernel"].reshape(layer.kernel.shape)
            layer.set_weights([kernel] + ([parts["bias"]] if "bias" in parts else []))
        used.add(stem)
    assert used == set(scopes), set(scopes) - used


def keras2(out, embedding, weights):
    """deepface and keras-facenet under Keras 2, and deepface's model through tf2onnx."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import tf2onnx
    from deepface.models.facial_recognition.tf import Facenet

    inception_resnet_v1 = module_of("keras_facenet", "inception_resnet_v1")

    model = Facenet.InceptionResNetV1(embedding)
    fill_keras(model, weights)
    name = "facenet_weights" if embedding == 128 else f"facenet{embedding}_weights"
    model.save_weights(out / f"{name}.h5")
    model.save(out / "facenet_keras.h5")
    model.save(out / "facenet.keras")
    import tensorflow as tf

    signature = [tf.TensorSpec([None, 160, 160, 3], tf.float32, name="input")]
    for opset in (11, 17):
        tf2onnx.convert.from_keras(
            model, signature, opset=opset, output_path=out / f"tf2onnx-{opset}.onnx"
        )
    tf2onnx.convert.from_keras(
        model, signature, opset=13, inputs_as_nchw=["input"], output_path=out / "tf2onnx-nchw.onnx"
    )
    model = inception_resnet_v1.InceptionResNetV1(classes=embedding)
    fill_keras(model, weights)
    model.save(out / "keras-facenet-20180402-114759.h5")
    model.save_weights(out / "keras-facenet-20180402-114759-weights.h5")


def torch(out, embedding, weights):
    """facenet-pytorch and what PyTorch exports of it; deepface's network in PyTorch."""
    import torch
    from safetensors.torch import save_file
    from torch import nn

    port = module_of("facenet_pytorch", "models.inception_resnet_v1")
    model = port.InceptionResnetV1(classify=False, num_classes=8631).eval()
    if embedding != 512:  # its width is fixed; people change these two lines
        model.last_linear = nn.Linear(1792, embedding, bias=False)
        model.last_bn = nn.BatchNorm1d(embedding, eps=0.001)
        model.logits = nn.Linear(embedding, 8631)
    state = model.state_dict()
    for scope, parts in weights.made.items():
        path = there(scope)
        up, head = "bias" in parts, path == "last_linear"
        kernel = parts["kernel"][0, 0].T if head else parts["kernel"].transpose(3, 2, 0, 1)
        stem = path if up or head else f"{path}.conv"
        norm = "last_bn" if head else f"{path}.bn"
        state[f"{stem}.weight"].copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
        if up:
            state[f"{stem}.bias"].copy_(torch.from_numpy(parts["bias"]))
            continue
        for ours, theirs in (
            ("beta", "bias"),
            ("mean", "running_mean"),
            ("variance", "running_var"),
        ):
            state[f"{norm}.{theirs}"].copy_(torch.from_numpy(parts[ours]))
        state[f"{norm}.weight"].fill_(1)
    model.load_state_dict(state)
    model.eval()
    torch.save(state, out / "20180402-114759-vggface2.pt", _use_new_zipfile_serialization=False)
    torch.save(state, out / "facenet-pytorch-zip.pt")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}},
        out / "training-checkpoint.pth",
    )
    save_file(state, out / "facenet-pytorch.safetensors")
    save_file(deepface_names(state), out / "deepface.safetensors")
    torch.save(deepface_names(state), out / "deepface-facenet_weights.pth")
    x = torch.zeros(1, 3, 160, 160)
    names = {"input_names": ["input"], "output_names": ["embedding"]}
    axes = {"input": {0: "n"}, "embedding": {0: "n"}}
    torch.onnx.export(
        model, (x,), out / "torchscript.onnx", dynamo=False, dynamic_axes=axes, **names
    )
    torch.onnx.export(
        model,
        (x,),
        out / "torchscript-bn.onnx",
        dynamo=False,
        do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE,
        **names,
    )
    torch.onnx.export(model, (x,), out / "dynamo.onnx", dynamo=True, **names)
    torch.onnx.export(
        model, (x,), out / "dynamo-inside.onnx", dynamo=True, external_data=False, **names
    )
    torch.onnx.export(model, (x,), out / "dynamo-plain.onnx", dynamo=True, optimize=False, **names)


def deepface_name(name):
    """A name of facenet-pytorch as deepface's own PyTorch network has it."""
    for ours, theirs in (
        (r"^block8\.", "block8.5."),
        (r"^repeat_1\.", "block35."),
        (r"^repeat_2\.", "block17."),
        (r"^repeat_3\.", "block8."),
        (r"^last_linear\.", "bottleneck."),
        (r"^last_bn\.", "bottleneck_bn."),
        (r"^(conv2d_3b)\.", r"\1_1x1."),
        (r"^(conv2d_..)\.", r"\1_3x3."),
        (r"\.branch", ".branch_"),
        (r"\.conv2d\.", ".up."),
    ):
        name = re.sub(ours, theirs, name)
    return name


def deepface_names(state):
    return {deepface_name(k): v for k, v in state.items() if not k.startswith("logits")}


def slim(out, weights):
    """The reference that the others are compared with."""
    from safetensors.numpy import save_file

    save_file(network.slim_tensors(weights), out / "slim.safetensors", metadata={"layout": "HWIO"})
