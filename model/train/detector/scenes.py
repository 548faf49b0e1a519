# SPDX-License-Identifier: Apache-2.0
"""Scenes: what the detector looks at while it learns, made anew at random out of some pictures.

The teacher answers for whatever it is shown, so nothing is labelled: a picture may be turned,
squeezed, cut, mirrored, put small beside others or upside down. Every scene follows from its seed.
"""

import functools

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from model.train.pictures import SUFFIXES, BadPictures, read_upright, walk

MOST_SIDE = 640  # pixels that a picture is shrunk to
KEPT_OPEN = 2048  # pictures
GREY_SHARE = 0.12


class Pictures:
    """The pictures below folders; those that cannot be read are left out when they are met."""

    def __init__(self, folders):
        paths = sorted(path for folder in folders for path in walk(folder))
        if not paths:
            raise BadPictures(f"{', '.join(map(str, folders))}: no picture ({', '.join(SUFFIXES)})")
        self.paths = paths
        self.read = functools.lru_cache(KEPT_OPEN)(_read)


def _read(path):
    picture = read_upright(path)
    picture.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.BOX)
    return picture


def _colour(random):
    return tuple(int(v) for v in random.integers(0, 256, 3))


def _changed(picture, scale, random):
    """Turned, mirrored and stretched; `scale` of its pixels a side."""
    if random.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if random.random() < 0.06:
        picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if random.random() < 0.6:
        angle = float(random.normal(0, 14))
        picture = picture.rotate(angle, Image.Resampling.BILINEAR, fillcolor=_colour(random))
    stretch = float(np.exp(random.normal(0, 0.07)))
    width = max(16, round(picture.width * scale * stretch))
    height = max(16, round(picture.height * scale / stretch))
    return picture.resize((width, height), Image.Resampling.BOX)


def _paste(scene, piece, random):
    """Somewhere; what is too large is cut somewhere."""
    if piece.width > scene.width:
        x = int(random.integers(piece.width - scene.width + 1))
        piece = piece.crop((x, 0, x + scene.width, piece.height))
    if piece.height > scene.height:
        y = int(random.integers(piece.height - scene.height + 1))
        piece = piece.crop((0, y, piece.width, y + scene.height))
    x = int(random.integers(scene.width - piece.width + 1))
    y = int(random.integers(scene.height - piece.height + 1))
    scene.paste(piece, (x, y))


def small(pictures, side, random):
    """A scene for P-Net, uint8 [side][side][3]: several pictures 22 to 64 pixels wide, so that
    their faces are as large as the network's window, on a piece of a larger one."""
    scene = Image.new("RGB", (side, side), _colour(random))
    for i in range(int(random.integers(2, 7))):
        picture = _choose(pictures, random)
        low, high = (64, 300) if i == 0 else (22, 64)
        width = np.exp(random.uniform(np.log(low), np.log(high)))
        _paste(scene, _changed(picture, width / max(picture.size), random), random)
    return np.asarray(scene)


def large(pictures, random):
    """A scene for the cascade, uint8 [h][w][3]: a picture, sometimes others small on it."""
    scene = _choose(pictures, random)
    scene = _changed(scene, float(np.exp(random.normal(-0.1, 0.3))), random)
    scene.thumbnail((2 * MOST_SIDE // 3,) * 2, Image.Resampling.BOX)
    for _ in range(int(random.integers(0, 4)) if random.random() < 0.4 else 0):
        scale = float(np.exp(random.uniform(np.log(0.2), np.log(0.6))))
        _paste(scene, _changed(_choose(pictures, random), scale, random), random)
    return np.asarray(scene)


def _choose(pictures, random):
    paths = pictures.paths
    for _ in range(100):
        try:
            return pictures.read(paths[int(random.integers(len(paths)))])
        except BadPictures:
            continue
    raise BadPictures(f"{paths[0]} and others: a hundred in turn cannot be read")


def relight(pixels, random):
    """Other light, colour, grey and sharpness for float32 [n][3][h][w], 0...255."""
    n = len(pixels)

    def draw(low, high, channels=1):
        values = random.uniform(low, high, (n, channels, 1, 1)).astype(np.float32)
        return _like(values, pixels)

    soft = draw(-0.7, 0.9)  # below zero it sharpens
    blurred = _blur(pixels)
    pixels = pixels + soft * (blurred - pixels)
    pixels = (pixels - 127.5) * draw(0.7, 1.35) * draw(0.92, 1.08, 3) + 127.5 + draw(-30, 30)
    grey = (draw(0, 1) < GREY_SHARE).float()
    pixels = pixels * (1 - grey) + pixels.mean(1, keepdim=True) * grey
    return pixels.clamp(0, 255)


def _like(values, tensor):
    return torch.from_numpy(values).to(tensor.device)


def _blur(pixels):
    padded = F.pad(pixels, (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(padded, 3, 1)
