#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our engine beside ONNX Runtime and OpenVINO on the same network in the same run.

Usage: bench.py --model FILE [--thin FILE] [--onnx FILE --pictures DIR] [--rounds N]
                [--kernels FAMILY] [--facts FILE.json] [--output docs/performance.md]

Every contestant is a process of its own, pinned to the cores of its row, that waits for orders;
they run in turns, a few pictures each, so that whatever else the machine does hits all alike. A
figure is the median over all turns. The peers' int8 networks are made here by their own tools
(peers.py), calibrated on DIR. Without --onnx our engine runs alone. On a CPU that has more than
AVX2, our AVX2 kernels and the int8 peers race again, all held to AVX2 (hold.py). --kernels takes a
lesser kernel family than the best.
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
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import hold
import http_load
import peers
import report
import start_up

BATCHES = (1, 8)
PICTURES_A_TURN = 16  # whatever the batch size
THIN_PICTURES_A_TURN = 128  # for a turn of about the same length
HTTP_SECONDS = 4
AFTER_AVX2 = {"avx512f", "avx_vnni", "amx_int8"}


class Contestant:
    """A process that takes orders, on the first `cores` of the cores we may use."""

    def __init__(self, name, command, cores, extra=None):
        self.name, self.cores, self.times = name, cores, {batch: [] for batch in BATCHES}
        mine = sorted(os.sched_getaffinity(0))[:cores]
        environment = dict(os.environ, POCL_MAX_PTHREAD_COUNT=str(cores), **(extra or {}))
        self.process = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, mine)), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def turn(self, batch):
        pictures = THIN_PICTURES_A_TURN if self.name == "thin" else PICTURES_A_TURN
        self.process.stdin.write(f"{batch} {pictures // batch}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {self.name} on {self.cores} core(s) stopped")
        return [float(word) for word in line.split()]

    def memory(self):
        """Resident MiB: of a peer without Python and numpy, of ours as it is."""
        if self.name.startswith(("ort", "openvino")):
            self.process.stdin.write("memory\n")
            self.process.stdin.flush()
            return int(self.process.stdout.readline()) / 1024
        return peers.read_memory(self.process.pid) / 1024

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


def engine_command(arguments, model, kernels=None):
    kernels = kernels or arguments.kernels
    command = [arguments.engine, "--model", model, "--cache", arguments.cache]
    return command + (["--kernels", kernels] if kernels else [])


def pinned(command, cores):
    """What a command prints on the first `cores` of our cores."""
    mine = ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))
    environment = dict(os.environ, POCL_MAX_PTHREAD_COUNT=str(cores))
    return subprocess.run(
        ["taskset", "-c", mine, *command],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    ).stdout


def make_commands(arguments, scratch):
    """Contestants' names and what starts them, less the number of threads."""
    commands = {
        "ours": [*engine_command(arguments, arguments.model), "--serve"],
        "generic": [*engine_command(arguments, arguments.model, "generic"), "--serve"],
    }
    if arguments.thin:
        commands["thin"] = [*engine_command(arguments, arguments.thin), "--serve"]
    if arguments.onnx:
        ort, openvino = str(Path(scratch) / "ort.onnx"), str(Path(scratch) / "openvino.xml")
        peers.quantize_ort(arguments.onnx, arguments.pictures, ort)
        peers.quantize_openvino(arguments.onnx, arguments.pictures, openvino)
        peer = [sys.executable, peers.__file__]
        commands["ort_float32"] = [*peer, "ort", arguments.onnx]
        commands["ort_int8"] = [*peer, "ort", ort]
        commands["openvino_int8"] = [*peer, "openvino", openvino]
    return commands


def make_held_commands(arguments, commands):
    """The contestants of a race with AVX2 alone, or none where the CPU has no more."""
    if not AFTER_AVX2 & cpu_flags() or not arguments.onnx or arguments.kernels:
        return {}
    for name in ("onnxruntime", "openvino"):
        hold.copy_package(Path(find_spec(name).origin).parent, arguments.held)
    held = {"ours": [*engine_command(arguments, arguments.model, "x86-avx2"), "--serve"]}
    return held | {name: commands[name] for name in report.INT8}


def start(name, command, cores, arguments, held=False):
    """held: to AVX2."""
    if not name.startswith(("ort", "openvino")):
        command = command + (["--cpu-time"] if cores == 1 else [])
        return Contestant(name, command, cores, hold.POCL if held else None)
    extra = {"LD_PRELOAD": os.path.abspath(arguments.hold), "PYTHONPATH": arguments.held}
    return Contestant(name, [*command, str(cores)], cores, extra if held else None)


