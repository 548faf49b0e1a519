# SPDX-License-Identifier: Apache-2.0
"""`facenet` and a daemon that is guarded: keys, TLS; and one that finds faces."""

import csv
import io
import json
import re
import subprocess

import numpy as np
import pytest

from tests.client.test_command import facenet
from tests.http.conftest import BIN, BUILD, ROOT

DATA = ROOT.parent / "shared" / "data"
SIX = DATA / "photos" / "multiface.jpg"


def test_keys_open_what_they_are_for(start, faces, tmp_path):
    made = [
        subprocess.run([BIN, "--make-key", name], capture_output=True, text=True, check=True)
        for name in ("camera", "prometheus:metrics")
    ]
    (tmp_path / "keys").write_text("".join(one.stdout for one in made))
    daemon = start(config={"keys_file": str(tmp_path / "keys"), "deadline_ms": 60000})
    words = ["embed", faces / "a.jpg", "-s", daemon.url]
    assert "(401 unauthorized)" in facenet(*words, status=2)[1]
    camera, prometheus = (one.stderr.strip() for one in made)
    assert json.loads(facenet(*words, env={"FACENET_API_KEY": camera})[0])["faces_found"] == 1
    _, err = facenet(*words, status=2, env={"FACENET_API_KEY": prometheus})
    assert "(403 forbidden)" in err and prometheus not in err
    (tmp_path / "mine").write_text(camera + "\n")
    facenet("dir", faces, "--csv", "--key-file", tmp_path / "mine", "-s", daemon.url)


def test_tls_of_the_daemon_is_spoken(start, faces, tmp_path):
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test"
    command += " -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [*command.split(), "-out", files[0], "-keyout", files[1]], check=True, capture_output=True
    )
    secured = {"tls_certificate": str(files[0]), "tls_key": str(files[1])}
    daemon = start(config={**secured, "deadline_ms": 60000})
    url = re.search(r"https://127\.0\.0\.1:\d+", daemon.ready_line)[0]
    names = [faces / "a.jpg", faces / "b.jpg"]
    out, _ = facenet("embed", *names, "--ca", files[0], "-s", url)
    assert len(out.splitlines()) == 2
    assert "certificate" in facenet("embed", *names, "-s", url, status=2)[1]


@pytest.fixture
def seeing(start, tmp_path):
    """A daemon whose untrained model has the published detector."""
    weights = DATA / "mtcnn-npy"
    if not (weights.is_dir() and SIX.is_file()):
        pytest.skip("the detector's weights and pictures are not beside the checkout")
    path = tmp_path / "seeing.safetensors"
    tool = [BUILD / "facenet-model", "untrained", "--width", "2", "--embedding-size", "128"]
    subprocess.run([*tool, "--detector", weights, "-o", path], check=True, capture_output=True)
    return start(model=path, config={"deadline_ms": 60000})


def test_six_people_are_six_rows(seeing, tmp_path):
    out, _ = facenet("detect", SIX, "-s", seeing.url)
    found = [line.split("\t") for line in out.splitlines()]
    assert len(found) == 6 and all(float(line[5]) > 0.9 for line in found)
    assert len(facenet("detect", SIX, "-o", "max_faces=2", "-s", seeing.url)[0].splitlines()) == 2
    (tmp_path / "in").mkdir()
    (tmp_path / "in/six.jpg").symlink_to(SIX)
    facenet("dir", tmp_path / "in", "--npy", "-O", tmp_path / "f.npy", "-s", seeing.url)
    table = (tmp_path / "f.npy.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(table)))
    assert np.load(tmp_path / "f.npy").shape == (6, 128)
    assert [(row["face"], row["faces"]) for row in rows] == [(str(i), "6") for i in range(6)]
    assert [[row["x"], row["y"]] for row in rows] == [line[1:3] for line in found]


def test_each_of_six_people_has_a_crop(seeing, tmp_path):
    url = ["-s", seeing.url]
    rows = facenet("embed", SIX, "--numbers", *url)[0].splitlines()
    for i, row in enumerate(rows):
        out = tmp_path / f"{i}.png"
        facenet("crop", SIX, "-o", f"index={i}", "-O", out, *url)
        assert facenet("embed", out, "-o", "align=none", "--numbers", *url)[0] == row + "\n"
    assert len(rows) == 6
    _, err = facenet("crop", SIX, "-o", "index=6", "-O", tmp_path / "6.png", *url, status=2)
    assert "(422 face_not_found)" in err
    assert not (tmp_path / "6.png").exists()


def test_which_picture_has_no_single_face_is_said(seeing):
    words = ["distance", SIX, SIX, "-s", seeing.url]
    assert "(422 several_faces)" in facenet(*words, "-o", "face=only", status=2)[1]
    nobody = ROOT / "tests/data/pictures/444.jpg"
    _, err = facenet("distance", SIX, nobody, "-s", seeing.url, status=2)
    assert "img2" in err and "(422 face_not_found)" in err
