# SPDX-License-Identifier: Apache-2.0
"""`facenet dir`: whole folders, three formats, and what is left after it was interrupted."""

import csv
import io
import json
import os
import pty
import signal
import subprocess
import time

import numpy as np
import pytest

from tests.client import stub
from tests.client.stub import Stub, answer, problem
from tests.client.test_command import FACENET, NO_PROXY, facenet
from tests.http.conftest import make_image

MODEL = {**stub.FACES, "embedding_size": 2}
ODD_NAMES = ["comma, name.jpg", 'quote".jpg', "line\nend.jpg", "ärger.png", "no extension"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twelve pictures with difficult names, and what is none."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub" / "deeper").mkdir(parents=True)
    names = [*ODD_NAMES, *(f"sub/{i}.jpg" for i in range(4)), "sub/deeper/x.webp", "z.png"]
    for seed, name in enumerate(names):
        kind = {"webp": "WEBP", "png": "PNG"}.get(name.rsplit(".", 1)[-1], "JPEG")
        make_image(seed, (60, 50)).save(folder / name, kind)
    (folder / "link.jpg").symlink_to("z.png")
    (folder / "loop").symlink_to(".")
    (folder / "gone.jpg").symlink_to("nowhere")
    (folder / "notes.jpg").write_text("not a picture, whatever it is called")
    (folder / "empty.jpg").touch()
    os.mkfifo(folder / "pipe.jpg")
    return folder


def names_of(photos):
    found = [p for p in photos.rglob("*") if p.is_file() and p.stat().st_size > 100]
    return sorted(str(p.relative_to(photos)) for p in found if "loop" not in p.parts)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def embeddings_of(rows):
    return np.array([[row[f"e{i}"] for i in range(len(row) - 10)] for row in rows], np.float32)


def read(path):
    return path.read_bytes().decode()


def test_the_three_formats_hold_the_same(daemon, photos, tmp_path):
    for kind in ("csv", "jsonl", "npy"):
        facenet("dir", photos, f"--{kind}", "-O", tmp_path / f"f.{kind}", "-s", daemon.url)
    rows = rows_of(read(tmp_path / "f.csv"))
    assert [row["file"] for row in rows] == names_of(photos)
    assert len(rows) == 12
    lines = [json.loads(line) for line in read(tmp_path / "f.jsonl").splitlines()]
    array = np.load(tmp_path / "f.npy")
    table = rows_of(read(tmp_path / "f.npy.csv"))
    assert array.dtype == np.float32 and array.shape == (12, 128)
    assert np.array_equal(embeddings_of(rows), array)
    flat = np.array([line["faces"][0]["embedding"] for line in lines], np.float32)
    assert np.array_equal(flat, array)
    assert [line["file"] for line in lines] == [row["file"] for row in rows]
    places = [{key: row[key] for key in table[0]} for row in rows]
    assert table == places


def test_the_number_of_threads_changes_no_byte(daemon, photos):
    one, _ = facenet("dir", photos, "--csv", "-q", "-j", 1, "-s", daemon.url)
    many, err = facenet("dir", f"{photos}//", "--csv", "-q", "-j", 16, "-s", daemon.url)
    assert one == many
    assert err == f"facenet: {photos}/gone.jpg: left out: No such file or directory\n"


def test_a_second_run_asks_nothing_again(photos, tmp_path):
    for kind in ("csv", "jsonl", "npy"):
        out = tmp_path / f"f.{kind}"
        words = ["dir", photos, f"--{kind}", "-O", out]
        with Stub(answer(body=MODEL)) as server:
            facenet(*words, "-s", server.url)
            assert len(server.requests) == 13  # GET /model, and twelve pictures
            before = out.read_bytes()
            _, err = facenet(*words, "-s", server.url)
            assert len(server.requests) == 14
            assert out.read_bytes() == before
            assert "0 pictures, 0 faces, 0 failed" in err and "12 were done before" in err
            facenet(*words, "--restart", "-s", server.url)
            assert len(server.requests) == 27
            assert out.read_bytes() == before


def test_one_connection_serves_a_whole_folder(photos):
    with Stub(answer(body=MODEL)) as server:
        facenet("dir", photos, "--csv", "-j", 1, "-s", server.url)
        assert server.connections == 1


def slow(body, seconds):
    act = answer(body=body)

    def wait(connection):
        time.sleep(seconds)
        return act(connection)

    return wait


