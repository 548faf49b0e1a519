#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What `make bench` does once everything is built: our engine on the model that `make run` serves,
# beside ONNX Runtime and OpenVINO on the float network of the same weights; writes
# docs/performance.md. Without weights, our engine alone on the thin default, and no page.
# Usage: bench.sh PYTHON [BENCH.PY OPTIONS...]
set -euo pipefail
cd "$(dirname "$0")/.."

python=$1
shift
pictures=../shared/data/calibration
weights=$(scripts/weights.sh)
onnx=build/bench/facenet.onnx
mkdir -p build/bench
if [ -z "$weights" ] || [ ! -d "$pictures" ]; then
    echo "bench: no weights or no calibration pictures: our engine alone" >&2
    exec "$python" tests/bench/bench.py --model models/thin-512.safetensors "$@"
fi
model=$(scripts/make-model.sh)
build/facenet-model onnx "$weights" -o "$onnx" >&2
picture=$(find "$pictures" -name '*.jpg' | LC_ALL=C sort | head -n 1)
"$python" tests/bench/bench.py --model "$model" --thin models/thin-512.safetensors \
    --onnx "$onnx" --pictures "$pictures" --picture "$picture" \
    --facts build/bench/performance.json --output docs/performance.md "$@"

# The face detector, beside the embeddings, where pictures of faces are there.
one=../shared/data/lfw-fold1/Abel_Pacheco/Abel_Pacheco_0001.jpg
six=../shared/data/photos/multiface.jpg
[ -f "$one" ] && [ -f "$six" ] || exit 0
{
    printf '\n## Face detection\n\nCPU time of one thread, which other load on the machine does not lengthen.\n\n'
    pictures=("$one" 0x0 20 "$six" 0x0 20 "$six" 1920x1080 40 "$one" 1920x1080r 40)
    build/bench_detector "$model" "${pictures[@]}"
    # What a CPU without AVX-512 does.
    ! grep -qw avx2 /proc/cpuinfo ||
        build/bench_detector --kernels avx2 "$model" "${pictures[@]}" | tail -n +3
} | tee -a docs/performance.md
