# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder are pictures. Known by how they begin, as the server knows them."""

from __future__ import annotations

import os
from pathlib import Path


def _is_picture(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(12)
    jpeg, png = head.startswith(b"\xff\xd8\xff"), head.startswith(b"\x89PNG\r\n\x1a\n")
    return jpeg or png or (head[:4] == b"RIFF" and head[8:] == b"WEBP")


def pictures_in(folder: str | os.PathLike[str]) -> list[Path]:
    """All in it and in the folders in it, in the order of their names. Links to files are followed,
    links to folders are not."""
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"{os.fspath(folder)} is not a folder")
    found = [
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=_complain)
        for name in names
    ]
    return sorted(path for path in found if _is_picture(path))


def _complain(error: OSError) -> None:
    raise error
