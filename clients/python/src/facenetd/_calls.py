# SPDX-License-Identifier: Apache-2.0
"""Everything that the two clients share: the settings, what is asked, and the course of a call with
its retries and its deadline. Nothing here sends or sleeps, so it is written once for both."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import ssl
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import urlsplit

import httpx
import numpy as np
import numpy.typing as npt

from facenetd._errors import (
    BadAnswerError,
    DeadlineError,
    FacenetError,
    RefusedError,
    UnreachableError,
)
from facenetd._pictures import Channels, Picture, to_bytes
from facenetd._results import (
    Distance,
    Face,
    Faces,
    Model,
    read_crop,
    read_distance,
    read_distances,
    read_faces,
    read_model,
    read_object,
)

_T = TypeVar("_T")

MAX_RETRIES = 3
FIRST_WAIT_S = 0.1
CONNECT_TIMEOUT_S = 3.0
MAX_CONCURRENCY = 64

#: Values of the server's options.
Option = str | int | float
#: An embedding of one's own, or a face that has one.
Embedding = npt.NDArray[np.floating[Any]] | Face
#: Several, as rows of an array, or one by one.
Embeddings = npt.NDArray[np.floating[Any]] | Sequence[Embedding]
Metric = Literal["l2_squared", "cosine"]


@dataclass(frozen=True)
class Settings:
    base: str
    socket_path: str | None
    headers: dict[str, str] = field(repr=False)
    verify: ssl.SSLContext | bool
    proxy: str | None
    timeout: float
    retries: int
    concurrency: int
    max_answer: int

    @staticmethod
    def read(
        server: str,
        api_key: str | None,
        timeout: float,
        retries: int,
        concurrency: int,
        ca_file: str | None,
        proxy: str | None,
        max_answer: int,
    ) -> Settings:
        """Check everything before anything is sent."""
        if not 0 < timeout <= 999_999:
            raise ValueError("timeout: expected seconds, above 0 and at most 999999")
        if not 0 <= retries <= MAX_RETRIES:
            raise ValueError(f"retries: expected 0...{MAX_RETRIES}")
        if not 1 <= concurrency <= MAX_CONCURRENCY:
            raise ValueError(f"concurrency: expected 1...{MAX_CONCURRENCY}")
        if max_answer < 1024:
            raise ValueError("max_answer: expected at least 1024 bytes")
        # Not compressed: a small answer must not become a large one here.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if api_key is not None:
            if not api_key or not all("!" <= c <= "~" for c in api_key):
                raise ValueError("api_key: has characters that no key has")
            headers["Authorization"] = f"Bearer {api_key}"
        base, socket_path = _read_server(server)
        return Settings(
            base=base,
            socket_path=socket_path,
            headers=headers,
            verify=ssl.create_default_context(cafile=ca_file) if ca_file else True,
            proxy=proxy,
            timeout=timeout,
            retries=retries,
            concurrency=concurrency,
            max_answer=max_answer,
        )


def _read_server(server: str) -> tuple[str, str | None]:
    if server.startswith("unix:"):
        path = server.removeprefix("unix:")
        if not path.startswith("/"):
            raise ValueError(f"server {server}: expected unix: and an absolute path")
        return "http://localhost", path
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("server: expected http://host:port, https://host:port or unix:/path")
    if parts.username is not None:
        raise ValueError("server: has a user name in it; facenetd knows API keys only")
    return server.rstrip("/"), None


# ---- what is asked ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call(Generic[_T]):
    """One request, and how its answer is read."""

    route: str
    read: Callable[[bytes], _T]
    method: str = "POST"
    options: Mapping[str, Option] = field(default_factory=dict)
    content: bytes | None = None
    content_type: str = "application/octet-stream"
    files: Mapping[str, bytes] | None = None

    def arguments(self, settings: Settings, left_s: float) -> dict[str, Any]:
        """Of httpx's request methods."""
        headers = {**settings.headers, "X-Timeout-Ms": str(max(1, int(left_s * 1000)))}
        if self.content is not None:
            headers["Content-Type"] = self.content_type
        return {
            "method": self.method,
            "url": settings.base + self.route,
            "params": {name: str(value) for name, value in self.options.items()} or None,
            "headers": headers,
            "content": self.content,
            "files": {name: (name, data) for name, data in self.files.items()}
            if self.files
            else None,
            "timeout": httpx.Timeout(left_s, connect=min(left_s, CONNECT_TIMEOUT_S)),
        }


