# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all."""

import json
import os
from pathlib import Path

import numpy as np


def write_whole(path, write):
    """Let `write(part)` fill a file beside `path`, then put it in its place."""
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def save_array(path, array):
    def write(part):
        with part.open("wb") as file:
            np.save(file, array)

    write_whole(path, write)


def write_json(path, value):
    write_whole(path, lambda part: part.write_text(json.dumps(value, indent=1) + "\n"))
