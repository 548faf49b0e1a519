#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Make models/thin-512.safetensors, the default model of this repository, out of its refined weights:
# what `python3 -m model.train fit --fixed` wrote (docs/training.md), with the fractional bits that it
# was refined for. Accuracy and thresholds are measured on pictures of people whom training never saw.
# Usage: make-thin.sh REFINED.safetensors PINS.json FLOAT.safetensors PICTURES_WITH_PAIRS DETECTOR
set -euo pipefail

if [ $# != 5 ]; then
    sed -n 's/^# \(Usage:.*\)/\1/p' "$0" >&2
    exit 2
fi
refined=$1 pins=$2 float=$3 pictures=$4 detector=$5
root=$(cd "$(dirname "$0")/.." && pwd)
tool=$root/build/facenet-model
model=$root/models/thin-512.safetensors
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$tool" quantize "$refined" --frac-bits "$pins" -o "$model"
"$tool" add-detector "$model" --detector "$detector" -o "$folder/with-detector"

# Crops are PNG, while LFW's list means .jpg: say the same pairs as "a.png,b.png,1".
awk -F '\t' -v OFS=, '
    NF == 3 { printf "%s/%s_%04d.png,%s/%s_%04d.png,1\n", $1, $1, $2, $1, $1, $3 }
    NF == 4 { printf "%s/%s_%04d.png,%s/%s_%04d.png,0\n", $1, $1, $2, $3, $3, $4 }
' "$pictures/pairs.txt" >"$folder/pairs.csv"

note='the thin default; the full network has 99.67 % on LFW folds 1 and 10 (thin: 96.3 %) and is served by:'
note+=' FACENET_WEIGHTS=path make run'

for contract in mtcnn-p17-160 mtcnn-m32-160; do
    crops=$folder/$contract
    "$tool" crop "$folder/with-detector" --pictures "$pictures" -o "$crops" --crop "$contract" \
        --face center
    "$tool" evaluate "$model" --pairs "$pictures/pairs.txt" --images "$crops" --crop whole \
        --float "$float" --record 'LFW fold 1' --cut-by "$contract" \
        --note "$note"
    "$tool" fit-threshold "$model" --pairs "$folder/pairs.csv" --images "$crops" \
        --cut-by "$contract" --far 1e-2 1e-3 1e-4 --name 'LFW fold 1, every two pictures'
done
# A picture that somebody else has cut to the face is taken for such a crop.
"$tool" fit-threshold "$model" --pairs "$folder/pairs.csv" --images "$folder/mtcnn-p17-160" \
    --far 1e-2 1e-3 1e-4 --name 'LFW fold 1, faces cut by mtcnn-p17-160'
