#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What `make bench` does once everything is built: our engine on the model that `make run` serves,
# beside ONNX Runtime on the float network of the same weights; writes docs/performance.md. Without
# weights, our engine alone on the untrained network, and no page.
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
    exec "$python" tests/bench/bench.py "$@"
fi
model=$(scripts/make-model.sh)
build/facenet-model onnx "$weights" -o "$onnx" >&2
exec "$python" tests/bench/bench.py --model "$model" --onnx "$onnx" --pictures "$pictures" \
    --facts build/bench/performance.json --output docs/performance.md "$@"
