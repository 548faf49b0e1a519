# SPDX-License-Identifier: Apache-2.0
"""Requests a second and waiting times of `POST /embed`, for `make bench`.

First as many as 16 connections get answered, each asking again at once; then an open loop: requests
start at fixed times, whatever became of those before, and a request's time counts from when it
should have started, so that a stall is not hidden by the questions that it kept from being asked.
"""

import http.client
import os
import re
import statistics
import subprocess
import threading
import time

CONNECTIONS = 16
OPEN_CONNECTIONS = 64  # in the open loop: more than ever wait
OPEN_SHARE = 0.7  # of the rate that was reached before


class Server:
    """facenetd on a free port of 127.0.0.1, on the cores we may use."""

    def __init__(self, command, cores):
        mine = ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))
        self.process = subprocess.Popen(
            ["taskset", "-c", mine, *command, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(os.environ, POCL_MAX_PTHREAD_COUNT=str(cores)),
        )
        for line in self.process.stdout:
            found = re.search(r"127\.0\.0\.1:([1-9]\d*)", line)
            if found:
                self.port = int(found.group(1))
                break
        else:
            raise SystemExit("bench: facenetd did not start")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Client:
    def __init__(self, port, body):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.body = body

    def ask(self):
        self.connection.request("POST", "/embed?align=none", self.body)
        answer = self.connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"bench: POST /embed answered {answer.status}")


def run_threads(count, work):
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def closed_loop(port, body, seconds):
    """Requests a second that CONNECTIONS get answered."""
    answered = [0] * CONNECTIONS
    end = time.perf_counter() + seconds

    def work(number):
        client = Client(port, body)
        while time.perf_counter() < end:
            client.ask()
            answered[number] += 1

    start = time.perf_counter()
    run_threads(CONNECTIONS, work)
    return sum(answered) / (time.perf_counter() - start)


def open_loop(port, body, rate, seconds):
    """Milliseconds of every request that was due in `seconds` at `rate` a second."""
    due = [number / rate for number in range(int(rate * seconds))]
    times = []
    lock = threading.Lock()
    start = time.perf_counter() + 0.1

    def work(_):
        client = Client(port, body)
        while True:
            with lock:
                if not due:
                    return
                begin = start + due.pop(0)
            time.sleep(max(0.0, begin - time.perf_counter()))
            client.ask()
            with lock:
                times.append(1e3 * (time.perf_counter() - begin))

    run_threads(OPEN_CONNECTIONS, work)
    return times


def measure(command, cores, picture, seconds):
    """Rates and percentiles of a daemon that is started for this."""
    server = Server(command, cores)
    try:
        closed_loop(server.port, picture, 0.5)  # to warm up
        rate = closed_loop(server.port, picture, seconds)
        times = open_loop(server.port, picture, OPEN_SHARE * rate, seconds)
    finally:
        server.stop()
    cuts = statistics.quantiles(times, n=100)
    return {"rate": rate, "open_rate": OPEN_SHARE * rate, "p50": cuts[49], "p99": cuts[98]}
