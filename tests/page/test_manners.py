# SPDX-License-Identifier: Apache-2.0
"""The web page: keys, widths, schemes, accessibility, and that it holds on to nothing."""

import io
import subprocess

import axe_playwright_python.base as axe
import pytest
from PIL import Image

from tests.http.conftest import BIN, encode
from tests.page.conftest import SIX, THIN, serve
from tests.page.steps import as_file, give, give_both, give_many, made, person, slot, until

# With rules on contrast, names, roles and order: WCAG 2.2 at level AA.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def audit(page):
    """What axe-core finds wrong."""
    page.evaluate(axe.AXE_FILE_PATH.read_text())
    found = page.evaluate("(tags) => axe.run({ runOnly: tags })", TAGS)
    assert len(found["passes"]) > 20
    return [
        (rule["id"], [node["html"][:200] + node["failureSummary"] for node in rule["nodes"]])
        for rule in found["violations"]
    ]


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


# ---- the key ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """Asks for keys; with two of them: `key` may use it, `full` may read the metrics too."""
    place = tmp_path_factory.mktemp("guarded")
    keys, lines = [], ""
    for what in ("page:infer", "full:infer,metrics"):
        done = subprocess.run([BIN, "--make-key", what], capture_output=True, text=True, check=True)
        keys.append(done.stderr.strip())
        lines += done.stdout
    (place / "keys").write_text(lines)
    daemon = serve(THIN, place, keys_file=str(place / "keys"))
    daemon.key, daemon.full = keys
    yield daemon
    daemon.end()


def enter_key(page, key):
    page.locator("#key-dialog[open]").wait_for()
    assert page.evaluate("document.activeElement.id") == "key"
    page.keyboard.type(key)
    page.keyboard.press("Enter")


def test_it_asks_for_a_key_and_forgets_it(guarded, visit):
    page = visit(guarded, wrong=[401, 403])
    enter_key(page, "fnk_wrong")
    page.get_by_text("this key is not known here").wait_for()
    assert page.input_value("#key") == ""
    enter_key(page, guarded.key)
    page.wait_for_selector("#model-accuracy:not(:empty)")
    page.get_by_text("shown to keys with the scope metrics").wait_for()
    assert page.inner_text("#state") == "Ready"
    give_both(page, made(1), made(2))
    page.click("#forget-key")
    assert page.locator("#forget-key").is_hidden()
    give(page, "A", made(3))
    enter_key(page, guarded.full)
    slot(page, "A").locator(".used").wait_for()
    page.get_by_text("embedded since start").wait_for()
    page.reload()
    page.locator("#key-dialog[open]").wait_for()  # gone with the page


def test_who_gives_no_key_is_told_and_may_try_again(guarded, visit):
    page = visit(guarded, wrong=[401, 403])
    page.locator("#key-dialog[open]").wait_for()
    page.keyboard.press("Escape")
    page.locator("#facts-error").get_by_text("unauthorized").wait_for()
    page.click("#facts-again")
    enter_key(page, guarded.key)
    page.wait_for_selector("#model-accuracy:not(:empty)")
    assert page.locator("#facts-error").is_hidden()


def test_many_refused_at_once_ask_for_one_key(guarded, visit):
    page = visit(guarded, "/#many", wrong=[401, 403])
    page.keyboard.press("Escape")
    page.locator("#pile-files").set_input_files([made(seed) for seed in range(1, 5)])
    enter_key(page, guarded.key)
    page.get_by_text("4 faces in 4 pictures.").wait_for()
    assert page.locator("#key-dialog[open]").count() == 0


# ---- looks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong(thin, visit, scheme):
    page = visit(thin, color_scheme=scheme, wrong=[415])
    page.wait_for_selector("#model-accuracy:not(:empty)")
    assert audit(page) == []
    give_both(page, made(1), made(2))
    assert audit(page) == []
    page.click("#link-many")
    give_many(page, [made(1), made(2), made(1), as_file(b"no picture")])
    assert audit(page) == []
    shades = [f"{side}-{step}" for side in ("in", "out") for step in range(1, 5)]
    cells = page.locator("#matrix tbody td")
    cells.evaluate_all("(cells, shades) => shades.map((s, i) => (cells[i].className = s))", shades)
    assert audit(page) == []


def test_axe_finds_nothing_wrong_with_many_faces_or_a_dialog(seeing, guarded, visit):
    page = visit(seeing, color_scheme="dark")
    give_both(page, SIX, person("Abel_Pacheco", 1))
    assert audit(page) == []
    page = visit(guarded, wrong=[401])
    page.locator("#key-dialog[open]").wait_for()
    assert audit(page) == []


def test_light_and_dark_follow_the_system(thin, visit):
    page = visit(thin)
    colour = "getComputedStyle(document.body)['background-color']"
    page.emulate_media(color_scheme="light")
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(colour) != light
    moving = "getComputedStyle(document.querySelector('.meter > div')).transitionDuration"
    assert page.evaluate(moving) != "0s"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == "0s"


@pytest.mark.parametrize("width", [320, 360, 400, 768])
def test_nothing_is_wider_than_the_screen(thin, visit, width):
    page = visit(thin, viewport={"width": width, "height": 740}, wrong=[415])
    long_name = "a_name_without_any_place_to_break_it_" * 4 + ".jpg"
    give_both(page, made(1, long_name), made(2))
    assert overflow(page) <= 0
    page.click("#link-many")
    give_many(page, [*(made(seed, long_name) for seed in range(1, 12)), as_file(b"no picture")])
    assert overflow(page) <= 0
    inside = "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(byMatrix)"
    inside = inside.replace("byMatrix", "document.querySelector('#matrix')")
    assert (page.evaluate(inside) > 0) == (width < 768), "the matrix scrolls by itself"