def _check(options: Mapping[str, Option]) -> Mapping[str, Option]:
    if "encoding" in options:
        raise ValueError("the option encoding is the client's own")
    return options


def embed(
    picture: Picture, channels: Channels | None, options: Mapping[str, Option]
) -> Call[Faces]:
    read = partial(read_faces, embedded=True)
    return Call("/v1/embed", read, options=_check(options), content=to_bytes(picture, channels))


def detect(
    picture: Picture, channels: Channels | None, options: Mapping[str, Option]
) -> Call[Faces]:
    read = partial(read_faces, embedded=False)
    return Call("/v1/detect", read, options=_check(options), content=to_bytes(picture, channels))


def crop(picture: Picture, channels: Channels | None, options: Mapping[str, Option]) -> Call[bytes]:
    return Call("/v1/crop", read_crop, options=_check(options), content=to_bytes(picture, channels))


def distance(
    a: Picture, b: Picture, channels: Channels | None, options: Mapping[str, Option]
) -> Call[Distance]:
    files = {"img1": to_bytes(a, channels), "img2": to_bytes(b, channels)}
    return Call("/v1/distance", read_distance, options=_check(options), files=files)


def distance_of(a: Embedding, b: Embedding, options: Mapping[str, Option]) -> Call[Distance]:
    text = f'{{"embedding1":{_write_embedding(a)},"embedding2":{_write_embedding(b)}}}'
    return Call(
        "/v1/distance",
        read_distance,
        options=_check(options),
        content=text.encode(),
        content_type="application/json",
    )


def distances(a: Embeddings, b: Embeddings, metric: Metric) -> Call[npt.NDArray[np.float64]]:
    """Packed as base64: a third of the room of numbers, and the same bits."""
    packed = [[_pack(one) for one in side] for side in (a, b)]
    shape = (len(packed[0]), len(packed[1]))
    if 0 in shape:
        raise ValueError("distances: expected at least one embedding on each side")
    return Call(
        "/v1/distances",
        partial(read_distances, shape=shape),
        content=json.dumps({"a": packed[0], "b": packed[1], "metric": metric}).encode(),
        content_type="application/json",
    )


def model() -> Call[Model]:
    return Call("/v1/model", read_model, method="GET")


def _numbers_of(face: Face) -> npt.NDArray[np.float32]:
    if face.embedding is None:
        raise ValueError("the face has no embedding: it comes from detect()")
    return face.embedding


def _pack(embedding: Embedding) -> object:
    if isinstance(embedding, Face):
        packed = _pack(_numbers_of(embedding))
        return {"model": embedding.model, "crop": embedding.crop, "embedding": packed}
    return base64.b64encode(_check_embedding(embedding).astype("<f4").tobytes()).decode()


def _write_embedding(embedding: Embedding) -> str:
    """A face's says which model and crop it is of, so that the server can refuse another's."""
    if isinstance(embedding, Face):
        numbers = _write_embedding(_numbers_of(embedding))
        model, crop = json.dumps(embedding.model), json.dumps(embedding.crop)
        return f'{{"model":{model},"crop":{crop},"embedding":{numbers}}}'
    array = _check_embedding(embedding)
    return "[" + ",".join(f"{float(value):.9g}" for value in array) + "]"


