# SPDX-License-Identifier: Apache-2.0
"""CompreFace's verification call: its own Python SDK gets its own shapes, errors and numbers."""

import base64
import json
import math
import os
import subprocess

import httpx
import pytest

from tests.http.conftest import ONE, ROOT, SIX, needs_faces
from tests.http.documented import HOOKS

pytestmark = needs_faces

PATH = "/api/v1/verification/verify"
SDK = ROOT / "build" / "venv-compreface" / "bin" / "python"

# Run by the SDK's Python: server, key, pictures and options come as JSON; the answer goes back so.
CLIENT = """
import json, sys
from compreface import CompreFace
ask = json.load(sys.stdin)
server = CompreFace(ask["domain"], ask["port"], ask["options"])
verification = server.init_face_verification(ask["key"])
print(json.dumps(verification.verify(ask["source"], ask["target"])))
"""


def faces(client, picture, route="/detect", **options):
    answer = client.post(route, files={"img": picture}, params=options)
    assert answer.status_code == 200, answer.text
    return answer.json()["faces"]


def verify(client, source, target, **options):
    files = {"source_image": ("a.jpg", source), "target_image": ("b.jpg", target)}
    return client.post(PATH, files=files, params=options)


def result(answer):
    assert answer.status_code == 200, answer.text
    (only,) = answer.json()["result"]
    return only


