# SPDX-License-Identifier: Apache-2.0
"""What came back, read with distrust: what an attribute promises is there and of its type, or the
answer is a BadAnswerError. Members that are not known are kept in `raw`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from facenetd._errors import BadAnswerError

_T = TypeVar("_T")


@dataclass(frozen=True)
class Box:
    """In pixels of the upright picture."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Quality:
    """Hints, no verdicts; docs/http.md of facenetd says how each is measured."""

    #: The box's shorter side in pixels.
    size: float
    sharpness: float
    #: 0...255.
    brightness: float
    #: Degrees from the left to the right eye, clockwise.
    roll: float


@dataclass(frozen=True, eq=False)
class Face:
    box: Box
    #: The detector's certainty; None where nothing was detected (align="none").
    score: float | None
    #: Eyes, nose and mouth's corners, float64 [5, 2]; None where nothing was detected.
    landmarks: npt.NDArray[np.float64] | None
    #: float32 of length one, read-only; None after detect().
    embedding: npt.NDArray[np.float32] | None
    #: What made the embedding: only those of the same model and crop may be compared.
    model: str
    crop: str
    #: None where nothing was detected.
    quality: Quality | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Faces(Sequence[Face]):
    """The faces of one picture, the largest first."""

    faces: tuple[Face, ...]
    #: How many were found before options left some out.
    found: int
    model: str
    crop: str
    backend: str
    #: Of the upright picture.
    width: int
    height: int
    #: How many of those found the option reject= left out.
    rejected: int = 0
    #: The whole answer.
    raw: dict[str, Any] = field(default_factory=dict)

    @overload
    def __getitem__(self, index: int) -> Face: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Face, ...]: ...
    def __getitem__(self, index: int | slice) -> Face | tuple[Face, ...]:
        return self.faces[index]

    def __len__(self) -> int:
        return len(self.faces)

    def __repr__(self) -> str:
        return f"<{len(self)} faces of {self.found}, model {self.model}, crop {self.crop}>"

    @property
    def embeddings(self) -> npt.NDArray[np.float32]:
        """All of them, float32 [faces, numbers]."""
        rows = [face.embedding for face in self.faces if face.embedding is not None]
        return np.stack(rows) if rows else np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Threshold:
    metric: str
    value: float
    #: The false-accept rate it was fitted to.
    far: float


@dataclass(frozen=True)
class Distance:
    #: None: the server's model has no threshold for this crop.
    same: bool | None
    cosine: float
    l2: float
    threshold: Threshold | None
    raw: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Model:
    id: str
    crop: str
    backend: str
    embedding_size: int
    untrained: bool
    raw: dict[str, Any] = field(default_factory=dict, repr=False)


# ---- reading ------------------------------------------------------------------------------------


def _is(value: object, kind: type[_T], name: str) -> _T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadAnswerError(f'answer has no {kind.__name__} "{name}"')
    return value


def _number(value: object, name: str) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number):
                return number
    except OverflowError:  # an integer of hundreds of digits
        pass
    raise BadAnswerError(f'answer has no number "{name}"')


def _count(value: object, name: str) -> int:
    count = _is(value, int, name)
    if count < 0:
        raise BadAnswerError(f'answer has a negative "{name}"')
    return count


def read_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadAnswerError(f"answer of {len(body)} bytes is not JSON: {error}") from None
    return _is(value, dict, "object")


def _read_embedding(value: object, size: int | None) -> npt.NDArray[np.float32]:
    numbers = _is(value, list, "embedding")
    if not numbers or (size is not None and len(numbers) != size):
        raise BadAnswerError(f"an embedding has {len(numbers)} numbers, another {size}")
    # Nine digits are a float32 exactly, also by way of a double.
    embedding = np.array([_number(number, "embedding") for number in numbers]).astype(np.float32)
    if not np.all(np.abs(embedding) <= 2):
        raise BadAnswerError("an embedding has numbers beyond -1...1")
    embedding.flags.writeable = False
    return embedding


def _read_landmarks(value: object) -> npt.NDArray[np.float64] | None:
    if value is None:
        return None
    points = [_is(point, list, "landmarks") for point in _is(value, list, "landmarks")]
    if [len(point) for point in points] != [2] * 5:
        raise BadAnswerError("landmarks are not five points")
    return np.array([[_number(number, "landmarks") for number in point] for point in points])


def _read_quality(value: object) -> Quality | None:
    """Servers before the first release have none."""
    if value is None:
        return None
    members = _is(value, dict, "quality")
    names = ("size", "sharpness", "brightness", "roll")
    return Quality(*(_number(members.get(name), name) for name in names))


def read_faces(body: bytes, *, embedded: bool) -> Faces:
    raw = read_object(body)
    model, crop = _is(raw.get("model"), str, "model"), _is(raw.get("crop"), str, "crop")
    image = _is(raw.get("image"), dict, "image")
    faces: list[Face] = []
    size: int | None = None
    for value in _is(raw.get("faces"), list, "faces"):
        face = _is(value, dict, "face")
        box = _is(face.get("box"), dict, "box")
        score = face.get("score")
        embedding = _read_embedding(face.get("embedding"), size) if embedded else None
        size = None if embedding is None else embedding.size
        faces.append(
            Face(
                box=Box(*(_number(box.get(name), name) for name in ("x", "y", "width", "height"))),
                score=None if score is None else _number(score, "score"),
                landmarks=_read_landmarks(face.get("landmarks")),
                embedding=embedding,
                model=model,
                crop=crop,
                quality=_read_quality(face.get("quality")),
            )
        )
    return Faces(
        faces=tuple(faces),
        found=_count(raw.get("faces_found"), "faces_found"),
        model=model,
        crop=crop,
        backend=_is(raw.get("backend"), str, "backend"),
        width=_count(image.get("width"), "width"),
        height=_count(image.get("height"), "height"),
        rejected=_count(raw.get("faces_rejected", 0), "faces_rejected"),
        raw=raw,
    )


def read_distance(body: bytes) -> Distance:
    raw = read_object(body)
    same, value = raw.get("same"), raw.get("threshold")
    threshold = None
    if same is not None or value is not None:
        members = _is(value, dict, "threshold")
        threshold = Threshold(
            metric=_is(members.get("metric"), str, "metric"),
            value=_number(members.get("value"), "value"),
            far=_number(members.get("far"), "far"),
        )
        same = _is(same, bool, "same")
    return Distance(
        same=same,
        cosine=_number(raw.get("cosine"), "cosine"),
        l2=_number(raw.get("l2"), "l2"),
        threshold=threshold,
        raw=raw,
    )


def read_distances(body: bytes, *, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    rows = _is(read_object(body).get("distances"), list, "distances")
    if len(rows) != shape[0] or any(len(_is(row, list, "row")) != shape[1] for row in rows):
        raise BadAnswerError(f"distances are not {shape[0]} rows of {shape[1]} numbers")
    return np.array([[_number(value, "distance") for value in row] for row in rows])


def read_crop(body: bytes) -> bytes:
    if not body.startswith(b"\x89PNG\r\n\x1a\n"):
        raise BadAnswerError(f"answer of {len(body)} bytes is not a PNG")
    return body


def read_model(body: bytes) -> Model:
    raw = read_object(body)
    return Model(
        id=_is(raw.get("model"), str, "model"),
        crop=_is(raw.get("crop"), str, "crop"),
        backend=_is(raw.get("backend"), str, "backend"),
        embedding_size=_count(raw.get("embedding_size"), "embedding_size"),
        untrained=_is(raw.get("untrained"), bool, "untrained"),
        raw=raw,
    )
