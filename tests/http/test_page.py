# SPDX-License-Identifier: Apache-2.0
"""The files of the web page, without a browser: whole, closed to the outside, and revalidated.
tests/page has it in one."""

import re

import httpx
import pytest

from tests.http.conftest import ROOT, assert_problem
from tests.http.documented import HOOKS

PAGE = ROOT / "daemon" / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}


def test_the_page_and_its_policy(client):
    answer = client.get("/")
    assert answer.text == (PAGE / "index.html").read_text()
    assert answer.headers["content-type"] == TYPES[".html"]
    policy = dict(
        part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob:",
        "connect-src": "'self'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert answer.headers["permissions-policy"].startswith("camera=(self), microphone=()")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert client.get("/v1/").content == answer.content


def test_it_consists_of_its_own_files_and_of_all_of_them(client):
    """What refers to what, from the page on."""
    wanted, seen = ["index.html"], {"openapi.json"}
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        answer = client.get(f"/page/{name}")
        assert answer.content == (PAGE / name).read_bytes()
        assert answer.headers["content-type"] == TYPES[PAGE.joinpath(name).suffix]
        assert answer.headers["x-content-type-options"] == "nosniff"
        wanted += re.findall(r'"(?:page|\.)/([\w.]+)"', answer.text)
    assert seen == {path.name for path in PAGE.iterdir()}


def test_nothing_in_it_leads_outside_or_needs_a_laxer_policy():
    for path in PAGE.iterdir():
        text = path.read_text()
        if path.name == "openapi.json":
            continue
        assert set(re.findall(r"\w+://[^\s\"']*", text)) <= {"http://www.w3.org/2000/svg"}, path
        assert not re.search(r"\bon\w+=|\bstyle=|<style|javascript:", text), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|eval\(", text), path


def test_it_needs_no_key(start, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("somebody infer " + "0" * 64 + "\n")
    daemon = start(config={"keys_file": str(keys)})
    with httpx.Client(base_url=daemon.url, event_hooks=HOOKS) as client:
        for path in ("/", "/page/main.js"):
            assert client.get(path).status_code == 200
        assert_problem(client.get("/page/nothing.js"), 404, "not_found")
        assert_problem(client.get("/model"), 401, "unauthorized")


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/openapi.json"])
def test_it_is_revalidated(client, path):
    answer = client.get(path)
    tag = answer.headers["etag"]
    assert answer.headers.get_list("cache-control") == ["no-cache"]
    for known in (tag, f"W/{tag}", f'"a",{tag}', f'"a" , W/"b" ,\t{tag}', f'{tag} ,"a"', "*"):
        again = client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers.get("content-security-policy") == answer.headers.get(
            "content-security-policy"
        )
    for other in (
        '"a"',
        tag[:-1],
        tag[1:],
        f"{tag}x",
        "",
        ",",
        ", ,",
        "W/",
        "W",
        '"*"',
        f"w/{tag}",
    ):
        assert client.get(path, headers={"If-None-Match": other}).status_code == 200
    head = client.head(path)
    assert head.content == b"" and head.headers["content-length"] == str(len(answer.content))
    assert head.headers["etag"] == tag


@pytest.mark.parametrize(
    "path",
    ["/page", "/page/", "/page/nothing.js", "/page/a/main.js", "/page//main.js", "/page/main.j",
     "/page/main.jss", "/page/..%2fmain.js", "/page/%6dain.js", "/index.html"],
)  # fmt: skip
def test_there_is_nothing_else(client, path):
    assert_problem(client.get(path), 404, "not_found")


def test_it_is_not_posted_to(client):
    for path in ("/", "/page/main.js"):
        answer = client.post(path, content=b"x")
        assert_problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
        assert client.options(path).headers["allow"] == "GET, HEAD, OPTIONS"
        assert client.get(path + "?any=query").status_code == 200
