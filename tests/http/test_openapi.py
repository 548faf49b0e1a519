# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document: it is served, it has the daemon's own routes, options and codes, and
schemathesis finds nothing that contradicts it. documented.py holds the answers of all other tests
against it."""

import os
import re
import subprocess
import sys

from tests.http.documented import DOCUMENT, ROOT

# A deadline of a millisecond is a legal wish, and 504 its answer.
SETTINGS = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503", "504"]
"""


def source(path):
    return (ROOT / path).read_text()


def test_it_is_served_and_revalidated(client):
    answer = client.get("/openapi.json")
    assert answer.json() == DOCUMENT
    assert answer.headers.get_list("Cache-Control") == ["no-cache"]
    again = client.get("/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert client.get("/v1/openapi.json", headers={"If-None-Match": '"old"'}).status_code == 200


def test_it_has_the_routes_of_the_daemon():
    rows = re.findall(r'\{"(/[^"]*)", FN_HTTP_(GET|POST)', source("daemon/api/routes.c"))
    assert len(rows) >= 10
    documented = [
        (path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in item
    ]
    assert sorted(rows) == sorted(documented)


def test_it_has_the_codes_of_the_daemon():
    rows = re.findall(r'X\(FN_\w+, \d+, (\d+), "(\w+)"', source("engine/status.h"))
    codes = {code for status, code in rows if int(status) >= 400}
    assert set(DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == codes


def test_it_has_the_options_of_the_daemon():
    table = source("daemon/api/options.c")
    options = set(re.findall(r'\{"(\w+)", FN_OPTION_', table))
    documented = {
        parameter["name"]
        for item in DOCUMENT["paths"].values()
        for operation in item.values()
        for parameter in operation["parameters"]
        if parameter.get("in") == "query"
    }
    assert documented == options


def test_schemathesis_finds_no_contradiction(daemon, tmp_path):
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(SETTINGS)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", settings, "run"]
    command += [daemon.url + "/openapi.json", "--url", daemon.url, "--max-examples", "5"]
    # Random bytes are no pictures.
    command += ["--exclude-checks", "positive_data_acceptance", "--request-timeout", "60"]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=400, env=environment,
        check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    tested = int(re.search(r"Tested: (\d+)", done.stdout)[1])
    assert tested >= len(DOCUMENT["paths"]) - 1  # it leaves its own document out
