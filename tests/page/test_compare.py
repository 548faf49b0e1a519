# SPDX-License-Identifier: Apache-2.0
"""The web page: two pictures and many, as people use it, by mouse and by keyboard."""

import re

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import TimeoutError

from tests.http.conftest import encode
from tests.page.conftest import SIX
from tests.page.steps import (
    as_file,
    crop_of,
    embeddings_of,
    give,
    give_both,
    give_many,
    hand_over,
    made,
    person,
    pixels_of,
    slot,
    until,
)

ONE = person("Abel_Pacheco", 1)
ANOTHER = person("Abel_Pacheco", 4)
STRANGER = person("Alanis_Morissette", 1)

# Where the marks lie, all at one moment, from the corner of the picture.
MEASURE = """(plate) => {
  const { x, y, width } = plate.getBoundingClientRect();
  const middle = (r) => [r.x + r.width / 2 - x, r.y + r.height / 2 - y];
  const box = (r) => [r.x - x, r.y - y, r.width, r.height];
  const faces = [...plate.querySelectorAll(".face")].map((face) => ({
    box: box(face.getBoundingClientRect()),
    points: [...face.querySelectorAll("path")].map((p) => middle(p.getBoundingClientRect())),
  }));
  return { width, faces };
}"""


def compare(client, a, b, **options):
    pair = {"embedding1": a, "embedding2": b}
    answer = client.post("/distance", json=pair, params=options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def rate(far):
    return f"False-accept rate {100 * far:g} %"


def numbers(page):
    return page.locator("#numbers dd").all_inner_texts()


# ---- two pictures ----------------------------------------------------------------------------


VERDICTS = {True: "taken for one person", False: "taken for two people"}


def test_the_verdict_is_the_daemons_own(seeing, direct, visit):
    page = visit(seeing)
    for other in (ANOTHER, STRANGER):
        give_both(page, ONE, other)
        said = compare(direct, embeddings_of(direct, ONE)[0], embeddings_of(direct, other)[0])
        assert said["same"] is (other is ANOTHER)
        page.locator("#verdict").get_by_text(VERDICTS[said["same"]]).wait_for()
        assert numbers(page) == [f"{said[name]:.3f}" for name in ("l2_squared", "l2", "cosine")]
        label = page.locator("#scale").get_attribute("aria-label")
        assert f"Squared distance {said['l2_squared']:.3f}" in label
        assert f"threshold is {said['threshold']['value']:.3f}" in label
        assert rate(said["threshold"]["far"]) in page.inner_text("#meaning")
        assert said["threshold"]["fitted_on"] in page.inner_text("#meaning")


def test_every_threshold_of_the_model_is_a_choice(seeing, direct, visit):
    page = visit(seeing)
    give_both(page, ONE, ANOTHER)
    pair = [embeddings_of(direct, picture)[0] for picture in (ONE, ANOTHER)]
    points = direct.get("/model").json()["operating_points"]
    rates = [point["far"] for point in points if point["crop"] == pair[0]["crop"]]
    assert page.locator("#far option").count() == len(rates) > 1
    for far in reversed(rates):
        page.select_option("#far", f"{far:g}")
        page.locator("#meaning").get_by_text(rate(far)).wait_for()
        said = compare(direct, *pair, far=far)
        assert page.get_attribute("#result", "data-same") == str(said["same"]).lower()
        value = f"{said['threshold']['value']:.3f}"
        assert value in page.get_attribute("#scale", "aria-label")


def test_it_shows_the_pixels_that_the_network_is_fed(seeing, direct, visit):
    page = visit(seeing)
    give_both(page, ONE, SIX)
    assert pixels_of(slot(page, "A").locator(".used img")) == crop_of(direct, ONE)
    assert pixels_of(slot(page, "B").locator(".used img")) == crop_of(direct, SIX)


def test_a_face_is_chosen_by_mouse_and_by_keyboard(seeing, direct, visit):
    page = visit(seeing)
    give_both(page, SIX, ONE)
    faces = slot(page, "A").get_by_role("radio")
    assert faces.count() == 6
    listed, one = embeddings_of(direct, SIX), embeddings_of(direct, ONE)[0]

    def expect(index):
        said = compare(direct, listed[index], one)
        until(
            page,
            f"document.querySelector('#numbers dd').textContent === '{said['l2_squared']:.3f}'",
        )
        alt = f"Face {index + 1} as cut for the network"
        crop = slot(page, "A").get_by_alt_text(alt)
        crop.wait_for()
        assert pixels_of(crop) == crop_of(direct, SIX, index=index)

    slot(page, "A").locator(".face").nth(4).click()
    expect(4)
    faces.nth(4).focus()
    page.keyboard.press("ArrowLeft")
    expect(3)


def test_boxes_and_landmarks_lie_on_the_faces(seeing, direct, visit):
    page = visit(seeing)
    give_both(page, SIX, ONE)
    faces = direct.post("/detect", content=SIX.read_bytes()).json()["faces"]
    drawn = slot(page, "A").locator(".plate").evaluate(MEASURE)
    scale = drawn["width"] / 1200
    for mark, face in zip(drawn["faces"], faces, strict=True):
        box = [face["box"][side] * scale for side in ("x", "y", "width", "height")]
        assert mark["box"] == pytest.approx(box, abs=1)
        assert len(mark["points"]) == 5
        for dot, point in zip(mark["points"], face["landmarks"], strict=True):
            assert dot == pytest.approx([at * scale for at in point], abs=1.5)


def test_the_thin_default_says_what_it_is(thin, visit):
    page = visit(thin)
    give_both(page, made(1), made(2))
    notes = {
        evaluation.get("note")
        for evaluation in httpx.get(thin.url + "/model").json()["evaluations"]
    }
    for note in notes:
        assert note[1:] in page.inner_text("#model-note")
    assert re.match(r"(Within|Beyond) the threshold", page.inner_text("#verdict"))


def test_without_a_detector_it_says_what_it_takes_for_the_face(start, visit):
    page = visit(start())
    give_both(page, made(1), made(2))
    assert "No face detector" in page.inner_text("#model-note")
    assert "the whole picture is taken" in slot(page, "A").inner_text()
    assert page.locator(".face").count() == 0


def test_an_untrained_model_gets_no_verdict(start, visit):
    page = visit(start())
    give_both(page, made(1), made(2))
    assert page.inner_text("#verdict") == "No verdict"
    assert "untrained" in page.inner_text("#meaning")
    assert "there is no threshold" in page.get_attribute("#scale", "aria-label")
    assert page.locator("#scale .zone").count() == 0 and page.locator("#far").is_hidden()


def test_no_face_is_said_and_nothing_is_compared(seeing, visit):
    page = visit(seeing)
    y, x = np.mgrid[0:120, 0:160]
    slopes = Image.fromarray(np.stack([x, y, x + y // 2], 2).astype(np.uint8))
    give(page, "A", as_file(encode(slopes, "PNG")))
    give(page, "B", ONE)
    slot(page, "A").get_by_text("No face of 20 pixels or more was found").wait_for()
    page.get_by_text("There is no face to compare in one of the pictures.").wait_for()
    assert page.locator("#measured").is_hidden()


def test_what_is_no_picture_is_told_in_the_servers_words(thin, visit):
    page = visit(thin, wrong=[415])
    give(page, "A", as_file(b"Dear Sir or Madam,", "letter.jpg"))
    error = slot(page, "A").locator(".error")
    error.wait_for()
    assert "expected the bytes of a JPEG, PNG or WebP" in error.inner_text()
    assert "unsupported_format" in error.inner_text()
    give_both(page, made(1), made(2))
    assert error.is_hidden()


def test_a_picture_over_the_limit_is_not_even_sent(thin, visit):
    page = visit(thin)
    page.wait_for_selector("#model-accuracy:not(:empty)")
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    give(page, "A", as_file(bytes((3 << 20) + 1), "large.png"))
    slot(page, "A").get_by_text("this daemon takes 3 MiB at most").wait_for()
    assert not [url for url in sent if url.endswith("embed?encoding=base64")]


def test_names_are_never_taken_for_html(thin, visit):
    name = '<img src=x onerror="alert(1)">.png'
    page = visit(thin)
    give_both(page, made(1, name), made(2, "'\"><script>alert(2)</script>.png"))
    assert name in slot(page, "A").locator(".name").inner_text()
    page.click("#link-many")
    give_many(page, [made(1, name), made(2, "<svg onload=alert(3)>.png")])
    assert page.locator("#pile .name").first.inner_text() == name
    assert page.locator("img[src=x], svg[onload]").count() == 0
    assert page.evaluate("document.scripts.length") == 1


# ---- many pictures ---------------------------------------------------------------------------


def test_many_are_compared_each_with_each(seeing, direct, visit):
    pictures = [ONE, STRANGER, ANOTHER, person("Akhmed_Zakayev", 1), SIX]
    page = visit(seeing, "/#many")
    page.select_option("#pile-order", "given", force=True)
    give_many(page, pictures)
    assert page.inner_text("#pile-state") == "5 faces in 5 pictures."
    given = [embeddings_of(direct, picture)[0] for picture in pictures]
    expected = direct.post("/distances", json={"a": given, "b": given}).json()["distances"]
    points = direct.get("/model").json()["operating_points"]
    point = next(point for point in points if point["crop"] == given[0]["crop"])
    rows = page.locator("#matrix tbody tr")
    for i, row in enumerate(expected):
        cells = rows.nth(i).locator("td")
        assert pictures[i].name in rows.nth(i).locator("th").inner_text()
        for j, value in enumerate(row):
            if i != j:
                within = " within" if value <= point["value"] else ""
                assert cells.nth(j).text_content() == f"{value:.2f}{within}"
    assert rate(point["far"]) in page.inner_text("#legend")

    page.select_option("#pile-order", "near")
    head = page.locator("#matrix thead th").all_text_contents()
    same = [i for i, text in enumerate(head) if "Abel_Pacheco" in text]
    assert same[1] - same[0] == 1, "near faces stand side by side"

    page.select_option("#pile-faces", "every")
    page.get_by_text("10 faces in 5 pictures.").wait_for()
    until(page, "document.querySelectorAll('#matrix tbody tr').length === 10")
    page.get_by_label(f"Remove {SIX.name}").click()
    page.get_by_text("4 faces in 4 pictures.").wait_for()
    page.click("#pile-clear")
    page.wait_for_selector("#matrix-room", state="hidden")
    assert page.evaluate("liveUrls.size") == 0


def test_a_picture_of_many_that_fails_ends_nothing(thin, visit):
    page = visit(thin, "/#many", wrong=[415])
    give_many(page, [made(1), as_file(b"no picture", "letter.png"), made(2)])
    assert page.inner_text("#pile-state") == "2 faces in 3 pictures."
    broken = page.locator("#pile li", has_text="letter.png").locator(".error")
    assert "unsupported_format" in broken.inner_text()
    assert page.locator("#matrix tbody td").count() == 4


def test_arrow_keys_go_through_the_matrix(thin, visit):
    page = visit(thin, "/#many")
    give_many(page, [made(seed) for seed in range(1, 5)])
    page.locator("#matrix td[tabindex='0']").focus()

    def at():
        return page.evaluate(
            "(({ cellIndex, parentElement }) => [parentElement.rowIndex, cellIndex])"
            "(document.activeElement)"
        )

    assert at() == [1, 2]
    for key, cell in (
        ("ArrowDown", [2, 2]),
        ("ArrowRight", [2, 3]),
        ("End", [2, 4]),
        ("ArrowRight", [2, 4]),
        ("Home", [2, 1]),
        ("ArrowUp", [1, 1]),
        ("Control+End", [4, 4]),
        ("ArrowLeft", [4, 3]),
    ):
        page.keyboard.press(key)
        assert at() == cell
    shown = page.locator("#pick .name").all_inner_texts()
    head = page.locator("#matrix thead th .quiet").all_text_contents()
    assert [name.split()[-1] for name in shown] == [head[3].strip(), head[2].strip()]
    assert page.locator("#matrix td[tabindex='0']").count() == 1


# ---- how pictures come in --------------------------------------------------------------------


def test_pictures_are_dropped_and_pasted(thin, visit):
    page = visit(thin)
    hand_over(page, "drop", '.slot[aria-label="Picture B"]', [made(1, "dropped.png")])
    slot(page, "B").get_by_text("dropped.png").wait_for()
    hand_over(page, "paste", "body", [made(2, "pasted.png")])
    slot(page, "A").get_by_text("pasted.png").wait_for()
    page.wait_for_selector("#measured:visible")
    hand_over(page, "drop", "footer", [made(3, "one.png"), made(4, "two.png")])
    slot(page, "A").get_by_text("one.png").wait_for()
    slot(page, "B").get_by_text("two.png").wait_for()
    page.click("#link-many")
    hand_over(page, "drop", "#view-many", [made(1), made(2)])
    hand_over(page, "paste", "body", [made(3)])
    page.get_by_text("3 faces in 3 pictures.").wait_for()


def test_the_camera_is_used_where_the_browser_allows_it(start, visit):
    page = visit(start())
    slot(page, "A").locator(".camera").click()
    page.click("#camera-take")
    slot(page, "A").locator(".used").wait_for()
    assert "camera.jpg" in slot(page, "A").inner_text()
    assert page.evaluate("document.querySelector('#camera-view').srcObject") is None
    slot(page, "B").locator(".camera").click()
    page.keyboard.press("Escape")
    assert slot(page, "B").locator(".choose").is_visible()


def test_the_camera_is_not_offered_where_the_browser_forbids_it(thin, visit):
    page = visit(thin, host="box.test")
    page.wait_for_selector("#model-accuracy:not(:empty)")
    assert page.evaluate("isSecureContext") is False
    assert page.locator(".camera:visible, #pile-camera:visible").count() == 0
    assert "not encrypted" in page.locator("footer").inner_text()
    give_both(page, made(1), made(2))


def test_it_is_used_by_keyboard_alone(thin, visit):
    page = visit(thin)
    page.wait_for_selector("#model-accuracy:not(:empty)")

    def tab_to(selector, most=12):
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate("(s) => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    def choose(tries=3):
        """The chooser that Enter opens; on a busy machine a key may come while the page redraws."""
        tab_to(".choose", most=40)
        try:
            with page.expect_file_chooser(timeout=5000) as chooser:
                page.keyboard.press("Enter")
        except TimeoutError:
            if tries > 1:
                return choose(tries - 1)
            raise
        return chooser.value

    for seed in (1, 2):
        choose().set_files(made(seed))
        page.locator(".used:visible").nth(seed - 1).wait_for()
    page.wait_for_selector("#measured:visible")
    tab_to("#far")
    page.keyboard.press("ArrowDown")
    chosen = page.evaluate("document.activeElement.selectedOptions[0].value")
    page.locator("#meaning").get_by_text(rate(float(chosen))).wait_for()
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.textContent") == "Remove"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.className") == "choose"
    assert page.locator("#measured").is_hidden()
