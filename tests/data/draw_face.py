# SPDX-License-Identifier: Apache-2.0
"""Draw tests/data/pictures/face.jpg: a face that is nobody's, which face detectors find.

For the line that `make run` prints, where no photographs lie beside the checkout.
Usage: draw_face.py FILE
"""

import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE, FINE = 320, 4  # pixels, and how much finer it is drawn
HAIR, SKIN, DARK, LIPS = (52, 38, 30), (222, 178, 150), (120, 72, 58), (186, 98, 94)
EYES = (133, 187)  # x of their centres


def box(x, y, across, down):
    return [FINE * v for v in (x - across, y - down, x + across, y + down)]


def points(*pairs):
    return [(FINE * x, FINE * y) for x, y in pairs]


def shade(picture, colour, blur, ellipses):
    """Lay a colour softly over ellipses (box, strength 0...255)."""
    mask = Image.new("L", picture.size)
    pen = ImageDraw.Draw(mask)
    for where, strength in ellipses:
        pen.ellipse(where, fill=strength)
    share = np.asarray(mask.filter(ImageFilter.GaussianBlur(blur * FINE)), float)[..., None] / 255
    mixed = np.asarray(picture, float) * (1 - share) + share * np.array(colour)
    return Image.fromarray(mixed.astype(np.uint8))


def head():
    picture = Image.new("RGB", (SIDE * FINE, SIDE * FINE), (118, 134, 150))
    pen = ImageDraw.Draw(picture)
    pen.ellipse(box(160, 340, 130, 90), fill=(60, 70, 105))  # shoulders
    pen.rectangle(box(160, 242, 28, 33), fill=(196, 150, 124))  # neck
    pen.ellipse(box(160, 135, 82, 98), fill=HAIR)
    pen.ellipse(box(160, 158, 66, 86), fill=SKIN)
    for x in (96, 224):
        pen.ellipse(box(x, 165, 9, 18), fill=(208, 160, 134))
    pen.pieslice(box(160, 126, 68, 64), 180, 360, fill=HAIR)
    pen.ellipse(box(160, 140, 60, 42), fill=SKIN)
    sockets = [(box(x, 136, 22, 15), 110) for x in EYES]
    nose = [(box(160, 165, 11, 22), 45), (box(160, 186, 14, 6), 90)]
    rims = [(box(x, 160, 9, 65), 90) for x in (103, 217)] + [(box(160, 227, 25, 5), 70)]
    return shade(picture, DARK, 6, sockets + nose + rims)


def features(picture):
    pen = ImageDraw.Draw(picture)
    for x in EYES:
        pen.ellipse(box(x, 137, 13, 6.5), fill=(238, 232, 226))
        pen.ellipse(box(x, 137, 6.3, 6.5), fill=(70, 46, 30))
        pen.ellipse(box(x, 137, 3, 3), fill=(12, 10, 10))
        pen.ellipse(box(x + 2, 135, 1.4, 1.4), fill=(250, 250, 250))
        pen.arc(box(x, 139, 14, 11), 190, 350, fill=(60, 38, 32), width=10)
        pen.arc(box(x, 126.5, 20, 13.5), 205, 335, fill=(58, 40, 32), width=20)
    for x in (152, 168):
        pen.ellipse(box(x, 186, 4, 2.6), fill=(110, 62, 52))
    upper = points((134, 212), (152, 206), (160, 208), (168, 206), (186, 212), (160, 217))
    pen.polygon(upper, fill=(168, 86, 82))
    pen.chord(box(160, 213, 24, 13), 10, 170, fill=LIPS)
    pen.line(points((134, 212), (160, 214), (186, 212)), fill=(96, 44, 44), width=6)


def draw():
    picture = head()
    features(picture)
    light = [(box(159, 161, 5, 21), 20), (box(160, 106, 30, 12), 14)]
    light += [(box(x, 180, 14, 15), 14) for x in (126, 194)]
    picture = shade(picture, (255, 255, 255), 5, light)
    small = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return small.filter(ImageFilter.GaussianBlur(0.8))


if __name__ == "__main__":
    draw().save(sys.argv[1], quality=90)
