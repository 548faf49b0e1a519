# SPDX-License-Identifier: Apache-2.0
"""What `make reliability` measures, as a table and as docs/reliability.md.

The daemon runs with tests/faults/cl_shim.c as a device of known cost: the real device computes, and
each batch then lasts as long as the shim says. So the capacity is a known number, most of the
machine is free, and two cores can measure themselves. Load comes from tests/load/loadgen.c, an open
loop. Nothing here fails for being slow; the goals stand beside the figures. It fails for a wrong
embedding, for a request that was sent whole and never answered, and for a daemon that does not end
well.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PICTURE = ROOT / "tests/data/pictures/444.jpg"
MAX_BATCH, BATCH_US, PICTURE_US = 8, 30000, 2000
CAPACITY = MAX_BATCH / (BATCH_US + MAX_BATCH * PICTURE_US) * 1e6  # pictures a second
COPY_US = 2000  # a picture, where its copy to the device is measured too
IN_TURN = MAX_BATCH / (BATCH_US + MAX_BATCH * (PICTURE_US + COPY_US)) * 1e6  # one after the other
DEADLINE_MS = 1000


def percentile(values, q):
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(q * len(ranked)))] if ranked else float("nan")


def tail(values):
    return f"{percentile(values, 0.99):.1f}" if values else "-"


class Daemon:
    """A facenetd before the device of known cost."""

    def __init__(self, build, directory, copy_us=0, **options):
        self.directory = directory
        model = directory / "model"
        make = [build / "facenet-model", "untrained", "--width", "2", "--embedding-size", "128"]
        subprocess.run([*make, "-o", model], check=True, stdout=subprocess.DEVNULL)
        config = {
            "max_batch": MAX_BATCH,
            "deadline_ms": DEADLINE_MS,
            "max_connections": 4096,
            "header_timeout_ms": 2000,
            "body_timeout_ms": 2000,
            "cache_dir": str(directory / "cache"),
            "log_level": "error",
            **options,
        }
        (directory / "conf").write_text(json.dumps(config))
        plan = directory / "plan"
        plan.write_text(f"clEnqueueReadBuffer 1+ cost {BATCH_US} {PICTURE_US} {copy_us}\n")
        environment = {
            **os.environ,
            "LD_PRELOAD": str(build / "shims/cl_shim.so"),
            "FN_SHIM_PLAN": str(plan),
        }
        command = [build / "facenetd", "--config", directory / "conf", "--model", model]
        command += ["--listen", "127.0.0.1:0", "--allow-untrained"]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)", line)[1])
        self.process.stdout.readline()
        body = PICTURE.read_bytes()
        head = "POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        self.request = directory / "request"
        self.request.write_bytes(head.encode() + body)

    def rss_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def cpu_seconds(self):
        """Of all its threads since it started."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def metrics(self, *names):
        """Each the sum over its labels, all of one moment."""
        url = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            text = answer.read().decode()
        found = [re.findall(rf"^facenetd_{name}(?:\{{.*\}})? (\S+)$", text, re.M) for name in names]
        return [sum(map(float, values)) for values in found]

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=60)


DIGESTS = set()  # of all embeddings of all runs: the picture is always the same


# loadgen's own words, in place of an HTTP status.
LOST, UNSENT = 0, 1
NAMES = {LOST: "lost", UNSENT: "unsent"}


class Samples:
    """What became of an open-loop run: (planned us, latency ms, status), in order of planning."""

    def __init__(self, build, daemon, factor, seconds, seed=1):
        self.seconds = seconds
        command = [build / "loadgen", daemon.port, CAPACITY * factor, seconds, seed, daemon.request]
        command = [str(part) for part in command]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        self.rows, self.again = [], 0
        for line in out.splitlines():
            planned, latency, status, digest, again = line.split()
            self.rows.append((int(planned), int(latency) / 1000, int(status)))
            self.again += int(again)
            if status == "200":
                DIGESTS.add(digest)
        self.rows.sort()

    def latencies(self, status):
        return [latency for _, latency, got in self.rows if got == status]

    def rate(self, status):
        return len(self.latencies(status)) / self.seconds

    def counts(self):
        return collections.Counter(status for _, _, status in self.rows)

    def others(self):
        found = sorted(self.counts().items())
        return ", ".join(f"{n} x {NAMES.get(s, s)}" for s, n in found if s not in (200, 503))


