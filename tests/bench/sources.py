#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Import full-size files of trained weights, and write what came of it to docs/sources.md.

    python -m tests.bench.sources FOLDER... [--calibration DIR] [--doc docs/sources.md]

A folder is what tests/model/producers/full.py wrote: files of one set of weights, and the weights
themselves as slim.safetensors. That one is quantized with the calibration pictures; every other
file with what was chosen then (--frac-bits), so that the two model files can be compared number by
number. Times are wall time on this machine, memory is the peak of the process.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile

import numpy as np
from safetensors.numpy import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("FACENETD_BUILD", "build") / "facenet-model"
MARKS = "<!-- measured by tests/bench/sources.py -->", "<!-- end -->"
REFERENCE = "slim.safetensors"


class Refused(Exception):
    """What the program said instead."""


def run(*args):
    """(seconds, peak in MiB) of facenet-model; raises Refused with its one line."""
    # By time(1): a child of ours would begin with our own memory as its peak.
    command = ["/usr/bin/time", "-q", "-f", "%e %M", TOOL, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    *said, measured = done.stderr.strip().split("\n")
    if done.returncode != 0:
        raise Refused(" ".join(said))
    seconds, kib = measured.split()
    return float(seconds), int(kib) / 1024


def find_sources(folder):
    """Files, and checkpoints by their folders."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and list(path.glob("*.index")):
            yield path
            yield from sorted(path.glob("*.pb"))
        elif path.suffix != ".data" and path.name != REFERENCE and not path.is_dir():
            yield path


def compare_tensors(reference, extracted):
    """Whether all extracted tensors have the reference's bits; a gamma that it lacks must be 1."""
    manifest = json.loads((extracted / "manifest.json").read_text())
    found = {t["name"]: np.load(extracted / t["file"]) for t in manifest["tensors"]}
    for name, value in reference.items():
        other = found.pop(name, None)
        if other is None or other.dtype != value.dtype or other.tobytes() != value.tobytes():
            return False
    return all(name.endswith("gamma") and (value == 1).all() for name, value in found.items())


def compare_models(reference, model):
    """(weights that differ, the largest difference in steps, weights)."""
    total = different = worst = 0
    for name, value in reference.items():
        if not name.endswith("/weights"):
            continue
        step = np.abs(value.astype(np.int32) - model[name].astype(np.int32))
        total += value.size
        different += int((step > 0).sum())
        worst = max(worst, int(step.max()))
    return different, worst, total


def measure(source, reference, model, pins, tmp, preprocessing):
    """One row of the table."""
    extracted, made = tmp / "extracted", tmp / "made.safetensors"
    said = subprocess.run([TOOL, "layers", source], capture_output=True, text=True, check=False)
    kind = said.stdout.split("\n", 1)[0]
    subprocess.run(["rm", "-rf", extracted, made], check=True)
    extract = run("extract", source, "-o", extracted)
    quantize = run("quantize", source, "--frac-bits", pins, "-o", made, *preprocessing)
    same = compare_tensors(reference, extracted)
    different, worst, total = compare_models(model, load_file(made))
    tensors = "same bits" if same else "folded"
    weights = "same" if different == 0 else f"{different:,} of {total:,}, by {worst}"
    times = f"{extract[0]:.1f} s, {extract[1]:.0f} MiB | {quantize[0]:.1f} s, {quantize[1]:.0f} MiB"
    print(f"{source}: {kind}\n    {times} | {tensors} | {weights}", flush=True)
    return f"| `{source.name}` | {times} | {tensors} | {weights} |"


def measure_folder(folder, calibration, tmp):
    reference = load_file(folder / REFERENCE)
    size = reference["InceptionResnetV1/Bottleneck/weights"].shape[1]
    preprocessing = ["--preprocessing", "fixed"]
    pins, model = tmp / "pins.json", tmp / "reference.safetensors"
    run(
        "quantize",
        folder / REFERENCE,
        "--calibration",
        calibration,
        "--write-frac-bits",
        pins,
        "-o",
        model,
        *preprocessing,
    )
    rows = []
    for source in find_sources(folder):
        try:
            rows.append(measure(source, reference, load_file(model), pins, tmp, preprocessing))
        except Refused as said:
            print(f"{source}: REFUSED {said}", flush=True)
            rows.append(f"| `{source.name}` | refused: {said} | | | |")
    return [f"| **{folder.name}, {size} floats** | | | | |", *rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--calibration", type=pathlib.Path, required=True)
    parser.add_argument("--doc", type=pathlib.Path, help="the document to put the table into")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as tmp:
        for folder in args.folders:
            rows += measure_folder(folder, args.calibration, pathlib.Path(tmp))
    table = "\n".join(
        [
            "| file | `extract` | `quantize --frac-bits` | tensors | int8 weights that differ |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )
    if args.doc:
        before, rest = args.doc.read_text().split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        args.doc.write_text(f"{before}{MARKS[0]}\n{table}\n{MARKS[1]}{after}")
    else:
        print(table)


if __name__ == "__main__":
    main()
