# SPDX-License-Identifier: Apache-2.0
"""State dicts and what PyTorch exports as ONNX, with facenet-pytorch's names of modules."""

import numpy as np

from tests.model.producers.network import EPSILON, there, walk
from tests.model.producers.packages import deepface_names


def build(width, embedding, weights):
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
    with torch.no_grad():
        model.logits.weight.fill_(1)
        model.logits.bias.fill_(0)
    return model, x


def make(out, *network):
    import torch

    model, x = build(*network)
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


def make_released(out, *network):
    """deepface's names, safetensors, and the graph of the newer exporter, also as it comes."""
    import torch
    from safetensors.torch import save_file

    model, x = build(*network)
    state = model.state_dict()
    torch.save(deepface_names(state), out / "deepface_weights.pth")
    save_file(state, out / "facenet-pytorch.safetensors")
    options = {"input_names": ["input"], "output_names": ["embedding"], "external_data": False}
    for name, optimize in (("dynamo.onnx", True), ("dynamo-plain.onnx", False)):
        torch.onnx.export(model, (x,), out / name, dynamo=True, optimize=optimize, **options)
