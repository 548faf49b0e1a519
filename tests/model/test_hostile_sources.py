# SPDX-License-Identifier: Apache-2.0
"""Files of weights made to harm: each is refused in one line, and nothing is left behind."""

import os
import pickle
import resource
import struct
import subprocess
import zipfile

import pytest

from tests.model.conftest import TOOL

MEMORY_MIB = 200


def varint(n):
    return bytes([n & 127 | 128]) + varint(n >> 7) if n > 127 else bytes([n])


def field(number, value):
    """Of a protobuf message: a number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def const(name, *dims, data=b""):
    """A GraphDef node: a float constant of this shape."""
    shape = b"".join(field(2, field(1, d)) for d in dims)
    tensor = field(1, 1) + field(2, shape) + data
    attr = field(1, b"value") + field(2, field(8, tensor))
    return field(1, field(1, name) + field(2, b"Const") + field(5, attr))


def torch_zip(path, data, **members):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", data)
        for name, value in members.items():
            file.writestr(f"archive/{name}", value)


class Runs:
    """A pickle that would run a program."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def zip_of(path, change):
    """A small ZIP file with its bytes changed by `change`."""
    torch_zip(path, b"\x80\x02}.")
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def claim(offset, value):
    """Change a number in the ZIP's directory entry."""

    def change(data):
        at = data.rindex(b"PK\1\2")
        data[at + offset : at + offset + 4] = struct.pack("<I", value)

    return change


def end_of_directory(data):
    at = data.rindex(b"PK\5\6")
    data[at + 8 : at + 20] = struct.pack("<HHII", 65535, 65535, 0xFFFFFFFF, 0xFFFFFFFF)


def safetensors(path, length, header=b"{}"):
    path.write_bytes(struct.pack("<Q", length) + header)


def tensors(entry):
    text = b'{"InceptionResnetV1/Conv2d_1a_3x3/weights":' + entry + b"}"
    return lambda p: safetensors(p, len(text), text + bytes(64))


def npy_folder(path, header):
    path.mkdir()
    text = header.ljust(118) + b"\n"
    (path / "Conv2d_1a_3x3_kernel.npy").write_bytes(
        b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + bytes(64)
    )


def npy(shape):
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + b", }"
    return lambda p: npy_folder(p, header)


def link_in_circle(path):
    path.symlink_to(path.name)


def checkpoint_of_devices(path):
    path.mkdir()
    (path / "m.index").symlink_to("/dev/zero")
    (path / "m.data-00000-of-00001").symlink_to("/dev/zero")


def manifest(file):
    def make(path):
        path.mkdir()
        (path / "manifest.json").write_text(
            '{"format": "facenetd-extract", "version": 1, "layout": "HWIO", "residual_scale": '
            '"folded", "batchnorm_epsilon": 0.001, "tensors": [{"name": '
            '"InceptionResnetV1/Conv2d_1a_3x3/weights", "file": "' + file + '", "sha256": "0"}]}'
        )

    return make


def onnx_outside(location):
    entry = field(1, b"location") + field(2, location)
    tensor = field(1, 1) + field(2, 1) + field(8, b"w") + field(13, entry) + field(14, 1)
    model = field(1, 8) + field(2, b"test") + field(7, field(5, tensor))
    return lambda p: p.write_bytes(model)


def legacy(*parts):
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    return lambda p: p.write_bytes(magic + b"".join(parts))


PROTOCOL = pickle.dumps(1001, 2)
SYSTEM = pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2)
DEEP = b"\x80\x02" + b"(" * 3_000_000 + b"."
NESTED = b"\x80\x02" + b"]" * 1_000_000 + b"a" * 999_999 + b"."
MEMO = b"\x80\x02}" + b"r" + struct.pack("<I", 0xFFFFFFFF) + b"."
LAUGHS = b"\x80\x02]q\0" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(200)) + b"."
LONG_TEXT = b"\x80\x04\x8d" + struct.pack("<Q", 1 << 63) + b"."
MANY_STORAGES = pickle.dumps(tuple(str(i) for i in range(20000)), 2)

