#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our engine beside ONNX Runtime, float32 and int8, on the same network in the same run.

Usage: bench.py --engine build/bench_engine --facts FILE.json --output docs/performance.md
                [--model FILE] [--onnx FILE --pictures DIR] [--rounds N]

Every contestant is a process of its own, pinned to the cores of its row, that waits for orders;
they run in turns, a few pictures each, so that whatever else the machine does hits all alike. A
figure is the median over all turns. ONNX Runtime's int8 network is made here by its own static
quantization (QDQ, per channel), calibrated on DIR. Without --onnx our engine runs alone.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCHES = (1, 8)
PICTURES_A_TURN = 16  # whatever the batch size
CALIBRATION_PICTURES = 32
SIDE = 160
LFW_BOX = (65, 65, 185, 185)  # left, top, right, bottom of a deep-funneled picture's face


def peer(path, threads):
    """Be ONNX Runtime: answer each line "<batch> <runs>" with the seconds of every run."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    random = np.random.default_rng(1)
    for line in sys.stdin:
        batch, runs = map(int, line.split())
        pictures = random.random((batch, 3, SIDE, SIDE), dtype=np.float32)
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            session.run(None, {name: pictures})
            times.append(time.perf_counter() - start)
        print(*times, flush=True)


def quantize(source, pictures, target):
    """Write ONNX Runtime's own int8 form of `source` to `target`."""
    import numpy as np
    import onnxruntime as ort
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process
    from PIL import Image

    name = ort.InferenceSession(source, providers=["CPUExecutionProvider"]).get_inputs()[0].name

    class Crops(CalibrationDataReader):
        def __init__(self):
            self.paths = iter(sorted(Path(pictures).glob("*.jpg"))[:CALIBRATION_PICTURES])

        def get_next(self):
            path = next(self.paths, None)
            if path is None:
                return None
            crop = Image.open(path).convert("RGB").crop(LFW_BOX).resize((SIDE, SIDE))
            x = (np.asarray(crop, dtype=np.float32) - 127.5) / 128
            return {name: x.transpose(2, 0, 1)[None]}

    prepared = target + ".prepared"
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        target,
        Crops(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


class Contestant:
    """A process that takes orders, on the first `cores` of the cores we may use."""

    def __init__(self, name, command, cores):
        self.name, self.cores, self.times = name, cores, {batch: [] for batch in BATCHES}
        mine = sorted(os.sched_getaffinity(0))[:cores]
        environment = dict(os.environ, POCL_MAX_PTHREAD_COUNT=str(cores))
        self.process = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, mine)), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def turn(self, batch):
        self.process.stdin.write(f"{batch} {PICTURES_A_TURN // batch}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {self.name} on {self.cores} core(s) stopped")
        return [float(word) for word in line.split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def rate(self, batch):
        return batch / statistics.median(self.times[batch])


def race(contestants, rounds):
    """One turn each to warm up, then `rounds` turns of every batch size."""
    for number in range(rounds + 1):
        for batch in BATCHES:
            for contestant in contestants:
                times = contestant.turn(batch)
                if number > 0:
                    contestant.times[batch] += times
                time.sleep(0.02)  # let the threads of this turn stop spinning
        if sys.stderr.isatty():
            print(f"\rround {number} of {rounds}", end="", file=sys.stderr)


def engine_command(arguments):
    command = [arguments.engine]
    return command + (["--model", arguments.model] if arguments.model else [])


def engine_shares(arguments, cores):
    """Shares of time by kind of layer, from the engine's own profile."""
    mine = ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))
    output = subprocess.run(
        ["taskset", "-c", mine, *engine_command(arguments), "--json", "--seconds", "1"],
        check=True,
        capture_output=True,
        text=True,
        env=dict(os.environ, POCL_MAX_PTHREAD_COUNT=str(cores)),
    ).stdout
    return json.loads(output)