@pytest.mark.parametrize("kind", ["csv", "jsonl", "npy"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_done_before_a_signal_is_kept(photos, tmp_path, kind, number):
    out = tmp_path / f"f.{kind}"
    words = ["dir", photos, f"--{kind}", "-O", out, "-j", 2]
    with Stub(answer(body=MODEL), slow(MODEL, 0.1)) as server:
        running = subprocess.Popen(
            [FACENET, *map(str, words), "-s", server.url], stderr=subprocess.PIPE, env=NO_PROXY
        )
        while len(server.requests) < 6:
            time.sleep(0.01)
        running.send_signal(number)
        _, err = running.communicate(timeout=30)
        asked = len(server.requests)
    assert asked < 13
    assert running.returncode == (128 + number if number != signal.SIGKILL else -number), err
    if number != signal.SIGKILL:
        assert b"pictures are left; the same command goes on from here" in err
    with Stub(answer(body=MODEL)) as server:
        _, err = facenet(*words, "-s", server.url)
        # After a SIGKILL, what was under way and what waited behind it is asked for again; else
        # nothing is.
        again = asked - 1 + len(server.requests) - 1 - 12
        assert 0 <= again <= (6 if number == signal.SIGKILL else 0)
        whole, _ = facenet("dir", photos, "--csv", "-q", "-s", server.url)
    wanted = [row["file"] for row in rows_of(whole)]
    if kind == "csv":
        assert read(out) == whole
    elif kind == "jsonl":
        assert [json.loads(line)["file"] for line in read(out).splitlines()] == wanted
    else:
        assert [row["file"] for row in rows_of(read(tmp_path / "f.npy.csv"))] == wanted
        assert np.array_equal(np.load(out), embeddings_of(rows_of(whole)))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "npy"])
def test_a_torn_end_is_mended_wherever_it_tore(photos, tmp_path, kind):
    out = tmp_path / f"f.{kind}"
    torn = tmp_path / "f.npy.csv" if kind == "npy" else out
    two = {**MODEL, "faces": [stub.FACE, {**stub.FACE, "embedding": [0, 1]}], "faces_found": 2}
    words = ["dir", photos, f"--{kind}", "-O", out, "-j", 1, "-q"]
    with Stub(answer(body=two)) as server:
        facenet(*words, "-s", server.url)
        whole, whole_array = torn.read_bytes(), out.read_bytes()
        header = whole.index(b"\n") + 1 if kind != "jsonl" else 0
        for cut in {*range(header, len(whole), 997 if kind == "jsonl" else 61), len(whole) - 1}:
            torn.write_bytes(whole[:cut])
            facenet(*words, "-s", server.url)
            assert torn.read_bytes() == whole, cut
            assert out.read_bytes() == whole_array, cut


def test_other_files_are_not_touched(photos, tmp_path):
    with Stub(answer(body=MODEL)) as server:
        for kind in ("csv", "jsonl"):
            diary = tmp_path / f"diary.{kind}"
            diary.write_text("dear diary,\ntoday I\n")
            words = ["dir", photos, f"--{kind}", "-O", diary, "-s", server.url]
            assert "not" in facenet(*words, status=2)[1]
            assert diary.read_text() == "dear diary,\ntoday I\n"
        words = ["dir", photos, "--csv", "-O", tmp_path, "-s", server.url]
        assert "directory" in facenet(*words, status=2)[1]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "npy"])
def test_embeddings_of_two_models_are_never_mixed(photos, tmp_path, kind):
    out = tmp_path / f"f.{kind}"
    words = ["dir", photos, f"--{kind}", "-O", out, "-j", 1]
    with Stub(*[answer(body=MODEL)] * 5, problem(422, "picture_damaged")) as server:
        facenet(*words, "-s", server.url, status=2)
    before = out.read_bytes()
    with Stub(answer(body={**MODEL, "model": "new"})) as server:
        assert "was made with model stub" in facenet(*words, "-s", server.url, status=2)[1]
    with Stub(answer(body=MODEL), answer(body={**MODEL, "crop": "new"})) as server:
        _, err = facenet(*words, "-s", server.url, status=2)
        assert "crop new" in err and len(server.requests) == 2
    assert out.read_bytes() == before


