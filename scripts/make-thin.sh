#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Make models/thin-512.safetensors, the default model of this repository, out of its trained weights and
# its own face detector: the folder that `python3 -m model.train detector` wrote, or a model file that
# holds it, such as the one made before. It is calibrated on faces as the daemon cuts them; accuracy and
# thresholds are measured on raw pictures of people whom training never saw. `make thin` calls it.
# Usage: make-thin.sh WEIGHTS CALIBRATION_PICTURES PICTURES_WITH_PAIRS DETECTOR
set -euo pipefail

if [ $# != 4 ]; then
    sed -n 's/^# \(Usage:.*\)/\1/p' "$0" >&2
    exit 2
fi
weights=$1 calibration=$2 pictures=$3 detector=$4
root=$(cd "$(dirname "$0")/.." && pwd)
tool=$root/build/facenet-model
model=$root/models/thin-512.safetensors
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Any network will do to find faces with.
"$tool" untrained --width 1 --embedding-size 8 --detector "$detector" -o "$folder/eyes"
"$tool" crop "$folder/eyes" --pictures "$calibration" -o "$folder/calibration" \
    --crop mtcnn-p17-160 --face center
"$tool" quantize "$weights" --calibration "$folder/calibration" --crop whole --joint-rounding \
    -o "$folder/blind"
"$tool" add-detector "$folder/blind" --detector "$folder/eyes" -o "$folder/model"
cat "$folder/model" >"$model"

# Crops are PNG, while LFW's list means .jpg: say the same pairs as "a.png,b.png,1".
awk -F '\t' -v OFS=, '
    NF == 3 { printf "%s/%s_%04d.png,%s/%s_%04d.png,1\n", $1, $1, $2, $1, $1, $3 }
    NF == 4 { printf "%s/%s_%04d.png,%s/%s_%04d.png,0\n", $1, $1, $2, $3, $3, $4 }
' "$pictures/pairs.txt" >"$folder/pairs.csv"

note='the thin default; the full network has 99.67 % on LFW folds 1 and 10 (thin: 96.3 %) and is served by:'
note+=' FACENET_WEIGHTS=path make run'

for contract in mtcnn-p17-160 mtcnn-m32-160; do
    "$tool" evaluate "$model" --pairs "$pictures/pairs.txt" --images "$pictures" \
        --crop "$contract" --float "$weights" --record 'LFW fold 1' --note "$note"
    "$tool" crop "$model" --pictures "$pictures" -o "$folder/$contract" --crop "$contract" \
        --face center
    "$tool" fit-threshold "$model" --pairs "$folder/pairs.csv" --images "$folder/$contract" \
        --cut-by "$contract" --far 1e-2 1e-3 1e-4 --name 'LFW fold 1, every two pictures'
done
# A picture that somebody else has cut to the face is taken for such a crop.
"$tool" fit-threshold "$model" --pairs "$folder/pairs.csv" --images "$folder/mtcnn-p17-160" \
    --cut-by whole-160 --far 1e-2 1e-3 1e-4 --name 'LFW fold 1, faces cut by mtcnn-p17-160'
