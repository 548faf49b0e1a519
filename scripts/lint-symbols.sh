#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# No two objects may define the same name. Our rooms are static libraries: of two functions with one
# name the linker silently takes the first it meets, and calls that with the other's arguments.
# Usage: lint-symbols.sh LIBRARY...
set -euo pipefail
twice=$(nm --defined-only --extern-only --format=posix "$@" 2>/dev/null |
    awk 'NF >= 2 && $2 ~ /^[A-Z]$/ && $2 !~ /[VW]/ { print $1 }' | sort | uniq -d)
if [ -n "$twice" ]; then
    for name in $twice; do
        printf '%s: defined more than once, in' "$name"
        nm --defined-only --extern-only -A "$@" 2>/dev/null | awk -v n="$name" '$NF == n { print " " $1 }' |
            cut -d: -f1,2 | tr '\n' ' '
        printf '\n'
    done
    exit 1
fi
