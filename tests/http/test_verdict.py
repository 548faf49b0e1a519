# SPDX-License-Identifier: Apache-2.0
"""POST /distance with a threshold: the thin default, given a detector and fitted on eight people.

With the detector's weights and pictures of LFW that lie beside the checkout; skipped without.
"""

import subprocess

import httpx
import pytest

from tests.http.conftest import BUILD, ROOT, Daemon, assert_problem

DATA = ROOT.parent / "shared" / "data"
WEIGHTS = DATA / "mtcnn-npy"
LFW = DATA / "lfw-fold1"

pytestmark = pytest.mark.skipif(
    not (WEIGHTS.is_dir() and LFW.is_dir()),
    reason="the detector's weights and pictures are not beside the checkout",
)


@pytest.fixture(scope="module")
def people():
    """[(first picture, second picture)] of eight people."""
    found = []
    for folder in sorted(p for p in LFW.iterdir() if p.is_dir()):
        pictures = sorted(folder.glob("*.jpg"))
        if len(pictures) > 1:
            found.append(tuple(pictures[:2]))
        if len(found) == 8:
            return found
    raise AssertionError("fewer than eight people with two pictures")


@pytest.fixture(scope="module")
def judge(people, tmp_path_factory):
    place = tmp_path_factory.mktemp("verdict")
    names = [[p.relative_to(LFW) for p in pair] for pair in people]
    lines = [f"{a},{b},1" for a, b in names]
    lines += [f"{names[i][0]},{names[i - 1][0]},0" for i in range(8)]
    (place / "pairs.csv").write_text("\n".join(lines) + "\n")
    model, tool = place / "model.safetensors", BUILD / "facenet-model"
    thin = ROOT / "models" / "thin-512.safetensors"
    subprocess.run([tool, "add-detector", thin, "--detector", WEIGHTS, "-o", model], check=True)
    subprocess.run(
        [tool, "fit-threshold", model, "--pairs", place / "pairs.csv", "--images", LFW,
         "--far", "0.1", "0.05", "--name", "eight people", "--device", "reference"],
        check=True,
    )  # fmt: skip
    daemon = Daemon(model, place, config={"max_batch": 2, "deadline_ms": 60000})
    yield daemon
    daemon.end()


@pytest.fixture
def ask(judge):
    with httpx.Client(base_url=judge.url, timeout=90) as client:

        def distance(a, b, **options):
            files = {"img1": a.read_bytes(), "img2": b.read_bytes()}
            answer = client.post("/distance", files=files, params=options)
            assert answer.status_code == 200, answer.text
            return answer.json()

        distance.client = client
        yield distance


def test_people_are_told_apart_and_every_metric_agrees(ask, people):
    points = ask.client.get("/model").json()["operating_points"]
    fitted = [p for p in points if p["fitted_on"] == "eight people"]
    assert [(p["far"], p["low_confidence"]) for p in fitted] == [(0.1, False), (0.05, True)]
    assert {p["crop"] for p in fitted} == {"mtcnn-p17-160"}
    cut = fitted[0]
    assert cut["interval"][0] <= cut["value"] <= cut["interval"][1]
    pairs = [(*pair, True) for pair in people[:4]]
    pairs += [(people[i][0], people[i + 1][0], False) for i in range(4)]
    right = 0
    for a, b, same in pairs:
        body = ask(a, b, far=0.1)
        assert body["threshold"] == {
            "metric": "l2_squared", "value": cut["value"], "far": 0.1,
            "fitted_on": "eight people", "low_confidence": False,
        }  # fmt: skip
        assert body["same"] is (body["l2_squared"] <= cut["value"])
        assert body["same"] is (body["l2"] <= cut["l2"])
        assert body["same"] is (body["cosine"] >= cut["cosine"])
        right += body["same"] is same
    assert right >= 7  # the thin network, at a threshold of one error in ten


def test_far_picks_a_stored_point_and_no_other(ask, people):
    loose, strict = ask(*people[0], far=0.1), ask(*people[0], far=0.05)
    assert strict["threshold"]["far"] == 0.05
    assert strict["threshold"]["low_confidence"] is True
    assert strict["threshold"]["value"] <= loose["threshold"]["value"]
    none = ask(*people[0], far=0.03)
    assert none["threshold"] is None and none["same"] is None
    assert none["l2_squared"] == loose["l2_squared"]
    points = ask.client.get("/model").json()["operating_points"]
    first = next(p for p in points if p["crop"] == loose["crop"])
    assert ask(*people[0])["threshold"]["value"] == first["value"]


def test_embeddings_get_the_verdict_of_their_pictures(ask, people):
    wanted = ask(*people[0])
    said = []
    for picture in people[0]:
        body = ask.client.post("/embed", files={"img": picture.read_bytes()}).json()
        said.append({k: body[k] for k in ("model", "crop")})
        said[-1]["embedding"] = body["faces"][0]["embedding"]
    members = {"embedding1": said[0], "embedding2": said[1]}
    again = ask.client.post("/distance", json=members).json()
    for key in ("same", "threshold", "l2", "cosine", "l2_squared", "model", "crop"):
        assert again[key] == wanted[key]
    assert again["model_checked"] is True


def test_a_threshold_of_found_faces_is_none_of_crops(ask, people):
    body = ask(*people[0], align="none", far=0.1)
    assert body["crop"] == "whole-160"
    assert body["same"] is None and body["threshold"] is None
    answer = ask.client.post("/distance?far=2", json={})
    assert_problem(answer, 400, "bad_option")
