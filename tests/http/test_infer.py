# SPDX-License-Identifier: Apache-2.0
"""The Open Inference Protocol v2: by Triton's own client, and by hand where that is too polite."""

import base64
import json
import struct

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from tests.http.conftest import embed, encode, make_image
from tests.http.documented import HOOKS

CROP = 160 * 160 * 3


@pytest.fixture
def server(daemon):
    with triton.InferenceServerClient(f"{daemon.host}:{daemon.port}") as client:
        yield client


@pytest.fixture(scope="module")
def crops():
    return np.random.default_rng(5).integers(0, 256, (3, 160, 160, 3), dtype=np.uint8)


def crop_input(pixels, binary=True):
    tensor = triton.InferInput("crop", list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels, binary_data=binary)
    return tensor


def image_input(pictures):
    tensor = triton.InferInput("image", [len(pictures)], "BYTES")
    tensor.set_data_from_numpy(np.array(pictures, dtype=object))
    return tensor


def infer(client, request, path="/v2/models/facenet/infer", **kwargs):
    return client.post(path, json=request, **kwargs)


def image(*pictures, **members):
    data = [base64.b64encode(picture).decode() for picture in pictures]
    tensor = {"name": "image", "datatype": "BYTES", "shape": [len(data)], "data": data}
    return {"inputs": [{**tensor, **members}]}


def assert_error(answer, status, code):
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert problem["code"] == code
    assert problem["error"] == problem["detail"]
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    return problem["error"]


def test_the_server_says_what_it_is_and_that_it_is_ready(server):
    assert server.is_server_live()
    assert server.is_server_ready()
    assert server.is_model_ready("facenet")
    assert "binary_tensor_data" in server.get_server_metadata()["extensions"]


def test_the_model_says_its_tensors_and_its_id_is_its_version(server, client):
    model = client.get("/model").json()
    metadata = server.get_model_metadata("facenet", model_version=model["model"])
    assert metadata == server.get_model_metadata("facenet")
    assert metadata["versions"] == [model["model"]]
    assert metadata["outputs"] == [
        {"name": "embedding", "datatype": "FP32", "shape": [-1, model["embedding_size"]]}
    ]
    assert [tensor["name"] for tensor in metadata["inputs"]] == ["image", "crop"]
    assert server.is_model_ready("facenet", model_version=model["model"])


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_a_crop_gives_the_bits_of_the_same_pixels_as_png(
    server, client, crops, binary_in, binary_out
):
    output = triton.InferRequestedOutput("embedding", binary_data=binary_out)
    answer = server.infer(
        "facenet", [crop_input(crops, binary_in)], outputs=[output], request_id="mine"
    )
    found = answer.as_numpy("embedding")
    assert found.shape == (3, 128)
    assert found.dtype == np.float32
    assert answer.get_response()["id"] == "mine"
    for pixels, embedding in zip(crops, found, strict=True):
        png = encode(Image.fromarray(pixels), "PNG")
        expected = np.float32(embed(client, png, params={"align": "none"}))
        assert expected.tobytes() == embedding.tobytes()


def test_pictures_come_as_bytes_or_as_base64_and_give_the_same(server, client, jpeg, other_jpeg):
    answer = server.infer("facenet", [image_input([jpeg, other_jpeg])])
    found = answer.as_numpy("embedding")
    for picture, embedding in zip([jpeg, other_jpeg], found, strict=True):
        assert np.float32(embed(client, picture)).tobytes() == embedding.tobytes()
    again = infer(client, image(jpeg, other_jpeg)).json()["outputs"][0]
    assert again["shape"] == [2, 128]
    assert np.float32(again["data"]).tobytes() == found.tobytes()


def test_the_answer_says_what_computed_it(server, client, crops):
    said = server.infer("facenet", [crop_input(crops[:1])]).get_response()["parameters"]
    model = client.get("/model").json()
    assert said == {
        "model": model["model"],
        "crop": "whole-160",
        "aligned": False,
        "backend": model["backend"],
    }


def test_nested_numbers_are_a_crop_too(client, crops):
    flat = {"name": "crop", "datatype": "UINT8", "shape": [1, 160, 160, 3]}
    answers = [
        infer(client, {"inputs": [{**flat, "data": data}]}).json()["outputs"]
        for data in (crops[:1].tolist(), crops[0].ravel().tolist())
    ]
    assert answers[0] == answers[1]


