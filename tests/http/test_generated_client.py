# SPDX-License-Identifier: Apache-2.0
"""A client that a generator makes of the OpenAPI document works: what it sends is taken, and what
comes back has the document's types."""

import importlib
import io
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.http.conftest import BUILD, encode, make_image

pytestmark = pytest.mark.skipif("san-" in str(BUILD), reason="what is generated has no sanitizer")

# The generator knows no pictures.
CONFIG = "content_type_overrides:\n  image/png: application/octet-stream\n"


class Generated:
    """The package, its modules by name."""

    def __init__(self, place, url, **kwargs):
        self.place = place
        self.client = self("client").Client(base_url=url, timeout=30, **kwargs)

    def __call__(self, name):
        return importlib.import_module(f"{self.place}.{name}")

    def ask(self, operation, **kwargs):
        module = self(f"api.default.{operation}")
        return module.sync_detailed(client=self.client, **kwargs)

    def file(self, picture):
        return self("types").File(payload=io.BytesIO(picture), file_name="face.jpg")


@pytest.fixture(scope="module")
def package(daemon, tmp_path_factory):
    """Generated from what the daemon serves, without a warning."""
    place = tmp_path_factory.mktemp("generated")
    (place / "config.yml").write_text(CONFIG)
    programs = pathlib.Path(sys.executable).parent  # it looks for ruff on the path
    done = subprocess.run(
        [programs / "openapi-python-client", "generate", "--meta", "none",
         "--url", f"{daemon.url}/openapi.json", "--output-path", place / "facenetd_generated",
         "--config", place / "config.yml",
         "--fail-on-warning"],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()
    sys.path.insert(0, str(place))
    yield "facenetd_generated"
    sys.path.remove(str(place))


@pytest.fixture
def generated(package, daemon):
    return Generated(package, daemon.url)


@pytest.fixture(scope="module")
def picture():
    return encode(make_image(), quality=90)


def test_it_embeds_whichever_way_the_picture_is_sent(generated, client, picture):
    models = generated("models")
    expected = client.post("/embed", files={"img": picture}).json()["faces"][0]["embedding"]
    raw = generated.ask("embed", body=generated.file(picture))
    form = generated.ask("embed", body=models.EmbedFilesBody(img=generated.file(picture)))
    for answer in (raw, form):
        assert answer.status_code == 200
        assert isinstance(answer.parsed, models.Embedded)
        assert answer.parsed.faces[0].embedding == expected
        assert answer.parsed.faces[0].box.width == 200
        assert answer.parsed.faces[0].landmarks is None


def test_it_compares(generated, picture):
    models = generated("models")
    other = encode(make_image(2), quality=90)
    body = models.DistanceFilesBody(img1=generated.file(picture), img2=generated.file(other))
    answer = generated.ask("distance", body=body).parsed
    assert isinstance(answer, models.Distance)
    assert answer.same is None  # untrained
    assert 0 < answer.l2_squared <= 4
    body = models.DistanceFilesBody(img1=generated.file(picture), img2=generated.file(picture))
    assert generated.ask("distance", body=body).parsed.l2_squared == 0


def test_it_reads_the_model_and_its_readiness(generated, client):
    model = generated.ask("model").parsed
    assert model.model == client.get("/model").json()["model"]
    assert model.embedding_size == 128
    assert generated.ask("readyz").parsed.ready is True


def test_it_cuts_a_crop(generated, picture):
    models = generated("models")
    body = models.CropFilesBody(img=generated.file(picture))
    answer = generated.ask("crop", body=body)
    assert answer.parsed.payload.read().startswith(b"\x89PNG")
    assert answer.headers["X-Facenetd-Crop"] == "whole-160"


def test_it_reads_errors(generated, picture):
    models = generated("models")
    answer = generated.ask("embed", body=generated.file(b"no picture"))
    assert answer.status_code == 415
    assert isinstance(answer.parsed, models.Problem)
    assert answer.parsed.code == "unsupported_format"
    answer = generated.ask("detect", body=generated.file(picture))
    assert answer.parsed.code == "no_detector"


def test_it_speaks_the_foreign_protocols_too(generated, client, picture):
    models = generated("models")
    pixels = np.random.default_rng(5).integers(0, 256, 160 * 160 * 3).tolist()
    crop = models.CropInput(name="crop", datatype="UINT8", shape=[1, 160, 160, 3], data=pixels)
    answer = generated.ask("infer", model="facenet", body=models.InferRequest(inputs=[crop])).parsed
    assert isinstance(answer, models.InferAnswer)
    assert answer.outputs[0].shape == [1, 128]
    crop.shape = [2, 160, 160, 3]
    refusal = generated.ask("infer", model="facenet", body=models.InferRequest(inputs=[crop]))
    assert isinstance(refusal.parsed, models.InferProblem)
    body = models.VerifyFilesBody(
        source_image=generated.file(picture), target_image=generated.file(b"text")
    )
    refusal = generated.ask("verify", body=body)
    assert isinstance(refusal.parsed, models.CompreFaceProblem)
    assert refusal.parsed.code == 0  # no detector
