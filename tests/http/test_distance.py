# SPDX-License-Identifier: Apache-2.0
"""POST /distance: pictures and embeddings."""

import base64
import json

import numpy as np
import pytest

from tests.http.conftest import assert_problem, embed


@pytest.fixture(scope="module")
def pair(daemon, jpeg, other_jpeg):
    import httpx

    with httpx.Client(base_url=daemon.url) as client:
        return embed(client, jpeg), embed(client, other_jpeg)


@pytest.fixture(scope="module")
def names(daemon):
    import httpx

    answer = httpx.get(daemon.url + "/model").json()
    return {"model": answer["model"], "crop": answer["crop"]}


def packed(values):
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


def post(client, a, b, **members):
    return client.post("/distance", json={"embedding1": a, "embedding2": b, **members})


def test_two_pictures_give_the_distance_of_their_embeddings(client, jpeg, other_jpeg, pair):
    a, b = (np.asarray(x, np.float32).astype(float) for x in pair)
    for first, second in (("img1", "img2"), ("source", "target"), ("source_image", "target_image")):
        answer = client.post("/distance", files={first: jpeg, second: other_jpeg})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        # The squared distance is a float32, and the others are functions of it.
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert body["cosine"] == pytest.approx(cosine, abs=1e-6)
        assert body["l2_squared"] == pytest.approx(((a - b) ** 2).sum(), rel=1e-7)
        assert body["l2"] == pytest.approx(body["l2_squared"] ** 0.5, rel=1e-8)
        assert body["cosine"] == pytest.approx(1 - body["l2_squared"] / 2, abs=1e-8)
        assert body["same"] is None and body["threshold"] is None
        assert body["model_checked"] is True
        assert [image["faces_found"] for image in body["images"]] == [1, 1]
        assert body["images"][1]["box"] == {"x": 0, "y": 0, "width": 200, "height": 180}


def test_json_pictures_and_embeddings_agree_with_multipart(client, jpeg, other_jpeg, pair):
    wanted = client.post("/distance", files={"img1": jpeg, "img2": other_jpeg}).json()
    coded = [base64.b64encode(x).decode() for x in (jpeg, other_jpeg)]
    answers = [
        client.post("/distance", json={"img1": coded[0], "img2": coded[1]}),
        post(client, *pair),
        post(client, packed(pair[0]), packed(pair[1])),
        post(client, pair[0], packed(pair[1])),
        client.post(
            "/v1/distance",
            files={
                "embedding1": (None, json.dumps(pair[0])),
                "embedding2": (None, packed(pair[1])),
            },
        ),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        for key in ("cosine", "l2", "l2_squared"):
            assert answer.json()[key] == wanted[key]


def test_a_picture_is_no_distance_from_itself(client, jpeg):
    body = client.post("/distance", files={"img1": jpeg, "img2": jpeg}).json()
    assert (body["cosine"], body["l2"], body["l2_squared"]) == (1, 0, 0)


def test_model_checked_says_whether_both_told_their_model(client, pair, names):
    full = [{**names, "embedding": pair[0]}, {**names, "embedding": packed(pair[1])}]
    assert post(client, *full).json()["model_checked"] is True
    assert post(client, full[0], pair[1]).json()["model_checked"] is False
    assert post(client, *pair).json()["model_checked"] is False


def test_another_model_or_crop_is_a_conflict(client, pair, names):
    other_model = {**names, "model": "0123456789abcdef", "embedding": pair[0]}
    other_crop = {**names, "crop": "mtcnn-p17-160", "embedding": pair[0]}
    short = {**other_model, "embedding": [1.0]}
    for wrong in (other_model, other_crop, short):
        problem = assert_problem(post(client, pair[0], wrong), 409, "model_mismatch")
        assert problem["detail"].startswith("embedding2")


def test_embeddings_that_cannot_be_are_refused(client, pair, names):
    a = pair[0]
    nan = np.asarray(a, np.float32)
    nan[0] = np.nan
    infinite = np.asarray(a, np.float32)
    infinite[0] = np.inf
    for wrong, code in [
        (a[:-1], "embedding_length"),
        ([*a, 0.0], "embedding_length"),
        ([], "embedding_length"),
        (packed(a)[:-8], "embedding_length"),
        ("", "embedding_length"),
        ([x * 1.01 for x in a], "embedding_not_unit"),
        ([0] * len(a), "embedding_not_unit"),
        ([1e300] * len(a), "embedding_not_unit"),
        (packed(nan), "embedding_not_unit"),
        (packed(infinite), "embedding_not_unit"),
        ([*a[:-1], "x"], "bad_request"),
        ([*a[:-1], None], "bad_request"),
        (None, "bad_request"),
        (7, "bad_request"),
        ("***", "bad_request"),
        ({"embedding": a}, "bad_request"),
        ({**names, "embedding": {**names, "embedding": a}}, "bad_request"),
        ({**names, "embedding": a, "extra": 1}, "unknown_member"),
    ]:
        problem = assert_problem(post(client, wrong, a), 400, code)
        assert problem["detail"].startswith("embedding1"), problem


def test_nan_as_json_is_not_json(client, pair):
    text = json.dumps({"embedding1": [float("nan"), *pair[0][1:]], "embedding2": pair[0]})
    assert "NaN" in text
    assert_problem(client.post("/distance", content=text), 400, "bad_json")


def test_missing_mixed_and_repeated_fields_are_refused(client, jpeg, pair):
    send = client.post
    problem = assert_problem(send("/distance", files={"img1": jpeg}), 400, "missing_picture")
    assert "img2" in problem["detail"]
    problem = assert_problem(send("/distance", files={"target": jpeg}), 400, "missing_picture")
    assert "img1" in problem["detail"]
    assert_problem(send("/distance"), 400, "missing_picture")
    assert_problem(send("/distance", json={}), 400, "missing_picture")
    assert_problem(send("/distance", json={"embedding1": pair[0]}), 400, "bad_request")
    assert_problem(send("/distance", content=jpeg), 400, "bad_request")
    both = {"img1": jpeg, "embedding2": (None, packed(pair[0]))}
    assert_problem(send("/distance", files=both), 400, "bad_request")
    twice = {"img1": jpeg, "source": jpeg, "img2": jpeg}
    assert_problem(send("/distance", files=twice), 400, "bad_request")


def test_a_damaged_picture_is_named(client, jpeg):
    for first, second, name in ((jpeg, jpeg[:500], "img2"), (jpeg[:500], jpeg, "img1")):
        answer = client.post("/distance", files={"img1": first, "img2": second})
        problem = assert_problem(answer, 422, "picture_damaged")
        assert problem["detail"].startswith(name)


def test_far_is_an_option_here(client, pair):
    assert post(client, *pair, far=0.001).json()["threshold"] is None
    for wrong in (0, 1, -0.1, "nan", "inf", "0x1p-3", ""):
        assert_problem(post(client, *pair, far=wrong), 400, "bad_option")
    assert_problem(post(client, *pair, encoding="base64"), 400, "unknown_member")
