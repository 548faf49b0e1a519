#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Find the trained weights: prints their path on standard output, and on standard error where they
# come from. Prints no path when there are none; exits 1 only when weights that were named are absent.
# Usage: weights.sh
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
say() { echo "weights: $*" >&2; }

# Each source sets `found` or leaves it empty. The first in `sources` that has weights wins.
named() {
    [ -n "${FACENET_WEIGHTS:-}" ] || return 0
    if [ ! -e "$FACENET_WEIGHTS" ]; then
        say "FACENET_WEIGHTS=$FACENET_WEIGHTS does not exist"
        exit 1 # never serve another network than the one that was asked for
    fi
    found=$FACENET_WEIGHTS
    say "using $found, from FACENET_WEIGHTS"
}

beside() {
    local path=$root/../shared/data/facenet-512-npy
    [ -d "$path" ] || return 0
    found=$(cd "$path" && pwd)
    say "using $found, found beside the checkout"
}

download() {
    local path=$root/build/weights/facenet-512
    if "$root/scripts/fetch-weights.sh" "$path"; then
        found=$path
        say "using $found, from the pinned download"
    fi
}

sources=(named beside download)
found=
for source in "${sources[@]}"; do
    "$source"
    [ -z "$found" ] || break
done
[ -n "$found" ] || say "none found"
echo "$found"
