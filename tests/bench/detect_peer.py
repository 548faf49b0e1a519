#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our detector beside independent ones, all with the weights of facenet-pytorch's pinned wheel.

Usage: detect_peer.py --wheel FOLDER --model MODEL --pictures DIR [--every N] [--facenetd PROGRAM]

FOLDER is the unpacked wheel, MODEL has the detector. First facenet-pytorch as it comes; it departs
from the published detector (davidsandberg/facenet, with which the reference accuracy was measured):
adaptive pooling for exact area, pieces clipped at the picture's edge instead of filled with black,
boxes not brought to whole pixels between the networks. Then the published cascade, written here
anew in NumPy around the wheel's networks as PyTorch computes them. For every box of ours the best
of the peer's counts, and the other way round; exit 1 below 99 % at IoU 0.9 with the published one.
"""

import argparse
import importlib
import json
import pathlib
import subprocess
import sys
import tempfile
import types
import urllib.request

import numpy as np
import torch
from PIL import Image


def suppress(boxes, scores, groups, threshold):
    """torchvision's batched_nms: greedy, by group, best first."""
    order = torch.argsort(scores, descending=True)
    sides = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        low = torch.maximum(boxes[best, :2], boxes[order, :2])
        high = torch.minimum(boxes[best, 2:4], boxes[order, 2:4])
        both = (high - low).clamp(min=0).prod(1)
        overlap = both / (sides[best] + sides[order] - both)
        order = order[(overlap <= threshold) | (groups[order] != groups[best])]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.long)


def load_peer(wheel):
    """The wheel's detector, without the rest of its package and without torchvision."""
    for name in ("torchvision", "torchvision.ops", "torchvision.ops.boxes",
                 "torchvision.transforms"):  # fmt: skip
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchvision.ops.boxes"].batched_nms = suppress
    sys.modules["torchvision.transforms"].functional = None
    for name in ("facenet_pytorch", "facenet_pytorch.models"):
        package = types.ModuleType(name)
        package.__path__ = [str(wheel / name.replace(".", "/"))]
        sys.modules[name] = package
    module = importlib.import_module("facenet_pytorch.models.mtcnn")
    return module.MTCNN(min_face_size=20, keep_all=True, device="cpu")


def shares(size, wanted):
    """[wanted][size]: how much of each output pixel each input pixel is, by exact area."""
    edges = np.arange(wanted + 1) * size / wanted
    low, high = edges[:-1, None], edges[1:, None]
    pixels = np.arange(size)[None, :]
    part = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None)
    return part * wanted / size


def resample(image, height, width):
    """[h][w][3] by exact area, in double."""
    rows, columns = shares(image.shape[0], height), shares(image.shape[1], width)
    return np.einsum("yh,hwc,xw->yxc", rows, image.astype(np.float64), columns, optimize=True)


