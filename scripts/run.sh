#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What `make run` does once everything is built: make the model, serve it in the foreground.
# Usage: run.sh ADDRESS:PORT
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
model=$("$root/scripts/make-model.sh")
cd "$root" # so that the printed line finds its picture
example=../shared/data/photos/multiface.jpg
[ -f "$example" ] || example=tests/data/pictures/face.jpg
exec build/facenetd --model "$model" --listen "$1" --example "$example"
