# SPDX-License-Identifier: Apache-2.0
"""The clients against the real daemon: that of tests/http, with its fixtures.

FACENETD_BUILD names the directory of the programs, as there.
"""

import importlib.util
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load_daemon_tools():
    """tests/http/conftest.py under a name of its own: `conftest` is taken, by this file."""
    path = ROOT / "tests/http/conftest.py"
    sys.path.append(str(path.parent))  # for what it imports from beside it
    spec = importlib.util.spec_from_file_location("daemon_tools", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["daemon_tools"] = module
    spec.loader.exec_module(module)
    return module


tools = sys.modules.get("daemon_tools") or load_daemon_tools()
daemon, model, start = tools.daemon, tools.model, tools.start  # fixtures


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """Two pictures, as files."""
    folder = tmp_path_factory.mktemp("faces")
    for seed, name in enumerate(("a.jpg", "b.jpg"), 1):
        (folder / name).write_bytes(tools.encode(tools.make_image(seed), quality=90))
    return folder
