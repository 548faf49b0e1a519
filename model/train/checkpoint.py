# SPDX-License-Identifier: Apache-2.0
"""All that a run needs to go on, as a safetensors file: reading one cannot execute anything.

Arrays `student/<name>` and `optimizer/<parameter>/<name>`; the rest is JSON in the metadata.
"""

import json

import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from model.train.files import write_whole


class BadCheckpoint(Exception):
    """A file that holds no checkpoint of this network."""


def save(path, student, optimizer, facts):
    tensors = {f"student/{name}": x for name, x in student.state_dict().items()}
    for parameter, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{parameter}/{name}": x for name, x in state.items()}
    arrays = {name: x.detach().cpu().contiguous().numpy() for name, x in tensors.items()}
    text = {"facts": json.dumps(facts)}
    write_whole(path, lambda part: save_file(arrays, part, metadata=text))


def read(path):
    """(arrays, facts)."""
    try:
        with safe_open(path, "numpy") as file:
            names = file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
            return arrays, json.loads(file.metadata()["facts"])
    except Exception as error:  # the library has no one class of its own for what it refuses
        raise BadCheckpoint(str(error)) from error


def restore(arrays, student, optimizer):
    tensors = {name: torch.from_numpy(x) for name, x in arrays.items()}
    mine = {n.partition("/")[2]: x for n, x in tensors.items() if n.startswith("student/")}
    states = {}
    for name, x in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "optimizer":
            parameter, _, part = rest.partition("/")
            states.setdefault(int(parameter), {})[part] = x
    groups = optimizer.state_dict()["param_groups"]
    try:
        student.load_state_dict(mine)
        optimizer.load_state_dict({"state": states, "param_groups": groups})
    except (RuntimeError, ValueError) as error:
        raise BadCheckpoint(str(error)) from error
