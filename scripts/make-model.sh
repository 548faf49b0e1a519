#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Make the model file that `make run` serves and print its path: the full network where its weights
# are found, the thin one of the repository where they are not.
# Usage: make-model.sh
#
# Quantizing takes minutes, so it happens only when something it reads has changed: beside the model
# lies the digest of the weights, the calibration pictures, the pinned fractional bits and the tool.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
tool=$root/build/facenet-model
pictures=$root/../shared/data/calibration
models=$root/build/models

say() { echo "model: $*" >&2; }

# One digest over the contents of files and of folders' files, in name order.
digest_of() {
    find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
}

# Run the tool's command given in "$@" into model $1, unless the inputs' digest is that of last time.
make_once() {
    local model=$1 inputs=$2
    shift 2
    if [ -f "$model" ] && [ "$inputs" = "$(cat "$model.inputs" 2>/dev/null)" ]; then
        say "$model is up to date"
        return
    fi
    say "making $model"
    mkdir -p "$models"
    rm -f "$model.inputs"
    "$tool" "$@" -o "$model" >&2
    echo "$inputs" >"$model.inputs"
}

weights=$("$root/scripts/weights.sh")
if [ -z "$weights" ]; then
    cat >&2 <<'END'
model: no weights of the full network, so this is the thin default, models/thin-512.safetensors:
model: 96.3 % on LFW folds 1 and 10 where the full network has 99.67 %, a sixteenth of the arithmetic.
model: For the full network set FACENET_WEIGHTS=path, or let scripts/fetch-weights.sh download it.
END
    echo "$root/models/thin-512.safetensors"
    exit
fi

name=$(basename "$weights")
name=${name%.*}
model=$models/$name.safetensors
pinned=$root/model/frac-bits/facenet-512.json
if [ -d "$pictures" ]; then
    make_once "$model" "$(digest_of "$tool" "$weights" "$pictures")" \
        quantize "$weights" --calibration "$pictures" --preprocessing fixed
elif [ -f "$pinned" ]; then
    say "no calibration pictures; using the activations' fractional bits in $pinned"
    make_once "$model" "$(digest_of "$tool" "$weights" "$pinned")" \
        quantize "$weights" --frac-bits "$pinned" --preprocessing fixed
else
    say "neither calibration pictures in $pictures nor $pinned is there"
    exit 1
fi
echo "$model"
