#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Download the trained FaceNet weights (512-d, float32, 266 .npy files, 94 MB), pinned twice: the URL
# names a commit, and every file's sha256 is in model/sources/facenet-512.sha256.
# Usage: fetch-weights.sh DIRECTORY
#
# DIRECTORY appears only whole and verified: files arrive in DIRECTORY.partial, which is renamed at
# the end. A run that was interrupted goes on with the next file. One file that does not match
# refuses them all. FACENET_WEIGHTS_URL replaces the base URL; the digests stay what they are.
#
# Exit: 0 there and verified, 1 could not be downloaded, 2 wrong usage, 3 refused (a digest differs).
set -euo pipefail

commit=bd8cc3cdd52257f4e3dc0fa95044a5e8bf118a3a
base=https://raw.githubusercontent.com/BruceDai/test-data/$commit/models/facenet_nhwc/weights
base=${FACENET_WEIGHTS_URL:-$base}
digests=$(cd "$(dirname "$0")/.." && pwd)/model/sources/facenet-512.sha256

if [ $# -ne 1 ] || [ -z "$1" ]; then
    echo "usage: fetch-weights.sh DIRECTORY" >&2
    exit 2
fi
target=${1%/}
partial=$target.partial

say() { echo "weights: $*" >&2; }

# Names of the pinned files that are absent from directory $1 or differ, one a line.
unverified() (
    cd "$1"
    (sha256sum --check "$digests" 2>/dev/null || true) | sed -n 's/: FAILED.*$//p'
)

# Count finished transfers from standard input on a terminal, quietly elsewhere.
show_progress() {
    local total=$1 done=0
    while read -r _; do
        done=$((done + 1))
        [ ! -t 2 ] || printf '\rweights: %d of %d files' "$done" "$total" >&2
    done
    [ ! -t 2 ] || echo >&2
}

mkdir -p "$(dirname "$target")"
exec 9>"$target.lock"
flock 9 # a second run waits, then finds the files

if [ -d "$target" ]; then
    [ -n "$(unverified "$target")" ] || exit 0
    say "$target does not match its digests any more; fetching it again"
    rm -rf "$target"
fi
mkdir -p "$partial"

# A name that is there but does not match is what an interruption left of it: it starts again.
missing=$(unverified "$partial")
if [ -n "$missing" ]; then
    count=$(wc -l <<<"$missing")
    say "downloading $count of $(wc -l <"$digests") files from $base"
    while read -r name; do
        printf 'url = "%s/%s"\noutput = "%s"\n' "$base" "$name" "$name"
    done <<<"$missing" |
        curl --config - --output-dir "$partial" --fail --fail-early --location \
            --proto '=http,https' --silent --show-error --write-out '%{filename_effective}\n' \
            --connect-timeout 10 --speed-limit 1000 --speed-time 30 --max-time 600 \
            --retry 3 --retry-delay 1 --remove-on-error |
        show_progress "$count" || {
        # Files come in order, so the first that is not there is the one that failed.
        say "download failed at $(unverified "$partial" | head -n 1); what came before it is kept"
        exit 1
    }
fi

refused=$(unverified "$partial")
if [ -n "$refused" ]; then
    while read -r name; do
        found=$(sha256sum <"$partial/$name" | cut -d ' ' -f 1)
        expected=$(awk -v name="$name" '$2 == name { print $1 }' "$digests")
        say "refused: $name has sha256 $found, expected $expected"
    done <<<"$refused"
    rm -rf "$partial"
    say "nothing of this download was kept"
    exit 3
fi
mv -T "$partial" "$target"
say "$(wc -l <"$digests") files verified in $target"
