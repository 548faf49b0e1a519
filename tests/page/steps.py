# SPDX-License-Identifier: Apache-2.0
"""What tests do with the page and read from it."""

import base64
import functools
import io
import time

import numpy as np
from PIL import Image

from tests.http.conftest import ROOT, encode
from tests.page.conftest import PEOPLE


def until(page, holds, seconds=20):
    """Wait for an expression of the page. Playwright's own way needs eval; the page forbids it."""
    end = time.monotonic() + seconds
    while not page.evaluate(holds):
        assert time.monotonic() < end, holds
        time.sleep(0.02)


def person(name, number):
    return PEOPLE / name / f"{name}_{number:04}.jpg"


def as_file(data, name="made.png"):
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def made(seed, name=None):
    """The drawn face, in another light for each seed."""
    light = np.random.default_rng(seed).uniform(0.8, 1.1, 3)
    with Image.open(ROOT / "tests/data/pictures/face.jpg") as drawn:
        lit = np.clip(np.asarray(drawn, float) * light, 0, 255).astype(np.uint8)
    return as_file(encode(Image.fromarray(lit), quality=90), name or f"made{seed}.jpg")


def slot(page, letter):
    return page.locator(f'.slot[aria-label="Picture {letter}"]')


def give(page, letter, file):
    slot(page, letter).locator("input[type=file]").set_input_files(file)


def give_both(page, a, b):
    give(page, "A", a)
    give(page, "B", b)
    page.wait_for_selector("#measured:visible, #result-error:visible")
    for letter in "AB":
        slot(page, letter).locator(".used").wait_for()


def give_many(page, files):
    page.locator("#pile-files").set_input_files(files)
    until(page, "document.querySelector('#pile-state').textContent.endsWith('.')")
    crops = "[...document.querySelectorAll('#view-many img')]"
    until(page, f"{crops}.every((image) => image.naturalWidth === 160)")


def pixels_of(image):
    """What an <img> shows, as the bytes of RGB."""
    rgba = image.evaluate(
        """async (image) => {
             await image.decode();
             const canvas = document.createElement("canvas");
             canvas.width = image.naturalWidth;
             canvas.height = image.naturalHeight;
             const context = canvas.getContext("2d");
             context.drawImage(image, 0, 0);
             const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
             return btoa(Array.from(data, (value) => String.fromCharCode(value)).join(""));
           }"""
    )
    size = image.evaluate("(image) => [image.naturalWidth, image.naturalHeight]")
    return Image.frombytes("RGBA", size, base64.b64decode(rgba)).convert("RGB").tobytes()


def crop_of(client, picture, **options):
    answer = client.post("/crop", content=picture.read_bytes(), params=options)
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content)).convert("RGB").tobytes()


@functools.cache
def embeddings_of(client, picture):
    body = client.post("/embed", content=picture.read_bytes()).json()
    return [
        {"model": body["model"], "crop": body["crop"], "embedding": face["embedding"]}
        for face in body["faces"]
    ]


def b64(data):
    return base64.b64encode(data).decode()


def hand_over(page, event, target, files):
    """Drop or paste files, as the browser would tell of it."""
    page.locator(target).evaluate(
        """(target, { event, files }) => {
             const transfer = new DataTransfer();
             for (const [name, base64] of files) {
               const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
               transfer.items.add(new File([bytes], name));
             }
             const more = { bubbles: true, cancelable: true };
             target.dispatchEvent(event === "paste"
               ? new ClipboardEvent("paste", { clipboardData: transfer, ...more })
               : new DragEvent("drop", { dataTransfer: transfer, ...more }));
           }""",
        {"event": event, "files": [[file["name"], b64(file["buffer"])] for file in files]},
    )
