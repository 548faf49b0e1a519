#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compile kernels/fpga.cl for a Xilinx platform with v++ up to 2023.1, the last that takes OpenCL C.
# NEVER RUN HERE: no such compiler was at hand. Upstream clang accepts the same text without its
# pipes; nothing more is known.
# Usage: build-vpp.sh PLATFORM [VEC LANE]
#   PLATFORM   an .xpfm, or its name, e.g. xilinx_u50_gen3x16_xdma_5_202210_1
set -euo pipefail

platform=${1:?usage: build-vpp.sh PLATFORM [VEC LANE]}
vec=${2:-16} lane=${3:-16}
kernels=$(cd "$(dirname "$0")/.." && pwd)

options=(
    -t hw                      # hw_emu simulates the RTL; sw_emu ended with 2025.2
    --platform "$platform"
    -DFN_TARGET_XILINX_CL      # pipes; one launch a layer (fpga_target.h)
    -DFN_FPGA_VEC="$vec" -DFN_FPGA_LANE="$lane"
    -I "$kernels"
    --save-temps               # reports of each kernel: every loop marked FN_PIPELINE has II = 1
)
# One object a kernel; all come from one file, as pipes are names of the whole program.
objects=()
for kernel in fn_about fn_fetch fn_weigh fn_array fn_finish fn_write; do
    v++ -c "${options[@]}" -k "$kernel" "$kernels/fpga.cl" -o "$kernel.xo"
    objects+=("$kernel.xo")
done
# Pipes connect themselves; memories are left to the platform's default.
v++ -l "${options[@]}" "${objects[@]}" -o "facenetd-$vec-$lane.xclbin"
