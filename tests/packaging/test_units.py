# SPDX-License-Identifier: Apache-2.0
"""What `make install` lays down, and how shut in the service is by systemd's own measure."""

import pathlib
import re
import shutil
import subprocess

import pytest

from tests.targets import make

ROOT = pathlib.Path(__file__).resolve().parents[2]
needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed"
)


def install(tree, *variables):
    make("install", f"DESTDIR={tree}", *variables)
    return tree


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A tree as a package would have it."""
    return install(tmp_path_factory.mktemp("installed"), "PREFIX=/usr")


def test_everything_is_installed_and_nothing_else(installed):
    found = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert {
        "etc/facenetd/facenetd.conf",
        "usr/bin/facenetd",
        "usr/bin/facenet-model",
        "usr/lib/systemd/system/facenetd.service",
        "usr/lib/systemd/system/facenetd.socket",
        "usr/share/facenetd/thin-512.safetensors",
        "usr/share/doc/facenetd/configuration.md",
        "usr/share/doc/facenetd/examples/fpga.conf",
    } <= found
    assert not [name for name in found if not name.startswith(("etc/facenetd/", "usr/"))]


def test_what_is_installed_runs(installed):
    config = installed / "etc/facenetd/facenetd.conf"
    program = installed / "usr/bin/facenetd"
    subprocess.run([program, "--check-config", "--config", config], check=True)
    model = installed / "usr/share/facenetd/thin-512.safetensors"
    subprocess.run([installed / "usr/bin/facenet-model", "info", model], check=True)


def test_the_manual_page_names_every_option(installed):
    program = installed / "usr/bin/facenetd"
    said = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
    page = (installed / "usr/share/man/man8/facenetd.8").read_text().replace("\\-", "-")
    options = set(re.findall(r"--[a-z-]+", said))
    assert len(options) >= 10
    assert not [option for option in options if option not in page]


def test_a_configuration_that_is_there_is_kept(installed):
    config = installed / "etc/facenetd/facenetd.conf"
    config.write_text('{"max_batch": 3}')
    install(installed, "PREFIX=/usr")
    assert config.read_text() == '{"max_batch": 3}'


def test_the_unit_names_the_program_where_it_was_put(tmp_path):
    unit = install(tmp_path, "PREFIX=/opt/f") / "opt/f/lib/systemd/system/facenetd.service"
    assert "ExecStart=/opt/f/bin/facenetd\n" in unit.read_text()
    assert "@PREFIX@" not in unit.read_text()
    assert (tmp_path / "opt/f/bin/facenetd").stat().st_mode & 0o777 == 0o755


@needs_systemd
def test_the_units_say_nothing_that_systemd_does_not_know(installed):
    for unit in ("facenetd.service", "facenetd.socket"):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--root", installed, "--man=no", unit],
            capture_output=True,
            text=True,
            check=False,
        )
        # The tree holds no sysinit.target and the like; what is said of our own lines counts.
        said = [line for line in done.stderr.splitlines() if "/facenetd.s" in line]
        assert not said, said


def exposure(tree, limit):
    """systemd's verdict; exits 1 above the limit, which is in tenths."""
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={limit}"]
    command += ["--no-pager", f"--root={tree}", "facenetd.service"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_systemd
def test_the_service_is_shut_in(installed):
    verdict = exposure(installed, 5)
    assert verdict.returncode == 0, verdict.stdout
    assert "Overall exposure level" in verdict.stdout
    assert exposure(installed, 0).returncode == 1, "the threshold is not looked at"


@needs_systemd
def test_the_service_is_shut_in_with_a_board(installed):
    dropins = installed / "etc/systemd/system/facenetd.service.d"
    dropins.mkdir(parents=True)
    shutil.copy(ROOT / "systemd/fpga.conf", dropins)
    verdict = exposure(installed, 13)
    shutil.rmtree(dropins)
    assert verdict.returncode == 0, verdict.stdout
    assert "char-drm:rw" in verdict.stdout, "the drop-in was not read"