# ---- overload -------------------------------------------------------------------------------


def recovery_s(samples, normal_p99):
    """Seconds from the start of the samples to the end of the last 100 ms that was worse than
    twice the usual."""
    start, worst = samples.rows[0][0], 0.0
    buckets = collections.defaultdict(list)
    for planned, latency, status in samples.rows:
        buckets[(planned - start) // 100000].append(latency if status == 200 else float("inf"))
    for bucket, latencies in buckets.items():
        if percentile(latencies, 0.99) > 2 * normal_p99:
            worst = (bucket + 1) / 10
    return worst


def measure_overload(build, daemon, seconds):
    rows, runs = [], {}
    Samples(build, daemon, 0.5, 3)  # warm
    for factor in (0.5, 0.8, 1.0, 1.5, 2, 5, 10):
        runs[factor] = Samples(build, daemon, factor, seconds)
    after = Samples(build, daemon, 0.5, 5, seed=2)
    peak = max(run.rate(200) for run in runs.values())
    for factor, run in runs.items():
        ok, refused = run.latencies(200), run.latencies(503)
        rows.append(
            f"| {factor:g} | {len(run.rows) / seconds:.0f} | {run.rate(200):.0f} | "
            f"{100 * run.rate(200) / peak:.0f} % | {percentile(ok, 0.5):.0f} | "
            f"{percentile(ok, 0.99):.0f} | {run.rate(503):.0f} | "
            f"{tail(refused)} | {run.others() or '-'} |"
        )
    recovery = recovery_s(after, percentile(runs[0.5].latencies(200), 0.99))
    at_most = percentile(runs[10].latencies(200), 0.99)
    refused = percentile(runs[10].latencies(503), 0.99)
    goals = [
        ("goodput at 10x, of the peak", "95 % or more", f"{100 * runs[10].rate(200) / peak:.1f} %"),
        ("p99 of what was accepted, at 10x", f"{DEADLINE_MS} ms or less", f"{at_most:.0f} ms"),
        ("p99 of a 503, at 10x", "5 ms or less", f"{refused:.1f} ms"),
        ("back to twice the usual p99 after 10x", "2 s or less", f"{recovery:.1f} s"),
    ]
    return rows, goals


# ---- hostile and idle clients ---------------------------------------------------------------


class Crowd:
    """Connections that send `first`, then a byte a second (or nothing), as long as it lasts."""

    def __init__(self, port, n, first, trickle):
        self.sockets, self._trickle = [], trickle
        self._port, self._n, self._first = port, n, first
        self._stop = threading.Event()
        self.cut = 0

    def _open(self):
        sock = socket.create_connection(("127.0.0.1", self._port), timeout=5)
        sock.sendall(self._first)
        sock.setblocking(False)
        return sock

    def _run(self):
        while not self._stop.wait(1):
            for i, sock in enumerate(self.sockets):
                try:
                    sock.send(b"x")
                except OSError:
                    self.cut += 1
                    sock.close()
                    self.sockets[i] = self._open()

    def __enter__(self):
        self.sockets = [self._open() for _ in range(self._n)]
        self._thread = threading.Thread(target=self._run)
        if self._trickle:
            self._thread.start()
        return self

    def __exit__(self, *args):
        self._stop.set()
        if self._trickle:
            self._thread.join()
        for sock in self.sockets:
            sock.close()


def measure_crowds(build, daemon, seconds):
    header = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nX: "
    body = header + b"y\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n"
    crowds = [
        ("nobody else", 0, b"", False),
        ("1,000 idle connections", 1000, b"", False),
        ("200 slow headers, a byte a second", 200, header, True),
        ("200 slow bodies, a byte a second", 200, body, True),
    ]
    rows = []
    for name, n, first, trickle in crowds:
        before = daemon.rss_mib()
        with Crowd(daemon.port, n, first, trickle) as crowd:
            time.sleep(1)
            run = Samples(build, daemon, 0.5, seconds)
            grown = daemon.rss_mib() - before
        ok = run.latencies(200)
        rows.append(
            f"| {name} | {len(ok)} of {len(run.rows)} | {percentile(ok, 0.5):.0f} | "
            f"{percentile(ok, 0.99):.0f} | {grown:.1f} | {crowd.cut if trickle else '-'} |"
        )
    return rows


# ---- long ------------------------------------------------------------------------------------


def slope(points):
    """Least squares of (hours, MiB)."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    above = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return above / sum((x - mean_x) ** 2 for x, _ in points)


def settle(daemon, descriptors):
    """How many there are once the last connections have closed."""
    until = time.monotonic() + 5
    while daemon.descriptors() != descriptors and time.monotonic() < until:
        time.sleep(0.1)
    return daemon.descriptors()


def tell_fates(counts, again):
    """Rows that keep apart what may be for want of time and what may never be.

    A request that the server took is answered, or refused by 503 or, its deadline past, by 504; one
    that the sender was too slow with is refused by 408 or cut before it is whole."""
    asked = counts.total()
    late = counts[UNSENT] + counts[408]
    rest = asked - counts[200] - counts[503] - counts[504] - counts[LOST] - late
    return [
        ("answered", "-", f"{counts[200]:,}"),
        ("refused: busy (503), too late (504)", "-", f"{counts[503]:,}, {counts[504]:,}"),
        ("cut off before all of it was sent", "-", f"{late:,}"),
        ("sent again: its idle connection had ended", "-", f"{again:,}"),
        ("sent whole and never answered", "0", f"{counts[LOST]:,}"),
        ("any other answer", "0", f"{rest:,}"),
    ]


def strange_requests(daemon):
    """Each with what it must be answered; b"": its client leaves at once."""
    picture = PICTURE.read_bytes()

    def request(path, body=b"", *lines, method=b"POST"):
        head = [method + b" " + path + b" HTTP/1.1", b"Host: localhost", b"Connection: close"]
        head += [b"Content-Length: %d" % len(body), *lines] if method == b"POST" else lines
        return b"\r\n".join(head) + b"\r\n\r\n" + body

    whole = request(b"/embed", picture)
    form = b"--b\r\nContent-Disposition: form-data; name=img1\r\n\r\n%b\r\n" % picture
    form += form.replace(b"img1", b"img2") + b"--b--\r\n"
    kind = b"Content-Type: multipart/form-data; boundary=b"
    return [
        (whole[: len(whole) // 2], b""),
        (whole, b""),
        (request(b"/distance", form, kind), b"200 503"),
        (request(b"/embed", picture[: len(picture) // 2]), b"200 415 422 503"),
        (request(b"/embed", b"nonsense"), b"415 503"),
        (request(b"/embed", b'{"img": [[[', b"Content-Type: application/json"), b"400 503"),
        (request(b"/embed", picture, b"Transfer-Encoding: chunked"), b"400"),
        (request(b"/nothing", b"x"), b"404"),
        (request(b"/openapi.json", method=b"GET"), b"200"),
        (request(b"/metrics", method=b"GET"), b"200"),
        (request(b"/", method=b"GET"), b"200"),
        (b"\0\1\2\3\r\n\r\n", b""),
    ]


def ask_strangely(daemon):
    """How many strange requests were not answered as they must be; then a reload."""
    wrong = 0
    for sent, expected in strange_requests(daemon):
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=60) as sock:
            sock.sendall(sent)
            if not expected:
                continue
            answer = b""
            try:
                while chunk := sock.recv(65536):
                    answer += chunk
            except OSError:
                pass
            status = answer[9:12]
            if len(status) < 3 or status not in expected.split():
                print(f"wrong: {sent[:60]} answered {answer[:60]}", file=sys.stderr)
                wrong += 1
    daemon.process.send_signal(signal.SIGHUP)
    return wrong


def measure_soak(build, daemon, minutes):
    """Mixed load; memory is judged after the first quarter, when all pools have their size."""
    points, began = [], time.monotonic()
    counts, again, wrong = collections.Counter(), 0, 0
    strange = len(strange_requests(daemon))
    descriptors, used = daemon.descriptors(), daemon.cpu_seconds()
    while (passed := time.monotonic() - began) < minutes * 60:
        factor = (0.6, 0.6, 0.6, 3)[len(points) % 4]
        run = Samples(build, daemon, factor, 5, seed=len(points))
        counts += run.counts()
        again += run.again
        wrong += ask_strangely(daemon)
        points.append((passed / 3600, daemon.rss_mib()))
    used = (daemon.cpu_seconds() - used) / (time.monotonic() - began)
    settled = points[len(points) // 4 :]
    (succeeded,) = daemon.metrics('config_reloads_total{result="succeeded"}')
    rows = [
        ("requests", "-", f"{counts.total():,} in {minutes:g} min"),
        *tell_fates(counts, again),
        ("strange ones between, answered wrongly", "0", f"{wrong} of {strange * len(points):,}"),
        ("reloads by SIGHUP, succeeded", f"{len(points)}", f"{succeeded:.0f}"),
        ("resident memory, slope", "-", f"{slope(settled):+.2f} MiB/h at {points[-1][1]:.0f} MiB"),
        ("descriptors, begin and end", "equal", f"{descriptors}, {settle(daemon, descriptors)}"),
        ("cores that the daemon kept busy", "-", f"{used:.2f}"),
    ]
    return rows, counts[LOST] + wrong


# ---- the page --------------------------------------------------------------------------------


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.*)", text)
    load = os.getloadavg()[0]
    cpu = name[1] if name else platform.machine()
    group = pathlib.Path("/proc/self/autogroup")
    nice = group.read_text().split()[-1] if group.exists() else "0"
    before = f", these processes before them (autogroup nice {nice})" if nice != "0" else ""
    return f"{os.cpu_count()} cores of {cpu}; load average by others {load:.1f}{before}"


SOAK, REST = "## Soak", "## What else holds this"


def table(rows):
    lines = ["| | goal | measured |", "|---|---|---|"]
    return "\n".join(lines + [f"| {what} | {goal} | {got} |" for what, goal, got in rows])


def tell_load(parts):
    rows = "\n".join(parts["overload"])
    crowds = "\n".join(parts["crowds"])
    return f"""# Reliability

Written by `make reliability` on {parts["machine"]}.
The server and the load generator share these cores. The device is a stand-in of known cost
({BATCH_US / 1000:g} ms a batch and {PICTURE_US / 1000:g} ms a picture, at most {MAX_BATCH}
together: {CAPACITY:.0f} pictures a second) around the real one. Latency counts from the planned
time of sending.

{table(parts["goals"])}

## Overload

Open loop, Poisson, {parts["seconds"]} s each; latencies in ms.

| load, of capacity | sent /s | answered /s | of peak | p50 | p99 | 503 /s | 503 p99 | others |
|---|---|---|---|---|---|---|---|---|
{rows}

## Beside others

Half the capacity asked for, while somebody else is connected.

| who | answered | p50 ms | p99 ms | memory, MiB | connections cut |
|---|---|---|---|---|---|
{crowds}

"""


def tell_soak(parts):
    return f"""{SOAK}

The longest so far; on {parts["machine"]}. Three times 5 s at 0.6 of the capacity, then 5 s at 3
times it, and so on; after each, broken and unusual requests, clients that leave in the middle,
and a reload. What the daemon or the generator does not get the processor for in time is
refused, or cut off half sent; what was sent whole is answered one way or the other.

{table(parts["soak"])}

"""


def minutes_of(soak):
    found = re.search(r"\| requests \|.* in ([\d.]+) min", soak)
    return float(found[1]) if found else 0


def write_page(parts, path):
    """What was not measured now, or for longer before, stays."""
    before = path.read_text() if path.exists() else ""
    load, _, soak = before.partition(REST)[0].partition(SOAK)
    soak = SOAK + soak if soak else ""
    if "overload" in parts:
        load = tell_load(parts)
    if "soak" in parts and minutes_of(tell_soak(parts)) >= minutes_of(soak):
        soak = tell_soak(parts)
    rest = """
`make check`: 20 restarts under load without a failed request, HAProxy with two instances, every
OpenCL function failing, an allocation failing at every place of start and request, all without a
wrong embedding or a crash. `make check-full`: 200 restarts, every single OpenCL call, the Debian
package under systemd. `make soak`: 1,000 restarts, an hour of load.
"""
    path.write_text(load + soak + REST + "\n" + rest)


def measure_flight(build, directory, seconds):
    """The copy of one batch beside the computing of another, by the host code for boards."""
    # What its kernels take at the start, computed by the CPU, is to limit nothing.
    options = {"latency_objective_ms": 60000, "deadline_ms": 10000}
    daemon = Daemon(build, directory, COPY_US, kernel_family="fused-fpga", **options)
    Samples(build, daemon, 2, 2)
    rows = Samples(build, daemon, 2, seconds).rows
    end = rows[0][0] + seconds * 1e6
    in_time = [got for at, late, got in rows if at + late * 1e3 < end]
    answered = in_time.count(200) / seconds
    assert daemon.stop() == 0
    return (
        f"pictures a second where each takes {COPY_US / 1000:g} ms to reach the device",
        f"above {IN_TURN:.0f}, all in turn",
        f"{answered:.0f} of {CAPACITY:.0f} without any copy",
    )


def finish(daemon):
    """Rows of how a daemon stands and ends."""
    received, ended, flying = daemon.metrics(
        "requests_received_total", "requests_outcomes_total", "requests_in_flight"
    )
    equal = f"{received:,.0f} = {ended:,.0f} + {flying:.0f}"
    status = daemon.stop()
    rows = [
        ("received = ended + in flight", "equal", equal),
        ("embeddings other than the first", "0", f"{max(0, len(DIGESTS) - 1)}"),
        ("exit status after it all", "0", f"{status}"),
    ]
    return rows, received == ended + flying and status == 0 and len(DIGESTS) <= 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--soak-minutes", type=float, default=3)
    parser.add_argument("--only", choices=("load", "soak"), help="measure one part")
    parser.add_argument("--output", type=pathlib.Path)
    args = parser.parse_args()
    parts = {"machine": machine(), "seconds": f"{args.seconds:g}"}
    good = True
    if args.only != "soak":
        with tempfile.TemporaryDirectory() as directory:
            flight = measure_flight(args.build, pathlib.Path(directory), args.seconds)
        with tempfile.TemporaryDirectory() as directory:
            daemon = Daemon(args.build, pathlib.Path(directory))
            parts["overload"], parts["goals"] = measure_overload(args.build, daemon, args.seconds)
            parts["crowds"] = measure_crowds(args.build, daemon, args.seconds)
            rows, good = finish(daemon)
            parts["goals"] += [flight, *rows]
    if args.only != "load":
        with tempfile.TemporaryDirectory() as directory:
            daemon = Daemon(args.build, pathlib.Path(directory))
            parts["soak"], lost = measure_soak(args.build, daemon, args.soak_minutes)
            rows, well = finish(daemon)
            parts["soak"] += rows
            good = good and well and lost == 0
    for what, goal, got in parts.get("goals", []) + parts.get("soak", []):
        print(f"{what:48} {goal:16} {got}")
    print("\n".join(parts.get("overload", []) + parts.get("crowds", [])))
    if args.output:
        write_page(parts, args.output)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