def measure(arguments, scratch):
    commands = {"ours": [*engine_command(arguments), "--serve"]}
    peers = {}
    if arguments.onnx:
        int8 = str(Path(scratch) / "int8.onnx")
        quantize(arguments.onnx, arguments.pictures, int8)
        peers = {"ort_float32": arguments.onnx, "ort_int8": int8}
    rows = []
    for cores in range(1, min(2, len(os.sched_getaffinity(0))) + 1):
        contestants = [Contestant("ours", commands["ours"], cores)]
        for name, path in peers.items():
            command = [sys.executable, __file__, "--peer", path, "--threads", str(cores)]
            contestants.append(Contestant(name, command, cores))
        race(contestants, arguments.rounds)
        for contestant in contestants:
            contestant.close()
        facts = engine_shares(arguments, cores)
        for batch, profile in zip(BATCHES, facts["rows"], strict=True):
            row = {"cores": cores, "batch": batch, "share": profile["share"]}
            row |= {c.name: round(c.rate(batch), 2) for c in contestants}
            rows.append(row)
    return facts, rows


def cpu_model():
    match = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return match.group(1) if match else "unknown"


def cpu_features():
    words = set(Path("/proc/cpuinfo").read_text().split())
    known = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
    return ", ".join(f for f in known if f in words)


def versions(arguments):
    if not arguments.onnx:
        return ""
    import onnxruntime

    return f"ONNX Runtime {onnxruntime.__version__}"


def report(arguments, facts, rows):
    """The page docs/performance.md."""
    gmac = facts["macs"] / 1e9
    lines = [
        "# Performance",
        "",
        "Made by `make bench`; the machine is the one it ran on, so expect other figures on yours.",
        "Images a second are medians; all contestants of a row ran in turns on the same cores.",
        "",
        f"- CPU: {cpu_model()} ({cpu_features()})",
        f"- ours: `{facts['label']}`, driver {facts['driver']}, model `{facts['model']}`,"
        f" {gmac:.3f} GMAC an image",
    ]
    if arguments.onnx:
        lines.append(
            f"- peer: {versions(arguments)}, the float32 network, and its own static int8"
            " quantization (QDQ, per channel)"
        )
    lines += [
        "",
        "| cores | batch | ours, images/s | GMAC/s | ORT float32 | ours / float32"
        " | ORT int8 | ours / int8 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        peers = ["-"] * 4
        if "ort_float32" in row:
            peers = [
                f"{row['ort_float32']:.1f}",
                f"**{row['ours'] / row['ort_float32']:.2f}**",
                f"{row['ort_int8']:.1f}",
                f"{row['ours'] / row['ort_int8']:.2f}",
            ]
        cells = [row["cores"], row["batch"], f"{row['ours']:.1f}", f"{row['ours'] * gmac:.1f}"]
        lines.append("| " + " | ".join(map(str, cells + peers)) + " |")
    kinds = list(rows[0]["share"])
    lines += [
        "",
        "Share of our time on the device by kind of layer:",
        "",
        "| cores | batch | " + " | ".join(kinds) + " |",
        "|---" * (len(kinds) + 2) + "|",
    ]
    for row in rows:
        shares = [f"{100 * row['share'][kind]:.1f} %" for kind in kinds]
        lines.append("| " + " | ".join([str(row["cores"]), str(row["batch"]), *shares]) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--engine", default="build/bench_engine")
    parser.add_argument("--model", help="model file; default: an untrained network")
    parser.add_argument("--onnx", help="the same network in float, for the peers")
    parser.add_argument("--pictures", help="folder of calibration pictures for the int8 peer")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--facts", help="write the figures as JSON here")
    parser.add_argument("--output", help="write the page here")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return peer(arguments.peer, arguments.threads)
    if arguments.onnx and not arguments.pictures:
        parser.error("--onnx needs --pictures")
    with tempfile.TemporaryDirectory() as scratch:
        facts, rows = measure(arguments, scratch)
    page = report(arguments, facts, rows)
    print(page)
    if arguments.output:
        Path(arguments.output).write_text(page)
    if arguments.facts:
        facts["rows"] = rows
        Path(arguments.facts).write_text(json.dumps(facts, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
