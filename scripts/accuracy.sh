#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What `make accuracy` does: measure the model that `make run` serves, and the thin default, on the
# pictures of DATA/lfw-fold1 as a user's pictures go through the daemon, beside the float networks;
# print docs/accuracy.md.
# Usage: accuracy.sh DATA
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
data=$(cd "$1" && pwd)
tool=$root/build/facenet-model
scratch=$root/build/accuracy
thin_float=$data/thin/thin-512.safetensors

weights=$("$root/scripts/weights.sh")
detector=$("$root/scripts/detector.sh")
for needed in "$weights" "$detector" "$data/lfw-fold1/pairs.txt" "$thin_float"; do
    [ -e "$needed" ] || {
        echo "accuracy: needs the full network's weights, the detector, lfw-fold1 and thin in $data" >&2
        exit 1
    }
done
model=$("$root/scripts/make-model.sh")
mkdir -p "$scratch"
"$tool" add-detector "$root/models/thin-512.safetensors" --detector "$detector" -o "$scratch/thin" >&2

# Reports name files as they are given: relative to the data.
cd "$data"
judge() { "$tool" evaluate "$@" --pairs lfw-fold1/pairs.txt --impostors all | sed 's/^./    &/'; }

points() {
    "$tool" info "$model" --json | python3 -c '
import json, sys
for p in json.load(sys.stdin)["operating_points"]:
    print("| {far:g} | {value:.4f} | {value_low:.4f}…{value_high:.4f} | {true:.2f} % | {pairs} |".format(
        true=100 * p["true_accepts"], **p))'
}

"$tool" crop "$model" --pictures lfw-fold1 -o "$scratch/crops" --face center >&2
cat <<END
# Accuracy

Printed by \`make accuracy\`. Labeled Faces in the Wild, fold 1 (600 pairs, 807 pictures): 600 pairs are few, one is 0.17
points, and fold 1 is easier than most. Every picture goes the way that it goes in the daemon: found by the detector, the
most central face cut by the model's crop contract, no fall-back; a pair with a missing face counts as wrong.

## The full network, 512-d, from raw pictures

The model is what \`make run\` makes of \`$(basename "$weights")\`.

$(judge "$model" --images lfw-fold1 --float "$weights")

The verdict of \`/distance\` uses these points, stored by \`make run\` (intervals by bootstrap over people):

| false-accept rate | squared L2 at most | 95 % interval | genuine pairs accepted | impostor pairs |
|---|---|---|---|---|
$(points)

Other crops of the same pictures are compared in [crops.md](crops.md).

## The same from ready crops

Cut before, by \`facenet-model crop --face center\`, and given as crops: the same pixels, so the same figures.

$(judge "$model" --images "$scratch/crops" --crop whole | sed "s#$scratch/##")

## The thin default, from raw pictures

[Its card](model-thin.md) has the rest.

$(judge "$scratch/thin" --images lfw-fold1 --float "$thin_float")
END
