#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compile kernels/fpga.cl for an Intel FPGA board with aoc (Intel FPGA SDK for OpenCL).
# NEVER RUN HERE: no such compiler was at hand. What is known to hold is that Intel's FPGA emulator,
# which has the same front end, accepts and runs these sources.
# Usage: build-aoc.sh BOARD [VEC LANE] [AOC OPTIONS...]
#   BOARD      as `aoc -list-boards` names it, e.g. de10_nano_sharedonly, pac_a10
#   VEC LANE   size of the array, 16 16 by default; `facenet-model plan` says what fits
set -euo pipefail

board=${1:?usage: build-aoc.sh BOARD [VEC LANE] [AOC OPTIONS...]}
vec=${2:-16} lane=${3:-16}
shift $(($# < 3 ? $# : 3))
kernels=$(cd "$(dirname "$0")/.." && pwd)

options=(
    -board="$board"
    -DFN_TARGET_INTEL         # channels; one launch a batch (fpga_target.h)
    -DFN_FPGA_VEC="$vec"      # input channels a cycle
    -DFN_FPGA_LANE="$lane"    # output channels at once
    -DFN_FPGA_FIFO=16         # tokens between kernels; deep FIFOs are for the emulator only
    -I "$kernels"             # the headers beside fpga.cl
    -v                        # says which stage it is in: hours may pass
)
# First only the report (minutes): reports/report.html must show an initiation interval of 1 for
# every loop marked FN_PIPELINE, and about VEC * LANE / 2 DSP blocks for the array.
aoc "${options[@]}" -rtl "$@" "$kernels/fpga.cl" -o "facenetd-$vec-$lane.aocr"
# Then the bitstream (hours).
aoc "${options[@]}" "$@" "$kernels/fpga.cl" -o "facenetd-$vec-$lane.aocx"
