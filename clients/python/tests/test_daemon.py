# SPDX-License-Identifier: Apache-2.0
"""The package against the real daemon: what a picture may be, and what comes back."""

import concurrent.futures
import dataclasses
import io
import os
import pathlib
import subprocess

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.http.conftest import BUILD, ROOT, embed, encode, make_image

import facenetd

DATA = ROOT.parent / "shared/data"
PICTURES = ROOT / "tests/data/pictures"


@pytest.fixture
def client(connect, daemon):
    return connect(daemon.url, timeout=60)


@pytest.fixture(scope="module")
def wanted(daemon, png):
    """The embedding of `png` by plain HTTP."""
    with httpx.Client(base_url=daemon.url, timeout=30) as http:
        return np.array(embed(http, png), np.float32)


def test_embeddings_are_those_of_http_to_the_bit(client, png, wanted):
    faces = client.embed(png)
    (face,) = faces
    assert face.embedding.dtype == np.float32 and np.array_equal(face.embedding, wanted)
    assert abs(float(np.linalg.norm(face.embedding)) - 1) < 1e-6
    assert (faces.width, faces.height, faces.found) == (90, 70, 1)
    assert face.model == faces.model == client.model().id
    assert faces[0] is face and len(faces) == 1 and list(faces) == [face]
    assert np.array_equal(faces.embeddings, wanted[None])
    assert faces.raw["request_id"]
    with pytest.raises(ValueError, match="read-only"):
        face.embedding[0] = 0


def ways(data, folder):
    """The same pixels, in everything that people hold them in."""
    path = folder / "picture.bin"
    path.write_bytes(data)
    image = Image.open(io.BytesIO(data))
    rgb = np.asarray(image)
    rgba = image.convert("RGBA")
    wide = np.zeros((70, 200, 3), np.uint8)
    wide[:, 10:100] = rgb
    return {
        "a path": path,
        "a path as text": str(path),
        "bytes": data,
        "a bytearray": bytearray(data),
        "a memoryview": memoryview(data),
        "a file object": io.BytesIO(data),
        "a PIL image": image,
        "a PIL image with alpha": rgba,
        "an RGB array": (rgb, "rgb"),
        "an OpenCV array": (rgb[:, :, ::-1], "bgr"),
        "a part of an array": (wide[:, 10:100], "rgb"),
        "a column-major array": (np.asfortranarray(rgb), "rgb"),
    }


def test_every_way_to_hold_a_picture_gives_the_same_bits(client, png, wanted, tmp_path):
    for way, held in ways(png, tmp_path).items():
        picture, channels = held if isinstance(held, tuple) else (held, None)
        faces = client.embed(picture, channels=channels)
        assert np.array_equal(faces[0].embedding, wanted), way
    with (tmp_path / "picture.bin").open("rb") as file:
        assert np.array_equal(client.embed(file)[0].embedding, wanted)


def test_swapped_channels_are_another_picture(client, png, wanted):
    rgb = np.asarray(Image.open(io.BytesIO(png)))
    assert not np.array_equal(client.embed(rgb, channels="bgr")[0].embedding, wanted)


def test_grey_arrays_need_no_channels(client, png):
    grey = Image.open(io.BytesIO(png)).convert("L")
    three = np.repeat(np.asarray(grey)[:, :, None], 3, axis=2)
    of_two = client.embed(np.asarray(grey))[0].embedding
    assert np.array_equal(of_two, client.embed(three, channels="rgb")[0].embedding)


def test_a_pil_image_is_turned_upright_as_the_server_turns_files(client):
    for orientation in range(1, 9):
        path = PICTURES / f"orientation{orientation}.png"
        with Image.open(path) as image:
            from_pil, from_file = client.embed(image), client.embed(path)
        assert (from_pil.width, from_pil.height) == (from_file.width, from_file.height)
        assert np.array_equal(from_pil[0].embedding, from_file[0].embedding), orientation


@pytest.mark.parametrize("mode", ["1", "P", "LA", "CMYK", "YCbCr", "HSV", "F", "I;16"])
def test_any_pil_mode_is_taken(client, png, mode):
    image = Image.open(io.BytesIO(png))
    image = image.convert("L").convert(mode) if mode in ("F", "I;16") else image.convert(mode)
    assert len(client.embed(image)) == 1


