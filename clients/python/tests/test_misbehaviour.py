# SPDX-License-Identifier: Apache-2.0
"""The package against a server that is busy, slow, broken, wrong or not trusted."""

import gc
import json
import shutil
import socket
import subprocess
import threading
import time

import numpy as np
import pytest
from tests.client import stub
from tests.client.stub import Stub, answer, cut, distance, problem

import facenetd
from facenetd import _calls


def test_a_request_says_what_it_should(connect, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Stub(answer()) as server:
        connect(server.url, api_key="secret-1", timeout=5).embed(b"x", face="center", min_face=40)
    (request,) = server.requests
    assert request.target == "/v1/embed?face=center&min_face=40" and request.body == b"x"
    assert request.headers["authorization"] == "Bearer secret-1"
    assert request.headers["accept-encoding"] == "identity"
    assert 4000 < int(request.headers["x-timeout-ms"]) <= 5000


def test_faces_have_what_the_server_said(connect):
    with Stub(answer()) as server:
        faces = connect(server.url).embed(b"x")
        assert faces.embeddings.tolist() == [[np.float32(0.6), np.float32(-0.8)]]
        (face,) = connect(server.url).detect(b"x")
    assert face.box == facenetd.Box(1, 2, 3, 4) and face.score == 0.9 and face.embedding is None
    assert face.landmarks.tolist() == stub.FACE["landmarks"]
    with pytest.raises(ValueError, match="no embedding"):
        connect(server.url).distance_of(face, face)


@pytest.mark.parametrize("same", [True, False, None])
def test_a_verdict_comes_with_its_threshold(connect, same):
    with Stub(answer(body=distance(same))) as server:
        got = connect(server.url).distance(b"x", b"y")
    assert got.same is same and got.l2 == 0.5
    assert got.threshold == (None if same is None else facenetd.Threshold("l2_squared", 1.1, 0.001))
    assert b'name="img1"' in server.requests[0].body


@pytest.mark.parametrize(
    "rows", [None, [], [[1]], [[1, 2], [3, 4]], [[1, 2, 3]], [[1, None]], [[1, "2"]], [1, 2]]
)
def test_a_table_that_is_not_whole_is_no_answer(connect, rows):
    one = np.ones(1, np.float32)
    with Stub(answer(body={"distances": rows})) as server, pytest.raises(facenetd.BadAnswerError):
        connect(server.url).distances([one], [one, one])


def test_a_crop_that_is_no_png_is_no_answer(connect):
    with Stub(answer(body=b"\x89PNX")) as server, pytest.raises(facenetd.BadAnswerError):
        connect(server.url).crop(b"x")


def test_quality_that_is_not_whole_is_no_answer(connect):
    face = {**stub.FACE, "quality": {"size": 1, "sharpness": 2, "brightness": 3}}
    with (
        Stub(answer(body={**stub.FACES, "faces": [face]})) as server,
        pytest.raises(facenetd.BadAnswerError, match="roll"),
    ):
        connect(server.url).detect(b"x")


def test_every_float32_travels_exactly(connect):
    values = np.array([0.1, 1e-38, -0.99999994, 1 / 3, 1e-45], np.float32)
    with Stub(answer(body=distance(True))) as server:
        connect(server.url).distance_of(values, values.astype(np.float64))
        with pytest.raises(ValueError, match="no embedding"):
            connect(server.url).distance_of(values, np.array([np.nan]))
    sent = json.loads(server.requests[0].body)
    assert np.array(sent["embedding1"]).astype(np.float32).tobytes() == values.tobytes()
    assert sent["embedding1"] == sent["embedding2"]


def test_a_busy_server_is_asked_again_when_it_said(connect):
    busy = problem(503, "overloaded", retry_after_ms=300, headers=["Retry-After: 1"])
    with Stub(busy, busy, answer()) as server:
        assert len(connect(server.url).embed(b"x")) == 1
    times = [request.time for request in server.requests]
    assert len(times) == 3 and min(np.diff(times)) >= 0.3


def test_three_retries_are_enough(connect):
    with Stub(problem(503, "overloaded", retry_after_ms=1)) as server:
        with pytest.raises(facenetd.RefusedError) as caught:
            connect(server.url).embed(b"x")
        assert caught.value.status == 503 and len(server.requests) == 4
        with pytest.raises(facenetd.RefusedError):
            connect(server.url, retries=0).embed(b"x")
        assert len(server.requests) == 5


def test_a_wait_beyond_the_deadline_is_not_begun(connect):
    began = time.monotonic()
    with (
        Stub(problem(503, "draining", headers=["Retry-After: 59"])) as server,
        pytest.raises(facenetd.RefusedError, match="draining"),
    ):
        connect(server.url, timeout=50).embed(b"x")
    assert len(server.requests) == 1 and time.monotonic() - began < 50


@pytest.mark.parametrize("act", [cut(), stub.hang_up], ids=["in the body", "before"])
def test_a_broken_answer_is_asked_for_again(connect, act):
    with Stub(act, act, answer()) as server:
        assert len(connect(server.url).embed(b"x")) == 1
        assert len(server.requests) == 3
    with Stub(act) as server:
        with pytest.raises(facenetd.UnreachableError):
            connect(server.url).embed(b"x")
        assert len(server.requests) == 4


def test_a_server_that_starts_late_is_found(connect):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    servers = []
    threading.Timer(0.25, lambda: servers.append(Stub(answer(), port=port))).start()
    assert len(connect(f"http://127.0.0.1:{port}").embed(b"x")) == 1
    servers[0].__exit__()


def test_nobody_there_is_said(connect):
    for server in ("http://127.0.0.1:1", "unix:/nonexistent/socket"):
        with pytest.raises(facenetd.UnreachableError, match="cannot be reached"):
            connect(server, retries=0).embed(b"x")


@pytest.mark.parametrize("act", [stub.silent(20), stub.drip], ids=["silent", "dripping"])
def test_a_slow_server_does_not_outlast_the_deadline(connect, act):
    began = time.monotonic()
    with Stub(act) as server, pytest.raises(facenetd.DeadlineError, match=r"within 0\.5 s"):
        connect(server.url, timeout=0.5).embed(b"x")
    assert 0.5 <= time.monotonic() - began < 20 and len(server.requests) == 1
    assert issubclass(facenetd.DeadlineError, TimeoutError)


def faces_with(*faces):
    return answer(body={**stub.FACES, "faces": list(faces)})


def face_with(**members):
    return answer(body={**stub.FACES, "faces": [{**stub.FACE, **members}]})


WRONG = {
    "broken JSON": answer(body=b'{"model":'),
    "nothing": answer(body=b""),
    "not UTF-8": answer(body=b'{"model":"\xff"}'),
    "an array": answer(body=[]),
    "another service": answer(body={"status": "ok"}),
    "wrong types": answer(body={**stub.FACES, "faces": "none"}),
    "a count that is none": answer(body={**stub.FACES, "faces_found": True}),
    "text for numbers": face_with(embedding=["1"]),
    "no embedding": face_with(embedding=None),
    "an empty one": face_with(embedding=[]),
    "no number": face_with(embedding=[float("nan")]),
    "too large a number": face_with(embedding=[10**400]),
    "no unit": face_with(embedding=[1e30]),
    "two lengths": faces_with(stub.FACE, {**stub.FACE, "embedding": [1]}),
    "half a box": face_with(box={"x": 1}),
    "four landmarks": face_with(landmarks=[[1, 2]] * 4),
    "deep nesting": answer(body=b"[" * 100000),
    "too much": answer(body=b" " * (17 << 20)),
    "no end": stub.endless,
    "a redirection": answer(301, b"", ["Location: http://127.0.0.1:1/"]),
}  # fmt: skip


@pytest.mark.parametrize("act", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_answer_is_not_taken_for_one(connect, act):
    with Stub(act) as server, pytest.raises(facenetd.BadAnswerError):
        connect(server.url).embed(b"x")
    assert len(server.requests) == 1, "asking again gives the same"


def test_half_a_verdict_is_refused(connect):
    for members in ({"same": None}, {"threshold": None}, {"same": "yes"}, {"cosine": None}):
        act = answer(body={**distance(True), **members})
        with Stub(act) as server, pytest.raises(facenetd.BadAnswerError):
            connect(server.url).distance(b"x", b"y")


def test_other_refusals_stand(connect):
    for status in (400, 401, 404, 413, 422, 500, 502, 504):
        with Stub(problem(status, "some_code", detail="img: \x1b[2Jwhy")) as server:
            with pytest.raises(facenetd.RefusedError) as caught:
                connect(server.url).embed(b"x")
            assert str(caught.value) == f"Stub: img: ?[2Jwhy ({status} some_code)"
            assert len(server.requests) == 1


def test_tls_needs_a_certificate_that_is_trusted(connect, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("no openssl")
    files = [tmp_path / "cert.pem", tmp_path / "key.pem"]
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test"
    command += " -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [*command.split(), "-out", files[0], "-keyout", files[1]], check=True, capture_output=True
    )
    with Stub(answer(), certificate=files) as server:
        assert len(connect(server.url, ca_file=str(files[0])).embed(b"x")) == 1
        with pytest.raises(facenetd.UnreachableError, match="certificate"):
            connect(server.url).embed(b"x")
        assert len(server.requests) == 1, "nothing was sent to whom nobody trusts"
        assert server.connections == 2, "and it was not tried again"


def test_no_more_are_in_flight_than_was_said(connect):
    lock, now, most, taken = threading.Lock(), [0], [0], [0]
    act = answer()

    def count(connection):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return act(connection)

    def pictures():
        for _ in range(40):
            taken[0] += 1
            yield b"x"

    with Stub(count) as server:
        client = connect(server.url, concurrency=3)
        assert len(client.embed_many(pictures())) == 40
        assert most[0] == 3 and taken[0] == 40
        taken[0] = 0
        with Stub(problem(400, "bad_request")) as refusing, pytest.raises(facenetd.RefusedError):
            connect(refusing.url, concurrency=3).embed_many(pictures())
        assert taken[0] <= 6, "the first failure ends it"


def test_a_folder_may_be_left_half_way(connect, png, tmp_path):
    for i in range(20):
        (tmp_path / f"{i:02}.png").write_bytes(png)
    with Stub(answer()) as server:
        client = connect(server.url, concurrency=2)
        pairs = client.iter_dir(tmp_path)
        assert next(pairs)[0].name == "00.png"
        pairs.close()
        del pairs
        gc.collect()
        time.sleep(0.2)  # a request already on its way may still arrive, the other pictures may not
        assert len(server.requests) < 8


def test_retries_wait_as_the_c_client_does():
    def wait(status, attempt=0, left=10.0, draw=0.0, body=b"", headers=None):
        outcome = _calls.Answer(status, _calls.httpx.Headers(headers or {}), body)
        return _calls.wait_s(outcome, attempt, 3, left, draw)

    asked = b'{"retry_after_ms":1000}'
    assert wait(503, body=asked) == 1.0 and wait(503, body=asked, draw=1.0) == 1.5
    assert wait(503, body=asked, left=1.0) is None
    assert wait(503, body=asked, left=1.2, draw=1.0) == 1.0
    assert [wait(503, attempt=i) for i in range(4)] == [0.1, 0.2, 0.4, None]
    assert wait(429, headers={"Retry-After": "2"}) == 2.0
    assert wait(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.1
    assert wait(500, body=asked) is None and wait(400) is None
    broken = _calls.Failure(facenetd.UnreachableError(""), True)
    assert _calls.wait_s(broken, 0, 3, 10, 0) == 0.1
    assert _calls.wait_s(_calls.Failure(broken.error, False), 0, 3, 10, 0) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"server": "localhost:8080"}, {"server": "ftp://x"}, {"server": "http://"},
        {"server": "unix:relative"}, {"server": "http://me:secret@host"}, {"server": "http://a?b=c"},
        {"timeout": 0}, {"timeout": float("nan")}, {"retries": 4}, {"retries": -1},
        {"concurrency": 0}, {"concurrency": 65}, {"max_answer": 10}, {"api_key": ""},
        {"api_key": "a\r\nX: y"}, {"api_key": "sch\xfcssel"},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_settings_are_said_at_once(settings):
    for kind in (facenetd.Client, facenetd.AsyncClient):
        with pytest.raises(ValueError) as caught:
            kind(**settings)
        assert "secret" not in str(caught.value)


def test_a_key_is_not_shown(connect):
    client = facenetd.Client(api_key="secret-1")
    assert "secret" not in repr(client) + repr(vars(client)["_settings"])
    with pytest.raises(ValueError, match="encoding"):
        client.embed(b"x", encoding="base64")
    client.close()
