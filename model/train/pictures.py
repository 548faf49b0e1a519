# SPDX-License-Identifier: Apache-2.0
"""Folders of face pictures, however many: an index on disk, and pictures read when they are needed.

A data folder holds `pictures.json` (what it was made of), `paths.bin` (every path, end to end),
`offsets.npy` (where each begins, and the end) and `held_out.npy` (1: for validation only). All are
mapped, so that workers share them, however many pictures there are.
"""

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from model.train.files import save_array, write_json, write_whole
from model.train.topology import SIDE

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
CROPS = ("whole", "centre")
CENTRE_BOX = (65, 65, 185, 185)  # LFW's usual one, in its 250 x 250 pixels
MAX_PIXELS = 50_000_000
NUMBERED = re.compile(r"(.+)_\d+")


class BadPictures(Exception):
    """A folder, a picture or an index that is not what it should be."""


def person_of(path):
    """Whose picture: the file's name without its number if that is a name, else the folder's."""
    numbered = NUMBERED.fullmatch(Path(path).stem)
    if numbered and not numbered[1].isdigit():
        return numbered[1]
    return Path(path).parent.name


def people_in_pairs(path):
    """Names in a pairs file, all of whose pictures must stay unseen."""
    people = set()
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        if len(fields) in (3, 4):
            people.update(f for f in fields if not f.isdigit())
    if not people:
        raise BadPictures(f"{path}: names nobody; expected lines of a pairs file")
    return people


def walk(folder):
    """Paths of pictures below `folder`, in one order on every machine."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda e: e.name)
    for entry in entries:
        if entry.is_dir():
            yield from walk(entry.path)
        elif entry.name.lower().endswith(SUFFIXES):
            yield os.path.abspath(entry.path)


def _is_held_out(person, share):
    """The same people on every machine, whatever else is in the folders."""
    digest = hashlib.sha256(person.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def index(folders, data, crop, validation_share=0.05, without=(), each_alone=False):
    """Write the index of all pictures below `folders` into `data`; give its facts.

    crop: "whole" for pictures that are crops already, "centre" for deep-funneled LFW pictures.
    validation_share: of the people, kept for validation. without: people to leave out altogether.
    each_alone: no two pictures are of one person, whatever their names say.
    """
    data = Path(data)
    data.mkdir(parents=True, exist_ok=True)
    offsets, held_out, left_out, digest = [0], [], 0, hashlib.sha256()

    def write_paths(part):
        nonlocal left_out
        with part.open("wb") as file:
            for folder in folders:
                for path in walk(folder):
                    person = person_of(path)
                    if person in without:
                        left_out += 1
                        continue
                    encoded = os.fsencode(path)
                    file.write(encoded)
                    digest.update(encoded + b"\0")
                    offsets.append(offsets[-1] + len(encoded))
                    who = path if each_alone else person
                    held_out.append(_is_held_out(who, validation_share))

    write_whole(data / "paths.bin", write_paths)
    if not held_out:
        (data / "paths.bin").unlink()
        raise BadPictures(f"{', '.join(map(str, folders))}: no picture ({', '.join(SUFFIXES)})")
    if all(held_out):
        raise BadPictures("every picture would be held out for validation; give a smaller share")
    save_array(data / "offsets.npy", np.array(offsets, np.int64))
    save_array(data / "held_out.npy", np.array(held_out, np.uint8))
    facts = {
        "pictures": len(held_out),
        "held_out": int(sum(held_out)),
        "left_out": left_out,
        "crop": crop,
        "folders": [os.path.abspath(f) for f in folders],
        "digest": digest.hexdigest(),
    }
    write_json(data / "pictures.json", facts)
    return facts


def read_upright(path):
    """A picture as a PIL image in RGB, turned as its EXIF says, or BadPictures."""
    try:
        with Image.open(path) as file:
            if file.width * file.height > MAX_PIXELS:
                raise BadPictures(f"{path}: {file.width} x {file.height} pixels")
            return ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadPictures(f"{path}: {error}") from error


def read_crop(path, crop):
    """A picture as uint8 [3][160][160]; BadPictures names what cannot be read."""
    picture = read_upright(path)
    box = (0, 0, picture.width, picture.height)
    if crop == "centre":
        if picture.size != (250, 250):
            raise BadPictures(f"{path}: {picture.size} pixels; the centre crop is for 250 x 250")
        box = CENTRE_BOX
    shrinks = box[2] - box[0] > SIDE or box[3] - box[1] > SIDE
    if picture.size != (SIDE, SIDE) or crop == "centre":
        how = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
        picture = picture.resize((SIDE, SIDE), how, box)
    return np.ascontiguousarray(np.asarray(picture, np.uint8).transpose(2, 0, 1))


class Pictures(torch.utils.data.Dataset):
    """The pictures of a data folder by number: (number, uint8 [3][160][160])."""

    def __init__(self, data, skip_unreadable=False):
        self.data, self.skip = Path(data), skip_unreadable
        try:
            self.facts = json.loads((self.data / "pictures.json").read_text())
            self.offsets = np.load(self.data / "offsets.npy", mmap_mode="r")
            self.held_out = np.load(self.data / "held_out.npy", mmap_mode="r")
            self.paths = np.memmap(self.data / "paths.bin", np.uint8, "r")
        except (OSError, ValueError) as error:
            raise BadPictures(f"{self.data}: no index of pictures: {error}") from error
        n = self.facts["pictures"]
        if len(self.offsets) != n + 1 or self.offsets[-1] != len(self.paths):
            raise BadPictures(f"{self.data}: paths and offsets do not belong together")

    def __len__(self):
        return len(self.offsets) - 1

    def path(self, number):
        return os.fsdecode(bytes(self.paths[self.offsets[number] : self.offsets[number + 1]]))

    def __getitem__(self, number):
        """With skip_unreadable, number -1 stands for a picture that cannot be read."""
        number = int(number)
        try:
            crop = read_crop(self.path(number), self.facts["crop"])
        except BadPictures:
            if not self.skip:
                raise
            return -1, torch.zeros((3, SIDE, SIDE), dtype=torch.uint8)
        return number, torch.from_numpy(crop)


class Order:
    """Batches of numbers without end: every epoch a new order, the same for the same seed.

    It can begin at any step, which is what makes resuming exact. The last, smaller batch of an
    epoch is left out, so that a step always means the same.
    """

    def __init__(self, numbers, batch, seed, first_step):
        self.numbers, self.batch, self.seed, self.first_step = numbers, batch, seed, first_step
        self.steps_an_epoch = len(numbers) // batch

    def __iter__(self):
        step = self.first_step
        while True:
            epoch, at = divmod(step, self.steps_an_epoch)
            random = np.random.default_rng((self.seed, epoch))
            order = random.permutation(len(self.numbers))
            for first in range(at, self.steps_an_epoch):
                chosen = order[first * self.batch : (first + 1) * self.batch]
                yield self.numbers[chosen].tolist()
                step += 1


def load(pictures, batches, workers, device):
    """Batches (numbers, uint8 pixels on the device), decoded by `workers` processes."""
    loader = torch.utils.data.DataLoader(
        pictures,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=device.type == "cuda",
    )
    for numbers, pixels in loader:
        yield numbers, pixels.to(device, non_blocking=True)


def in_order(numbers, batch):
    """Batches of `numbers` once through."""
    return [numbers[i : i + batch].tolist() for i in range(0, len(numbers), batch)]
