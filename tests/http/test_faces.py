# SPDX-License-Identifier: Apache-2.0
"""Faces over HTTP: found, cut, embedded, compared; and pictures that have none or too many.

With the detector's published weights, on pictures that lie beside the checkout; skipped without.
"""

import base64
import concurrent.futures
import io

import httpx
import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.http.conftest import BUILD, assert_problem, encode, needs_faces

pytestmark = needs_faces

CONTRACT = "mtcnn-p17-160"


def b64(data):
    return base64.b64encode(data).decode()


def faces(client, picture, route="/detect", **options):
    answer = client.post(route, files={"img": picture}, params=options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def iou(a, b):
    w = min(a["x"] + a["width"], b["x"] + b["width"]) - max(a["x"], b["x"])
    h = min(a["y"] + a["height"], b["y"] + b["height"]) - max(a["y"], b["y"])
    both = max(w, 0) * max(h, 0)
    return both / (a["width"] * a["height"] + b["width"] * b["height"] - both)


def test_six_faces_are_found_largest_first(eyes, six):
    body = faces(eyes, six)
    assert body["aligned"] is True and body["crop"] == CONTRACT
    assert body["faces_found"] == len(body["faces"]) == 6
    assert (body["faces_rejected"], body["limited"], body["min_face"]) == (0, False, 20)
    assert body["detector"] == eyes.get("/model").json()["detector"]["kernels"]
    areas = [face["box"]["width"] * face["box"]["height"] for face in body["faces"]]
    assert areas == sorted(areas, reverse=True)
    for face in body["faces"]:
        box, points = face["box"], face["landmarks"]
        assert 0.7 < face["score"] <= 1 and len(points) == 5 and "embedding" not in face
        assert all(box["x"] < x < box["x"] + box["width"] for x, _ in points)
        assert all(box["y"] < y < box["y"] + box["height"] for _, y in points)
        assert points[0][0] < points[1][0] and points[3][1] > points[2][1] > points[0][1]
        assert face["quality"]["size"] == min(box["width"], box["height"])
        assert 0 < face["quality"]["brightness"] < 255 and face["quality"]["sharpness"] > 0


def test_every_face_is_embedded_as_its_crop_alone_is(eyes, six):
    body = faces(eyes, six, "/embed")
    assert body["faces_found"] == len(body["faces"]) == 6
    norms = [np.linalg.norm(face["embedding"]) for face in body["faces"]]
    assert norms == pytest.approx([1] * 6, abs=1e-5)
    for choice in ("largest", "center", "only"):
        answer = eyes.post("/crop", files={"img": six}, params={"face": choice})
        if choice == "only":
            assert_problem(answer, 422, "several_faces")
            continue
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["x-facenetd-crop"] == CONTRACT
        assert Image.open(io.BytesIO(answer.content)).size == (160, 160)
        again = faces(eyes, answer.content, "/embed", align="none")
        assert again["aligned"] is False and again["crop"] == "whole-160"
        chosen = faces(eyes, six, "/embed", face=choice)["faces"]
        assert len(chosen) == 1
        assert again["faces"][0]["embedding"] == chosen[0]["embedding"]
    assert faces(eyes, six, "/embed", face="largest")["faces"][0] == body["faces"][0]
    whole = eyes.post("/crop?align=none", content=six)
    assert whole.headers["x-facenetd-crop"] == "whole-160"


def test_every_face_of_detect_can_be_cut_by_its_index(eyes, six):
    listed = faces(eyes, six, "/embed")["faces"]
    for index, face in enumerate(listed):
        crop = eyes.post("/crop", files={"img": six}, params={"index": index})
        again = faces(eyes, crop.content, "/embed", align="none")["faces"][0]
        assert again["embedding"] == face["embedding"]
    beyond = eyes.post("/crop", files={"img": six}, params={"index": len(listed)})
    assert "there are 6" in assert_problem(beyond, 422, "face_not_found")["detail"]
    reject = {"index": 1, "reject": "small", "face": "largest"}
    assert_problem(eyes.post("/crop", files={"img": six}, params=reject), 422, "face_not_found")


def test_options_bound_choose_and_reject(eyes, six, one):
    everyone = faces(eyes, six)["faces"]
    few = faces(eyes, six, max_faces=2)
    assert few["faces"] == everyone[:2] and few["faces_found"] == 6
    large = faces(eyes, six, min_face=400)
    assert large["faces_found"] < 6 and large["min_face"] == 400
    alone = faces(eyes, one, face="only")
    assert alone["faces_found"] == len(alone["faces"]) == 1
    dark = encode(Image.eval(Image.open(io.BytesIO(one)), lambda v: v // 5), quality=95)
    assert faces(eyes, dark)["faces"][0]["quality"]["brightness"] < 50
    rejected = faces(eyes, dark, "/embed", reject="bright,dark")
    assert rejected["faces"] == [] and rejected["faces_found"] == rejected["faces_rejected"] == 1
    assert len(faces(eyes, dark, reject="bright,tilted")["faces"]) == 1
    turned = encode(Image.open(io.BytesIO(one)).rotate(40, Image.Resampling.BICUBIC))
    assert abs(faces(eyes, turned)["faces"][0]["quality"]["roll"]) > 30
    assert faces(eyes, turned, reject="tilted")["faces"] == []
    small = encode(Image.open(io.BytesIO(one)).resize((70, 70)), "PNG")
    assert len(faces(eyes, small)["faces"]) == 1
    assert faces(eyes, small, reject="small")["faces"] == []
    assert len(faces(eyes, one, reject="small,blurred,dark,bright,tilted,unsure")["faces"]) == 1
    blurred = encode(Image.open(io.BytesIO(one)).filter(ImageFilter.GaussianBlur(3)), "PNG")
    assert len(faces(eyes, blurred)["faces"]) == 1
    assert faces(eyes, blurred, reject="blurred")["faces"] == []


@pytest.mark.parametrize(
    ("route", "query", "code"),
    [
        ("/detect", "align=none", "unknown_option"),
        ("/detect", "encoding=base64", "unknown_option"),
        ("/crop", "max_faces=2", "unknown_option"),
        ("/crop", "index=-1", "bad_option"),
        ("/crop", "index=0&align=none", "bad_option"),
        ("/embed", "index=0", "unknown_option"),
        ("/embed", "far=0.001", "unknown_option"),
        ("/embed", "min_face=11", "bad_option"),
        ("/embed", "min_face=65536", "bad_option"),
        ("/embed", "face=first", "bad_option"),
        ("/embed", "align=mtcnn", "bad_option"),
        ("/embed", "reject=ugly", "bad_option"),
        ("/embed", "reject=dark,dark", "bad_option"),
        ("/embed", "align=none&face=largest", "bad_option"),
        ("/embed", "align=none&min_face=40", "bad_option"),
        ("/embed", "align=none&reject=dark", "bad_option"),
    ],
)
def test_wrong_options_are_refused(eyes, one, route, query, code):
    assert_problem(eyes.post(f"{route}?{query}", files={"img": one}), 400, code)


def test_no_face_is_an_empty_list_or_names_the_picture(eyes, one, none):
    for route in ("/detect", "/embed"):
        body = faces(eyes, none, route)
        assert body["faces"] == [] and body["faces_found"] == 0 and body["aligned"] is True
    assert_problem(eyes.post("/crop", files={"img": none}), 422, "face_not_found")
    for first, second, name in ((none, one, "img1"), (one, none, "img2")):
        answer = eyes.post("/distance", files={"img1": first, "img2": second})
        problem = assert_problem(answer, 422, "face_not_found")
        assert problem["detail"].startswith(name + ": no face was found in 160 x 120")
    answer = eyes.post("/distance", files={"source": one, "target": none})
    assert assert_problem(answer, 422, "face_not_found")["detail"].startswith("target:")


def test_distance_finds_the_faces(eyes, one, six):
    body = eyes.post("/distance", files={"img1": six, "img2": one}).json()
    assert body["aligned"] is True and body["crop"] == CONTRACT
    assert [image["faces_found"] for image in body["images"]] == [6, 1]
    largest = faces(eyes, six)["faces"][0]
    assert body["images"][0]["box"] == largest["box"]
    vectors = [faces(eyes, x, "/embed")["faces"][0]["embedding"] for x in (six, one)]
    said = [{"model": body["model"], "crop": CONTRACT, "embedding": v} for v in vectors]
    for pair in (vectors, said):
        again = eyes.post("/distance", json={"embedding1": pair[0], "embedding2": pair[1]}).json()
        assert again["l2_squared"] == body["l2_squared"] and again["crop"] == CONTRACT
        assert again["model_checked"] is (pair is said)
    center = eyes.post("/distance?face=center", files={"img1": six, "img2": one}).json()
    assert center["images"][0]["box"] != largest["box"]
    problem = eyes.post("/distance?face=only", files={"img1": one, "img2": six})
    assert assert_problem(problem, 422, "several_faces")["detail"].startswith("img2: 6 faces")
    problem = eyes.post("/distance?reject=small", files={"img1": one, "img2": six})
    assert problem.status_code == 200


def test_embeddings_of_different_crops_are_never_compared(eyes, one):
    model = faces(eyes, one)["model"]
    vector = faces(eyes, one, "/embed")["faces"][0]["embedding"]

    def say(crop):
        return {"model": model, "crop": crop, "embedding": vector}

    def post(a, b, **options):
        return eyes.post("/distance", json={"embedding1": a, "embedding2": b}, params=options)

    for a, b in [
        (say("mtcnn-m32-160"), vector),
        (say("whole-160"), say(CONTRACT)),
        (say(CONTRACT), say("whole-160")),
        (say("whole-160"), vector),
    ]:
        assert_problem(post(a, b), 409, "model_mismatch")
    brought = post(say("whole-160"), say("whole-160")).json()
    assert brought["crop"] == "whole-160" and brought["aligned"] is False
    assert post(vector, say("whole-160"), align="none").json()["crop"] == "whole-160"
    assert_problem(post(vector, say(CONTRACT), align="none"), 409, "model_mismatch")


def test_a_batch_answers_in_order_each_for_itself(eyes, one, six, none):
    pictures = [one, b"no picture", six, none, one[:2000], one]
    parts = [("img", picture) for picture in pictures]
    multipart = eyes.post("/embed/batch?encoding=base64", files=parts)
    assert multipart.status_code == 200, multipart.text
    body = multipart.json()
    assert body["crop"] == CONTRACT and body["aligned"] is True
    assert [image["status"] for image in body["images"]] == [200, 415, 200, 200, 422, 200]
    codes = [image["error"]["code"] for image in body["images"] if image["status"] != 200]
    assert codes == ["unsupported_format", "picture_damaged"]
    for picture, image in zip(pictures, body["images"], strict=True):
        if image["status"] == 200:
            single = faces(eyes, picture, "/embed", encoding="base64")
            assert image["faces"] == single["faces"]
            assert image["faces_found"] == single["faces_found"]
    as_json = eyes.post(
        "/embed/batch", json={"imgs": [b64(p) for p in pictures], "encoding": "base64"}
    )
    assert as_json.json()["images"] == body["images"]
    assert len(eyes.post("/embed/batch", content=one).json()["images"]) == 1


def test_batches_that_are_no_batches(eyes, one):
    post = eyes.post
    assert_problem(post("/embed/batch"), 400, "missing_picture")
    assert_problem(post("/embed/batch", json={"imgs": []}), 400, "missing_picture")
    assert_problem(post("/embed/batch", json={"imgs": [""]}), 400, "missing_picture")
    assert_problem(post("/embed/batch", json={"imgs": [7]}), 400, "bad_request")
    assert_problem(post("/embed/batch", json={"imgs": {"a": 1}}), 400, "bad_request")
    assert_problem(post("/embed/batch", json={"imgs": ["***"]}), 400, "bad_request")
    many = [("img", one)] * 11
    assert_problem(post("/embed/batch", files=many), 413, "too_many_pictures")
    assert len(post("/embed/batch", files=many[:10]).json()["images"]) == 10
    assert_problem(eyes.get("/embed/batch"), 405, "method_not_allowed")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_faces_are_where_they_are_in_the_upright_picture(eyes, one, orientation):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    upright = Image.open(io.BytesIO(one)).crop((0, 0, 250, 240))
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = faces(eyes, encode(stored, "PNG", exif=exif), "/embed")
    assert turned["image"]["orientation"] == orientation
    assert turned["faces"] == faces(eyes, encode(upright, "PNG"), "/embed")["faces"]


def crowd(face, columns=12, rows=10):
    """A wall of one face."""
    tile = Image.open(io.BytesIO(face)).resize((125, 125))
    wall = Image.new("RGB", (columns * 125, rows * 125))
    for i in range(columns * rows):
        wall.paste(tile, (i % columns * 125, i // columns * 125))
    return wall


def test_pictures_of_every_odd_kind(eyes, one):
    image = Image.open(io.BytesIO(one))
    box = faces(eyes, encode(image, "PNG"))["faces"][0]["box"]
    pixels = np.asarray(image).astype(np.uint16) * 257
    alpha = image.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda v: max(v, 200)))
    still = [image, Image.new("RGB", image.size)]
    animated = io.BytesIO()
    still[0].save(animated, "WEBP", save_all=True, append_images=still[1:], quality=95)
    kinds = {
        "16-bit": png16(pixels),
        "grey": encode(image.convert("L"), "PNG"),
        "grey JPEG": encode(image.convert("L"), quality=95),
        "CMYK": encode(image.convert("CMYK"), quality=95),
        "alpha": encode(alpha, "PNG"),
        "animated": animated.getvalue(),
        "palette": encode(image.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    }
    for name, picture in kinds.items():
        found = faces(eyes, picture, "/embed")["faces"]
        assert len(found) == 1 and iou(found[0]["box"], box) > 0.8, name
    for size in ((1, 1), (1, 5000), (5000, 1), (11, 11), (12, 12), (3, 900)):
        body = faces(eyes, encode(Image.new("RGB", size, (90, 70, 60)), "PNG"), "/embed")
        assert body["faces"] == [], size


def png16(pixels):
    """16 bits a sample, which Pillow cannot write."""
    import struct
    import zlib

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = pixels.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def test_a_tiny_face_is_no_face_and_a_crowd_is_a_crowd(eyes, one):
    tiny = Image.new("RGB", (100, 100), (120, 120, 120))
    tiny.paste(Image.open(io.BytesIO(one)).resize((23, 23)), (40, 40))
    assert faces(eyes, encode(tiny, "PNG"))["faces"] == []
    body = faces(eyes, encode(crowd(one), quality=95), "/embed", encoding="base64")
    assert body["faces_found"] >= 100
    assert len(body["faces"]) == 32
    assert_problem(eyes.post("/embed?max_faces=33", files={"img": one}), 400, "bad_option")


def test_heic_is_refused_with_advice(eyes):
    heic = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + b"\0" * 200
    problem = assert_problem(eyes.post("/embed", content=heic), 415, "unsupported_format")
    assert "HEIC" in problem["detail"] and "heif-convert" in problem["detail"]


def test_crowds_and_single_faces_at_once_get_the_bits_of_one_alone(seeing, one, six):
    wall = encode(crowd(one, 4, 3), quality=95)
    pictures = [one, six, wall]
    requests = 6 if "san-thread" in str(BUILD) else 18  # a hundred faces take minutes there
    with httpx.Client(base_url=seeing.url, timeout=600) as client:
        alone = [faces(client, p, "/embed", encoding="base64")["faces"] for p in pictures]

        def post(i):
            return faces(client, pictures[i % 3], "/embed", encoding="base64")["faces"]

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            together = list(pool.map(post, range(requests)))
    assert together == [alone[i % 3] for i in range(requests)]
    assert len(alone[2]) >= 12


def test_a_model_without_a_detector_says_so(client, jpeg):
    assert client.get("/model").json()["detector"] is None
    assert_problem(client.post("/detect", files={"img": jpeg}), 422, "no_detector")
    assert client.post("/crop", files={"img": jpeg}).headers["x-facenetd-crop"] == "whole-160"
