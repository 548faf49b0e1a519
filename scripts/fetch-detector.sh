#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Download the face detector's weights (MTCNN, float32, three files, 2 MB): out of the wheel of
# facenet-pytorch on PyPI, pinned by version and sha256 in model/sources/detector-wheel.txt. Nothing of
# the wheel is installed or run. They are number for number those of davidsandberg/facenet.
# Usage: fetch-detector.sh DIRECTORY
#
# DIRECTORY appears only whole. Exit: 0 it is there, 1 could not be downloaded or was refused, 2 wrong
# usage.
set -euo pipefail

pinned=$(cd "$(dirname "$0")/.." && pwd)/model/sources/detector-wheel.txt

if [ $# -ne 1 ] || [ -z "$1" ]; then
    echo "usage: fetch-detector.sh DIRECTORY" >&2
    exit 2
fi
target=${1%/}

say() { echo "detector: $*" >&2; }

mkdir -p "$(dirname "$target")"
exec 9>"$target.lock"
flock 9 # a second run waits, then finds the files
[ ! -d "$target" ] || exit 0

partial=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$partial"' EXIT

say "downloading $(grep -o '^[a-z-]*==[0-9.]*' "$pinned") from PyPI"
if ! python3 -m pip download --quiet --disable-pip-version-check --retries 1 --timeout 20 --no-deps \
    --only-binary :all: --require-hashes --requirement "$pinned" --dest "$partial" >&2; then
    say "download failed, or its sha256 is not the pinned one"
    exit 1
fi
python3 -m zipfile --extract "$partial"/*.whl "$partial/wheel"
mkdir "$partial/weights"
for net in pnet rnet onet; do
    mv "$partial/wheel/facenet_pytorch/data/$net.pt" "$partial/weights/"
done
chmod 755 "$partial/weights"
mv -T "$partial/weights" "$target"
say "verified, in $target"
