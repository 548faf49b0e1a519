# SPDX-License-Identifier: Apache-2.0
"""Build what a test needs with the project's Makefile, one call at a time.

Tests run side by side in several processes; two `make` in one build directory would write the same
files.
"""

import fcntl
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]


def make(*words, seconds=900):
    """`make -s WORDS` in the checkout; what it prints."""
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build/tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            ["make", "-s", "--no-print-directory", *map(str, words)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout
