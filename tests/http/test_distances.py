# SPDX-License-Identifier: Apache-2.0
"""POST /distances: one list of embeddings against another."""

import base64

import httpx
import numpy as np
import pytest

from tests.http.conftest import assert_problem


def unit(n, seed):
    vectors = np.random.default_rng(seed).normal(size=(n, 128)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_every_pair_is_compared(client):
    a, b = unit(3, 1), unit(5, 2)
    ask = {"a": a.tolist(), "b": b.tolist()}
    answer = client.post("/distances", json=ask).json()
    expected = ((a[:, None].astype(float) - b[None]) ** 2).sum(axis=2)
    assert answer["metric"] == "l2_squared" and answer["model_checked"] is False
    assert answer["model"].startswith("untrained-") and answer["crop"]
    assert np.allclose(answer["distances"], expected, atol=1e-5)
    cosine = client.post("/distances", json={**ask, "metric": "cosine"}).json()
    assert np.allclose(cosine["distances"], a @ b.T, atol=1e-5)
    assert client.post("/v1/distances", json=ask).json()["distances"] == answer["distances"]


def test_it_says_what_distance_says(client):
    a, b = unit(1, 3), unit(1, 4)
    one = client.post(
        "/distance", json={"embedding1": a[0].tolist(), "embedding2": b[0].tolist()}
    ).json()
    all_ = client.post("/distances", json={"a": a.tolist(), "b": b.tolist()}).json()
    assert all_["distances"] == [[one["l2_squared"]]]


def test_embeddings_come_in_every_form(client):
    model = client.get("/model").json()
    vectors = unit(2, 5)
    text = base64.b64encode(vectors[0].tobytes()).decode()
    told = {"model": model["model"], "crop": model["crop"], "embedding": vectors[1].tolist()}
    answer = client.post("/distances", json={"a": [text, told], "b": [told]}).json()
    assert answer["model_checked"] is False
    answer = client.post("/distances", json={"a": [told], "b": [told]}).json()
    assert answer["model_checked"] is True and answer["crop"] == model["crop"]
    assert answer["distances"] == [[0.0]]
    wrong = client.post("/distances", json={"a": [{**told, "model": "other"}], "b": [told]})
    assert "a[0]" in assert_problem(wrong, 409, "model_mismatch")["detail"]


E1 = unit(1, 6)[0].tolist()


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        ({}, "bad_request"),
        ({"a": [E1]}, "bad_request"),
        ({"a": [], "b": [E1]}, "bad_request"),
        ({"a": E1, "b": [E1]}, "bad_request"),
        ({"a": "x", "b": [E1]}, "bad_request"),
        ({"a": [E1], "b": [E1[:-1]]}, "embedding_length"),
        ({"a": [E1], "b": [[2 * x for x in E1]]}, "embedding_not_unit"),
        ({"a": [E1], "b": [E1], "metric": "l1"}, "bad_option"),
        ({"a": [E1], "b": [E1], "metric": 1}, "bad_option"),
        ({"a": [E1], "b": [E1], "c": 1}, "unknown_member"),
    ],
)
def test_what_cannot_be_compared_is_refused(client, ask, code):
    assert_problem(client.post("/distances", json=ask), 400, code)


def test_the_number_of_cells_is_bounded(client):
    text = base64.b64encode(unit(1, 7).tobytes()).decode()
    answer = client.post("/distances", json={"a": [text] * 501, "b": [text] * 500})
    assert "250000" in assert_problem(answer, 400, "bad_request")["detail"]
    full = client.post("/distances", json={"a": [text] * 500, "b": [text] * 20})
    assert full.status_code == 200 and len(full.json()["distances"]) == 500


def test_bodies_that_are_no_json_are_refused(client):
    for body in (b"", b"nonsense", b"[]"):
        answer = client.post("/distances", content=body)
        assert_problem(answer, 400, "bad_json")
    answer = client.get("/distances")
    assert_problem(answer, 405, "method_not_allowed")


def test_a_deadline_is_kept(start):
    daemon = start(config={"deadline_ms": 1})
    text = base64.b64encode(unit(1, 8).tobytes()).decode()
    body = {"a": [text] * 500, "b": [text] * 500}
    answer = httpx.post(daemon.url + "/distances", json=body)
    assert_problem(answer, 504, "deadline_exceeded")
