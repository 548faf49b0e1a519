# SPDX-License-Identifier: Apache-2.0
"""POST /embed: the ways in, the shape of the answer, and that they agree."""

import base64
import concurrent.futures
import json
import os
import shlex
import struct
import subprocess

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.http.conftest import assert_problem, embed, encode, make_image


def b64(data):
    return base64.b64encode(data).decode()


def test_the_answer_has_the_documented_shape(client, jpeg):
    answer = client.post("/embed", files={"img": jpeg})
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {
        "model", "crop", "aligned", "backend", "image", "detector", "min_face", "limited", "faces",
        "faces_found", "faces_rejected", "timing_ms", "request_id",
    }  # fmt: skip
    assert body["model"].startswith("untrained-")
    assert body["crop"] == "whole-160"
    assert body["aligned"] is False
    assert body["backend"] == "reference"
    assert body["image"] == {"width": 200, "height": 180, "orientation": 1}
    assert body["faces_found"] == len(body["faces"]) == 1
    face = body["faces"][0]
    assert face["box"] == {"x": 0, "y": 0, "width": 200, "height": 180}
    assert face["score"] is face["landmarks"] is face["quality"] is None
    assert body["detector"] is body["min_face"] is None and body["limited"] is False
    assert body["request_id"] == answer.headers["x-request-id"]
    assert np.linalg.norm(face["embedding"]) == pytest.approx(1, abs=1e-5)
    times = ("decode", "detect", "queue", "device", "total")
    assert all(body["timing_ms"][key] >= 0 for key in times)


def test_every_way_to_send_a_picture_gives_the_same_numbers(client, jpeg):
    expected = embed(client, jpeg)
    ways = [
        client.post("/embed", files={"image": jpeg}),
        client.post("/embed", files={"file": ("x.txt", jpeg, "text/plain")}),
        client.post("/v1/embed", files={"img": jpeg}),
        client.post("/embed", content=jpeg),
        client.post("/embed", content=jpeg, headers={"Content-Type": "image/jpeg"}),
        client.post("/embed", content=jpeg, headers={"Content-Type": "application/json"}),
        client.post("/embed", content=jpeg, headers={"Content-Type": "multipart/form-data"}),
        client.post(
            "/embed", content=jpeg, headers={"Content-Type": "application/x-www-form-urlencoded"}
        ),
        client.post("/embed", json={"img": b64(jpeg)}),
        client.post("/embed", json={"image": base64.encodebytes(jpeg).decode()}),
        client.post("/embed", json={"file": "data:image/jpeg;base64," + b64(jpeg)}),
        client.post("/embed", content=json.dumps({"img": b64(jpeg)})),
        client.post("/embed", content=iter([jpeg[:1000], jpeg[1000:]])),
        client.post("/embed", files={"img": jpeg}, headers={"Expect": "100-continue"}),
    ]
    for i, answer in enumerate(ways):
        assert answer.status_code == 200, (i, answer.text)
        assert answer.json()["faces"][0]["embedding"] == expected, i


def test_another_picture_gives_other_numbers(client, jpeg, other_jpeg):
    assert embed(client, jpeg) != embed(client, other_jpeg)


def test_png_and_webp_of_the_same_pixels_agree(client):
    image = make_image(3, (160, 160))
    png = embed(client, encode(image, "PNG"))
    assert embed(client, encode(image, "WEBP", lossless=True)) == png
    assert embed(client, encode(image.convert("RGBA"), "PNG")) == png


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_reported(client, orientation):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    upright = make_image(4, (96, 64))
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    answer = client.post("/embed", files={"img": encode(stored, "PNG", exif=exif)}).json()
    assert answer["image"] == {"width": 96, "height": 64, "orientation": orientation}
    assert answer["faces"][0]["embedding"] == embed(client, encode(upright, "PNG"))


