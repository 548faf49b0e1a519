# SPDX-License-Identifier: Apache-2.0
"""How a model's face detector compares with another's on a folder of pictures.

Usage: compare_detectors.py --model FILE --reference FILE --pictures DIR [--facenetd PATH] [--list]

Each model is served and asked for the faces of every picture. Printed are the share of the
reference's faces that the model finds, at two overlaps (intersection over union); the same for
the most central face of each picture; and how many faces it finds that the reference does not.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import httpx

STRANGE = 0.3  # overlap with every face of the reference below which a face is another one


def serve(facenetd, model, folder):
    socket = f"{folder}/socket"
    daemon = subprocess.Popen(
        [facenetd, "--model", model, "--listen", f"unix:{socket}", "--device", "reference"],
        stderr=subprocess.DEVNULL,
    )
    client = httpx.Client(
        transport=httpx.HTTPTransport(uds=socket), base_url="http://localhost", timeout=60
    )
    for _ in range(300):
        try:
            client.get("/readyz").raise_for_status()
            return daemon, client
        except httpx.HTTPError:
            time.sleep(0.1)
    daemon.kill()
    raise SystemExit(f"{model}: {facenetd} did not become ready")


def find(facenetd, model, pictures):
    """{picture: [(left, top, right, bottom)]} and the picture's width and height."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        daemon, client = serve(facenetd, model, folder)
        try:
            for path in pictures:
                answer = client.post("/detect", content=path.read_bytes())
                answer.raise_for_status()
                boxes = [face["box"] for face in answer.json()["faces"]]
                found[path] = [
                    (b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in boxes
                ]
        finally:
            daemon.terminate()
            daemon.wait()
    return found


def overlap(a, b):
    """Intersection over union."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    area = sum((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b))
    return both / (area - both)


def central(boxes, size):
    """As --face center chooses: area less twice the squared distance from the middle."""

    def score(box):
        x, y = (box[0] + box[2] - size[0]) / 2, (box[1] + box[3] - size[1]) / 2
        return (box[2] - box[0]) * (box[3] - box[1]) - 2 * (x * x + y * y)

    return max(boxes, key=score) if boxes else None


def size_of(path):
    from PIL import Image

    with Image.open(path) as picture:
        return picture.size


def say(what, overlaps):
    shares = [
        f"{100 * sum(v >= least for v in overlaps) / len(overlaps):.2f} %" for least in (0.5, 0.7)
    ]
    print(
        f"{what}: {len(overlaps)}, found at overlap 0.5: {shares[0]}, at 0.7: {shares[1]}, "
        f"mean overlap {statistics.fmean(overlaps):.3f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--pictures", required=True, type=Path)
    parser.add_argument("--facenetd", default="build/facenetd")
    parser.add_argument("--list", action="store_true", help="pictures whose central faces differ")
    o = parser.parse_args()
    pictures = sorted(p for p in o.pictures.rglob("*") if p.suffix in (".jpg", ".png"))
    mine, theirs = (find(o.facenetd, model, pictures) for model in (o.model, o.reference))
    every, middle, strange = [], [], 0
    for path in pictures:
        every += [max((overlap(r, m) for m in mine[path]), default=0) for r in theirs[path]]
        strange += sum(
            max((overlap(r, m) for r in theirs[path]), default=0) < STRANGE for m in mine[path]
        )
        size = size_of(path)
        a, b = (central(found[path], size) for found in (mine, theirs))
        if b:
            middle.append(overlap(a, b) if a else 0.0)
            if o.list and middle[-1] < 0.5:
                print(f"{path}: {a} instead of {b}")
    say("faces of the reference", every)
    say("the most central of each picture", middle)
    print(f"faces that the reference does not have: {strange} in {len(pictures)} pictures")


if __name__ == "__main__":
    main()
