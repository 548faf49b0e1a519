# SPDX-License-Identifier: Apache-2.0
"""The client whose methods are awaited, under asyncio. The same questions as Client, where they are
described."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sized
from functools import partial
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


class AsyncClient:
    """A facenetd server; see Client for the arguments. Belongs to one event loop."""

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
        transport = httpx.AsyncHTTPTransport(
            verify=self._settings.verify,
            uds=self._settings.socket_path,
            proxy=self._settings.proxy,
            trust_env=False,
        )
        self._http = httpx.AsyncClient(transport=transport, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # ---- questions ------------------------------------------------------------------------------

    async def embed(
        self, picture: Picture, *, channels: Channels | None = None, **options: Option
    ) -> Faces:
        return await self._run(partial(calls.embed, picture, channels, options))

    async def detect(
        self, picture: Picture, *, channels: Channels | None = None, **options: Option
    ) -> Faces:
        return await self._run(partial(calls.detect, picture, channels, options))

    async def crop(
        self, picture: Picture, *, channels: Channels | None = None, **options: Option
    ) -> bytes:
        return await self._run(partial(calls.crop, picture, channels, options))

    async def distance(
        self, a: Picture, b: Picture, *, channels: Channels | None = None, **options: Option
    ) -> Distance:
        return await self._run(partial(calls.distance, a, b, channels, options))

    async def distance_of(self, a: Embedding, b: Embedding, **options: Option) -> Distance:
        return await self._run(partial(calls.distance_of, a, b, options))

    async def distances(
        self, a: Embeddings, b: Embeddings, *, metric: Metric = "l2_squared"
    ) -> npt.NDArray[np.float64]:
        return await self._run(partial(calls.distances, a, b, metric))

    async def model(self) -> Model:
        return await self._run(calls.model)

    @overload
    async def embed_many(
        self, pictures: Iterable[Picture], *, channels: Channels | None = ..., progress: bool = ...,
        errors: Literal["raise"] = ..., **options: Option,
    ) -> list[Faces]: ...  # fmt: skip
    @overload
    async def embed_many(
        self, pictures: Iterable[Picture], *, channels: Channels | None = ..., progress: bool = ...,
        errors: Literal["return"], **options: Option,
    ) -> list[Faces | Exception]: ...  # fmt: skip
    async def embed_many(
        self,
        pictures: Iterable[Picture],
        *,
        channels: Channels | None = None,
        progress: bool = False,
        errors: Literal["raise", "return"] = "raise",
        **options: Option,
    ) -> list[Faces] | list[Faces | Exception]:
        def one(picture: Picture) -> Awaitable[Faces]:
            return self.embed(picture, channels=channels, **options)

        each = self._each(one, pictures, errors, progress)
        results = [result async for _, result in each]
        return cast("list[Faces] | list[Faces | Exception]", results)

    @overload
    def iter_dir(
        self, folder: str | os.PathLike[str], *, progress: bool = ...,
        errors: Literal["raise"] = ..., **options: Option,
    ) -> AsyncIterator[tuple[Path, Faces]]: ...  # fmt: skip
    @overload
    def iter_dir(
        self, folder: str | os.PathLike[str], *, progress: bool = ...,
        errors: Literal["return"], **options: Option,
    ) -> AsyncIterator[tuple[Path, Faces | Exception]]: ...  # fmt: skip
    def iter_dir(
        self,
        folder: str | os.PathLike[str],
        *,
        progress: bool = False,
        errors: Literal["raise", "return"] = "raise",
        **options: Option,
    ) -> AsyncIterator[tuple[Path, Faces]] | AsyncIterator[tuple[Path, Faces | Exception]]:
        def one(path: Path) -> Awaitable[Faces]:
            return self.embed(path, channels=None, **options)

        return self._each(one, pictures_in(folder), errors, progress)

    # ---- how ------------------------------------------------------------------------------------

    async def _receive(self, call: Call[_T], left_s: float) -> Answer | Failure:
        body = bytearray()
        async with self._http.stream(**call.arguments(self._settings, left_s)) as response:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._settings.max_answer:
                    return calls.too_large(self._settings)
            return Answer(response.status_code, response.headers, bytes(body))

    async def _send(self, call: Call[_T], left_s: float) -> Answer | Failure:
        try:
            return await asyncio.wait_for(self._receive(call, left_s), left_s)
        except (httpx.HTTPError, TimeoutError) as error:
            return calls.failure_of(error, self._settings)
        except asyncio.TimeoutError:  # another class up to Python 3.10
            return calls.failure_of(TimeoutError(), self._settings)

    async def _run(self, make: Callable[[], Call[_T]]) -> _T:
        # Reading a file and encoding pixels would hold up the loop.
        call = await asyncio.to_thread(make)
        course = calls.converse(call, self._settings)
        outcome: Answer | Failure | None = None
        while True:
            try:
                step = course.send(outcome)
            except StopIteration as end:
                return cast(_T, end.value)
            if isinstance(step, Sleep):
                await asyncio.sleep(step.seconds)
                outcome = None
            else:
                outcome = await self._send(call, step.left_s)

    async def _each(
        self,
        work: Callable[[_Item], Awaitable[_Result]],
        items: Iterable[_Item],
        errors: Literal["raise", "return"],
        progress: bool,
    ) -> AsyncIterator[tuple[_Item, _Result | Exception]]:
        """Each item with what work(item) gave, in order, `concurrency` at once."""
        if errors not in ("raise", "return"):
            raise ValueError('errors: expected "raise" or "return"')
        free = asyncio.Semaphore(self._settings.concurrency)
        waiting: deque[tuple[_Item, asyncio.Task[_Result]]] = deque()

        async def one(item: _Item) -> _Result:
            async with free:
                return await work(item)

        async def first() -> tuple[_Item, _Result | Exception]:
            item, task = waiting[0]
            try:
                result: _Result | Exception = await task
            except Exception as error:
                if errors == "raise":
                    raise
                result = error
            waiting.popleft()
            bar.update()
            return item, result

        total = len(items) if isinstance(items, Sized) else None
        with tqdm(total=total, unit="pictures", disable=not progress) as bar:
            try:
                for item in items:
                    waiting.append((item, asyncio.create_task(one(item))))
                    if len(waiting) == 2 * self._settings.concurrency:
                        yield await first()
                while waiting:
                    yield await first()
            finally:
                for _, task in waiting:
                    task.cancel()
                await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)
