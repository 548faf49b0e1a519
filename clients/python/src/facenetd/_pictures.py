# SPDX-License-Identifier: Apache-2.0
"""Whatever people hold a picture in, as the bytes of a picture file."""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

#: The order of an array's last axis. There is no default: a wrong guess gives a wrong embedding.
Channels = Literal["rgb", "bgr"]
#: A path; the bytes of a JPEG, PNG or WebP file, or a file object that gives them; a PIL image; or
#: an array of uint8, [height, width, 3] with `channels`, or [height, width] grey.
Picture = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | Image.Image
    | npt.NDArray[np.uint8]
)

# What PNG can hold as it is; everything else becomes RGB.
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def to_bytes(picture: Picture, channels: Channels | None = None) -> bytes:
    """The bytes to send. Pixels travel as PNG: nothing is lost, and no format is guessed."""
    if isinstance(picture, str | os.PathLike):
        with open(picture, "rb") as file:
            data = file.read()
    elif isinstance(picture, bytes | bytearray | memoryview):
        data = bytes(picture)
    elif isinstance(picture, np.ndarray):
        data = _encode(_from_array(picture, channels))
    elif isinstance(picture, Image.Image):
        # The orientation that a camera noted would be lost in the PNG: turn upright here.
        data = _encode(ImageOps.exif_transpose(picture))
    elif hasattr(picture, "read"):
        data = _read(picture)
    else:
        raise TypeError(f"a picture cannot be a {type(picture).__name__}")
    if not data:
        raise ValueError("the picture is empty")
    return data


def _read(file: Any) -> bytes:
    data = file.read()
    if not isinstance(data, bytes):
        raise TypeError(f"the file object gives {type(data).__name__}: open it in binary mode")
    return data


def _from_array(array: npt.NDArray[Any], channels: Channels | None) -> Image.Image:
    if array.dtype != np.uint8:
        raise TypeError(f"an array of {array.dtype} is no picture: expected uint8, 0...255")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or array.size == 0:
        shape = list(array.shape)
        raise ValueError(
            f"an array of shape {shape}: expected [height, width, 3] or [height, width]"
        )
    if array.ndim == 2:
        return Image.fromarray(np.ascontiguousarray(array))
    if channels not in ("rgb", "bgr"):
        raise TypeError('an array needs channels="rgb" (PIL, imageio) or channels="bgr" (OpenCV)')
    return Image.fromarray(np.ascontiguousarray(array if channels == "rgb" else array[:, :, ::-1]))


def _encode(image: Image.Image) -> bytes:
    out = io.BytesIO()
    if image.mode not in _PNG_MODES:
        image = image.convert("RGB")
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()
