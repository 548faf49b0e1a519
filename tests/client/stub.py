# SPDX-License-Identifier: Apache-2.0
"""A server that misbehaves as it is told: one behaviour a request, the last one from then on."""

import json
import socket
import ssl
import threading
import time

EMBEDDING = [0.6, -0.8]
FACE = {
    "box": {"x": 1, "y": 2, "width": 3, "height": 4},
    "score": 0.9,
    "landmarks": [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]],
    "embedding": EMBEDDING,
}
FACES = {
    "model": "stub",
    "crop": "stub-160",
    "aligned": True,
    "backend": "stub",
    "image": {"width": 20, "height": 10, "orientation": 1},
    "faces": [FACE],
    "faces_found": 1,
    "request_id": "stub-1",
}


def distance(same, l2=0.5):
    threshold = {"metric": "l2_squared", "value": 1.1, "far": 0.001, "fitted_on": "nothing"}
    return {
        "same": same,
        "cosine": 1 - l2 * l2 / 2,
        "l2": l2,
        "l2_squared": l2 * l2,
        "threshold": None if same is None else threshold,
        "model_checked": True,
        "model": "stub",
        "crop": "stub-160",
    }


def answer(status=200, body=FACES, headers=()):
    """A whole answer; body: bytes, or what becomes JSON."""

    def act(connection):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} Stub", f"Content-Length: {len(data)}", *headers]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        return True

    return act


def problem(status, code, **members):
    headers = members.pop("headers", ())
    body = {"title": "Stub", "status": status, "code": code, "request_id": "stub-2", **members}
    return answer(status, body, headers)


def cut(status=200, after=10):
    """An answer that ends early."""

    def act(connection):
        data = json.dumps(FACES).encode()
        head = f"HTTP/1.1 {status} Stub\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        connection.sendall(head + data[:after])
        return False

    return act


def silent(seconds):
    def act(connection):
        time.sleep(seconds)
        return False

    return act


def hang_up(connection):
    return False


def endless(connection):
    connection.sendall(b"HTTP/1.1 200 Stub\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"[" * 65536 + b"\r\n")


def drip(connection):
    """A byte now and then: no read ever waits long."""
    connection.sendall(b"HTTP/1.1 200 Stub\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def garbage(connection):
    connection.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    return False


class Request:
    def __init__(self, line, headers, body):
        self.method, self.target, _ = line.split(" ", 2)
        self.headers, self.body, self.time = headers, body, time.monotonic()


class Stub:
    """Listens from the start; `requests` is what came."""

    def __init__(self, *acts, port=0, certificate=None):
        self.acts, self.requests, self.connections = list(acts), [], 0
        self.lock = threading.Lock()
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while request := self._read(connection, stream):
                    with self.lock:
                        self.requests.append(request)
                        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
                    if not act(connection):
                        return
        except OSError:
            pass

    @staticmethod
    def _read(connection, stream):
        line = stream.readline().decode()
        if not line:
            return None
        headers = {}
        while (header := stream.readline().decode().strip()) != "":
            name, value = header.split(":", 1)
            headers[name.lower()] = value.strip()
        if headers.get("expect") == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(stream.readline(), 16):
                body += stream.read(size)
                stream.readline()
            stream.readline()
        else:
            body = stream.read(int(headers.get("content-length", 0)))
        return Request(line.strip(), headers, body)