def run_race(commands, cores, arguments, held=False):
    """Rows by batch size: images a second by name; and resident MiB by name."""
    contestants = [start(name, line, cores, arguments, held) for name, line in commands.items()]
    race(contestants, arguments.rounds)
    memory = {c.name: round(c.memory(), 1) for c in contestants}
    for contestant in contestants:
        contestant.close()
    rows = [
        {"cores": cores, "batch": batch} | {c.name: round(c.rate(batch), 2) for c in contestants}
        for batch in BATCHES
    ]
    return rows, memory


def measure_peak(arguments, family, cores):
    return float(pinned([arguments.peak, family, str(cores)], cores))


def measure(arguments, scratch):
    commands = make_commands(arguments, scratch)
    held_commands = make_held_commands(arguments, commands)
    rows, held = [], []
    for cores in range(1, min(2, len(os.sched_getaffinity(0))) + 1):
        raced, memory = run_race(commands, cores, arguments)
        profile = [*engine_command(arguments, arguments.model), "--json", "--seconds", "1"]
        facts = json.loads(pinned(profile, cores))
        peak = measure_peak(arguments, facts["family"], cores)
        for row, kinds in zip(raced, facts["rows"], strict=True):
            rows.append(row | {"share": kinds["share"], "peak": peak})
        if held_commands:
            peak = measure_peak(arguments, "x86-avx2", cores)
            raced, _ = run_race(held_commands, cores, arguments, held=True)
            held += [row | {"peak": peak} for row in raced]
    facts["memory"] = memory
    facts["held"] = held
    facts["load"] = [len(os.sched_getaffinity(0)), os.getloadavg()[0]]
    if arguments.thin:
        thin = [*engine_command(arguments, arguments.thin), "--json", "--seconds", "0.1"]
        facts["thin"] = {key: json.loads(pinned(thin, 1))[key] for key in ("model", "macs")}
    if arguments.daemon and arguments.picture:
        facts["http"] = measure_http(arguments, arguments.model, cores)
        if arguments.thin:
            facts["thin"]["http"] = measure_http(arguments, arguments.thin, cores)
        command, picture = [arguments.daemon, "--model", arguments.model], Path(arguments.picture)
        facts["start"] = start_up.measure(command, cores, picture.read_bytes())
    return facts, rows


def measure_http(arguments, model, cores):
    settings = {"kernel_family": arguments.kernels} if arguments.kernels else {}
    picture = Path(arguments.picture).read_bytes()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        json.dump(settings, file)
        file.flush()
        command = [arguments.daemon, "--model", model, "--config", file.name]
        return http_load.measure(command, arguments.loadgen, cores, picture, HTTP_SECONDS)


def cpu_model():
    match = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return match.group(1) if match else "unknown"


def cpu_flags():
    return set(Path("/proc/cpuinfo").read_text().split())


def cpu_features():
    known = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
    return ", ".join(f for f in known if f in cpu_flags())


def versions(arguments):
    """Names and versions of the peers that ran."""
    if not arguments.onnx:
        return []
    return [f"{name} {metadata.version(name)}" for name in ("onnxruntime", "openvino", "nncf")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--engine", default="build/bench_engine")
    parser.add_argument("--peak", default="build/bench_peak")
    parser.add_argument("--daemon", default="build/facenetd")
    parser.add_argument("--loadgen", default="build/loadgen")
    parser.add_argument("--cache", default="build/bench/programs", help="folder of built programs")
    parser.add_argument("--hold", default="build/hold_cpu.so", help="what hold_cpu.c becomes")
    parser.add_argument(
        "--held", default="build/bench/held", help="folder of packages held to AVX2"
    )
    parser.add_argument("--model", required=True, help="model file")
    parser.add_argument("--thin", help="a thin model file, for a row of its own")
    parser.add_argument("--kernels", help="kernel family in place of the best")
    parser.add_argument("--onnx", help="the same network in float, for the peers")
    parser.add_argument("--pictures", help="folder of calibration pictures for the int8 peers")
    parser.add_argument("--picture", help="picture that is sent to the daemon; none: no HTTP")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--facts", help="write the figures as JSON here")
    parser.add_argument("--output", help="write the page here")
    arguments = parser.parse_args()
    if arguments.onnx and not arguments.pictures:
        parser.error("--onnx needs --pictures")
    with tempfile.TemporaryDirectory() as scratch:
        facts, rows = measure(arguments, scratch)
    page = report.write_page(facts, rows, cpu_model(), cpu_features(), versions(arguments))
    print(page)
    if arguments.output:
        Path(arguments.output).write_text(page)
    if arguments.facts:
        facts["rows"] = rows
        Path(arguments.facts).write_text(json.dumps(facts, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