@pytest.mark.parametrize(
    ("picture", "error", "text"),
    [
        (np.zeros((5, 5, 3), np.uint8), TypeError, 'channels="rgb"'),
        (np.zeros((5, 5, 3), np.float32), TypeError, "expected uint8"),
        (np.zeros((5, 5, 4), np.uint8), ValueError, r"shape \[5, 5, 4\]"),
        (np.zeros((0, 5, 3), np.uint8), ValueError, "shape"),
        (np.zeros(5, np.uint8), ValueError, "shape"),
        (b"", ValueError, "empty"),
        (io.StringIO("text"), TypeError, "binary mode"),
        (42, TypeError, "cannot be a int"),
        ("/nonexistent.jpg", FileNotFoundError, "nonexistent"),
    ],
    ids=str,
)
def test_what_is_no_picture_is_said_before_anything_is_sent(client, picture, error, text):
    with pytest.raises(error, match=text):
        client.embed(picture)


def test_a_refusal_has_status_code_and_request_id(client):
    with pytest.raises(facenetd.RefusedError) as caught:
        client.embed(PICTURES / "zero.jpg")
    assert (caught.value.status, caught.value.code) == (422, "picture_damaged")
    assert caught.value.request_id and "(422 picture_damaged)" in str(caught.value)
    with pytest.raises(facenetd.RefusedError, match="unknown_option"):
        client.embed(PICTURES / "444.jpg", wishes=3)


def test_distances_of_pictures_and_of_their_embeddings_agree(client, png, other_png):
    a, b = client.embed(png)[0], client.embed(other_png)[0]
    distance = client.distance(png, io.BytesIO(other_png))
    assert distance.cosine == pytest.approx(float(a.embedding @ b.embedding), abs=1e-6)
    assert distance.l2 == pytest.approx(float(np.linalg.norm(a.embedding - b.embedding)), abs=1e-6)
    assert distance.same is None and distance.threshold is None  # the model is untrained
    of_faces, of_arrays = client.distance_of(a, b), client.distance_of(a.embedding, b.embedding)
    assert of_faces.l2 == of_arrays.l2 == distance.l2
    assert of_faces.raw["model_checked"] and not of_arrays.raw["model_checked"]


def test_lists_are_compared_as_pairs_are(client, png, other_png):
    faces = [client.embed(picture)[0] for picture in (png, other_png)]
    matrix = client.distances(faces, faces[::-1])
    assert matrix.shape == (2, 2) and matrix.dtype == np.float64
    assert matrix[0, 1] == matrix[1, 0] == 0
    pair = client.distance_of(faces[0], faces[1])
    assert matrix[0, 0] == pytest.approx(pair.l2**2, abs=1e-6)
    rows = np.stack([face.embedding for face in faces])
    assert np.array_equal(client.distances(rows, rows[::-1]), matrix)
    cosines = client.distances(faces[:1], rows, metric="cosine")
    assert cosines == pytest.approx(np.array([[1, pair.cosine]]), abs=1e-6)
    with pytest.raises(facenetd.RefusedError) as refusal:
        client.distances([dataclasses.replace(faces[0], model="0123456789abcdef")], rows)
    assert refusal.value.code == "model_mismatch"
    for a, b in (([], rows), (rows, rows[:0]), (rows[0], rows), ([np.full(3, np.nan)], rows)):
        with pytest.raises((ValueError, TypeError)):
            client.distances(a, b)


def test_a_crop_gives_the_embedding_of_its_face(client, png, wanted):
    crop = client.crop(png)
    assert Image.open(io.BytesIO(crop)).size == (160, 160)
    (face,) = client.embed(crop, align="none")
    assert np.array_equal(face.embedding, wanted)
    assert face.quality is None and face.landmarks is None
    with pytest.raises(facenetd.RefusedError, match="unsupported_format"):
        client.crop(b"no picture")


@pytest.mark.skipif(
    not (DATA / "mtcnn-npy").is_dir() or not (DATA / "photos/multiface.jpg").is_file(),
    reason="the detector's weights and pictures are not beside the checkout",
)
def test_faces_have_their_quality_and_can_be_rejected_for_it(connect, start, tmp_path):
    path = tmp_path / "seeing.safetensors"
    tool = [BUILD / "facenet-model", "untrained", "--width", "2", "--embedding-size", "128"]
    subprocess.run([*tool, "--detector", DATA / "mtcnn-npy", "-o", path], check=True)
    client = connect(start(model=path, config={"deadline_ms": 60000}).url, timeout=60)
    six = DATA / "photos/multiface.jpg"
    faces = client.detect(six)
    assert len(faces) == 6 and faces.rejected == 0
    assert all(face.quality.size == min(face.box.width, face.box.height) for face in faces)
    assert all(0 <= face.quality.brightness <= 255 for face in faces)
    left = client.detect(six, reject="tilted,blurred,dark,bright,small")
    assert left.rejected == 6 - len(left)
    crop = client.crop(six, index=2)
    assert np.array_equal(
        client.embed(crop, align="none")[0].embedding, client.embed(six)[2].embedding
    )


