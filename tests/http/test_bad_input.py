# SPDX-License-Identifier: Apache-2.0
"""Bodies that are wrong: each has its status and code, and the daemon goes on."""

import base64
import random
import struct
import zlib

import httpx
import pytest

from tests.http.conftest import assert_problem, embed, encode, make_image


@pytest.fixture(autouse=True)
def goes_on(client, jpeg):
    yield
    assert len(embed(client, jpeg)) == 128


def form(*parts, boundary=b"XX", end=b"--XX--\r\n"):
    body = b"".join(b"--XX\r\n" + head + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    return {
        "content": body + end,
        "headers": {"Content-Type": b"multipart/form-data; boundary=" + boundary},
    }


IMG = b'Content-Disposition: form-data; name="img"; filename="a.jpg"'


def test_truncated_pictures_are_damaged(client, jpeg):
    for size in (20, 300, len(jpeg) // 2, len(jpeg) - 200):
        assert_problem(client.post("/embed", content=jpeg[:size]), 422, "picture_damaged")
    png = encode(make_image(), "PNG")
    assert_problem(client.post("/embed", content=png[: len(png) // 2]), 422, "picture_damaged")


def test_other_files_are_unsupported(client):
    for content in (b"hello", b"%PDF-1.7", b"GIF89a" + b"\0" * 40, b"\0", b"<svg/>", b"[1]",
                    b"\0\0\0\x18ftypheic" + b"\0" * 40):  # fmt: skip
        assert_problem(client.post("/embed", files={"img": content}), 415, "unsupported_format")


def test_a_huge_picture_is_refused_by_its_header(client, jpeg):
    at = jpeg.index(b"\xff\xc0")
    huge = jpeg[: at + 5] + struct.pack(">HH", 65500, 65500) + jpeg[at + 9 :]
    assert_problem(client.post("/embed", content=huge), 413, "too_many_pixels")
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", 65500, 65500, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n\0\0\0\r" + ihdr + struct.pack(">I", zlib.crc32(ihdr))
    assert_problem(client.post("/embed", content=png), 413, "too_many_pixels")


def test_missing_and_empty_pictures(client):
    for answer in (
        client.post("/embed"),
        client.post("/embed", content=b""),
        client.post("/embed", json={}),
        client.post("/embed", json={"img": ""}),
        client.post("/embed", json={"img": "data:image/png;base64,"}),
        client.post("/embed", files={"img": b""}),
        client.post("/embed", data={"encoding": "float"}, files={"img": b""}),
        client.post("/embed", **form()),
    ):
        assert_problem(answer, 400, "missing_picture")


def test_two_pictures_are_one_too_many(client, jpeg):
    two = [("img", jpeg), ("img", jpeg)]
    assert_problem(client.post("/embed", files=two), 400, "bad_request")
    text = base64.b64encode(jpeg).decode()
    assert_problem(client.post("/embed", json={"img": text, "file": text}), 400, "bad_request")


@pytest.mark.parametrize(
    "text",
    [
        b"{", b'{"img": }', b'{"img": "a",}', b'{"img": "a"} x', b'{"a": 1, "a": 1}', b"{'a': 1}",
        b'{"img": "\xff"}', b'{"a": "\\ud800"}', b'{"a": NaN}', b'{"a": 1e999}', b"{" * 100000,
        b'{"a":' + b"[" * 17 + b"]" * 17 + b"}", b'{"a": [' + b"0," * 1100000 + b"0]}",
        b'{"a": "' + b"x" * 100000, b'{"img": "a\\u0000b", "img": 1}',
    ],
)  # fmt: skip
def test_broken_json(client, text):
    problem = assert_problem(client.post("/embed", content=text), 400, "bad_json")
    assert len(problem["detail"]) < 200


@pytest.mark.parametrize("text", [b"", b"[]", b"1", b'"x"', b"null", b"nonsense"])
def test_json_that_is_no_object(client, text):
    answer = client.post("/embed", content=text, headers={"Content-Type": "application/json"})
    assert_problem(answer, 400, "bad_json" if text else "missing_picture")


@pytest.mark.parametrize(
    "value",
    [7, None, True, [], {}, "é", "a", "ab=c", "abc==", "ab====", "http://example.com/a.jpg",
     "../etc/passwd", "data:image/jpeg,abc", "data:;base64", "file:///etc/passwd", "YQ==YQ=="],
)  # fmt: skip
def test_json_pictures_that_are_not_base64(client, value):
    assert_problem(client.post("/embed", json={"img": value}), 400, "bad_request")


def test_multipart_that_is_malformed(client, jpeg):
    part = (IMG, jpeg)
    disposition = b"Content-Disposition: form-data"
    cases = {
        "no end": form(part, end=b""),
        "other boundary": form(part, boundary=b"YY"),
        "no boundary": form(part, boundary=b""),
        "long boundary": form(part, boundary=b"X" * 71),
        "two boundaries": form(part, boundary=b"XX; boundary=YY"),
        "no name": form((disposition, jpeg)),
        "empty name": form((disposition + b'; name=""', jpeg)),
        "two names": form((disposition + b'; name="img"; name="image"', jpeg)),
        "no disposition": form((b"Content-Type: image/jpeg", jpeg)),
        "attachment": form((b'Content-Disposition: attachment; name="img"', jpeg)),
        "open quote": form((disposition + b'; name="img', jpeg)),
        "base64 part": form((IMG + b"\r\nContent-Transfer-Encoding: base64", jpeg)),
        "no headers' end": {**form(), "content": b"--XX\r\n" + IMG + b"--XX--\r\n"},
        "nothing": {**form(), "content": b"\r\n"},
    }
    for what, case in cases.items():
        answer = client.post("/embed", **case)
        assert answer.status_code == 400, (what, answer.text)
        assert answer.json()["code"] == "bad_request", what
    many = [(b'Content-Disposition: form-data; name="x%d"' % i, b"1") for i in range(129)]
    assert_problem(client.post("/embed", **form(*many)), 413, "too_many_pictures")


def test_multipart_that_is_odd_but_right(client, jpeg):
    expected = embed(client, jpeg)
    quoted = form((IMG, jpeg), boundary=b'"XX"; charset=utf-8')
    spaced = form((IMG, jpeg))
    spaced["content"] = b"preamble\r\n" + spaced["content"].replace(b"--XX\r\n", b"--XX \t\r\n")
    spaced["content"] += b"epilogue --XX"
    token = form((b"content-disposition:form-data;name=img", jpeg))
    almost = form((IMG, jpeg + b"\r\n--XXY\r\n--X\r\n-- XX"))
    for case in (quoted, spaced, token, almost):
        answer = client.post("/embed", **case)
        assert answer.status_code == 200, answer.text
        assert answer.json()["faces"][0]["embedding"] == expected


def test_bad_timeouts_are_refused(client, jpeg):
    for value in ("0", "-1", "1.5", "soon", "", "9999999999"):
        answer = client.post("/embed", content=jpeg, headers={"X-Timeout-Ms": value})
        assert_problem(answer, 400, "bad_request")


def test_mutated_bodies_never_break_the_daemon(daemon, jpeg):
    """Any answer will do, as long as it is an answer of ours."""
    rng = random.Random(7)
    whole = form((IMG, jpeg), (b'Content-Disposition: form-data; name="align"', b"none"))
    with httpx.Client(base_url=daemon.url) as client:
        for _ in range(300):
            body = bytearray(whole["content"])
            for _ in range(rng.randint(1, 8)):
                at = rng.randrange(min(len(body), 400) if rng.random() < 0.7 else len(body))
                if rng.random() < 0.5:
                    body[at] = rng.randrange(256)
                else:
                    del body[at : at + rng.randint(1, 50)]
            answer = client.post("/embed", content=bytes(body), headers=whole["headers"])
            assert answer.status_code in (200, 400, 413, 415, 422), answer.text
            assert answer.json()["request_id"]