def test_another_model_or_version_is_not_found(server, crops):
    for name, version in (("other", ""), ("facenet", "1"), ("facenet", "0000000000000000")):
        with pytest.raises(InferenceServerException, match="model") as refusal:
            server.infer(name, [crop_input(crops)], model_version=version)
        assert refusal.value.status() == "404"
        with pytest.raises(InferenceServerException):
            server.get_model_metadata(name, model_version=version)
        assert not server.is_model_ready(name, model_version=version)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"shape": [2]}, "bad_request"),
        ({"shape": [0]}, "bad_request"),
        ({"shape": [-1]}, "bad_request"),
        ({"shape": [1, 1]}, "bad_request"),
        ({"shape": [1.0]}, "bad_request"),
        ({"shape": 1}, "bad_request"),
        ({"shape": [9223372036854775807]}, "too_many_pictures"),
        ({"shape": [65]}, "too_many_pictures"),
        ({"datatype": "UINT8"}, "bad_request"),
        ({"datatype": None}, "bad_request"),
        ({"name": "picture"}, "bad_request"),
        ({"data": []}, "bad_request"),
        ({"data": [1]}, "bad_request"),
        ({"data": ["?"]}, "bad_request"),
        ({"data": [""]}, "missing_picture"),
        ({"data": "x"}, "bad_request"),
        ({"data": None}, "bad_request"),
        ({"extra": 1}, "unknown_member"),
        ({"parameters": {"binary_data_size": 0}}, "bad_request"),
        ({"parameters": {"other": 0}}, "unknown_member"),
        ({"parameters": []}, "bad_request"),
    ],
)
def test_a_wrong_input_is_refused(client, jpeg, change, code):
    status = 413 if code == "too_many_pictures" else 400
    assert_error(infer(client, image(jpeg, **change)), status, code)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"inputs": []}, "bad_request"),
        ({"inputs": {}}, "bad_request"),
        ({"outputs": [{"name": "other"}]}, "bad_request"),
        ({"outputs": [{"name": "embedding"}] * 2}, "bad_request"),
        (
            {"outputs": [{"name": "embedding", "parameters": {"classification": 1}}]},
            "unknown_member",
        ),
        ({"outputs": [{"name": "embedding", "parameters": {"binary_data": 1}}]}, "bad_option"),
        ({"id": 7}, "bad_request"),
        ({"id": "x" * 256}, "bad_request"),
        ({"parameters": {"priority": 1}}, "unknown_member"),
        ({"parameters": {"face": "center"}}, "bad_option"),  # this model has no detector
        ({"parameters": {"binary_data_output": "yes"}}, "bad_option"),
        ({"parameters": 1}, "bad_request"),
        ({"model_name": "facenet"}, "unknown_member"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused(client, jpeg, change, code):
    assert_error(infer(client, {**image(jpeg), **change}), 400, code)


@pytest.mark.parametrize(
    "data",
    [
        [0] * (CROP - 1),
        [0] * CROP + [0],
        [256] + [0] * (CROP - 1),
        [-1] + [0] * (CROP - 1),
        [0.5] + [0] * (CROP - 1),
        [0] * (CROP - 1) + [None],
        [[0] * CROP],
        [[[[0, 0]] * 160] * 160],
    ],
)
def test_numbers_that_are_no_crop_are_refused(client, data):
    tensor = {"name": "crop", "datatype": "UINT8", "shape": [1, 160, 160, 3], "data": data}
    assert_error(infer(client, {"inputs": [tensor]}), 400, "bad_request")


def test_more_numbers_than_json_may_hold_are_refused_before_they_are_parsed(client):
    tensor = {"name": "crop", "datatype": "UINT8", "shape": [14, 160, 160, 3]}
    request = {"inputs": [{**tensor, "data": [0] * (14 * CROP)}]}
    assert "1048576 values" in assert_error(infer(client, request), 400, "bad_json")
    deep = b'{"inputs":' + b"[" * 100 + b"]" * 100 + b"}"
    assert_error(client.post("/v2/models/facenet/infer", content=deep), 400, "bad_json")


def binary(client, head, tail, length=None, **headers):
    text = json.dumps(head).encode()
    length = len(text) if length is None else length
    headers = {"Inference-Header-Content-Length": str(length), **headers}
    return client.post("/v2/models/facenet/infer", content=text + tail, headers=headers)


def tensor_of(n, size):
    shape = {"name": "image", "datatype": "BYTES", "shape": [n]}
    return {"inputs": [{**shape, "parameters": {"binary_data_size": size}}]}


def test_bytes_that_do_not_fit_their_lengths_are_refused(client, jpeg):
    element = struct.pack("<I", len(jpeg)) + jpeg
    assert binary(client, tensor_of(1, len(element)), element).status_code == 200
    for n, tail, said in (
        (1, element + b"x", "1 bytes follow its last element"),
        (2, element, r"image[1]: its length is cut off"),
        (2, element + b"\0\0\0", r"image[1]: its length is cut off"),
        (2, element + struct.pack("<I", 2) + b"x", r"image[1]: has 2 bytes, and 1 follow"),
        (1, struct.pack("<I", 0xFFFFFFFF) + jpeg, r"image[0]: has 4294967295 bytes"),
        (1, struct.pack("<I", len(jpeg) + 1) + jpeg, r"image[0]: has"),
    ):
        answer = binary(client, tensor_of(n, len(tail)), tail)
        assert said in assert_error(answer, 400, "bad_request")
    answer = binary(client, tensor_of(1, 4), struct.pack("<I", 0))
    assert_error(answer, 400, "missing_picture")
    for size in (0, len(element) - 1, len(element) + 1, 2**63 - 1, -1, "5", None):
        answer = binary(client, tensor_of(1, size), element)
        assert "binary_data_size" in assert_error(answer, 400, "bad_request")


def test_a_wrong_length_of_the_json_is_refused(client, jpeg):
    element = struct.pack("<I", len(jpeg)) + jpeg
    head = tensor_of(1, len(element))
    text = len(json.dumps(head))
    for length in ("", "-1", "x", "99999999999", str(text + len(element) + 1)):
        answer = binary(client, head, element, length)
        assert "Inference-Header-Content-Length" in assert_error(answer, 400, "bad_request")
    for length in (0, text - 1, text + 4):
        assert_error(binary(client, head, element, length), 400, "bad_json")
    unclaimed = binary(client, image(jpeg), b"xy")
    assert "2 bytes follow that no input claims" in assert_error(unclaimed, 400, "bad_request")


def test_compressed_bodies_are_refused_in_words(server, client, crops):
    answer = binary(client, {}, b"", **{"Content-Encoding": "gzip"})
    assert "Content-Encoding" in assert_error(answer, 415, "unsupported_format")
    with pytest.raises(InferenceServerException, match="Content-Encoding"):
        server.infer("facenet", [crop_input(crops)], request_compression_algorithm="gzip")


def test_a_picture_that_fails_is_named(client, jpeg):
    error = assert_error(infer(client, image(jpeg, b"no picture")), 415, "unsupported_format")
    assert error.startswith("image[1]: ")


def test_options_of_faces_do_not_go_with_crops(client, crops):
    tensor = {"name": "crop", "datatype": "UINT8", "shape": [1, 160, 160, 3]}
    request = {"inputs": [{**tensor, "data": crops[0].ravel().tolist()}]}
    answer = infer(client, {**request, "parameters": {"face": "center"}})
    assert_error(answer, 400, "bad_option")
    assert infer(client, {**request, "parameters": {"align": "none"}}).status_code == 200


def test_errors_before_the_body_are_worded_so_too(client, daemon):
    assert_error(client.get("/v2/models/facenet/infer"), 405, "method_not_allowed")
    assert_error(client.post("/v2/models/facenet/infer", content=b""), 400, "bad_json")
    assert_error(client.get("/v2", headers={"Origin": "http://evil.example"}), 403, "forbidden")
    answer = client.post("/v2/models/facenet/infer", headers={"X-Timeout-Ms": "0"})
    assert_error(answer, 400, "bad_request")


def test_without_a_key_only_the_health_is_told(start, tmp_path, crops):
    key = tmp_path / "keys"
    digest = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"  # "password"
    key.write_text(f"phone infer {digest}\n")
    daemon = start(config={"keys_file": str(key)})
    with httpx.Client(base_url=daemon.url, event_hooks=HOOKS) as client:
        assert client.get("/v2/health/ready").status_code == 200
        assert_error(client.get("/v2/models/facenet"), 401, "unauthorized")
    with triton.InferenceServerClient(f"{daemon.host}:{daemon.port}") as server:
        with pytest.raises(InferenceServerException):
            server.infer("facenet", [crop_input(crops)])
        answer = server.infer("facenet", [crop_input(crops)], headers={"X-API-Key": "password"})
        assert answer.as_numpy("embedding").shape == (3, 128)


def test_many_requests_at_once_get_their_own_answers(daemon, client, crops):
    with triton.InferenceServerClient(f"{daemon.host}:{daemon.port}", concurrency=8) as server:
        asked = [
            (k % 3, server.async_infer("facenet", [crop_input(crops[k % 3 : k % 3 + 1])]))
            for k in range(24)
        ]
        found = [(k, request.get_result().as_numpy("embedding")) for k, request in asked]
    for k, embedding in found:
        png = encode(Image.fromarray(crops[k]), "PNG")
        assert np.float32(embed(client, png, params={"align": "none"})).tobytes() == (
            embedding.tobytes()
        )


def test_a_picture_of_any_size_is_the_crop_without_a_detector(server, client):
    picture = encode(make_image(3, (333, 97)), "PNG")
    found = server.infer("facenet", [image_input([picture])]).as_numpy("embedding")
    assert np.float32(embed(client, picture)).tobytes() == found.tobytes()
