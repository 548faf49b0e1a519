# SPDX-License-Identifier: Apache-2.0
"""The Python package as its users get it: a wheel, installed into a fresh environment of every
Python that is found, where its own tests run; and its example on real faces."""

import functools
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from PIL import Image

from tests.http.conftest import BUILD, ROOT

PACKAGE = ROOT / "clients/python"
LFW = ROOT / "../shared/data/lfw-fold1"
THIN = ROOT / "models/thin-512.safetensors"
OLDEST = (3, 10)


def run(*command, **kwargs):
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        **kwargs,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


def works(program):
    """A shim of pyenv may be there without what it stands for, a Python without venv."""
    probe = [program, "-c", "import ensurepip, venv"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def found_pythons():
    """Version -> program: those on the path, and pyenv's, where people keep several."""
    found = {}
    places = [*os.get_exec_path(), *pathlib.Path.home().glob(".pyenv/versions/*/bin")]
    for place in map(pathlib.Path, places):
        for program in sorted(place.glob("python3.[0-9]*")) if place.is_dir() else []:
            name = re.fullmatch(r"python3\.(\d+)", program.name)
            version = (3, int(name[1])) if name else (0, 0)
            if version >= OLDEST and version not in found and works(program):
                found[version] = program
    found[sys.version_info[:2]] = pathlib.Path(sys.executable)
    return found


PYTHONS = found_pythons()
# One Python in every check, the others in the full one.
VERSIONS = [
    pytest.param(
        version,
        id="{}.{}".format(*version),
        marks=[] if version == sys.version_info[:2] else [pytest.mark.full],
    )
    for version in sorted(PYTHONS)
]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, PACKAGE)
    (path,) = folder.glob("*.whl")
    return path


@functools.cache
def install(version, wheel):
    """The wheel in an environment of that Python. It is kept; only the wheel is put in anew."""
    folder = ROOT / "build" / "venv-client-{}.{}".format(*version)
    python = folder / "bin/python"
    needs = ["pytest", "jsonschema"]  # of the tests, and of the ones they borrow from
    made = folder / ".made"
    if not made.exists() or made.read_text() != " ".join(needs):
        shutil.rmtree(folder, ignore_errors=True)
        run(PYTHONS[version], "-m", "venv", folder)
        pins = ["-c", ROOT / "tests/requirements.txt"] if version >= (3, 11) else []
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run(*pip, *pins, wheel, *needs)
        made.write_text(" ".join(needs))
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--no-deps", "--force-reinstall", wheel)
    return python


def test_the_wheel_is_typed_and_has_the_version_of_the_programs(wheel):
    header = (ROOT / "engine/version.h").read_text()
    version = re.search(r'FN_VERSION "(.*)"', header)[1]
    assert wheel.name == f"facenetd-{version}-py3-none-any.whl"
    names = zipfile.ZipFile(wheel).namelist()
    assert "facenetd/py.typed" in names
    assert not [name for name in names if "test" in name or "example" in name]
    assert f'__version__ = "{version}"' in (PACKAGE / "src/facenetd/__init__.py").read_text()


@pytest.mark.parametrize("version", VERSIONS)
def test_its_own_tests_pass_where_it_is_installed(version, wheel, tmp_path):
    python = install(version, wheel)
    said = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", PACKAGE / "tests",
               cwd=tmp_path, env={**os.environ, "FACENETD_BUILD": str(BUILD)})  # fmt: skip
    assert " passed" in said.splitlines()[-1]


def people_of_lfw(folder, people, pictures):
    """Copy some, as they are, into one folder each."""
    named = sorted(p for p in LFW.iterdir() if len(list(p.glob("*.jpg"))) >= pictures)[:people]
    for person in named:
        (folder / person.name).mkdir(parents=True)
        for path in itertools.islice(sorted(person.glob("*.jpg")), pictures):
            shutil.copy(path, folder / person.name)
    return [person.name for person in named]


def test_the_example_sorts_faces_into_people(wheel, start, tmp_path):
    if not LFW.is_dir():
        pytest.skip("no LFW pictures beside the checkout")
    named = people_of_lfw(tmp_path / "photos", people=8, pictures=3)
    daemon = start(model=THIN, config={"deadline_ms": 60000})
    said = run(
        install(sys.version_info[:2], wheel), PACKAGE / "examples/cluster.py",
        tmp_path / "photos", tmp_path / "people.png", "--server", daemon.url, "--max-l2", "1.05",
    )  # fmt: skip
    rows = [line.split()[1:] for line in said.splitlines()]
    assert 24 <= sum(map(len, rows)) <= 28, said  # some pictures show others, too
    right = sum(max(sum(name in path for path in row) for name in named) for row in rows)
    whole = sum(len(row) == 3 and len({path.split("/")[0] for path in row}) == 1 for row in rows)
    assert right >= 20 and whole >= 4, said
    with Image.open(tmp_path / "people.png") as sheet:
        assert sheet.height == 96 * len(rows) and sheet.width >= 40 + 96 * 3
