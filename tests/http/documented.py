# SPDX-License-Identifier: Apache-2.0
"""Hold answers against daemon/page/openapi.json: every answer that a test's client gets is one that
the document promises, by path, method, status, media type and schema."""

import functools
import json
import pathlib
import re

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = json.loads((ROOT / "daemon" / "page" / "openapi.json").read_text())


@functools.cache
def _validator(schema):
    whole = {**json.loads(schema), "components": DOCUMENT["components"]}
    return jsonschema.Draft202012Validator(whole)


@functools.cache
def _patterns():
    return [
        (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), item)
        for path, item in DOCUMENT["paths"].items()
    ]


def _find(path):
    return next((item for pattern, item in _patterns() if pattern.fullmatch(path)), {})


def _resolve(part):
    while "$ref" in part:
        found = DOCUMENT
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def check(response):
    """For httpx's event hooks; says what is not documented."""
    response.read()
    path = response.request.url.path.removeprefix("/v1")
    operation = _find(path).get(response.request.method.lower())
    if operation is None:
        assert response.request.method in ("HEAD", "OPTIONS") or response.status_code >= 400
        return
    assert str(response.status_code) in operation["responses"], (path, response.status_code)
    promised = _resolve(operation["responses"][str(response.status_code)])
    content = promised.get("content", {})
    if response.status_code == 304:
        assert not response.content
        return
    media_type = response.headers["Content-Type"]
    assert media_type in content, (path, response.status_code, media_type)
    if media_type.endswith("json"):
        schema = json.dumps(content[media_type]["schema"])
        error = jsonschema.exceptions.best_match(_validator(schema).iter_errors(response.json()))
        assert error is None, (path, error)


HOOKS = {"response": [check]}
