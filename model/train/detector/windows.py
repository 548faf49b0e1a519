# SPDX-License-Identifier: Apache-2.0
"""What R-Net and O-Net look at while they learn: windows that the networks before them propose.

Cut once from many scenes, with room about them, into one file; every step then moves, turns,
squeezes and mixes some of them. A window is (centre x, centre y, side) in a scene's pixels.
"""

import math

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from model.train.detector import scenes
from model.train.detector.networks import SIDES, margin
from model.train.files import save_array

ROOM = 1.7  # sides of a window that are cut for it
PYRAMID = 0.709
LEAST_FACE = 20  # pixels
MOST_PROPOSALS = 60  # a scene
LEAST_MARGIN = -0.6  # of a proposal: hard negatives are wanted
LOOKED_AT = {"pnet": 72, "rnet": 24, "onet": 48}  # pixels a side; P-Net sees 961 windows at once
# A step's changes to a piece: standard deviations, in radians, logarithms and half sides.
TURN, SIZE, STRETCH, SHIFT = 0.09, 0.08, 0.03, 0.06
MIXED = 0.12  # share of windows that are mixed with another


def _overlap(boxes, box):
    """Intersection over union of boxes [n][4] with one."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    both = np.clip(high - low, 0, None).prod(1)
    return both / ((boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod() - both)


def _suppress(boxes, most):
    """Of boxes [n][5] (margin, edges) the best that overlap no better one by more."""
    boxes = boxes[np.argsort(-boxes[:, 0], kind="stable")]
    kept = []
    while len(boxes) and len(kept) < MOST_PROPOSALS:
        kept.append(boxes[0])
        boxes = boxes[1:][_overlap(boxes[1:, 1:], boxes[0, 1:]) < most]
    return np.array(kept, np.float32).reshape(-1, 5)


def propose(pnet, scene, device):
    """Boxes [n][5] of P-Net on the pyramid of a scene."""
    picture = Image.fromarray(scene)
    found, scale = [], SIDES["pnet"] / LEAST_FACE
    while min(picture.size) * scale >= SIDES["pnet"]:
        size = tuple(math.ceil(side * scale) for side in picture.size)
        level = np.array(picture.resize(size, Image.Resampling.BOX), np.float32)
        pixels = torch.from_numpy(level.transpose(2, 0, 1)[None]).to(device)
        with torch.no_grad():
            answers = pnet(pixels)
        found.append(_boxes(margin(answers)[0], answers[0, 2:6], scale))
        scale *= PYRAMID
    return _suppress(np.concatenate(found), 0.7) if found else np.zeros((0, 5), np.float32)


def _boxes(margins, edges, scale):
    margins, edges = margins.cpu().numpy(), edges.cpu().numpy()
    y, x = np.nonzero(margins > LEAST_MARGIN)
    side = SIDES["pnet"]
    corners = np.stack([2 * x, 2 * y, 2 * x + side, 2 * y + side], 1) + side * edges[:, y, x].T
    boxes = np.concatenate([margins[y, x][:, None], corners / scale], 1).astype(np.float32)
    return _suppress(boxes, 0.5)


def _squares(boxes):
    """Windows [n][3] about boxes [n][5]."""
    size = boxes[:, 3:] - boxes[:, 1:3]
    return np.column_stack([(boxes[:, 1:3] + boxes[:, 3:]) / 2, size.max(1)])


def refine(rnet, scene, boxes, device):
    """The boxes that R-Net does not rule out, moved by its regression."""
    windows = _squares(boxes)
    windows = windows[windows[:, 2] >= SIDES["pnet"]]
    if not len(windows):
        return boxes[:0]
    pixels = torch.from_numpy(cut(scene, windows, SIDES["rnet"], 1.0)).float().to(device)
    with torch.no_grad():
        answers = rnet(pixels)
    margins = margin(answers)[:, 0, 0].cpu().numpy()
    edges = answers[:, 2:6, 0, 0].cpu().numpy()
    half = windows[:, 2:] / 2
    moved = np.concatenate([windows[:, :2] - half, windows[:, :2] + half], 1) + 2 * half * edges
    boxes = np.concatenate([margins[:, None], moved], 1).astype(np.float32)
    return _suppress(boxes[margins > LEAST_MARGIN], 0.7)


def cut(scene, windows, side, room):
    """uint8 [n][3][p][p]: each window and room about it, so many pixels that it has `side`."""
    picture = Image.fromarray(scene)
    pixels = int(side * room)
    pieces = np.empty((len(windows), 3, pixels, pixels), np.uint8)
    for piece, (x, y, size) in zip(pieces, windows, strict=True):
        half = size * pixels / side / 2
        corners = [round(v) for v in (x - half, y - half, x + half, y + half)]
        found = picture.crop(corners).resize((pixels, pixels), Image.Resampling.BOX)
        piece[:] = np.asarray(found).transpose(2, 0, 1)
    return pieces


def collect(path, name, pictures, cascades, count, seed, device):
    """Write `count` pieces for network `name` to `path`. cascades: one or several lists of the
    networks before it, which propose in turn, a scene each."""
    pixels = int(LOOKED_AT[name] * ROOM)
    array = np.empty((count, 3, pixels, pixels), np.uint8)
    n = scene_number = 0
    while n < count:
        random = np.random.default_rng((seed, SIDES[name], scene_number))
        scene_number += 1
        if name == "pnet":
            found = scenes.small(pictures, pixels, random).transpose(2, 0, 1)[None]
        else:
            found = _pieces(
                scenes.large(pictures, random), name, cascades[scene_number % len(cascades)], device
            )[: count - n]
        array[n : n + len(found)] = found
        n += len(found)
        if scene_number % 500 == 0:
            print(f"{name}: {n} of {count} pieces from {scene_number} scenes")
    save_array(path, array)


def _pieces(scene, name, before, device):
    boxes = propose(before[0], scene, device)
    if name == "onet":
        boxes = refine(before[1], scene, boxes, device)
    windows = _squares(boxes)
    return cut(scene, windows[windows[:, 2] >= SIDES["pnet"]], SIDES[name], ROOM)


def moved(pieces, side, random, device):
    """Windows float32 [n][3][side][side] out of pieces, each a little off and turned."""
    n = len(pieces)
    x = torch.from_numpy(pieces).to(device).float()
    turn = random.normal(0, TURN, n)
    size = np.exp(random.normal(0, SIZE, n)) / ROOM
    mirror = np.where(random.random(n) < 0.5, -1.0, 1.0)
    stretch = np.exp(random.normal(0, STRETCH, n))
    across, down = random.normal(0, SHIFT, (2, n))
    c, s = np.cos(turn) * size, np.sin(turn) * size
    rows = np.stack(
        [
            np.stack([mirror * c * stretch, -s, across], 1),
            np.stack([mirror * s, c / stretch, down], 1),
        ],
        1,
    )
    grid = F.affine_grid(
        torch.from_numpy(rows.astype(np.float32)).to(device),
        [n, 3, side, side],
        align_corners=False,
    )
    x = F.grid_sample(x, grid, align_corners=False, padding_mode="border")
    return _mixed(x, random)


def _mixed(x, random):
    """Some windows shine through others: faces that nobody has."""
    n = len(x)
    share = np.where(random.random(n) < MIXED, random.uniform(0.3, 1, n), 1).astype(np.float32)
    share = torch.from_numpy(share).to(x.device)[:, None, None, None]
    return share * x + (1 - share) * x.roll(1, 0)
