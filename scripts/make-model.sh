#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Make the model file that `make run` serves and print its path: the full network where its weights
# are found, with a face detector and, where there are pairs, a threshold and its accuracy. Where they
# are not, it is the thin one of the repository as it is, so that it is the same model, with the same
# id, everywhere; only a detector that was asked for by FACENET_DETECTOR makes another one of it.
# Usage: make-model.sh
#
# Quantizing takes minutes, so it happens only when something it reads has changed: beside the model
# lies the digest of the weights, the detector, the pictures, the pinned fractional bits and the tool.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
tool=$root/build/facenet-model
pictures=$root/../shared/data/calibration
pairs=$root/../shared/data/lfw-fold1
pinned=$root/model/frac-bits/facenet-512.json
thin=$root/models/thin-512.safetensors
models=$root/build/models

say() { echo "model: $*" >&2; }

# One digest over the contents of files and of folders' files, in name order.
digest_of() {
    find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
}

# Run the tool's commands in function $3 into model $1, unless the inputs' digest $2 is that of last
# time.
make_once() {
    local model=$1 inputs=$2 make=$3
    if [ -f "$model" ] && [ "$inputs" = "$(cat "$model.inputs" 2>/dev/null)" ]; then
        say "$model is up to date"
        return
    fi
    say "making $model"
    mkdir -p "$models"
    rm -f "$model.inputs"
    "$make" "$model" >&2
    echo "$inputs" >"$model.inputs"
}

# Two faces are one person up to a distance that is fitted on pairs of pictures, where there are some.
fit_threshold() {
    [ -f "$pairs/pairs.txt" ] || return 0
    "$tool" fit-threshold "$1" --pairs "$pairs/pairs.txt" --images "$pairs" --face center \
        --far 1e-3 1e-2 1e-4 --name "LFW fold 1, every two pictures"
}

# What /model and the page say of its accuracy; three seconds more.
record_accuracy() {
    [ -f "$pairs/pairs.txt" ] || return 0
    say "measuring accuracy on LFW fold 1"
    "$tool" evaluate "$1" --pairs "$pairs/pairs.txt" --images "$pairs" --record "LFW fold 1" >/dev/null
}

make_thin() {
    "$tool" add-detector "$thin" --detector "$detector" -o "$1"
    fit_threshold "$1"
}

make_full() {
    local options=(--preprocessing fixed --detector "$detector")
    if [ -d "$pictures" ]; then
        options+=(--calibration "$pictures")
    else
        say "no calibration pictures; using the activations' fractional bits in $pinned"
        options+=(--frac-bits "$pinned")
    fi
    "$tool" quantize "$weights" "${options[@]}" -o "$1"
    fit_threshold "$1"
    record_accuracy "$1"
}

# What every model is made from.
find_detector() {
    detector=$("$root/scripts/detector.sh")
    read_by_all=("$tool" "$detector")
    [ ! -d "$pairs" ] || read_by_all+=("$pairs")
}

weights=$("$root/scripts/weights.sh")
if [ -z "$weights" ]; then
    cat >&2 <<'END'
model: no weights of the full network, so this is the thin default, models/thin-512.safetensors:
model: 96.3 % on LFW folds 1 and 10 where the full network has 99.67 %, a sixteenth of the arithmetic,
model: and a face detector of our own, facenetd-1 (docs/model-thin.md).
model: For the full network: FACENET_WEIGHTS=path make run, or let scripts/fetch-weights.sh download it.
END
    model=$thin
    if [ -n "${FACENET_DETECTOR:-}" ]; then
        find_detector
        model=$models/thin-512.safetensors
        make_once "$model" "$(digest_of "${read_by_all[@]}" "$thin")" make_thin
    fi
    echo "$model"
    exit
fi

find_detector
name=$(basename "$weights")
name=${name%.*}
model=$models/$name.safetensors
if [ -d "$pictures" ]; then
    read_by_all+=("$pictures")
elif [ -f "$pinned" ]; then
    read_by_all+=("$pinned")
else
    say "neither calibration pictures in $pictures nor $pinned is there"
    exit 1
fi
make_once "$model" "$(digest_of "${read_by_all[@]}" "$weights")" make_full
echo "$model"
