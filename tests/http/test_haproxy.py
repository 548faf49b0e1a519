# SPDX-License-Identifier: Apache-2.0
"""Two instances behind a real HAProxy with config/haproxy.cfg: restarts, death, framing."""

import collections
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest

from tests.http.conftest import (
    BUILD,
    PATIENCE,
    REPORT,
    ROOT,
    Daemon,
    encode,
    make_image,
    receive,
    wait_for,
)

pytestmark = [
    pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is not installed"),
    pytest.mark.skipif("san-" in str(BUILD), reason="about HAProxy's part, and slow"),
]

CONFIG = ROOT / "config/haproxy.cfg"
CHECK_S = 0.5  # between health checks, as the file has it


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Fleet:
    """Two facenetd on fixed ports and the HAProxy before them."""

    def __init__(self, model, directory):
        self.model, self.directory = model, directory
        self.ports = [free_port(), free_port()]
        self.front = free_port()
        self.logs = []
        self.daemons = [self.start(0), self.start(1)]
        path = directory / "haproxy.cfg"
        path.write_text(self.config())
        with (directory / "proxy.log").open("w") as log:
            self.proxy = subprocess.Popen(["haproxy", "-db", "-f", path], stderr=log)
        self.wait_up(2)

    def config(self):
        """The shipped file with this fleet's ports, quicker checks and a socket to ask it by."""
        text = CONFIG.read_text()
        for port, ours in zip((8000, 8081, 8082), (self.front, *self.ports), strict=True):
            text, n = re.subn(rf"127\.0\.0\.1:{port}\b", f"127.0.0.1:{ours}", text)
            assert n == 1
        text = text.replace("inter 500ms", f"inter {int(CHECK_S * 1000)}ms")
        return text.replace("global\n", f"global\n    stats socket {self.directory}/control\n", 1)

    def start(self, i):
        config = {"drain_delay_ms": int(CHECK_S * 3000), "deadline_ms": 20000}
        return Daemon(self.model, self.directory, f"127.0.0.1:{self.ports[i]}", config)

    def servers_up(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.directory / "control"))
            sock.sendall(b"show stat\n")
            rows = [row.split(",") for row in receive(sock).decode().splitlines()]
        return sum(row[1] in ("one", "two") and row[17] == "UP" for row in rows if len(row) > 17)

    def wait_up(self, n):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                if self.servers_up() == n:
                    return
            except OSError:
                assert self.proxy.poll() is None, (self.directory / "proxy.log").read_text()
            time.sleep(CHECK_S / 2)
        raise AssertionError(f"{n} servers did not come up")

    def restart(self, i):
        assert self.daemons[i].stop() == 0
        self.logs.append(self.daemons[i].log)
        self.daemons[i] = self.start(i)
        self.wait_up(2)

    def kill(self, i):
        self.daemons[i].process.send_signal(signal.SIGKILL)
        self.daemons[i].finish()

    def close(self):
        self.proxy.terminate()
        self.proxy.wait(timeout=PATIENCE)
        for daemon in self.daemons:
            daemon.stop()
            self.logs.append(daemon.log)
        for log in self.logs:
            assert not REPORT.search(log), log


@pytest.fixture
def fleet(model, tmp_path):
    fleet = Fleet(model, tmp_path)
    yield fleet
    fleet.close()


class Load:
    """Clients that send one request after another until told to stop, and what became of each."""

    def __init__(self, url, body, clients):
        self.outcomes = collections.Counter()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._args = (f"{url}/embed", body)
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def _run(self):
        headers = {"Content-Type": "image/jpeg"}
        with httpx.Client() as client:
            while not self._stop.is_set():
                try:
                    answer = client.post(self._args[0], content=self._args[1], headers=headers)
                    outcome = answer.status_code
                except httpx.HTTPError as error:
                    outcome = type(error).__name__
                with self._lock:
                    self.outcomes[outcome] += 1

    def wait_for_more(self):
        """Until some more requests have been answered."""
        before = self.outcomes[200]
        wait_for(lambda: self.outcomes[200] > before + 12)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *args):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def bufsize():
    return int(re.search(r"tune\.bufsize (\d+)", CONFIG.read_text())[1])


def test_a_rolling_restart_under_load_fails_no_request(fleet, jpeg):
    with Load(f"http://127.0.0.1:{fleet.front}", jpeg, clients=4) as load:
        load.wait_for_more()
        for i in (0, 1):
            fleet.restart(i)
            load.wait_for_more()
    assert set(load.outcomes) == {200}, load.outcomes


def test_the_death_of_one_loses_no_request_that_fits_the_buffer(fleet, jpeg):
    large = encode(make_image(3, (900, 800)), quality=95)
    assert len(jpeg) < bufsize() < len(large)
    url = f"http://127.0.0.1:{fleet.front}"
    with Load(url, jpeg, clients=3) as small_load, Load(url, large, clients=1) as large_load:
        small_load.wait_for_more()
        large_load.wait_for_more()
        fleet.kill(0)
        small_load.wait_for_more()
        large_load.wait_for_more()
    print(f"small: {dict(small_load.outcomes)}, large: {dict(large_load.outcomes)}")
    assert set(small_load.outcomes) == {200}, small_load.outcomes
    # At most what was under way to the one that died; what came later went to the other.
    lost = {what: n for what, n in large_load.outcomes.items() if what != 200}
    assert sum(lost.values()) <= 2 and set(lost) <= {502, "RemoteProtocolError"}, lost


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /embed HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        b"POST /embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
    ],
)
def test_ambiguous_framing_goes_no_further_than_the_proxy(fleet, request_bytes):
    with socket.create_connection(("127.0.0.1", fleet.front), timeout=PATIENCE) as sock:
        sock.sendall(request_bytes)
        assert receive(sock).startswith(b"HTTP/1.1 400 ")


def test_a_bare_line_feed_smuggles_nothing(fleet):
    """One request in HAProxy's reading, and one in facenetd's, whatever ends the lines."""
    inner = b"GET /model HTTP/1.1\r\nHost: a\r\n\r\n"
    outer = b"POST /distance HTTP/1.1\nHost: a\nContent-Type: application/json\n"
    outer += b"Content-Length: %d\n\n" % len(inner)
    with socket.create_connection(("127.0.0.1", fleet.front), timeout=PATIENCE) as sock:
        sock.sendall(outer + inner + b"GET /healthz HTTP/1.1\nHost: a\nConnection: close\n\n")
        received = receive(sock)
    assert received.count(b"HTTP/1.1 ") == 2
    assert b'"code":"bad_json"' in received and b'"status":"ok"' in received
    for daemon in fleet.daemons:
        daemon.stop()
        assert "route=/model" not in daemon.log