def test_embeddings_of_another_model_are_refused(client, png):
    face = client.embed(png)[0]
    with pytest.raises(facenetd.RefusedError, match="model_mismatch"):
        client.distance_of(face, dataclasses.replace(face, model="0123456789abcdef"))


def test_model_says_what_runs(client):
    model = client.model()
    assert model.embedding_size == 128 and model.untrained
    assert model.backend and model.raw["limits"]["max_batch"] == 16


def test_many_keep_their_order_and_say_what_failed(client, capfd):
    pictures = [encode(make_image(i, (40, 40)), "PNG") for i in range(30)]
    alone = [client.embed(picture)[0].embedding for picture in pictures]
    many = client.embed_many(iter(pictures), progress=True)
    assert all(np.array_equal(f[0].embedding, e) for f, e in zip(many, alone, strict=True))
    assert "30pictures" in capfd.readouterr().err.replace(" ", "")
    pictures[7] = b"no picture"
    pictures[9] = pathlib.Path("/nonexistent.png")
    with pytest.raises(facenetd.RefusedError, match="unsupported_format"):
        client.embed_many(pictures)
    kept = client.embed_many(pictures, errors="return")
    assert isinstance(kept[7], facenetd.RefusedError) and isinstance(kept[9], OSError)
    assert sum(isinstance(result, facenetd.Faces) for result in kept) == 28
    assert client.embed_many([]) == []
    with pytest.raises(ValueError, match="errors"):
        client.embed_many(pictures, errors="ignore")


def test_a_folder_is_read_in_the_order_of_its_names(client, tmp_path):
    (tmp_path / "b").mkdir()
    for i, name in enumerate(("z.png", "a.png", "b/c")):
        make_image(i, (40, 40)).save(tmp_path / name, "PNG")
    (tmp_path / "notes.png").write_text("not a picture")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "loop").symlink_to(".")
    os.mkfifo(tmp_path / "pipe.png")
    pairs = list(client.iter_dir(tmp_path))
    assert [str(path.relative_to(tmp_path)) for path, _ in pairs] == ["a.png", "b/c", "z.png"]
    for path, faces in pairs:
        assert np.array_equal(faces[0].embedding, client.embed(path)[0].embedding)
    with pytest.raises(NotADirectoryError):
        next(iter(client.iter_dir(tmp_path / "a.png")))


def test_a_unix_socket_will_do(connect, start, png, tmp_path):
    start(listen=f"unix:{tmp_path}/f.sock", config={"deadline_ms": 60000})
    assert len(connect(f"unix:{tmp_path}/f.sock", timeout=60).embed(png)) == 1


def test_threads_share_a_client(daemon, png, wanted):
    with (
        facenetd.Client(daemon.url, timeout=60) as client,
        concurrent.futures.ThreadPoolExecutor(16) as pool,
    ):
        for faces in pool.map(lambda _: client.embed(png), range(100)):
            assert np.array_equal(faces[0].embedding, wanted)


def test_six_people_are_six_faces(connect, start, tmp_path):
    six, weights = DATA / "photos/multiface.jpg", DATA / "mtcnn-npy"
    if not (weights.is_dir() and six.is_file()):
        pytest.skip("the detector's weights and pictures are not beside the checkout")
    path = tmp_path / "seeing.safetensors"
    tool = [BUILD / "facenet-model", "untrained", "--width", "2", "--embedding-size", "128"]
    subprocess.run([*tool, "--detector", weights, "-o", path], check=True, capture_output=True)
    daemon = start(model=path, config={"deadline_ms": 60000})
    client = connect(daemon.url, timeout=60)
    detected, embedded = client.detect(six), client.embed(six)
    assert len(detected) == len(embedded) == detected.found == 6
    assert embedded.embeddings.shape == (6, 128) and detected.embeddings.size == 0
    for face in embedded:
        left, top = face.box.x, face.box.y
        x, y = face.landmarks.T
        assert face.score > 0.9 and face.landmarks.shape == (5, 2)
        assert np.all((x > left) & (x < left + face.box.width))
        assert np.all((y > top) & (y < top + face.box.height))
    assert len(client.embed(six, max_faces=2)) == 2
    with Image.open(six) as image:
        assert [face.box for face in client.detect(image)] == [face.box for face in detected]
    with pytest.raises(facenetd.RefusedError, match="several_faces"):
        client.distance(six, six, face="only")