def by_sdk(daemon, source, target, key="00000000-0000-0000-0000-000000000002", **options):
    ask = {
        "domain": f"http://{daemon.host}",
        "port": str(daemon.port),
        "key": key,
        "source": str(source),
        "target": str(target),
        "options": options,
    }
    done = subprocess.run(
        [SDK, "-W", "ignore", "-c", CLIENT], input=json.dumps(ask), capture_output=True, text=True,
        timeout=60, check=False, env={**os.environ, "NO_PROXY": "*"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_refused(answer, status, code, message=None):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    refusal = answer.json()
    assert set(refusal) == {"code", "message"}
    assert refusal["code"] == code
    assert message is None or refusal["message"] == message
    return refusal["message"]


def test_its_own_client_is_answered(seeing):
    answer = by_sdk(
        seeing, ONE, SIX, limit=0, det_prob_threshold=0.8, status="true",
        face_plugins="landmarks,gender,age,calculator",
    )  # fmt: skip
    (found,) = answer["result"]
    assert len(found["face_matches"]) == 6
    assert set(found["plugins_versions"]) == {"detector", "calculator"}
    for face in (found["source_image_face"], *found["face_matches"]):
        assert len(face["embedding"]) == 128
        assert len(face["landmarks"]) == 5
        assert set(face["execution_time"]) == {"detector", "calculator"}
        assert all(ms > 0 for ms in face["execution_time"].values())
        assert "age" not in face


def test_its_own_client_hears_that_there_is_no_face(seeing, none, tmp_path):
    slopes = tmp_path / "slopes.png"
    slopes.write_bytes(none)
    expected = {"code": 28, "message": "No face is found in the given image"}
    assert by_sdk(seeing, slopes, ONE) == expected
    assert by_sdk(seeing, ONE, slopes) == expected


def test_boxes_are_those_of_detect_in_whole_pixels_largest_first(eyes, one, six):
    matches = result(verify(eyes, one, six))["face_matches"]
    expected = faces(eyes, six)
    assert len(matches) == len(expected) == 6
    for match, face in zip(matches, expected, strict=True):
        box = match["box"]
        assert abs(box["x_min"] - face["box"]["x"]) <= 0.51
        assert abs(box["y_min"] - face["box"]["y"]) <= 0.51
        assert abs(box["x_max"] - face["box"]["x"] - face["box"]["width"]) <= 0.51
        assert abs(box["y_max"] - face["box"]["y"] - face["box"]["height"]) <= 0.51
        assert box["probability"] == pytest.approx(face["score"], abs=5.1e-6)
        assert set(match) == {"box", "similarity"}


def test_similarity_is_its_formula_of_our_distance(eyes, one, six):
    embeddings = faces(eyes, six, "/embed")
    source = faces(eyes, one, "/embed", face="largest")[0]["embedding"]
    matches = result(verify(eyes, one, six))["face_matches"]
    for match, face in zip(matches, embeddings, strict=True):
        pair = {"embedding1": source, "embedding2": face["embedding"]}
        l2 = eyes.post("/distance", json=pair).json()["l2"]
        expected = (math.tanh((1.1817961 - l2) * 5.291995557) + 1) / 2
        assert match["similarity"] == pytest.approx(expected, abs=5.1e-6)
    same = result(verify(eyes, one, one))["face_matches"]
    assert [match["similarity"] for match in same] == [1.0]


def test_limit_is_of_both_pictures_and_lets_several_faces_be_the_largest(eyes, six):
    several = "More than one face in the source image"
    assert_refused(verify(eyes, six, six), 400, 31, several)
    assert_refused(verify(eyes, six, six, limit=2), 400, 31, several)
    found = result(verify(eyes, six, six, limit=1))
    assert [match["similarity"] for match in found["face_matches"]] == [1.0]
    assert found["source_image_face"]["box"] == found["face_matches"][0]["box"]
    many = result(verify(eyes, six, six, limit=1, status="True", prediction_count=3))
    assert many["plugins_versions"]["detector"].startswith("mtcnn.")


def test_faces_below_the_threshold_are_not_there(eyes, one, six):
    every = result(verify(eyes, one, six))["face_matches"]
    cut = sorted(match["box"]["probability"] for match in every)[2] - 1e-5
    left = result(verify(eyes, one, six, det_prob_threshold=cut))["face_matches"]
    assert left == [match for match in every if match["box"]["probability"] > cut]
    assert 0 < len(left) < len(every)
    assert_refused(verify(eyes, one, six, det_prob_threshold=1), 400, 28)


def test_base64_is_taken_as_well(eyes, one, six):
    pair = {
        "source_image": base64.b64encode(one).decode(),
        "target_image": base64.b64encode(six).decode(),
    }
    answer = eyes.post(PATH, json=pair, params={"face_plugins": ""})
    assert result(answer) == result(verify(eyes, one, six))


def test_what_is_missing_or_no_picture_is_told_by_its_codes(eyes, one):
    for field in ("source_image", "target_image"):
        answer = eyes.post(PATH, files={field: one})
        other = {"source_image": "target_image", "target_image": "source_image"}[field]
        assert_refused(answer, 400, 34, f"Required part {other} is missing")
    assert_refused(eyes.post(PATH), 400, 34)
    assert "source_image" in assert_refused(verify(eyes, b"text", one), 400, 21)
    assert "target_image" in assert_refused(verify(eyes, one, one[:2000]), 400, 21)
    assert_refused(verify(eyes, one, b""), 400, 34)


@pytest.mark.parametrize(
    "options",
    [
        {"limit": -1},
        {"limit": "x"},
        {"det_prob_threshold": 1.5},
        {"det_prob_threshold": "nan"},
        {"status": "maybe"},
        {"prediction_count": "-3"},
        {"far": 0.1},
    ],
)
def test_wrong_options_are_refused(eyes, one, options):
    assert_refused(verify(eyes, one, one, **options), 400, 36)


def test_what_has_no_code_there_keeps_our_status(eyes, one):
    assert_refused(eyes.get(PATH), 405, 0)
    assert_refused(eyes.post(PATH, content=one), 400, 0)
    assert_refused(eyes.post(PATH, content=b"{"), 400, 0)
    answer = eyes.post(PATH, json={}, headers={"Origin": "http://evil.example"})
    assert_refused(answer, 403, 0)
    pair = {"source_image": one, "target_image": one}
    late = eyes.post(PATH, files=pair, headers={"X-Timeout-Ms": "1"})
    assert_refused(late, 504, 41)


def test_without_a_detector_it_is_refused(client, jpeg):
    message = assert_refused(verify(client, jpeg, jpeg), 422, 0)
    assert "/distance" in message


def test_its_key_header_is_the_key(start, tmp_path, jpeg):
    keys = tmp_path / "keys"
    digest = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"  # "password"
    keys.write_text(f"door infer {digest}\n")
    daemon = start(config={"keys_file": str(keys)})
    with httpx.Client(base_url=daemon.url, timeout=30, event_hooks=HOOKS) as client:
        assert_refused(verify(client, jpeg, jpeg), 400, 20, "Missing header: x-api-key")
        client.headers["x-api-key"] = "00000000-0000-0000-0000-000000000002"
        assert "00000000" not in assert_refused(verify(client, jpeg, jpeg), 404, 10)
        client.headers["x-api-key"] = "password"
        assert_refused(verify(client, jpeg, jpeg), 422, 0)