class Published:
    """detect_face() of davidsandberg/facenet around three networks."""

    def __init__(self, pnet, rnet, onet, min_face):
        self.pnet, self.rnet, self.onet, self.min_face = pnet, rnet, onet, min_face

    @staticmethod
    def ask(network, pictures):
        """Outputs for [n][h][w][3] of 0...255."""
        batch = torch.from_numpy(
            ((pictures - 127.5) / 128).astype(np.float32).transpose(0, 3, 1, 2)
        )
        with torch.no_grad():
            return [out.numpy() for out in network(batch)]

    @staticmethod
    def thin_out(boxes, most, smaller=False):
        """Rows x1 y1 x2 y2 score ..., best first, without those that a better one overlaps."""
        boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
        kept = []
        sides = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
        for i, box in enumerate(boxes):
            k = np.array(kept, int)
            low = np.maximum(box[:2], boxes[k, :2])
            both = np.clip(np.minimum(box[2:4], boxes[k, 2:4]) - low + 1, 0, None).prod(1)
            whole = np.minimum(sides[i], sides[k]) if smaller else sides[i] + sides[k] - both
            if (both / whole <= most).all():
                kept.append(i)
        return boxes[kept]

    @staticmethod
    def move(boxes, regression, rim):
        size = boxes[:, 2:4] - boxes[:, :2] + rim
        boxes[:, :4] += regression * np.concatenate([size, size], 1)

    @staticmethod
    def square(boxes):
        """Squares about the same centres, on whole pixels."""
        size = boxes[:, 2:4] - boxes[:, :2]
        side = size.max(1, keepdims=True)
        boxes[:, :2] += size / 2 - side / 2
        boxes[:, 2:4] = boxes[:, :2] + side
        boxes[:, :4] = np.trunc(boxes[:, :4])

    @staticmethod
    def cut(picture, boxes, side):
        """Boxes count pixels from 1, ends included; beyond the picture lies black."""
        pieces = []
        for x1, y1, x2, y2 in boxes[:, :4].astype(int):
            piece = np.zeros((y2 - y1 + 1, x2 - x1 + 1, 3))
            top, left = max(y1, 1), max(x1, 1)
            inside = picture[top - 1 : max(y2, 0), left - 1 : max(x2, 0)]
            y, x = top - y1, left - x1
            piece[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
            pieces.append(resample(piece, side, side))
        return np.array(pieces)

    def propose(self, picture):
        height, width = picture.shape[:2]
        scale, found = 12 / self.min_face, []
        while min(height, width) * scale >= 12:
            level = resample(picture, int(np.ceil(height * scale)), int(np.ceil(width * scale)))
            regression, chance = self.ask(self.pnet, np.floor(level + 0.5)[None])
            y, x = np.nonzero(chance[0, 1] >= 0.6)
            cell = np.stack([x, y], 1) * 2.0
            corners = [np.trunc((cell + 1) / scale), np.trunc((cell + 12) / scale)]
            rows = [*corners, chance[0, 1, y, x][:, None], regression[0, :, y, x]]
            found.append(self.thin_out(np.concatenate(rows, 1), 0.5))
            scale *= 0.709
        boxes = self.thin_out(np.concatenate(found), 0.7)
        self.move(boxes, boxes[:, 5:9], 0)
        self.square(boxes)
        return boxes[:, :5]

    def judge(self, network, picture, boxes, side):
        """Those that pass, with their score, and the regressions."""
        if not len(boxes):
            return boxes, np.zeros((0, 4))
        outputs = self.ask(network, self.cut(picture, boxes, side))
        boxes[:, 4] = outputs[-1][:, 1]
        passed = boxes[:, 4] > 0.7
        return boxes[passed], outputs[0][passed]

    def detect(self, picture):
        boxes, regression = self.judge(self.rnet, picture, self.propose(picture), 24)
        boxes = self.thin_out(np.concatenate([boxes, regression], 1), 0.7)
        self.move(boxes, boxes[:, 5:9], 1)
        self.square(boxes)
        boxes, regression = self.judge(self.onet, picture, boxes[:, :5], 48)
        self.move(boxes, regression, 1)
        return self.thin_out(boxes, 0.7, smaller=True)[:, :4]


def iou(a, b):
    """[len(a)][len(b)] of boxes x1 y1 x2 y2."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(2)
    sides = [(x[:, 2:] - x[:, :2]).prod(1) for x in (a, b)]
    return both / (sides[0][:, None] + sides[1][None, :] - both)


class Daemon:
    def __init__(self, program, model):
        command = [program, "--model", model, "--listen", "127.0.0.1:0", "--device", "reference"]
        with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as config:
            json.dump({"max_batch": 1, "deadline_ms": 600000}, config)
        command += ["--allow-untrained", "--config", config.name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=-3)
        line = self.process.stdout.readline()
        self.url = "http://" + line.split("http://")[1].split(",")[0]

    def detect(self, path):
        request = urllib.request.Request(self.url + "/detect?min_face=20", path.read_bytes())
        with urllib.request.urlopen(request) as answer:
            faces = json.load(answer)["faces"]
        boxes = [face["box"] for face in faces]
        rows = [(b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in boxes]
        return np.array(rows).reshape(-1, 4)


def compare(name, ours, theirs):
    found = [iou(a, b) for a, b in zip(ours, theirs, strict=True)]
    best = [m.max(1) if m.shape[1] else np.zeros(m.shape[0]) for m in found]
    best += [m.max(0) if m.shape[0] else np.zeros(m.shape[1]) for m in found]
    best = np.concatenate(best)
    first = [m[0].max() for m in found if m.size]  # our largest face: the one that is embedded
    counts = sum(len(a) == len(b) for a, b in zip(ours, theirs, strict=True))
    print(
        f"| {name} | {sum(map(len, ours))} | {sum(map(len, theirs))} | {counts} of {len(ours)} "
        f"| {100 * (best >= 0.9).mean():.2f} | {100 * np.mean(np.array(first) >= 0.9):.2f} "
        f"| {np.mean(first):.4f} |"
    )
    return (best >= 0.9).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--wheel", type=pathlib.Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--pictures", type=pathlib.Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="one of so many pictures")
    parser.add_argument("--facenetd", default="build/facenetd")
    options = parser.parse_args()
    paths = sorted(options.pictures.rglob("*.jpg"))[:: options.every]
    daemon = Daemon(options.facenetd, options.model)
    try:
        ours = [daemon.detect(path) for path in paths]
    finally:
        daemon.process.terminate()
    peer = load_peer(options.wheel)
    published = Published(peer.pnet, peer.rnet, peer.onet, 20)

    def look(path):
        with torch.no_grad():
            boxes, _ = peer.detect(Image.open(path).convert("RGB"))
        return np.zeros((0, 4)) if boxes is None else boxes.reshape(-1, 4).astype(float)

    print("| peer | faces of ours | of the peer | pictures with as many "
          "| boxes at IoU >= 0.9 % | largest faces % | their mean IoU |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    compare("facenet-pytorch 2.6.0 as it comes", ours, [look(p) for p in paths])
    theirs = [published.detect(np.asarray(Image.open(p).convert("RGB"))) for p in paths]
    agreed = compare("the published cascade, networks by PyTorch", ours, theirs)
    return 0 if agreed >= 0.99 else 1


if __name__ == "__main__":
    sys.exit(main())
