# SPDX-License-Identifier: Apache-2.0
"""`facenet`, and through it the C library: against the real daemon, and against a server that
misbehaves."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.client import stub
from tests.client.stub import Stub, answer, cut, distance, problem
from tests.http.conftest import BUILD, REPORT, ROOT, embed, make_image

FACENET = BUILD / "facenet"
COMMANDS = ["embed", "distance", "detect", "crop", "dir", "model"]
NO_PROXY = {k: v for k, v in os.environ.items() if not k.startswith("FACENET_")}


@pytest.fixture(scope="session")
def picture(faces):
    return faces / "a.jpg"


def facenet(*words, status=0, env=None, **kwargs):
    """Run it; gives stdout, stderr. Where a test says no timeout, none is meant to pass: sanitizers
    on a busy machine are slow."""
    if words and words[0] in COMMANDS and not {"-t", "--help"} & set(words):
        words = (*words, "-t", 100)
    done = subprocess.run(
        [FACENET, *map(str, words)],
        env={**NO_PROXY, **(env or {})},
        capture_output=True,
        text=not isinstance(kwargs.get("input"), bytes),
        timeout=200,
        check=False,
        **kwargs,
    )
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert not REPORT.search(str(done.stderr)), done.stderr
    return done.stdout, done.stderr


PNG = b"\x89PNG\r\n\x1a\n"


# ---- against the daemon --------------------------------------------------------------------------


def test_embed_prints_what_http_gives(daemon, faces):
    names = [str(faces / "a.jpg"), str(faces / "b.jpg")]
    out, err = facenet("embed", *names, "-s", daemon.url)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["file"] for line in lines] == names
    assert err == ""
    with httpx.Client(base_url=daemon.url, timeout=30) as client:
        for line, name in zip(lines, names, strict=True):
            assert line["faces"][0]["embedding"] == embed(client, pathlib.Path(name).read_bytes())


def test_embed_prints_numbers_of_a_picture_on_standard_input(daemon, picture):
    out, _ = facenet("embed", "-", "--numbers", "-s", daemon.url, input=picture.read_bytes())
    with httpx.Client(base_url=daemon.url, timeout=30) as client:
        wanted = np.array(embed(client, picture.read_bytes()), np.float32)
    assert np.array_equal(np.array(out.split(), np.float32), wanted)


def test_many_pictures_keep_their_order(daemon, tmp_path):
    names = []
    for i in range(70):  # more than are in memory at once
        names.append(str(tmp_path / f"{i}.png"))
        make_image(i, (32, 32)).save(names[-1])
    names[13] = "missing.jpg"
    out, err = facenet("embed", *names, "-j", 16, "-s", daemon.url, status=2)
    assert [json.loads(line)["file"] for line in out.splitlines()] == names[:13] + names[14:]
    assert err == "facenet: missing.jpg: cannot be opened: No such file or directory\n"


def test_a_refusal_is_told_with_its_code(daemon, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture at all")
    _, err = facenet("embed", tmp_path / "text.jpg", "-s", daemon.url, status=2)
    assert "(415 unsupported_format)" in err
    _, err = facenet("embed", tmp_path / "text.jpg", "-o", "wishes=3", "-s", daemon.url, status=2)
    assert "(400 unknown_option)" in err


def test_distance_without_a_threshold_is_no_verdict(daemon, faces):
    words = ["distance", faces / "a.jpg", faces / "b.jpg", "-s", daemon.url]
    out, err = facenet(*words, status=2)
    assert out.startswith("-\tcosine ") and "no verdict" in err
    l2 = float(re.search(r"l2 ([\d.]+)", out)[1])
    assert facenet(*words, "--max-l2", l2 + 0.001)[0].startswith("same\t")
    assert facenet(*words, "--max-l2", l2 - 0.001, status=1)[0].startswith("different\t")


def test_a_crop_is_a_picture_with_the_same_embedding(daemon, picture, tmp_path):
    out = tmp_path / "crop.png"
    assert facenet("crop", picture, "-O", out, "-s", daemon.url) == ("", "")
    with Image.open(out) as crop:
        assert crop.format == "PNG" and crop.size == (160, 160)
    whole, cut = (
        facenet("embed", name, "--numbers", "-o", "align=none", "-s", daemon.url)[0]
        for name in (picture, out)
    )
    assert whole == cut
    piped, _ = facenet("crop", "-", "-s", daemon.url, input=picture.read_bytes())
    assert piped == out.read_bytes()
    assert "No such file" in facenet("crop", picture, "-O", tmp_path / "no/x", "-s", daemon.url,
                                     status=2)[1]  # fmt: skip


def test_an_answer_that_is_no_png_is_no_crop(picture, tmp_path):
    for body in (b"", PNG[:7], b"\x89PNX" + PNG[4:] + b"x" * 99):
        with Stub(answer(body=body)) as server:
            out = tmp_path / "crop.png"
            _, err = facenet("crop", picture, "-O", out, "-s", server.url, status=2)
        assert "is not a PNG" in err
        assert not out.exists()


def test_a_picture_is_no_distance_from_itself(daemon, picture):
    out, _ = facenet("distance", picture, picture, "--max-l2", 0, "-s", daemon.url)
    assert "cosine 1.000000\tl2 0.000000" in out


def test_model_says_what_runs(daemon):
    with httpx.Client(base_url=daemon.url) as client:
        facts = client.get("/model").json()
    out, _ = facenet("model", env={"FACENET_SERVER": daemon.url})
    assert f"model\t{facts['model']}\n" in out and f"backend\t{facts['backend']}\n" in out
    answered = json.loads(facenet("model", "--json", "-s", daemon.url)[0])
    assert answered["embedding_size"] == facts["embedding_size"]


def test_a_unix_socket_will_do(start, picture, tmp_path):
    start(listen=f"unix:{tmp_path}/f.sock", config={"deadline_ms": 100000})
    out, _ = facenet("embed", picture, "-s", f"unix:{tmp_path}/f.sock")
    assert json.loads(out)["faces_found"] == 1


# ---- verdicts and options, as the server gave them -----------------------------------------------


@pytest.mark.parametrize(("same", "status", "word"), [(True, 0, "same"), (False, 1, "different")])
def test_the_exit_status_is_the_verdict(picture, same, status, word):
    with Stub(answer(body=distance(same))) as server:
        out, _ = facenet("distance", picture, picture, "-s", server.url, status=status)
        assert out.startswith(f"{word}\tcosine 0.875000\tl2 0.500000\tat most l2_squared 1.1")
        out, _ = facenet("distance", picture, picture, "--json", "-s", server.url, status=status)
        assert json.loads(out) == distance(same)


def test_detect_prints_a_face_a_line(picture):
    two = {**stub.FACES, "faces": [stub.FACE, {**stub.FACE, "score": None, "landmarks": None}]}
    with Stub(answer(body=two), answer(body={**two, "faces": []})) as server:
        out, _ = facenet("detect", picture, picture, "-s", server.url)
    assert out == f"{picture}\t1\t2\t3\t4\t0.9000\n{picture}\t1\t2\t3\t4\t-\n{picture}\tno face\n"


def test_a_request_says_what_it_should(picture):
    with Stub(answer()) as server:
        facenet(
            "embed", picture, "-o", "face=center", "-o", "min_face=40", "-t", 5, "-s", server.url,
            env={"FACENET_API_KEY": "secret-1", "http_proxy": "http://127.0.0.1:1"},
        )  # fmt: skip
    (request,) = server.requests
    assert request.target == "/v1/embed?face=center&min_face=40"
    assert request.method == "POST" and request.body == picture.read_bytes()
    assert request.headers["authorization"] == "Bearer secret-1"
    assert 4000 < int(request.headers["x-timeout-ms"]) <= 5000


def test_the_key_file_wins_over_the_environment(picture, tmp_path):
    (tmp_path / "key").write_text("from-file\nsecond line\n")
    words = ["embed", picture, "--key-file", tmp_path / "key", "-s"]
    with Stub(answer()) as server:
        facenet(*words, server.url, env={"FACENET_API_KEY": "from-environment"})
    assert server.requests[0].headers["authorization"] == "Bearer from-file"
    (tmp_path / "key").write_text("sch\xfcssel\n")
    assert "schl" not in facenet(*words, "http://127.0.0.1:1", status=2)[1]
    (tmp_path / "key").write_text("")
    assert "no key" in facenet(*words, "http://127.0.0.1:1", status=2)[1]


def test_two_pictures_travel_as_a_form(picture, faces):
    with Stub(answer(body=distance(True))) as server:
        facenet("distance", picture, faces / "b.jpg", "-s", server.url)
    (request,) = server.requests
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="img1"' in request.body and b'name="img2"' in request.body
    assert picture.read_bytes() in request.body
    assert (faces / "b.jpg").read_bytes() in request.body


# ---- a busy or broken server ---------------------------------------------------------------------


def test_a_busy_server_is_asked_again_when_it_said(picture):
    busy = problem(503, "overloaded", retry_after_ms=300, headers=["Retry-After: 1"])
    with Stub(busy, busy, answer()) as server:
        facenet("embed", picture, "-s", server.url)
    first, second, third = (request.time for request in server.requests)
    assert second - first >= 0.3 and third - second >= 0.3
    timeouts = [int(request.headers["x-timeout-ms"]) for request in server.requests]
    assert timeouts == sorted(timeouts, reverse=True) and timeouts[0] - timeouts[2] >= 600


def test_the_header_is_obeyed_when_the_body_says_nothing(picture):
    busy = answer(503, b"<html>busy</html>", ["Retry-After: 1"])
    with Stub(busy, answer()) as server:
        facenet("embed", picture, "-s", server.url)
    assert server.requests[1].time - server.requests[0].time >= 1


@pytest.mark.parametrize("status", [503, 429])
def test_three_retries_are_enough(picture, status):
    with Stub(problem(status, "overloaded", retry_after_ms=1)) as server:
        _, err = facenet("embed", picture, "-s", server.url, status=2)
        assert len(server.requests) == 4
        assert f"({status} overloaded)" in err
        facenet("embed", picture, "--retries", 0, "-s", server.url, status=2)
        assert len(server.requests) == 5


def test_a_wait_beyond_the_deadline_is_not_begun(picture):
    began = time.monotonic()
    with Stub(problem(503, "draining", retry_after_ms=59000)) as server:
        _, err = facenet("embed", picture, "-t", 50, "-s", server.url, status=2)
    assert len(server.requests) == 1 and "draining" in err
    assert time.monotonic() - began < 50


@pytest.mark.parametrize(
    "act", [cut(), cut(after=0), stub.hang_up], ids=["in the body", "after the head", "before"]
)
def test_a_broken_answer_is_asked_for_again(picture, act):
    with Stub(act, act, answer()) as server:
        out, _ = facenet("embed", picture, "-s", server.url)
        assert json.loads(out)["model"] == "stub" and len(server.requests) == 3
    with Stub(act) as server:
        _, err = facenet("embed", picture, "-s", server.url, status=2)
        assert len(server.requests) == 4 and "cannot be reached, attempt 4" in err


def test_a_server_that_starts_late_is_found(picture):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    servers = []
    timer = threading.Timer(0.25, lambda: servers.append(Stub(answer(), port=port)))
    timer.start()
    out, _ = facenet("embed", picture, "-s", f"http://127.0.0.1:{port}")
    assert json.loads(out)["model"] == "stub"
    servers[0].__exit__()


def test_nobody_there_is_said(picture):
    _, err = facenet("embed", picture, "-s", "http://127.0.0.1:1", status=2)
    assert "cannot be reached, attempt 4" in err
    _, err = facenet("embed", picture, "-s", "unix:/nonexistent/socket", status=2)
    assert "cannot be reached" in err


def test_a_slow_server_does_not_outlast_the_deadline(picture):
    began = time.monotonic()
    with Stub(stub.silent(20)) as server:
        _, err = facenet("embed", picture, "-t", 0.5, "-s", server.url, status=2)
    assert 0.5 <= time.monotonic() - began < 20
    assert "no answer within 500 ms" in err and len(server.requests) == 1


WRONG = {
    "broken JSON": (answer(body=b'{"model":'), "not JSON"),
    "no JSON": (answer(body=b"<html>hello</html>"), "not JSON"),
    "nothing": (answer(body=b""), "not JSON"),
    "an array": (answer(body=[]), "not an object"),
    "another service": (answer(body={"status": "ok"}), 'no text "model"'),
    "wrong types": (answer(body={**stub.FACES, "faces": "none"}), 'no array "faces"'),
    "text for numbers": (
        answer(body={**stub.FACES, "faces": [{**stub.FACE, "embedding": ["1"]}]}),
        "element 0",
    ),
    "a redirection": (answer(301, b"", ["Location: http://127.0.0.1:1/"]), "answered 301"),
    "too much": (answer(body=b"[" * (17 << 20)), "larger than is accepted"),
    "no end": (stub.endless, "larger than is accepted"),
    "deep nesting": (answer(body=b"[" * 100000), "not JSON"),
}


@pytest.mark.parametrize(("act", "text"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_answer_is_not_taken_for_one(picture, act, text):
    with Stub(act) as server:
        out, err = facenet("embed", picture, "-s", server.url, status=2)
        assert out == "" and text in err
        assert len(server.requests) == 1, "asking again gives the same"


def test_what_does_not_speak_http_is_said_to(picture):
    with Stub(stub.garbage) as server:
        _, err = facenet("embed", picture, "-s", server.url, status=2)
    assert "cannot be reached" in err


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 502, 504])
def test_other_refusals_stand(picture, status):
    with Stub(problem(status, "some_code", detail="img: why")) as server:
        _, err = facenet("embed", picture, "-s", server.url, status=2)
    assert f"Stub: img: why ({status} some_code)" in err and len(server.requests) == 1


def test_a_server_cannot_command_the_terminal(picture):
    with Stub(problem(400, "a\x1bb", detail="\x1b[2J\r\nfacenet: all is well")) as server:
        _, err = facenet("embed", picture, "-s", server.url, status=2)
    assert "\x1b" not in err and err.count("\n") == 1


# ---- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate of its own authority, for 127.0.0.1."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl")
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test"
    command += " -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [*command.split(), "-out", files[0], "-keyout", files[1]], check=True, capture_output=True
    )
    return files


def test_tls_needs_a_certificate_that_is_trusted(picture, certificate):
    with Stub(answer(), certificate=certificate) as server:
        out, _ = facenet("embed", picture, "--ca", certificate[0], "-s", server.url)
        assert json.loads(out)["model"] == "stub"
        facenet("embed", picture, "-s", server.url, env={"FACENET_CA": str(certificate[0])})
        assert len(server.requests) == 2
        _, err = facenet("embed", picture, "-s", server.url, status=2)
        assert "certificate" in err
        other = server.url.replace("127.0.0.1", "localhost")
        _, err = facenet("embed", picture, "--ca", certificate[0], "-s", other, status=2)
        assert "cannot be reached" in err
        assert len(server.requests) == 2, "nothing was sent to whom nobody trusts"


# ---- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        [], ["fly"], ["embed"], ["distance", "a"], ["distance", "a", "b", "c"], ["model", "a"],
        ["embed", "--csv", "a"], ["dir", "--csv", "--npy", "."], ["dir", "."],
        ["dir", "--npy", "."], ["embed", "--retries", "4", "a"], ["embed", "-j", "0", "a"],
        ["embed", "-t", "nan", "a"], ["distance", "--max-l2", "3", "a", "b"],
        ["embed", "-o", "face", "a"], ["embed", "-o", "a=b&c=d", "a"], ["embed", "--what", "a"],
        ["embed", "-s", "ftp://x", "a"], ["embed", "-s"], ["distance", "-", "-"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_words_are_explained(words):
    _, err = facenet(*words, status=2)
    assert err.startswith(("facenet: ", "Usage: "))


def test_help_and_version_need_no_server():
    commands = re.findall(r"^  (\w+) ", facenet("--help")[0], flags=re.MULTILINE)
    assert commands == COMMANDS
    for command in commands:
        assert facenet(command, "--help")[0].startswith(f"Usage: facenet {command} ")
    assert re.fullmatch(r"facenet \d+\.\d+\.\d+\n", facenet("--version")[0])


def test_a_full_disk_is_noticed(daemon, picture):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [FACENET, "embed", picture, "-s", daemon.url], stdout=full, stderr=subprocess.PIPE,
            check=False,
        )  # fmt: skip
    assert done.returncode == 2 and b"cannot be written" in done.stderr


# ---- completion and manual -----------------------------------------------------------------------


def options_of(command):
    return set(re.findall(r"--([a-z][a-z0-9-]+)", facenet(command, "--help")[0].split("\n\n")[1]))


@pytest.mark.parametrize("command", COMMANDS)
def test_bash_completes_every_option(command):
    script = f"""source {ROOT}/clients/cli/completion/facenet.bash
        compopt() {{ :; }}
        COMP_WORDS=(facenet {command} --) COMP_CWORD=2
        _facenet; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert {word[2:] for word in done.stdout.split()} == options_of(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_fish_completes_every_option(command):
    if not shutil.which("fish"):
        pytest.skip("no fish")
    script = (
        f"source {ROOT}/clients/cli/completion/facenet.fish; complete -C 'facenet {command} --'"
    )
    done = subprocess.run(["fish", "-c", script], capture_output=True, text=True, check=True)
    assert set(re.findall(r"^--([a-z0-9-]+)", done.stdout, re.MULTILINE)) == options_of(command)


def test_zsh_knows_every_option():
    page = (ROOT / "clients/cli/completion/_facenet").read_text()
    named = set(re.findall(r"--([a-z][a-z0-9-]+)", page))
    assert named == set.union(*map(options_of, COMMANDS))
    if shutil.which("zsh"):
        script = ROOT / "clients/cli/completion/_facenet"
        subprocess.run(["zsh", "-n", script], check=True, capture_output=True)


def test_the_manual_knows_every_option():
    page = (ROOT / "clients/cli/man/facenet.1").read_text()
    named = set(re.findall(r"Fl -([a-z][a-z0-9-]+)", page)) | {"help"}
    assert named == set.union(*map(options_of, COMMANDS))
