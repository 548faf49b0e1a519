# SPDX-License-Identifier: Apache-2.0
"""The client whose methods block."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar, cast, overload

import httpx
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from facenetd import _calls as calls
from facenetd._calls import (
    Answer,
    Call,
    Embedding,
    Embeddings,
    Failure,
    Metric,
    Option,
    Settings,
    Sleep,
)
from facenetd._folders import pictures_in
from facenetd._pictures import Channels, Picture
from facenetd._results import Distance, Faces, Model

_T = TypeVar("_T")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Client:
    """A facenetd server. May be shared by threads; nothing is sent before the first question.

    server       http://host:port, https://host:port or unix:/path/of.socket
    api_key      sent as "Authorization: Bearer"
    timeout      seconds for one picture, retries included
    retries      after 429, 503 or a broken connection: 0...3
    concurrency  pictures in flight in embed_many() and iter_dir(): 1...64
    ca_file      trust the certificates of this PEM file instead of the system's
    proxy        go through it; None: none, whatever the environment says
    max_answer   bytes of the largest answer to accept

    Keyword arguments that a question does not know are the server's options: embed(picture,
    face="center", min_face=40).
    """

    def __init__(
        self,
        server: str = "http://127.0.0.1:8080",
        *,
        api_key: str | None = None,
        timeout: float = 10.0,
        retries: int = 3,
        concurrency: int = 4,
        ca_file: str | None = None,
        proxy: str | None = None,
        max_answer: int = 16 << 20,
    ) -> None:
        self._settings = Settings.read(
            server, api_key, timeout, retries, concurrency, ca_file, proxy, max_answer
        )
        transport = httpx.HTTPTransport(
            verify=self._settings.verify,
            uds=self._settings.socket_path,
            proxy=self._settings.proxy,
            trust_env=False,
        )
        self._http = httpx.Client(transport=transport, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ---- questions ------------------------------------------------------------------------------

    def embed(
        self, picture: Picture, *, channels: Channels | None = None, **options: Option
    ) -> Faces:
        """The faces in a picture with their embeddings; none is an answer too."""
        return self._run(calls.embed(picture, channels, options))

    def detect(
        self, picture: Picture, *, channels: Channels | None = None, **options: Option
    ) -> Faces:
        """The faces in a picture without embeddings."""
        return self._run(calls.detect(picture, channels, options))

    def crop(
        self, picture: Picture, *, channels: Channels | None = None, **options: Option
    ) -> bytes:
        """The 160 x 160 PNG that the network is fed with a face: the largest, or the one that face=
        or index= chooses. embed(crop, align="none") gives the same embedding to the bit."""
        return self._run(calls.crop(picture, channels, options))

    def distance(
        self, a: Picture, b: Picture, *, channels: Channels | None = None, **options: Option
    ) -> Distance:
        """How far apart the faces in two pictures are."""
        return self._run(calls.distance(a, b, channels, options))

    def distance_of(self, a: Embedding, b: Embedding, **options: Option) -> Distance:
        """How far apart two embeddings are. Faces, unlike bare arrays, say of which model they are,
        and the server refuses those it cannot compare."""
        return self._run(calls.distance_of(a, b, options))

    def distances(
        self, a: Embeddings, b: Embeddings, *, metric: Metric = "l2_squared"
    ) -> npt.NDArray[np.float64]:
        """Every embedding of a against every one of b, float64 [a, b]; at most 250,000. Faces say
        of which model they are, rows of an array do not."""
        return self._run(calls.distances(a, b, metric))

    def model(self) -> Model:
        """Which model the server has, and what runs it."""
        return self._run(calls.model())

    @overload
    def embed_many(
        self, pictures: Iterable[Picture], *, channels: Channels | None = ..., progress: bool = ...,
        errors: Literal["raise"] = ..., **options: Option,
    ) -> list[Faces]: ...  # fmt: skip
    @overload
    def embed_many(
        self, pictures: Iterable[Picture], *, channels: Channels | None = ..., progress: bool = ...,
        errors: Literal["return"], **options: Option,
    ) -> list[Faces | Exception]: ...  # fmt: skip
    def embed_many(
        self,
        pictures: Iterable[Picture],
        *,
        channels: Channels | None = None,
        progress: bool = False,
        errors: Literal["raise", "return"] = "raise",
        **options: Option,
    ) -> list[Faces] | list[Faces | Exception]:
        """Embed pictures, several at once, in their order. `errors="return"` puts what a picture
        failed with in its place instead of raising the first."""

        def one(picture: Picture) -> Faces:
            return self.embed(picture, channels=channels, **options)

        results = [result for _, result in self._each(one, pictures, errors, progress)]
        return cast("list[Faces] | list[Faces | Exception]", results)

    @overload
    def iter_dir(
        self, folder: str | os.PathLike[str], *, progress: bool = ...,
        errors: Literal["raise"] = ..., **options: Option,
    ) -> Iterator[tuple[Path, Faces]]: ...  # fmt: skip
    @overload
    def iter_dir(
        self, folder: str | os.PathLike[str], *, progress: bool = ...,
        errors: Literal["return"], **options: Option,
    ) -> Iterator[tuple[Path, Faces | Exception]]: ...  # fmt: skip
    def iter_dir(
        self,
        folder: str | os.PathLike[str],
        *,
        progress: bool = False,
        errors: Literal["raise", "return"] = "raise",
        **options: Option,
    ) -> Iterator[tuple[Path, Faces]] | Iterator[tuple[Path, Faces | Exception]]:
        """Every picture in a folder and the folders in it, in the order of their names."""

        def one(path: Path) -> Faces:
            return self.embed(path, channels=None, **options)

        return self._each(one, pictures_in(folder), errors, progress)

    # ---- how ------------------------------------------------------------------------------------

    def _send(self, call: Call[_T], left_s: float) -> Answer | Failure:
        """httpx counts its timeout anew for every read; the clock here ends a server that drips."""
        ends, body = time.monotonic() + left_s, bytearray()
        try:
            with self._http.stream(**call.arguments(self._settings, left_s)) as response:
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > self._settings.max_answer:
                        return calls.too_large(self._settings)
                    if time.monotonic() > ends:
                        raise TimeoutError
                return Answer(response.status_code, response.headers, bytes(body))
        except (httpx.HTTPError, TimeoutError) as error:
            return calls.failure_of(error, self._settings)

    def _run(self, call: Call[_T]) -> _T:
        course = calls.converse(call, self._settings)
        outcome: Answer | Failure | None = None
        while True:
            try:
                step = course.send(outcome)
            except StopIteration as end:
                return cast(_T, end.value)
            if isinstance(step, Sleep):
                time.sleep(step.seconds)
                outcome = None
            else:
                outcome = self._send(call, step.left_s)

    def _each(
        self,
        work: Callable[[_Item], _Result],
        items: Iterable[_Item],
        errors: Literal["raise", "return"],
        progress: bool,
    ) -> Iterator[tuple[_Item, _Result | Exception]]:
        """Each item with what work(item) gave, in order, `concurrency` at once. Items are taken as
        they are needed, so there may be more than fit into memory."""
        if errors not in ("raise", "return"):
            raise ValueError('errors: expected "raise" or "return"')
        waiting: deque[tuple[_Item, Future[_Result]]] = deque()

        def first() -> tuple[_Item, _Result | Exception]:
            item, future = waiting.popleft()
            try:
                result: _Result | Exception = future.result()
            except Exception as error:
                if errors == "raise":
                    raise
                result = error
            bar.update()
            return item, result

        workers = self._settings.concurrency
        total = len(items) if isinstance(items, Sized) else None
        with (
            ThreadPoolExecutor(workers, thread_name_prefix="facenetd") as pool,
            tqdm(total=total, unit="pictures", disable=not progress) as bar,
        ):
            try:
                for item in items:
                    waiting.append((item, pool.submit(work, item)))
                    if len(waiting) == 2 * workers:
                        yield first()
                while waiting:
                    yield first()
            finally:
                for _, future in waiting:
                    future.cancel()