def test_numbers_are_exact_float32_and_base64_carries_the_same(client, jpeg):
    floats = client.post("/embed", files={"img": jpeg}).json()["faces"][0]["embedding"]
    text = client.post("/embed?encoding=base64", files={"img": jpeg}).json()
    packed = base64.b64decode(text["faces"][0]["embedding"], validate=True)
    exact = struct.unpack(f"<{len(floats)}f", packed)
    assert [np.float32(x) for x in floats] == list(exact)


def test_options_are_the_same_in_query_part_and_member(client, jpeg):
    ways = [
        client.post("/embed?encoding=base64&align=none&max_faces=3", files={"img": jpeg}),
        client.post("/embed?%65ncoding=base%364", content=jpeg),
        client.post("/embed", files={"img": jpeg}, data={"encoding": "base64", "align": "none"}),
        client.post("/embed", json={"img": b64(jpeg), "encoding": "base64", "max_faces": 1}),
    ]
    texts = [answer.json()["faces"][0]["embedding"] for answer in ways]
    assert isinstance(texts[0], str)
    assert len(set(texts)) == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("encoding=hex", "bad_option"),
        ("encoding=base64&encoding=base64", "bad_option"),
        ("encoding=", "bad_option"),
        ("encoding", "bad_option"),
        ("encoding=base6%", "bad_option"),
        ("encoding=base64%00", "bad_option"),
        ("align=five", "bad_option"),
        ("align=mtcnn", "bad_option"),
        ("face=largest", "bad_option"),
        ("face=smallest", "bad_option"),
        ("min_face=20", "bad_option"),
        ("reject=blur", "bad_option"),
        ("max_faces=0", "bad_option"),
        ("max_faces=33", "bad_option"),
        ("max_faces=-1", "bad_option"),
        ("max_faces=1e1", "bad_option"),
        ("max_faces=99999999999999999999", "bad_option"),
        ("far=0.001", "unknown_option"),
        ("algin=none", "unknown_option"),
        ("ALIGN=none", "unknown_option"),
        ("=", "unknown_option"),
        ("align=none&=", "unknown_option"),
    ],
)
def test_wrong_options_are_refused(client, jpeg, query, code):
    assert_problem(client.post("/embed?" + query, files={"img": jpeg}), 400, code)


def test_wrong_options_in_parts_and_members_are_refused(client, jpeg):
    post = client.post
    assert_problem(post("/embed", files={"img": jpeg}, data={"x": "1"}), 400, "unknown_option")
    assert_problem(post("/embed", json={"img": b64(jpeg), "x": 1}), 400, "unknown_member")
    assert_problem(post("/embed", json={"img": b64(jpeg), "align": None}), 400, "bad_option")
    assert_problem(post("/embed", json={"img": b64(jpeg), "align": False}), 400, "bad_option")
    assert_problem(
        post("/embed?align=none", json={"img": b64(jpeg), "align": "none"}), 400, "bad_option"
    )


def test_sixteen_at_once_get_the_bits_of_one_alone(daemon):
    pictures = [encode(make_image(100 + i)) for i in range(16)]
    with httpx.Client(base_url=daemon.url) as client:
        alone = [embed(client, picture) for picture in pictures]
        sizes = set()

        def one(i):
            answer = client.post("/embed", files={"img": pictures[i % 16]})
            assert answer.status_code == 200, answer.text
            sizes.add(answer.json()["timing_ms"]["batch"])
            return answer.json()["faces"][0]["embedding"]

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            together = list(pool.map(one, range(48)))
    assert together == [alone[i % 16] for i in range(48)]
    assert max(sizes) > 1, "no batch ever held two pictures"


def test_the_printed_curl_line_works_as_it_stands(daemon, jpeg, tmp_path):
    (tmp_path / "face.jpg").write_bytes(jpeg)
    done = subprocess.run(
        shlex.split(daemon.curl_line), cwd=tmp_path, capture_output=True, check=True,
        env={**os.environ, "no_proxy": "*"},
    )  # fmt: skip
    assert b'"faces_found":1' in done.stdout