def _check_embedding(embedding: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    array = np.asarray(embedding, dtype=np.float32)
    if array.ndim != 1 or array.size == 0 or not np.all(np.isfinite(array)):
        raise ValueError(
            f"an array of shape {list(array.shape)} is no embedding: expected finite [n]"
        )
    return array


# ---- the course of a call -----------------------------------------------------------------------


@dataclass(frozen=True)
class Send:
    """Send the request; give back an Answer, or a Failure."""

    left_s: float


@dataclass(frozen=True)
class Sleep:
    seconds: float


@dataclass(frozen=True)
class Answer:
    status: int
    headers: httpx.Headers
    body: bytes


@dataclass(frozen=True)
class Failure:
    """No answer. `broken`: trying again may help."""

    error: FacenetError
    broken: bool


def failure_of(error: Exception, settings: Settings) -> Failure:
    """What httpx raised, in our words."""
    text = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectTimeout):
        return Failure(UnreachableError(f"server cannot be reached: {text}"), True)
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return Failure(DeadlineError(f"no answer within {settings.timeout:g} s"), False)
    hopeless = "CERTIFICATE_VERIFY_FAILED" in text
    broken = isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ProxyError)
    return Failure(UnreachableError(f"server cannot be reached: {text}"), broken and not hopeless)


def too_large(settings: Settings) -> Failure:
    text = f"the answer is larger than the {settings.max_answer} bytes that are accepted"
    return Failure(BadAnswerError(text), False)


def wait_s(
    outcome: Answer | Failure, attempt: int, retries: int, left_s: float, draw: float
) -> float | None:
    """Seconds to wait before trying again, or None: the outcome stands. `draw`, 0...1, spreads
    clients that failed together: what the server asks for, or 0.1 s doubled every time, and up to
    half as long again. A wait that would not end within `left_s` is not begun."""
    base = FIRST_WAIT_S * (1 << attempt)
    if isinstance(outcome, Failure):
        again = outcome.broken
    else:
        again = outcome.status in (429, 503)
        asked = _retry_after_s(outcome)
        base = base if asked is None else asked
    if not again or attempt >= retries or base >= left_s:
        return None
    spread = base * (1 + draw / 2)
    return spread if spread < left_s else base


def _retry_after_s(answer: Answer) -> float | None:
    value: object = None
    with contextlib.suppress(BadAnswerError):
        value = read_object(answer.body).get("retry_after_ms")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return float(value) / 1000
    header = answer.headers.get("Retry-After", "")
    return float(header) if header.isdecimal() and len(header) < 9 else None


def _disarm(text: str) -> str:
    """A server must not command a terminal or add lines to a log."""
    return "".join(c if c.isprintable() else "?" for c in text)


def refusal(answer: Answer) -> FacenetError:
    if not 400 <= answer.status <= 599:
        return BadAnswerError(f"answered {answer.status}, which facenetd never does")
    try:
        problem = read_object(answer.body)
    except BadAnswerError:
        problem = {}
    code, title, detail, request_id = (
        _disarm(value) if isinstance(value := problem.get(name), str) else ""
        for name in ("code", "title", "detail", "request_id")
    )
    text = f"refused with status {answer.status}, without facenetd's reason"
    if code and title:
        text = f"{title}{': ' if detail else ''}{detail} ({answer.status} {code})"
    return RefusedError(text, answer.status, code, request_id)


def converse(
    call: Call[_T], settings: Settings
) -> Generator[Send | Sleep, Answer | Failure | None, _T]:
    """The course of one call: yields what to do, is sent what came of it, returns the result."""
    deadline = time.monotonic() + settings.timeout
    attempt = 0
    while True:
        outcome = yield Send(max(deadline - time.monotonic(), 0.001))
        assert outcome is not None
        if isinstance(outcome, Answer) and 200 <= outcome.status <= 299:
            return call.read(outcome.body)
        left_s = deadline - time.monotonic()
        wait = wait_s(outcome, attempt, settings.retries, left_s, random.random())
        if wait is None:
            raise outcome.error if isinstance(outcome, Failure) else refusal(outcome)
        yield Sleep(wait)
        attempt += 1
