# SPDX-License-Identifier: Apache-2.0
"""Every operation of the OpenAPI document has its call in each client, or a reason not to."""

import re

from tests.http.conftest import ROOT
from tests.http.documented import DOCUMENT

# Operation: the calls of the C library and of the Python clients, and the commands.
CALLS = {
    "embed": ("facenet_client_embed", "embed", "embed"),
    "detect": ("facenet_client_detect", "detect", "detect"),
    "crop": ("facenet_client_crop", "crop", "crop"),
    "distance": ("facenet_client_distance", "distance", "distance"),
    "distances": ("facenet_client_distances", "distances", None),  # embeddings are no files
    "model": ("facenet_client_model", "model", "model"),
}
LEFT_OUT = {
    "embedBatch": "embed_many() sends pictures one by one: each has its own deadline and retries",
    "healthz": "for what watches the server, not for who uses it",
    "readyz": "for what watches the server, not for who uses it",
    "metrics": "for what watches the server, not for who uses it",
    "page": "for browsers",
    "page_file": "for browsers",
    "openapi": "what the other clients are made from",
    "verify": "CompreFace's, for its own clients",
    "inferServer": "the Open Inference Protocol's, for its own clients",
    "inferLive": "likewise",
    "inferReady": "likewise",
    "inferModel": "likewise",
    "inferModelVersion": "likewise",
    "inferModelReady": "likewise",
    "inferModelReadyVersion": "likewise",
    "infer": "likewise",
    "inferVersion": "likewise",
}


def read(path):
    return (ROOT / path).read_text()


def test_every_operation_is_a_call_or_has_a_reason():
    operations = [
        operation["operationId"]
        for path in DOCUMENT["paths"].values()
        for operation in path.values()
    ]
    assert sorted(operations) == sorted([*CALLS, *LEFT_OUT])


def test_the_clients_have_those_calls_and_no_other_route():
    sources = {path.name: path.read_text() for path in (ROOT / "clients/c").glob("*.c")}
    routes = set(re.findall(r'"/v1/([a-z/]+)"', "".join(sources.values())))
    python = read("clients/python/src/facenetd/_calls.py")
    assert routes == set(CALLS) == set(re.findall(r'"/v1/([a-z/]+)"', python))
    header = read("clients/c/facenet_client.h")
    for c, method, command in CALLS.values():
        assert f" {c}(" in header
        for client in ("_client.py", "_async.py"):
            assert f"def {method}(" in read(f"clients/python/src/facenetd/{client}")
        assert command is None or f'.name = "{command}"' in read("clients/cli/pictures.c")


def test_every_member_of_an_answer_about_a_face_has_its_getter():
    face = DOCUMENT["components"]["schemas"]["EmbeddedFace"]["properties"]
    header = read("clients/c/facenet_client.h")
    results = read("clients/python/src/facenetd/_results.py")
    for member in face:
        assert f"facenet_faces_{member}(" in header, member
        assert re.search(rf"^    {member}: ", results, re.MULTILINE), member