@pytest.mark.parametrize(
    ("kind", "turns"), [("JPEG", range(1, 9)), ("WEBP", (2, 5, 6)), ("PNG", (3, 8))]
)
def test_pictures_stand_upright_whatever_the_browser_knows(thin, visit, kind, turns):
    """Of WebP Chromium does not heed the orientation: the page turns by what the server said."""
    page = visit(thin)
    corners = [(200, 0, 0), (0, 160, 0), (0, 0, 200), (220, 220, 0)]
    upright = Image.new("RGB", (120, 80))
    for i, colour in enumerate(corners):
        upright.paste(colour, (i % 2 * 60, i // 2 * 40, i % 2 * 60 + 60, i // 2 * 40 + 40))
    flips = Image.Transpose
    back = {  # orientation: from the upright picture to how it is stored
        1: None, 2: flips.FLIP_LEFT_RIGHT, 3: flips.ROTATE_180, 4: flips.FLIP_TOP_BOTTOM,
        5: flips.TRANSPOSE, 6: flips.ROTATE_90, 7: flips.TRANSVERSE, 8: flips.ROTATE_270,
    }  # fmt: skip
    for turn in turns:
        stored = upright.transpose(back[turn]) if back[turn] is not None else upright
        exif = Image.Exif()
        exif[0x112] = turn
        give(page, "A", as_file(encode(stored, kind, exif=exif.tobytes(), quality=95)))
        slot(page, "A").get_by_text("80 px").wait_for()
        until(page, f"document.querySelector('.plate > img').className === 'turn-{turn}'")
        page.evaluate("document.querySelector('.plate > img').decode()")
        shot = slot(page, "A").locator(".plate").screenshot()
        seen = Image.open(io.BytesIO(shot)).convert("RGB")
        for i, colour in enumerate(corners):
            at = (seen.width * (1 + 2 * (i % 2)) // 4, seen.height * (1 + 2 * (i // 2)) // 4)
            assert seen.getpixel(at) == pytest.approx(colour, abs=12), (turn, i)
        slot(page, "A").locator(".remove").click()


# ---- what goes wrong, and what is let go -----------------------------------------------------


def test_no_address_of_a_picture_outlives_it(thin, visit):
    page = visit(thin)
    for seed in range(3):
        give_both(page, made(seed), made(seed + 1))
        assert page.evaluate("liveUrls.size") == 4  # two pictures, two crops
        for letter in "AB":
            slot(page, letter).locator(".remove").click()
        assert page.evaluate("liveUrls.size") == 0


def test_a_new_picture_ends_what_was_asked_of_the_old(thin, visit):
    page = visit(thin)
    held, failed = [], []
    page.on("requestfailed", lambda request: failed.append(request.failure))
    page.route("**/embed?*", lambda route: held.extend([route]), times=1)
    give(page, "A", made(1, "old.jpg"))
    until(page, "document.querySelector('.slot .state').textContent === 'Looking for faces…'")
    slot(page, "A").locator("input").set_input_files(made(2, "new.jpg"))
    slot(page, "A").locator(".used").wait_for()
    assert "new.jpg" in slot(page, "A").inner_text()
    assert len(held) == 1 and failed == ["net::ERR_ABORTED"]


BUSY = {"title": "Busy", "detail": "come again", "code": "overloaded", "retry_after_ms": 20}
CHANGED = {"title": "Other model", "detail": "made by another model", "code": "model_mismatch"}


def test_a_busy_daemon_is_asked_again(thin, visit):
    page = visit(thin, wrong=[503])
    page.route("**/embed?*", lambda route: route.fulfill(status=503, json=BUSY), times=2)
    give_both(page, made(1), made(2))
    page.route("**/embed?*", lambda route: route.fulfill(status=503, json=BUSY))
    give(page, "A", made(3))
    slot(page, "A").locator(".error").get_by_text("overloaded").wait_for()


def test_a_model_exchanged_meanwhile_is_asked_for_both_pictures_again(thin, visit):
    page = visit(thin, wrong=[409])
    asked = []
    page.on("request", lambda request: asked.append(request.url.split("/")[-1].split("?")[0]))
    page.route("**/distance", lambda route: route.fulfill(status=409, json=CHANGED), times=1)
    give_both(page, made(1), made(2))
    assert page.locator("#measured").is_visible()
    assert asked.count("embed") == 4
    page.route("**/distance*", lambda route: route.fulfill(status=409, json=CHANGED))
    give(page, "A", made(3))
    page.locator("#result-error").get_by_text("model_mismatch").wait_for()


def test_a_daemon_that_is_gone_is_said_to_be_gone(visit, tmp_path):
    daemon = serve(THIN, tmp_path)
    page = visit(daemon, wrong=["net::ERR"])
    page.wait_for_selector("#model-accuracy:not(:empty)")
    page.context.set_offline(True)
    give(page, "A", made(1))
    slot(page, "A").get_by_text("The daemon did not answer").wait_for()
    assert daemon.stop() == 0


def test_no_text_can_become_html(thin, visit):
    page = visit(thin, wrong=["'TrustedHTML'"])
    for attempt in ("document.body.innerHTML = '<b>x</b>'", "document.write('<b>x</b>')"):
        refused = page.evaluate(
            f"(() => {{ try {{ {attempt} }} catch (e) {{ return e.name }} }})()"
        )
        assert refused == "TypeError"
    page.evaluate("breaches.length = 0")
