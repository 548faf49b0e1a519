# SPDX-License-Identifier: Apache-2.0
"""Requests a second and waiting times of `POST /embed`, for `make bench`.

First as many as 16 connections get answered, each asking again at once; then an open loop, whose
requests start whatever became of those before. Both by tests/load/loadgen.c, as a client in Python
would take a third of a core from the daemon. With a detector in the model, the same again with
faces looked for, in turns, and how busy the daemon kept its cores.
"""

import http.client
import json
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

CONNECTIONS = 16
OPEN_SHARE = 0.7  # of the rate that was reached before
ROUNDS = 4  # turns of pictures with and without a search for faces
CROP, PHOTO = "/embed?align=none", "/embed"


class Server:
    """facenetd on a free port of 127.0.0.1, on the cores we may use."""

    def __init__(self, command, cores, environment=None):
        mine = ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))
        self.process = subprocess.Popen(
            ["taskset", "-c", mine, *command, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(os.environ, POCL_MAX_PTHREAD_COUNT=str(cores), **(environment or {})),
        )
        for line in self.process.stdout:
            found = re.search(r"127\.0\.0\.1:([1-9]\d*)", line)
            if found:
                self.port = int(found.group(1))
                break
        else:
            raise SystemExit("bench: facenetd did not start")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def cpu_seconds(self):
        """Of all its threads since it started."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def looks(self):
        """Whether its model has a detector."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/model")
        return json.load(connection.getresponse())["detector"] is not None

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Client:
    def __init__(self, port, body, path=CROP):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.body = body
        self.path = path

    def ask(self):
        """Whether it was answered: a daemon that is too busy may refuse."""
        self.connection.request("POST", self.path, self.body)
        answer = self.connection.getresponse()
        answer.read()
        return is_answered(str(answer.status))


def is_answered(status):
    """Nothing but an answer, or a refusal for want of time (503, 504), is to be measured."""
    if status not in ("200", "503", "504"):
        raise SystemExit(f"bench: POST /embed ended with {status}")
    return status == "200"


def run_loadgen(loadgen, port, body, mode, seconds, path=CROP):
    """Milliseconds of every answer, and the share of requests that were refused for want of time.
    mode: requests a second, or "x" and how many are under way at any time."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    with tempfile.NamedTemporaryFile() as request:
        request.write(head.encode() + body)
        request.flush()
        output = subprocess.run(
            [loadgen, str(port), str(mode), str(seconds), "1", request.name],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    rows = [line.split() for line in output.splitlines()]
    times = [int(latency) / 1e3 for _, latency, status, *_ in rows if is_answered(status)]
    return times, 1 - len(times) / len(rows)


def closed_loop(loadgen, port, body, seconds, path=CROP):
    """Requests a second that CONNECTIONS get answered."""
    start = time.perf_counter()
    times, _ = run_loadgen(loadgen, port, body, f"x{CONNECTIONS}", seconds, path)
    return len(times) / (time.perf_counter() - start)


def measure_search(server, loadgen, cores, picture, seconds):
    """Requests a second with and without looking for the face, in turns, and for each the share of
    the cores that the daemon kept busy; the load generator runs on the same ones."""
    found = {CROP: [], PHOTO: []}
    for _ in range(ROUNDS):
        for path, rounds in found.items():
            wall, cpu = time.perf_counter(), server.cpu_seconds()
            rate = closed_loop(loadgen, server.port, picture, seconds / ROUNDS, path)
            wall, cpu = time.perf_counter() - wall, server.cpu_seconds() - cpu
            rounds.append((rate, cpu / wall / cores))
    return {
        name: {"rate": statistics.median(r for r, _ in found[path]),
               "busy": statistics.median(b for _, b in found[path])}
        for name, path in (("crops", CROP), ("photos", PHOTO))
    }  # fmt: skip


def measure(command, loadgen, cores, picture, seconds):
    """Rates and percentiles of a daemon that is started for this."""
    server = Server(command, cores)
    try:
        closed_loop(loadgen, server.port, picture, 0.5)  # to warm up
        rate = closed_loop(loadgen, server.port, picture, seconds)
        times, refused = run_loadgen(loadgen, server.port, picture, OPEN_SHARE * rate, seconds)
        search = (
            measure_search(server, loadgen, cores, picture, 2 * seconds) if server.looks() else None
        )
    finally:
        server.stop()
    cuts = statistics.quantiles(times, n=100)
    return {
        "rate": rate,
        "open_rate": OPEN_SHARE * rate,
        "p50": cuts[49],
        "p99": cuts[98],
        "refused": refused,
        "search": search,
    }
