# SPDX-License-Identifier: Apache-2.0
"""Sort a folder of faces into people, and draw them: one row a person, the largest first.

    python cluster.py photos people.png --server http://127.0.0.1:8080

Two faces count as one person's up to the server's threshold, or up to --max-l2. Groups are joined
by the average over their pairs, so that one lucky pair does not join two people.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

import facenetd

SIDE = 96  # of a face in the drawing


def faces_in(client, folder):
    """Every face with its picture's path; what the server refuses is told of and left out."""
    found = []
    for path, faces in client.iter_dir(folder, progress=True, errors="return"):
        if isinstance(faces, Exception):
            print(f"{path}: {faces}")
        else:
            found += [(path, face) for face in faces]
    return found


def group(embeddings, max_l2):
    """Agglomerative clustering with average linkage; lists of row numbers, the longest first."""
    groups = [[i] for i in range(len(embeddings))]
    sums = (embeddings @ embeddings.T).astype(np.float64)  # of the cosines between two groups
    sizes = np.ones(len(groups))
    np.fill_diagonal(sums, -np.inf)
    least = 1 - max_l2**2 / 2  # the cosine at that distance
    while len(groups) > 1:
        means = sums / np.outer(sizes, sizes)
        a, b = np.unravel_index(np.argmax(means), means.shape)
        if means[a, b] < least:
            break
        groups[a] += groups.pop(b)
        sums[a] += sums[b]
        sums[:, a] += sums[:, b]
        sums[a, a] = -np.inf
        sizes[a] += sizes[b]
        sums = np.delete(np.delete(sums, b, axis=0), b, axis=1)
        sizes = np.delete(sizes, b)
    return sorted(groups, key=len, reverse=True)


def thumbnail(path, box):
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    cut = upright.crop((box.x, box.y, box.x + box.width, box.y + box.height))
    return ImageOps.fit(cut, (SIDE, SIDE))


def draw(found, people, out):
    columns = max(len(person) for person in people)
    sheet = Image.new("RGB", (40 + columns * SIDE, len(people) * SIDE), "white")
    pen = ImageDraw.Draw(sheet)
    for row, person in enumerate(people):
        pen.text((8, row * SIDE + SIDE // 2), str(row + 1), fill="black")
        for column, i in enumerate(person):
            path, face = found[i]
            sheet.paste(thumbnail(path, face.box), (40 + column * SIDE, row * SIDE))
    sheet.save(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--server", default="http://127.0.0.1:8080")
    parser.add_argument("--max-l2", type=float, help="instead of the server's threshold")
    words = parser.parse_args()
    with facenetd.Client(words.server) as client:
        found = faces_in(client, words.folder)
        if not found:
            parser.exit(1, f"no face in {words.folder}\n")
        max_l2 = words.max_l2
        if max_l2 is None:
            threshold = client.distance_of(found[0][1], found[0][1]).threshold
            if threshold is None:
                parser.exit(1, "the server's model has no threshold: give --max-l2\n")
            max_l2 = threshold.value**0.5 if threshold.metric == "l2_squared" else threshold.value
    people = group(np.stack([face.embedding for _, face in found]), max_l2)
    draw(found, people, words.out)
    for number, person in enumerate(people, 1):
        print(number, *sorted(str(found[i][0].relative_to(words.folder)) for i in person))


if __name__ == "__main__":
    main()
