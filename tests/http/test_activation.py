# SPDX-License-Identifier: Apache-2.0
"""What a service manager sees: inherited sockets, readiness, the end, the watchdog."""

import os
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest

from tests.http.conftest import BIN, PATIENCE, REPORT

# What systemd does between fork and exec, for descriptors that Python has passed on already.
HAND_OVER = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
spare = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(spare):
    os.dup2(fd, 3 + i)
os.environ["LISTEN_FDS"] = str(len(fds))
os.environ["LISTEN_PID"] = str(os.getpid() + int(os.environ.pop("PID_OFF", "0")))
if "WATCHDOG_USEC" in os.environ:
    os.environ["WATCHDOG_PID"] = str(os.getpid())
os.closerange(100, 100 + len(fds))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Manager:
    """Starts facenetd as systemd would, and listens to what it says."""

    def __init__(self, model, directory):
        self.model = model
        self.messages = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(directory / "notify"))
        self.log = directory / "log"
        self.environment = {**os.environ, "NOTIFY_SOCKET": str(directory / "notify")}

    def start(self, sockets, *args, **environment):
        fds = [sock.fileno() for sock in sockets]
        command = ["python3", "-c", HAND_OVER, ",".join(map(str, fds)), BIN]
        command += ["--model", self.model, "--listen", "127.0.0.1:0", "--allow-untrained"]
        command += ["--device", "reference", "--config", self.config(), *args]
        with self.log.open("a") as log:
            return subprocess.Popen(
                command,
                pass_fds=fds,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**self.environment, **environment},
            )

    def config(self):
        path = self.log.with_suffix(".conf")
        path.write_text('{"max_batch": 2}')
        return path

    def hear(self, seconds=PATIENCE):
        self.socket.settimeout(seconds)
        return self.socket.recv(4096).decode().split("\n")

    def wait_ready(self):
        message = self.hear()
        assert message[0] == "READY=1", message
        assert message[1].startswith("STATUS=Model untrained-")


@pytest.fixture
def manager(model, tmp_path):
    manager = Manager(model, tmp_path)
    yield manager
    assert not REPORT.search(manager.log.read_text()), manager.log.read_text()


def listen(address="127.0.0.1", family=socket.AF_INET):
    sock = socket.socket(family)
    sock.bind((address, 0) if family != socket.AF_UNIX else address)
    sock.listen(64)
    return sock


def get(sock, path="/readyz"):
    return httpx.get(f"http://127.0.0.1:{sock.getsockname()[1]}{path}")


def end(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE) == 0


def test_an_inherited_socket_is_served_and_readiness_is_told(manager):
    with listen() as sock:
        process = manager.start([sock])
        manager.wait_ready()
        assert get(sock).status_code == 200
        end(process)
        assert manager.hear()[0] == "STOPPING=1"


def test_an_inherited_unix_socket_stays_for_the_next_one(manager, tmp_path):
    path = str(tmp_path / "facenetd.sock")
    with listen(path, socket.AF_UNIX) as sock:
        for _ in range(2):
            process = manager.start([sock])
            manager.wait_ready()
            transport = httpx.HTTPTransport(uds=path)
            with httpx.Client(transport=transport) as client:
                assert client.get("http://any.name/readyz").status_code == 200
            end(process)
            assert manager.hear()[0] == "STOPPING=1"
            assert os.path.exists(path)


def test_clients_that_come_during_a_restart_wait_and_are_answered(manager):
    with listen() as sock:
        process = manager.start([sock])
        manager.wait_ready()
        end(process)
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(get(sock).status_code))
        waiting.start()
        time.sleep(0.2)
        assert answers == []
        process = manager.start([sock])
        waiting.join(timeout=PATIENCE)
        assert answers == [200]
        end(process)


def refuse(manager, sockets, word, **environment):
    process = manager.start(sockets, **environment)
    assert process.wait(timeout=PATIENCE) == 2
    lines = manager.log.read_text().splitlines()
    assert len(lines) == 1 and word in lines[0], lines


def test_an_inherited_socket_that_others_can_reach_is_refused(manager):
    with listen("0.0.0.0") as sock:
        refuse(manager, [sock], f"0.0.0.0:{sock.getsockname()[1]}: is not a loopback address")


def test_a_descriptor_that_is_no_listening_socket_is_refused(manager, tmp_path):
    with (tmp_path / "file").open("w") as file:
        refuse(manager, [file], "not a listening stream socket")


def test_a_connected_socket_is_refused(manager):
    one, other = socket.socketpair()
    with one, other:
        refuse(manager, [one], "not a listening stream socket")


def test_sockets_announced_to_another_process_are_left_alone(manager):
    with listen() as sock:
        process = manager.start([sock], PID_OFF="1")
        manager.wait_ready()
        sock.settimeout(0.2)
        with pytest.raises(httpx.TimeoutException):
            httpx.get(f"http://127.0.0.1:{sock.getsockname()[1]}/healthz", timeout=0.5)
        end(process)


def test_keys_come_as_a_credential_and_its_word_for_none_is_none(manager, tmp_path):
    make = [BIN, "--make-key", "one"]
    made = subprocess.run(make, check=True, capture_output=True, text=True)
    for line, status in ((made.stdout, 401), ("none", 400)):
        (tmp_path / "keys").write_text(line)
        with listen() as sock:
            process = manager.start([sock], CREDENTIALS_DIRECTORY=str(tmp_path))
            manager.wait_ready()
            url = f"http://127.0.0.1:{sock.getsockname()[1]}/embed"
            assert httpx.post(url, json={}).status_code == status
            end(process)
            assert manager.hear()[0] == "STOPPING=1"


def test_the_watchdog_is_fed_while_the_daemon_works(manager):
    with listen() as sock:
        process = manager.start([sock], WATCHDOG_USEC="400000")
        heard = [manager.hear()[0] for _ in range(5)]
        assert heard.count("READY=1") == 1
        assert heard.count("WATCHDOG=1") == 4
        end(process)
