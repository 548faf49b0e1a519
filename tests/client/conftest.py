# SPDX-License-Identifier: Apache-2.0
"""The clients against the real daemon: that of tests/http, with its fixtures.

FACENETD_BUILD names the directory of the programs, as there.
"""

import pytest

from tests.http import conftest as tools

daemon, model, start = tools.daemon, tools.model, tools.start  # fixtures


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """Two pictures, as files."""
    folder = tmp_path_factory.mktemp("faces")
    for seed, name in enumerate(("a.jpg", "b.jpg"), 1):
        (folder / name).write_bytes(tools.encode(tools.make_image(seed), quality=90))
    return folder
