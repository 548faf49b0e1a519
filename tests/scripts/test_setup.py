# SPDX-License-Identifier: Apache-2.0
"""scripts/setup.sh with stand-ins for dpkg-query, apt-get, id and sudo that write down their calls.

What the package names mean is checked by the fresh machine that runs `make check`; this is about
when the script installs, as whom, and that it changes nothing where it may not.
"""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "setup.sh"


class Machine:
    """A folder that is the whole PATH, and a log of what was called in it."""

    def __init__(self, folder):
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.bin.mkdir()
        self.log.touch()
        for tool in ("bash", "env", "grep", "cat", "true"):
            (self.bin / tool).symlink_to(Path("/usr/bin") / tool)
        self.tool("id", "echo 0")
        self.tool("apt-get", "")
        self.installed("gcc make")

    def tool(self, name, body):
        path = self.bin / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>{self.log}\n{body}\n')
        path.chmod(0o755)

    def installed(self, names, others_too=False):
        """`names` are installed; with `others_too`, so is whatever else is asked about."""
        self.tool(
            "dpkg-query",
            f"""shift 3
for package in "$@"; do
    case " {names} {"$package" if others_too else ""} " in
    *" $package "*) echo "installed $package" ;;
    *) status=1 ;;
    esac
done
exit ${{status:-0}}""",
        )

    def user(self, sudo):
        self.tool("id", "echo 1000")
        if sudo:
            self.tool("sudo", 'while [ "$1" = -n ]; do shift; done; exec "$@"')

    def setup(self, *arguments, **environment):
        run = subprocess.run(
            [SCRIPT, *arguments],
            env={"PATH": str(self.bin), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return run.returncode, run.stderr

    def calls(self, name):
        return [line for line in self.log.read_text().splitlines() if line.startswith(name + " ")]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize("level", ["run", "check"])
def test_nothing_missing_is_one_question_and_no_apt(machine, level):
    machine.installed("", others_too=True)
    assert machine.setup(level) == (0, "")
    assert len(machine.calls("dpkg-query")) == 1
    assert machine.calls("apt-get") == []


def test_root_installs_what_is_missing_and_only_that(machine):
    code, stderr = machine.setup("run")
    assert code == 0, stderr
    update, install = machine.calls("apt-get")
    assert " update" in update
    assert "--no-install-recommends" in install
    words = install.split()
    assert "libmicrohttpd-dev" in words
    assert "gcc" not in words
    assert "cppcheck" not in words


def test_check_asks_for_more_than_run(machine):
    assert machine.setup("check")[0] == 0
    assert {"clang-tidy", "cppcheck", "libcmocka-dev"} <= set(machine.calls("apt-get")[1].split())


def test_apt_never_asks_a_question(machine):
    machine.tool("apt-get", f'echo "frontend $DEBIAN_FRONTEND" >>{machine.log}')
    assert machine.setup("run")[0] == 0
    assert set(machine.calls("frontend")) == {"frontend noninteractive"}


def test_a_user_with_sudo_installs_through_it(machine):
    machine.user(sudo=True)
    code, stderr = machine.setup("run")
    assert code == 0, stderr
    assert len(machine.calls("apt-get")) == 2


@pytest.mark.parametrize("sudo", ["absent", "wants a password"])
def test_a_user_who_may_not_gets_the_one_line_to_run(machine, sudo):
    machine.user(sudo=False)
    if sudo == "wants a password":
        machine.tool("sudo", "exit 1")
    code, stderr = machine.setup("run")
    assert code == 1
    line = stderr.splitlines()[-1]
    assert line.startswith("apt-get update && apt-get install -y --no-install-recommends ")
    assert "libjansson-dev" in line.split()
    assert machine.calls("apt-get") == []


def test_lists_that_cannot_be_updated_may_still_do(machine):
    machine.tool("apt-get", 'case " $* " in *" update "*) exit 100 ;; esac')
    code, stderr = machine.setup("run")
    assert code == 0
    assert "update failed" in stderr


def test_a_failed_installation_is_a_failure(machine):
    machine.tool("apt-get", 'case " $* " in *" install "*) exit 100 ;; esac')
    assert machine.setup("run")[0] != 0


def test_a_system_without_dpkg_is_told_what_it_needs(machine):
    (machine.bin / "dpkg-query").unlink()
    code, stderr = machine.setup("run")
    assert code == 1
    assert "not Debian" in stderr
    assert "libmicrohttpd-dev" in stderr


def test_setup_can_be_switched_off(machine):
    assert machine.setup("run", SETUP="0") == (0, "")
    assert machine.calls("dpkg-query") == []


@pytest.mark.parametrize("arguments", [[], ["everything"]])
def test_a_wrong_level_is_wrong_usage(machine, arguments):
    code, stderr = machine.setup(*arguments)
    assert code == 2
    assert stderr.startswith("usage:")
