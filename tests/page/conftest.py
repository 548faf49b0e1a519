# SPDX-License-Identifier: Apache-2.0
"""The web page in real, headless Chromium, against the real daemon with the thin model.

Every page of these tests is watched: an error, a breach of the page's own policy, a request to
anywhere but the daemon, or anything left in the browser's stores fails the test that caused it.
"""

import shutil
import subprocess

import httpx
import pytest
from playwright.sync_api import sync_playwright

from tests.http import conftest as tools
from tests.http.conftest import BUILD, ROOT, Daemon

model, start = tools.model, tools.start  # fixtures

DATA = ROOT.parent / "shared" / "data"
THIN = ROOT / "models" / "thin-512.safetensors"
WEIGHTS = DATA / "mtcnn-npy"
SIX = DATA / "photos" / "multiface.jpg"
PEOPLE = DATA / "lfw-fold1"

ARGUMENTS = [
    "--no-sandbox",  # Chromium's own does not run as root, as which build servers run
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--host-resolver-rules=MAP box.test 127.0.0.1",
]

# What the page must not leave behind, counted from before its first script.
WATCH = """
window.breaches = [];
window.liveUrls = new Set();
addEventListener("securitypolicyviolation", (event) => breaches.push(event.violatedDirective));
const { createObjectURL, revokeObjectURL } = URL;
URL.createObjectURL = (blob) => {
  const url = createObjectURL.call(URL, blob);
  liveUrls.add(url);
  return url;
};
URL.revokeObjectURL = (url) => (liveUrls.delete(url), revokeObjectURL.call(URL, url));
"""


@pytest.fixture(scope="module")
def chromium():
    """For one file of tests: while it is open no other may use asyncio."""
    program = shutil.which("chromium")
    if not program:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Open a daemon's page and watch it. `wrong`: statuses or network errors that it provokes."""
    opened = []

    def begin(daemon, path="/", wrong=(), host=None, **options):
        url = f"http://{host}:{daemon.port}" if host else daemon.url
        context = chromium.new_context(**{"viewport": {"width": 1100, "height": 800}, **options})
        context.set_default_timeout(20000)
        context.add_init_script(WATCH)
        page = context.new_page()
        faults, asked = [], []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: hear(message, faults, wrong))
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: faults.append("dialog: " + dialog.message))
        opened.append((page, context, url, faults, asked))
        page.goto(url + path)
        return page

    yield begin
    for page, context, url, faults, asked in opened:
        assert not faults
        assert page.evaluate("breaches") == []
        assert [a for a in asked if not a.startswith((url, "blob:" + url))] == []
        kept = "[localStorage.length, sessionStorage.length, document.cookie]"
        assert page.evaluate(kept) == [0, 0, ""]
        context.close()


def hear(message, faults, wrong):
    """A refused request is told on the console: fine when the test is about it."""
    provoked = any(f" {word}" in message.text for word in wrong)
    if message.type in ("error", "warning") and not provoked:
        faults.append(message.text)


def serve(model, place, **config):
    config = {"max_batch": 4, "max_body": 3 << 20, "deadline_ms": 60000, **config}
    return Daemon(model, place, config={"allowed_hosts": ["box.test"], **config})


@pytest.fixture(scope="module")
def thin(tmp_path_factory):
    """The thin default as it is."""
    daemon = serve(THIN, tmp_path_factory.mktemp("thin"))
    yield daemon
    daemon.end()


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    """The thin default with the published detector."""
    if not (WEIGHTS.is_dir() and SIX.is_file() and PEOPLE.is_dir()):
        pytest.skip("the detector's weights and pictures are not beside the checkout")
    place = tmp_path_factory.mktemp("seeing")
    model = place / "model.safetensors"
    tool = [BUILD / "facenet-model", "add-detector", THIN, "--detector", WEIGHTS, "-o", model]
    subprocess.run(tool, check=True, capture_output=True)
    daemon = serve(model, place)
    yield daemon
    daemon.end()


@pytest.fixture(scope="module")
def direct(seeing):
    """The same daemon without the page."""
    with httpx.Client(base_url=seeing.url, timeout=60) as client:
        yield client
