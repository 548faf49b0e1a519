#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Find the face detector for the full network: prints its folder, or the model file that has one, on
# standard output, and on standard error where it comes from. MTCNN's weights, with which the accuracy
# of the full network was measured, may not be part of this repository; where they can be had from
# nowhere it is the thin default's detector, which is the repository's own (docs/model-thin.md).
# Exits 1 only when a detector that was named is absent.
# Usage: detector.sh
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
say() { echo "detector: $*" >&2; }

beside=$root/../shared/data/mtcnn-npy
fetched=$root/build/weights/mtcnn
if [ -n "${FACENET_DETECTOR:-}" ]; then
    if [ ! -e "$FACENET_DETECTOR" ]; then
        say "FACENET_DETECTOR=$FACENET_DETECTOR is not there"
        exit 1 # never do without a detector that was asked for
    fi
    say "using $FACENET_DETECTOR, from FACENET_DETECTOR"
    echo "$FACENET_DETECTOR"
elif [ -d "$beside" ]; then
    beside=$(cd "$beside" && pwd)
    say "using $beside, found beside the checkout"
    echo "$beside"
elif "$root/scripts/fetch-detector.sh" "$fetched"; then
    say "using $fetched, from the pinned download"
    echo "$fetched"
else
    say "using the repository's own, which finds a little less than MTCNN (docs/model-thin.md)"
    echo "$root/models/thin-512.safetensors"
fi
