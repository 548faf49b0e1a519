#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Fetch Intel's OpenCL runtime from PyPI (tests/fpga/requirements.txt) into build/fpga-emulator and
# print its platforms: the FPGA emulator and the CPU, side by side. Nothing is installed elsewhere;
#   OCL_ICD_VENDORS=build/fpga-emulator/vendors PROGRAM
# lets a program see them. Exit 0 when both are there, 1 when not, 3 where there is none to have
# (wheels exist for x86-64 only).
# Usage: fetch-fpga-emulator.sh
set -euo pipefail
cd "$(dirname "$0")/.."

target=$PWD/build/fpga-emulator
requirements=tests/fpga/requirements.txt

if [ "$(uname -m)" != x86_64 ]; then
    echo "fpga-emulator: Intel's runtime exists for x86-64 only, this is $(uname -m)" >&2
    exit 3
fi
if ! cmp -s "$requirements" "$target/requirements.txt"; then
    rm -rf "$target"
    mkdir -p "$target/vendors"
    python3 -m venv "$target/venv"
    "$target/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$requirements"
    # The wheels' own .icd files name a path of the machine they were built on.
    for library in libintelocl_emu libintelocl; do
        echo "$target/venv/lib/$library.so" >"$target/vendors/$library.icd"
    done
    cp "$requirements" "$target/requirements.txt"
fi

platforms=$(OCL_ICD_VENDORS=$target/vendors clinfo --list)
echo "$platforms"
for wanted in 'Intel(R) FPGA Emulation Platform for OpenCL(TM)' 'Intel(R) OpenCL'; do
    if ! grep -qF ": $wanted" <<<"$platforms"; then
        echo "fpga-emulator: the platform '$wanted' does not show" >&2
        exit 1
    fi
done
