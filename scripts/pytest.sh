#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the Python tests side by side, and up to three that failed once more, one after the other: a
# test that waits for another program can be starved by its neighbours on a small shared machine.
# Both runs are shown and the second decides. What failed for a sanitizer's report, or in greater
# number, is no matter of time and not tried again.
# Usage: pytest.sh JOBS COMMAND... (pytest and its arguments)
set -euo pipefail
jobs=$1
shift

log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$@" --cache-clear -n "$jobs" --dist loadfile | tee "$log" && exit 0
status=${PIPESTATUS[0]}

failed=$(grep -cE '^(FAILED|ERROR) ' "$log" || true)
report='(ERROR|WARNING): [A-Z][a-z]+Sanitizer|runtime error: '
if [ "$status" -ne 1 ] || [ "$failed" -gt 3 ] || grep -qE "$report" "$log"; then
    exit "$status"
fi
printf '\n=== %d failed beside others; once more, by themselves\n' "$failed"
"$@" --last-failed
