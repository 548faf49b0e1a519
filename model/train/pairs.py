# SPDX-License-Identifier: Apache-2.0
"""Accuracy on a pairs file in the form of Labeled Faces in the Wild (see model/evaluate/lfw.h).

The quick look while training; figures for a document come from `facenet-model evaluate`, which
runs the quantized network.
"""

from pathlib import Path

import numpy as np
import torch

from model.train.pictures import SUFFIXES, BadPictures, read_crop


def read_pairs(path):
    """[(folds), (picture a, picture b, same, fold)...]; a picture is (person, number)."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    head = lines[0].split() if lines else []
    if not head or len(head) > 2 or not all(h.isdigit() for h in head):
        raise BadPictures(f"{path}: line 1: expected '<folds> <n>' or '<n>'")
    folds, n = (int(head[0]), int(head[1])) if len(head) == 2 else (1, int(head[0]))
    pairs = []
    for at, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if len(fields) == 3 and fields[1].isdigit() and fields[2].isdigit():
            a, b, same = (fields[0], int(fields[1])), (fields[0], int(fields[2])), True
        elif len(fields) == 4 and fields[1].isdigit() and fields[3].isdigit():
            a, b, same = (fields[0], int(fields[1])), (fields[2], int(fields[3])), False
        elif not line.strip():
            continue
        else:
            raise BadPictures(f"{path}: line {at}: no pair: {line!r}")
        pairs.append((a, b, same, len(pairs) // (2 * n)))
    if len(pairs) != folds * 2 * n:
        raise BadPictures(f"{path}: {len(pairs)} pairs; line 1 says {folds * 2 * n}")
    if folds == 1:  # ten stratified folds of its own
        seen = {True: 0, False: 0}
        for i, (a, b, same, _) in enumerate(pairs):
            pairs[i] = a, b, same, seen[same] % 10
            seen[same] += 1
    return pairs


def find(folder, person, number):
    stem = Path(folder) / person / f"{person}_{number:04}"
    for suffix in SUFFIXES:
        path = stem.with_name(stem.name + suffix)
        if path.exists():
            return path
    raise BadPictures(f"{stem}.*: no such picture")


@torch.no_grad()
def embed(network, paths, crop, device, batch=64):
    network.eval()
    found = []
    for i in range(0, len(paths), batch):
        crops = np.stack([read_crop(p, crop) for p in paths[i : i + batch]])
        found.append(network(torch.from_numpy(crops).to(device).float()).cpu().numpy())
    return np.concatenate(found)


def _best_threshold(distances, same):
    """The threshold of most right answers, in the middle of its gap."""
    order = np.argsort(distances, kind="stable")
    d, s = distances[order], same[order]
    right = np.concatenate([[0], np.cumsum(np.where(s, 1, -1))]) + (~s).sum()
    edges = np.concatenate([[d[0] - 1], (d[1:] + d[:-1]) / 2, [d[-1] + 1]])
    tied = np.concatenate([[False], d[1:] == d[:-1], [False]])
    return edges[np.argmax(np.where(tied, -1, right))]


def measure(distances, same, folds):
    """Accuracy by fold with the other folds' threshold, and true accepts at rates of false ones."""
    accuracies = []
    for fold in np.unique(folds):
        inside = folds == fold
        threshold = _best_threshold(distances[~inside], same[~inside])
        accuracies.append(((distances[inside] < threshold) == same[inside]).mean())
    facts = {
        "pairs": len(distances),
        "accuracy": float(np.mean(accuracies)),
        "accuracy_deviation": float(np.std(accuracies, ddof=1)),
        "threshold": float(_best_threshold(distances, same)),
    }
    impostors = np.sort(distances[~same])
    for rate in (0.1, 0.01, 0.001):
        allowed = int(rate * len(impostors))
        if allowed >= 1:
            limit = impostors[allowed]
            facts[f"true_accepts_at_{rate:g}"] = float((distances[same] < limit).mean())
    return facts


def evaluate(network, pairs_path, folder, crop, device):
    """Facts of a network on the pairs of a file, as a dictionary."""
    pairs = read_pairs(pairs_path)
    pictures = sorted({p for pair in pairs for p in pair[:2]})
    at = {p: i for i, p in enumerate(pictures)}
    vectors = embed(network, [find(folder, *p) for p in pictures], crop, device)
    a, b = (vectors[[at[pair[k]] for pair in pairs]] for k in (0, 1))
    distances = ((a - b) ** 2).sum(1)
    same = np.array([pair[2] for pair in pairs])
    return measure(distances, same, np.array([pair[3] for pair in pairs]))
