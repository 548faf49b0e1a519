#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compile kernels/fpga_hls.cpp for a Xilinx platform with v++ from 2023.2 on, which takes C++ only.
# NEVER RUN HERE: no such compiler was at hand. g++ and clang++ compile the same text, and its C
# simulation gives the reference engine's bits (tests/unit/test_hls.c).
# Usage: build-hls.sh PLATFORM [VEC LANE]
set -euo pipefail

platform=${1:?usage: build-hls.sh PLATFORM [VEC LANE]}
vec=${2:-16} lane=${3:-16}
here=$(cd "$(dirname "$0")" && pwd)
kernels=$(dirname "$here")

options=(
    -t hw                      # hw_emu simulates the RTL
    --platform "$platform"
    -DFN_TARGET_XILINX_HLS     # streams; one launch a layer (fpga_target.h)
    -DFN_FPGA_VEC="$vec" -DFN_FPGA_LANE="$lane"
    -I "$kernels"
    --save-temps               # reports of each kernel: every loop marked FN_PIPELINE has II = 1
)
objects=()
for kernel in fn_about fn_fetch fn_weigh fn_array fn_finish fn_write; do
    v++ -c "${options[@]}" -k "$kernel" "$kernels/fpga_hls.cpp" -o "$kernel.xo"
    objects+=("$kernel.xo")
done
# link.cfg connects the streams and says which memory each port reaches.
v++ -l "${options[@]}" --config "$here/link.cfg" "${objects[@]}" -o "facenetd-$vec-$lane.xclbin"