def test_failed_pictures_are_told_of_and_tried_again(photos, tmp_path):
    words = ["dir", photos, "--csv", "-O", tmp_path / "f.csv", "-j", 1]
    refusal = problem(422, "picture_damaged", detail="img: why")
    with Stub(answer(body=MODEL), answer(body=MODEL), refusal, answer(body=MODEL)) as server:
        _, err = facenet(*words, "-s", server.url, status=2)
    failed = names_of(photos)[1].replace("\n", "?")
    assert f"facenet: {failed}: Stub: img: why (422 picture_damaged)\n" in err
    assert "11 pictures, 11 faces, 1 failed" in err
    with Stub(answer(body=MODEL)) as server:
        facenet(*words, "-s", server.url)
        assert len(server.requests) == 2
    assert sorted(row["file"] for row in rows_of(read(tmp_path / "f.csv"))) == names_of(photos)


def test_a_picture_without_a_face_has_a_row_of_its_own(photos, tmp_path):
    nobody = {**MODEL, "faces": [], "faces_found": 0}
    with Stub(answer(body=MODEL), answer(body=nobody)) as server:
        facenet("dir", photos, "--npy", "-O", tmp_path / "f.npy", "-s", server.url)
        rows = rows_of(read(tmp_path / "f.npy.csv"))
        assert np.load(tmp_path / "f.npy").shape == (0, 2)
        assert len(rows) == 12
        assert {(row["face"], row["faces"], row["x"]) for row in rows} == {("", "0", "")}
        facenet("dir", photos, "--npy", "-O", tmp_path / "f.npy", "-s", server.url)
        assert len(server.requests) == 14


@pytest.mark.parametrize("act", [problem(401, "unauthorized"), stub.hang_up], ids=["key", "gone"])
def test_it_stops_when_no_picture_can_succeed(photos, act):
    with Stub(answer(body=MODEL), act) as server:
        _, err = facenet(
            "dir", photos, "--csv", "-j", 1, "--retries", 1, "-s", server.url, status=2
        )
        # GET /model, two attempts, and one that libcurl makes by itself on a connection kept alive.
        assert len(server.requests) <= 4
    assert "1 failed" in err


def test_two_runs_do_not_write_one_file(photos, tmp_path):
    words = ["dir", photos, "--csv", "-O", tmp_path / "f.csv"]
    with Stub(answer(body=MODEL), slow(MODEL, 0.3)) as server:
        first = subprocess.Popen(
            [FACENET, *map(str, words), "-s", server.url], stderr=subprocess.DEVNULL, env=NO_PROXY
        )
        while len(server.requests) < 2:
            time.sleep(0.01)
        with Stub(answer(body=MODEL)) as other:
            assert "another facenet" in facenet(*words, "-s", other.url, status=2)[1]
        assert first.wait(timeout=30) == 0


def test_names_that_are_no_text_need_the_table(daemon, tmp_path):
    (tmp_path / "in").mkdir()
    make_image(1, (40, 40)).save(os.fsencode(tmp_path / "in") + b"/\xff\xfe.png", "PNG")
    out = tmp_path / "out"
    _, err = facenet("dir", tmp_path / "in", "--jsonl", "-O", out, "-s", daemon.url, status=2,
                     errors="surrogateescape")  # fmt: skip
    assert "not UTF-8" in err and out.read_bytes() == b""
    facenet("dir", tmp_path / "in", "--csv", "-O", out, "-s", daemon.url)
    assert b"\n\xff\xfe.png,0,1," in out.read_bytes()


def test_a_folder_that_is_none_is_said_to(daemon, photos, tmp_path):
    for path, text in ((tmp_path / "x", "No such file"), (photos / "z.png", "is not a folder")):
        assert text in facenet("dir", path, "--csv", "-s", daemon.url, status=2)[1]
    (tmp_path / "empty").mkdir()
    out, err = facenet("dir", tmp_path / "empty", "--jsonl", "-s", daemon.url)
    assert out == "" and "0 pictures" in err


def test_a_terminal_sees_a_bar(photos):
    parent, child = pty.openpty()
    with Stub(answer(body=MODEL)) as server:
        subprocess.run(
            [FACENET, "dir", photos, "--csv", "-s", server.url], stdout=subprocess.DEVNULL,
            stderr=child, check=True, env=NO_PROXY, timeout=30,
        )  # fmt: skip
    os.close(child)
    shown = b""
    try:
        while chunk := os.read(parent, 65536):
            shown += chunk
    except OSError:
        pass  # how a pty says that nobody writes any more
    os.close(parent)
    assert b"\r\x1b[K[" in shown and b"12/12" in shown
    assert b"\r\x1b[Kfacenet: 12 pictures, 12 faces, 0 failed" in shown
