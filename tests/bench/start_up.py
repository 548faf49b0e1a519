# SPDX-License-Identifier: Apache-2.0
"""From the start of facenetd to its first embedding, for `make bench`, and what it then holds."""

import json
import statistics
import tempfile
import time
from pathlib import Path

import peers
from http_load import Client, Server

WARM_STARTS = 5


def start_once(command, cores, environment, picture):
    """Seconds until the first embedding is there; KiB that are resident then."""
    began = time.monotonic()
    server = Server(command, cores, environment)
    try:
        Client(server.port, picture).ask()
        return time.monotonic() - began, peers.read_memory(server.process.pid)
    finally:
        server.stop()


def measure(command, cores, picture):
    """Cold: nothing is compiled yet, neither in our cache nor in the OpenCL runtime's."""
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "facenetd.conf"
        config.write_text(json.dumps({"cache_dir": str(Path(scratch) / "programs")}))
        (Path(scratch) / "pocl").mkdir()
        environment = {"POCL_CACHE_DIR": str(Path(scratch) / "pocl")}
        command = [*command, "--config", str(config)]
        cold, cold_memory = start_once(command, cores, environment, picture)
        warm = [start_once(command, cores, environment, picture) for _ in range(WARM_STARTS)]
    return {
        "cold": cold,
        "warm": statistics.median(seconds for seconds, _ in warm),
        "cold_memory": cold_memory / 1024,
        "warm_memory": statistics.median(memory for _, memory in warm) / 1024,
    }
