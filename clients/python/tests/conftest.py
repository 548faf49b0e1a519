# SPDX-License-Identifier: Apache-2.0
"""The installed package against the real daemon and against the server that misbehaves, both
those of the other tests. Every test that takes `connect` runs twice: Client, and AsyncClient."""

import asyncio
import inspect
import pathlib
import sys

import pytest

import facenetd

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT))  # the daemon's own tests are a package
from tests.http import conftest as tools  # noqa: E402

daemon, model, start = tools.daemon, tools.model, tools.start  # fixtures


class Blocking:
    """AsyncClient with methods that block, so that one test serves both."""

    def __init__(self, *args, **kwargs):
        self.loop = asyncio.new_event_loop()
        self.client = self.loop.run_until_complete(self._make(*args, **kwargs))

    @staticmethod
    async def _make(*args, **kwargs):
        return facenetd.AsyncClient(*args, **kwargs)

    def __getattr__(self, name):
        def call(*args, **kwargs):
            result = getattr(self.client, name)(*args, **kwargs)
            if inspect.isasyncgen(result):
                return self._iterate(result)
            return self.loop.run_until_complete(result)

        return call

    def _iterate(self, generator):
        try:
            while True:
                yield self.loop.run_until_complete(generator.__anext__())
        except StopAsyncIteration:
            pass
        finally:
            self.loop.run_until_complete(generator.aclose())

    def close(self):
        self.loop.run_until_complete(self.client.close())
        self.loop.close()


@pytest.fixture(params=["sync", "async"])
def connect(request):
    """Make clients that are closed at the end."""
    clients = []

    def make(*args, **kwargs):
        kind = facenetd.Client if request.param == "sync" else Blocking
        clients.append(kind(*args, **kwargs))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def png():
    return tools.encode(tools.make_image(1, (90, 70)), "PNG")


@pytest.fixture(scope="session")
def other_png():
    return tools.encode(tools.make_image(2, (90, 70)), "PNG")