CASES = {
    "zip-compressed-size": lambda p: zip_of(p, claim(20, 0xFFFFFFF0)),
    "zip-size": lambda p: zip_of(p, claim(24, 0xFFFFFFF0)),
    "zip-offset": lambda p: zip_of(p, claim(42, 0xFFFFFFF0)),
    "zip-64": lambda p: zip_of(p, end_of_directory),
    "pickle-deep-marks": lambda p: torch_zip(p, DEEP),
    "pickle-nested": lambda p: torch_zip(p, NESTED),
    "pickle-memo": lambda p: torch_zip(p, MEMO),
    "pickle-laughs": lambda p: torch_zip(p, LAUGHS),
    "pickle-long-text": lambda p: torch_zip(p, LONG_TEXT),
    "pickle-big-endian": lambda p: torch_zip(p, b"\x80\x02}.", byteorder="big"),
    "legacy-storages": legacy(PROTOCOL, SYSTEM, pickle.dumps({}, 2), MANY_STORAGES),
    "legacy-truncated": legacy(PROTOCOL, SYSTEM),
    "graph-two-gigabytes": lambda p: p.write_bytes(
        b"\x0a\xff\xff\xff\xff\x07\x0a\x01x" + bytes(32)
    ),
    "graph-expands": lambda p: p.write_bytes(
        const(b"x", 1 << 15, 1 << 15, data=field(5, struct.pack("<f", 1)))
    ),
    "graph-shape-overflows": lambda p: p.write_bytes(
        const(b"x", 1 << 62, 1 << 62, data=field(5, struct.pack("<f", 1)))
    ),
    "graph-many-nodes": lambda p: p.write_bytes(
        b"".join(field(1, field(1, b"%d" % i) + field(2, b"Relu")) for i in range(300_000))
    ),
    "onnx-up": onnx_outside(b"../../../etc/passwd"),
    "onnx-root": onnx_outside(b"/etc/passwd"),
    "safetensors-length": lambda p: safetensors(p, 1 << 63),
    "safetensors-deep": lambda p: safetensors(p, 100_000, b'{"a":' * 20_000),
    "safetensors-shape": tensors(
        b'{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,64]}'
    ),
    "safetensors-beyond": tensors(b'{"dtype":"F32","shape":[1024],"data_offsets":[0,4096]}'),
    "npy-shape": npy(b"(4294967296, 4294967296, 2, 2)"),
    "npy-longer": npy(b"(64, 3, 3, 3)"),
    "link-in-circle": link_in_circle,
    "checkpoint-of-devices": checkpoint_of_devices,
    "manifest-up": manifest("../../../etc/passwd"),
    "manifest-device": manifest("/dev/zero"),
    "empty": lambda p: p.write_bytes(b""),
    "sparse": lambda p: (p.write_bytes(b"\x0a\x40\x0a\x01x"), os.truncate(p, 1 << 40)),
}


def limit():
    """What the limit on memory allows, and what programs need beside it."""
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))


@pytest.mark.parametrize("command", ["layers", "extract", "quantize"])
@pytest.mark.parametrize("case", CASES)
def test_is_refused_in_one_line_and_leaves_nothing(case, command, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    CASES[case](source)
    args = {
        "layers": [],
        "extract": ["-o", out],
        "quantize": ["--calibration", tmp_path, "-o", out, "--preprocessing", "fixed"],
    }[command]
    done = subprocess.run(
        [TOOL, command, source, "--memory", str(MEMORY_MIB), *args],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        preexec_fn=None if "san" in str(TOOL) else limit,  # sanitizers map terabytes
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("facenet-model: ") and done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
    assert not out.exists()


def test_a_pickle_that_would_run_something_does_not(tool, tmp_path):
    marker = tmp_path / "ran"
    torch_zip(tmp_path / "evil.pt", pickle.dumps({"x": Runs(marker)}, 2))
    said = tool("layers", tmp_path / "evil.pt", status=1).stderr
    assert "system, which is no part of a state dict and is not run" in said
    assert not marker.exists()
