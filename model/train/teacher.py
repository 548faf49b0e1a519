# SPDX-License-Identifier: Apache-2.0
"""What the teacher says of every picture, asked once and kept on disk.

The teacher is the ONNX file of `facenet-model onnx`, run by ONNX Runtime. Its embeddings of the
plain crops lie as float16 [pictures][d] under the data folder, beside a byte a picture (0 not yet,
1 there, 2 unreadable), in a folder named after the teacher's digest. Interrupted, it goes on
where it was.
"""

import hashlib
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from model.train.files import write_json
from model.train.pictures import BadPictures, in_order, load

WAITING, THERE, UNREADABLE = 0, 1, 2


class Embeddings:
    """The cached answers of one teacher."""

    def __init__(self, folder, facts):
        n, size = facts["pictures"], facts["embedding_size"]
        self.vectors = np.memmap(folder / "embeddings.f16", np.float16, "r", shape=(n, size))
        self.states = np.load(folder / "states.npy", mmap_mode="r")
        self.size = size

    def there(self):
        """Numbers of the pictures that have one."""
        return np.flatnonzero(np.asarray(self.states) == THERE)

    def of(self, numbers, device):
        """Unit length, float32 [n][d]."""
        found = torch.from_numpy(np.asarray(self.vectors[np.asarray(numbers)], np.float32))
        return torch.nn.functional.normalize(found).to(device)


def _session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    there = onnxruntime.get_available_providers()
    return onnxruntime.InferenceSession(
        str(path), options, providers=[p for p in wanted if p in there]
    )


def _folder(data, path):
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return Path(data) / f"teacher-{digest[:16]}"


def teach(pictures, path, batch=32, workers=2, threads=0):
    """Embed every picture that has no embedding yet; give the Embeddings."""
    session = _session(path, threads)
    name, size = session.get_inputs()[0].name, session.get_outputs()[0].shape[-1]
    folder = _folder(pictures.data, path)
    folder.mkdir(exist_ok=True)
    n = len(pictures)
    facts = {
        "teacher": str(path),
        "pictures": n,
        "embedding_size": size,
        "digest": pictures.facts["digest"],
    }
    kept = folder / "states.npy"
    if kept.exists() and (folder / "digest").read_text() != facts["digest"]:
        kept.unlink()  # the folders have changed: numbers mean other pictures now
    new = not kept.exists()
    vectors = np.memmap(
        folder / "embeddings.f16", np.float16, "w+" if new else "r+", shape=(n, size)
    )
    if new:
        np.save(kept, np.zeros(n, np.uint8))
        (folder / "digest").write_text(facts["digest"])
    states = np.load(kept, mmap_mode="r+")
    waiting = np.flatnonzero(np.asarray(states) == WAITING)
    began = told = time.monotonic()
    done = 0
    for numbers, pixels in load(pictures, in_order(waiting, batch), workers, torch.device("cpu")):
        asked = waiting[done : done + len(numbers)]
        readable = numbers.numpy() >= 0
        x = (pixels.numpy().astype(np.float32) - 127.5) / 128
        vectors[asked] = session.run(None, {name: x})[0]
        states[asked] = np.where(readable, THERE, UNREADABLE)
        done += len(numbers)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            speed = done / (told - began)
            print(f"teacher: {done} of {len(waiting)}, {speed:.0f} a second", file=sys.stderr)
    vectors.flush()
    states.flush()
    write_json(folder / "teacher.json", facts)
    unreadable = int((np.asarray(states) == UNREADABLE).sum())
    if unreadable:
        first = pictures.path(int(np.flatnonzero(np.asarray(states) == UNREADABLE)[0]))
        print(f"teacher: {unreadable} pictures are unreadable, such as {first}", file=sys.stderr)
    if unreadable == n:
        raise BadPictures(f"{pictures.data}: no picture can be read")
    return Embeddings(folder, facts)
