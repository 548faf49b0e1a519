#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The int8 and float32 peers of `make bench`: made from the same float network, run on order.

Usage: peers.py ort FILE.onnx THREADS | peers.py openvino FILE.xml THREADS

A peer answers each line "<batch> <runs>" on standard input with the seconds of every run (with one
thread its CPU time, which other load on the machine does not lengthen), and the line "memory" with
the KiB by which the process has grown since Python and numpy were loaded.
"""

import sys
import time
from pathlib import Path

CALIBRATION_PICTURES = 32
SIDE = 160
LFW_BOX = (65, 65, 185, 185)  # left, top, right, bottom of a deep-funneled picture's face
BATCHES = (1, 8)


def read_memory(process="self"):
    """Resident KiB of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def read_crops(pictures):
    """Calibration crops as the network takes them: [1][3][160][160], (pixel - 127.5) / 128."""
    import numpy as np
    from PIL import Image

    for path in sorted(Path(pictures).glob("*.jpg"))[:CALIBRATION_PICTURES]:
        crop = Image.open(path).convert("RGB").crop(LFW_BOX).resize((SIDE, SIDE))
        x = (np.asarray(crop, dtype=np.float32) - 127.5) / 128
        yield x.transpose(2, 0, 1)[None]


def quantize_ort(source, pictures, target):
    """Write ONNX Runtime's own static int8 form of `source` (QDQ, per channel)."""
    import onnxruntime as ort
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    name = ort.InferenceSession(source, providers=["CPUExecutionProvider"]).get_inputs()[0].name

    class Crops(CalibrationDataReader):
        def __init__(self):
            self.crops = read_crops(pictures)

        def get_next(self):
            crop = next(self.crops, None)
            return None if crop is None else {name: crop}

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


def quantize_openvino(source, pictures, target):
    """Write OpenVINO's int8 form of `source`, quantized by NNCF."""
    import nncf
    import openvino

    crops = list(read_crops(pictures))
    quantized = nncf.quantize(
        openvino.Core().read_model(source), nncf.Dataset(crops), subset_size=len(crops)
    )
    openvino.save_model(quantized, target)


def open_ort(path, threads):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pictures: session.run(None, {name: pictures})


def open_openvino(path, threads):
    """Static shapes, one network a batch size: faster than one that takes any batch."""
    import openvino

    core = openvino.Core()
    requests = {}
    for batch in BATCHES:
        model = core.read_model(path)
        model.reshape([batch, 3, SIDE, SIDE])
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # bench.py has pinned the process
        }
        requests[batch] = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda pictures: requests[len(pictures)].infer({0: pictures})


def main():
    import numpy as np

    before = read_memory()
    kind, path, threads = sys.argv[1:]
    run = {"ort": open_ort, "openvino": open_openvino}[kind](path, int(threads))
    clock = time.process_time if int(threads) == 1 else time.perf_counter
    random = np.random.default_rng(1)
    inputs = {batch: random.random((batch, 3, SIDE, SIDE), dtype=np.float32) for batch in BATCHES}
    for line in sys.stdin:
        if line.strip() == "memory":
            print(read_memory() - before, flush=True)
            continue
        batch, runs = map(int, line.split())
        times = []
        for _ in range(runs):
            start = clock()
            run(inputs[batch])
            times.append(clock() - start)
        print(*times, flush=True)


if __name__ == "__main__":
    main()
