#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# clang-tidy on one file, unless what it would see is what it has passed already: a header that is
# touched makes every file older than it, but changes few of them.
# Usage: tidy.sh FILE STAMP FLAG...      the stamp holds the digest of what passed
set -euo pipefail
file=$1 stamp=$2
shift 2
digest=$({ cat .clang-tidy; gcc -E -CC "$@" "$file"; } | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$digest" ]; then
    clang-tidy --quiet "$file" -- "$@" 2>"$stamp.err" || {
        grep -v 'warnings generated' "$stamp.err" >&2
        exit 1
    }
fi
printf '%s\n' "$digest" >"$stamp"
