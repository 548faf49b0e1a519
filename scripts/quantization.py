#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure every way `facenet-model quantize` knows on a network, and write the tables of
docs/quantization.md between their marks. Everything but the table is written by hand.

Usage: quantization.py NAME=WEIGHTS... --calibration DIR --lfw DIR [--only TEXT]

NAME is the mark: `full` or `thin`. All is chosen on the calibration pictures; LFW's fold 1 has
other people and is for measuring only. Each row is written as soon as it is measured; with --only
those alone whose label has TEXT, and the others stay.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = ROOT / "build" / "facenet-model"
PAGE = ROOT / "docs" / "quantization.md"
PLAIN = ["--no-equalisation", "--no-bias-correction"]
SCHEMES = [
    ("`--n 4` for everything, as the original", ["--n", "4"]),
    ("`--n 5`", ["--n", "5"]),
    ("`--n 6`", ["--n", "6"]),
    ("`--per-tensor`, plain", ["--per-tensor", *PLAIN]),
    ("per channel, plain", PLAIN),
    ("per channel, biases corrected", ["--no-equalisation"]),
    ("per channel, equalised", ["--no-bias-correction"]),
    ("`--per-tensor`, equalised, biases corrected", ["--per-tensor"]),
    ("**per channel, equalised, biases corrected** (default)", []),
    ("the same, `--joint-rounding`", ["--joint-rounding"]),
    ("the default, `--wide-residual`", ["--wide-residual"]),
]
MISSING = " | ".join(["not measured"] * 5)
HEAD = """\
| scheme | calibration: mean | 1st percentile | LFW fold 1: mean | 1st percentile | accuracy |
|---|---|---|---|---|---|
"""


def tool(*words):
    done = subprocess.run([TOOL, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"quantization.py: {' '.join(map(str, words))}:\n{done.stderr}")
    return done.stdout


def measure(options, args, folder, weights):
    """One row: cosines on both sets of pictures and the accuracy of model and float network."""
    model = folder / "model.safetensors"
    # no other engine computes these, and the plain loops take a second a picture
    device = ["--device", "reference"] if "--wide-residual" in options else []
    words = ["--preprocessing", "fixed", "-o", model, *options, *device]
    said = tool("quantize", weights, "--calibration", args.calibration, *words)
    mean, low = re.search(r"mean ([0-9.-]+), 1st percentile ([0-9.-]+)", said).groups()
    words = ["--pairs", args.lfw / "pairs.txt", "--images", args.lfw, "--float", weights, "--json"]
    words += device
    found = json.loads(tool("evaluate", model, *words))
    far = found["cosine_to_float"]
    ours, real = (100 * one["accuracy"]["mean"] for one in found["results"])
    cells = (mean, low, f"{far['mean']:.5f}", f"{far['percentile_1']:.5f}", f"{ours:.2f} %")
    return " | ".join(cells), real


def replace_row(name, label, cells, real):
    """Put a row into its table, where the other rows stay as they are."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end {name} -->"
    before, rest = PAGE.read_text().split(begin)
    old, after = rest.split(end)
    rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", old, re.MULTILINE))
    rows[label] = cells
    table = HEAD + "".join(f"| {one} | {rows.get(one, MISSING)} |\n" for one, _ in SCHEMES)
    table += f"\nThe float network's accuracy on the same pairs: {real:.2f} %.\n"
    PAGE.write_text(before + begin + table + end + after)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("Usage: ")[1].split("\n")[0])
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--calibration", type=pathlib.Path, required=True)
    parser.add_argument("--lfw", type=pathlib.Path, required=True)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for network in args.networks:
            name, weights = network.split("=", 1)
            for label, options in SCHEMES:
                if args.only in label:
                    cells, real = measure(options, args, pathlib.Path(folder), weights)
                    replace_row(name, label, cells, real)
                    print(f"{name}: {label}: {cells}", flush=True)


if __name__ == "__main__":
    main()
