#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the pictures in this folder and the seeds copied from them (needs Pillow).

The formulas are known to tests/unit/picture_files.h. JPEG and WebP bytes depend on the encoder's
version, so the files are committed: run this to add a picture, not to check one. To renew the
digests after that: build/tests/test_picture_golden --digests > FILE, then FILE to crops.sha256.
"""

import io
import struct
import zlib
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
W, H = 48, 32


def rgb(x, y):
    return 5 * x, 8 * y, 255 - 5 * x


def alpha(x, y):
    return 3 * (x + y)


def grey(x, y):
    return (5 * x + 8 * y) // 2


def wide(v, x):
    """16 bits whose low byte is not the high one: only taking the high byte gives the formula."""
    return v << 8 | (255 - 5 * x)


def ink(x, y):
    return (*(255 - v for v in rgb(x, y)), black(y))


def black(y):  # ink
    return 4 * y


def image(mode, pixel, width=W, height=H):
    im = Image.new(mode, (width, height))
    im.putdata([pixel(x, y) for y in range(height) for x in range(width)])
    return im


def save(name, data):
    (HERE / name).write_bytes(data)


def encode(im, kind, **options):
    out = io.BytesIO()
    im.save(out, kind, **options)
    return out.getvalue()


# ---- EXIF --------------------------------------------------------------------------------------


def tiff(orientation, order="<"):
    mark = b"II" if order == "<" else b"MM"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(order + "HIH", 42, 8, 1) + entry + struct.pack(order + "I", 0)


# ---- PNG, written by hand for what Pillow does not write --------------------------------------


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def pack_rows(rows, depth):
    out = b""
    for row in rows:
        out += b"\0"  # filter: none
        if depth == 16:
            out += b"".join(struct.pack(">H", s) for s in row)
            continue
        bits = "".join(format(s, f"0{depth}b") for s in row)
        bits += "0" * (-len(bits) % 8)
        out += bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return out


ADAM7 = [
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
]


def png(pixel, colour_type, depth, before=b"", after=b"", interlaced=False, size=(W, H)):
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    raw = b""
    for x0, y0, dx, dy in passes:
        rows = [
            [s for x in range(x0, size[0], dx) for s in pixel(x, y)] for y in range(y0, size[1], dy)
        ]
        raw += pack_rows([row for row in rows if row], depth)
    header = struct.pack(">IIBBBBB", *size, depth, colour_type, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(raw, 9))
        + after
        + chunk(b"IEND", b"")
    )


def make_png():
    save("rgb8.png", png(rgb, 2, 8))
    save("rgb8_interlaced.png", png(rgb, 2, 8, interlaced=True))
    save("rgba8.png", png(lambda x, y: (*rgb(x, y), alpha(x, y)), 6, 8))
    save("rgba8_interlaced.png", png(lambda x, y: (*rgb(x, y), alpha(x, y)), 6, 8, interlaced=True))
    save("rgb16.png", png(lambda x, y: [wide(v, x) for v in rgb(x, y)], 2, 16))
    save("rgba16.png", png(lambda x, y: [wide(v, x) for v in (*rgb(x, y), alpha(x, y))], 6, 16))
    for depth in (1, 2, 4):
        save(f"grey{depth}.png", png(lambda x, y, d=depth: [(x + y) % (1 << d)], 0, depth))
    save("grey8.png", png(lambda x, y: [grey(x, y)], 0, 8))
    save("greya8.png", png(lambda x, y: (grey(x, y), alpha(x, y)), 4, 8))
    key = struct.pack(">H", grey(10, 10) << 8 | 10)
    save("grey16_key.png", png(lambda x, y: [grey(x, y) << 8 | x], 0, 16, chunk(b"tRNS", key)))
    key = struct.pack(">HHH", *rgb(10, 10))
    save("rgb8_key.png", png(rgb, 2, 8, chunk(b"tRNS", key)))
    palette = chunk(b"PLTE", b"".join(bytes((5 * i, 255 - 5 * i, 2 * i)) for i in range(W)))
    save("palette.png", png(lambda x, y: [x], 3, 8, palette))
    trns = chunk(b"tRNS", bytes(16 * i for i in range(16)))
    save("palette_alpha.png", png(lambda x, y: [x], 3, 8, palette + trns))
    gamma = chunk(b"gAMA", struct.pack(">I", 100000))
    save("rgb8_gamma.png", png(rgb, 2, 8, gamma))
    for o in range(1, 9):
        save(f"orientation{o}.png", png(rgb, 2, 8, chunk(b"eXIf", tiff(o, "<>"[o % 2]))))
    save("orientation6_last.png", png(rgb, 2, 8, after=chunk(b"eXIf", tiff(6))))
    # Headers alone.
    sizes = {"header_65500": (65500, 65500), "wide_70000": (70000, 1), "zero": (0, 5)}
    for name, size in sizes.items():
        header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
        save(f"{name}.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header))


# ---- JPEG --------------------------------------------------------------------------------------


def with_exif(jpeg, exif):
    body = b"Exif\0\0" + exif
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def adobe_at(jpeg):
    at = jpeg.index(b"\xff\xee\x00\x0eAdobe")
    return at, at + 16


def patched_size(jpeg, width, height):
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def make_jpeg():
    full = {"quality": 95, "subsampling": 0}
    base = image("RGB", rgb)
    save("444.jpg", encode(base, "JPEG", **full))
    odd = image("RGB", lambda x, y: (4 * x, 5 * y, 255 - 4 * x), 61, 45)
    save("420_odd.jpg", encode(odd, "JPEG", quality=80, subsampling=2))
    save("422_odd.jpg", encode(odd, "JPEG", quality=80, subsampling=1))
    save(
        "420_restart.jpg", encode(base, "JPEG", quality=90, subsampling=2, restart_marker_blocks=1)
    )
    save("progressive.jpg", encode(base, "JPEG", progressive=True, **full))
    save("grey.jpg", encode(image("L", grey), "JPEG", quality=95))
    # Pillow stores 255 - v for every v of a CMYK picture, and an Adobe marker.
    save("cmyk_adobe.jpg", encode(image("CMYK", ink), "JPEG", **full))
    bare = encode(image("CMYK", lambda x, y: tuple(255 - v for v in ink(x, y))), "JPEG", **full)
    start, end = adobe_at(bare)
    save("cmyk_plain.jpg", bare[:start] + bare[end:])

    def ycck(x, y):
        r, g, b = (255 - v for v in rgb(x, y))
        ycc = (
            0.299 * r + 0.587 * g + 0.114 * b,
            -0.168736 * r - 0.331264 * g + 0.5 * b + 128,
            0.5 * r - 0.418688 * g - 0.081312 * b + 128,
        )
        return (*(255 - min(255, round(v)) for v in ycc), black(y))

    coded = bytearray(encode(image("CMYK", ycck), "JPEG", **full))
    coded[adobe_at(coded)[1] - 1] = 2  # transform: YCCK
    save("ycck.jpg", bytes(coded))
    for o in range(1, 9):
        save(f"orientation{o}.jpg", with_exif(encode(base, "JPEG", **full), tiff(o, "<>"[o % 2])))
    save("header_65500.jpg", patched_size(encode(base, "JPEG", **full), 65500, 65500))
    save("zero.jpg", patched_size(encode(base, "JPEG", **full), 48, 0))


# ---- WebP --------------------------------------------------------------------------------------


def riff_chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def riff(chunks):
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def u24(v):
    return struct.pack("<I", v)[:3]


def vp8x(flags, width, height):
    return riff_chunk(b"VP8X", bytes((flags, 0, 0, 0)) + u24(width - 1) + u24(height - 1))


def frame(x, y, w, h, data):
    header = u24(x // 2) + u24(y // 2) + u24(w - 1) + u24(h - 1) + u24(100) + b"\0"
    return riff_chunk(b"ANMF", header + data)


def make_webp():
    base = image("RGB", rgb)
    lossless = encode(base, "WEBP", lossless=True)
    save("lossless.webp", lossless)
    save("lossy.webp", encode(base, "WEBP", quality=95))
    clear = image("RGBA", lambda x, y: (*rgb(x, y), alpha(x, y)))
    save("lossless_alpha.webp", encode(clear, "WEBP", lossless=True, exact=True))
    save("lossy_alpha.webp", encode(clear, "WEBP", quality=90, exact=True))
    pixels = lossless[12:]  # one VP8L chunk
    for o in range(1, 9):
        save(
            f"orientation{o}.webp",
            riff(vp8x(0x08, W, H) + pixels + riff_chunk(b"EXIF", tiff(o, "<>"[o % 2]))),
        )
    # Two frames: the first, half transparent, at (6, 4) of a 60 x 40 canvas; the second red.
    clear_pixels = encode(clear, "WEBP", lossless=True, exact=True)
    clear_pixels = clear_pixels[clear_pixels.index(b"VP8L") :]
    red = encode(Image.new("RGB", (60, 40), (255, 0, 0)), "WEBP", lossless=True)[12:]
    anim = riff_chunk(b"ANIM", bytes((0, 255, 0, 255)) + b"\0\0")  # a green background, ignored
    frames = frame(6, 4, W, H, clear_pixels) + frame(0, 0, 60, 40, red)
    save("animated.webp", riff(vp8x(0x12, 60, 40) + anim + frames))
    save("header_65500.webp", riff(vp8x(0, 65500, 65500) + pixels))
    save("wide_100000.webp", riff(vp8x(0, 100000, 10) + pixels))


def make_seeds():
    corpus = HERE.parent.parent / "fuzz" / "corpus"
    pictures = corpus / "picture"
    pictures.mkdir(parents=True, exist_ok=True)
    # Rows that compress, so that the seeds stay small.
    flat = image("RGB", lambda x, y: (5 * x, 0, 255 - 5 * x), W, 8)
    (pictures / "restart.jpg").write_bytes(
        encode(flat, "JPEG", quality=50, subsampling=2, restart_marker_blocks=1)
    )
    for name in (
        *("420_odd.jpg", "progressive.jpg", "cmyk_plain.jpg", "ycck.jpg", "grey.jpg"),
        *("orientation6.jpg", "orientation6.png", "orientation7.webp", "palette_alpha.png"),
        *("grey1.png", "grey16_key.png", "rgb8_key.png", "rgba8_interlaced.png", "rgba16.png"),
        *("lossless.webp", "lossy.webp", "lossy_alpha.webp", "animated.webp", "header_65500.png"),
    ):
        (pictures / name).write_bytes((HERE / name).read_bytes())
    (pictures / "gif").write_bytes(b"GIF89a\1\0\1\0\0\0\0;")
    exif = corpus / "exif"
    exif.mkdir(parents=True, exist_ok=True)
    (exif / "little").write_bytes(tiff(6))
    (exif / "big").write_bytes(tiff(8, ">"))
    (exif / "jpeg").write_bytes(b"Exif\0\0" + tiff(3))


make_png()
make_jpeg()
make_webp()
make_seeds()
