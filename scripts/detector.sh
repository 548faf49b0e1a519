#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Find the face detector's weights: prints their folder on standard output, and on standard error where
# they come from. Prints nothing when there are none; exits 1 only when weights that were named are
# absent.
# Usage: detector.sh
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
say() { echo "detector: $*" >&2; }

beside=$root/../shared/data/mtcnn-npy
fetched=$root/build/weights/mtcnn
if [ -n "${FACENET_DETECTOR:-}" ]; then
    if [ ! -d "$FACENET_DETECTOR" ]; then
        say "FACENET_DETECTOR=$FACENET_DETECTOR is no folder"
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
    say "none found: every picture is taken as a face crop"
fi
