#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Turn kernel sources into a C table { name, text }, so that the programs carry them.
# Usage: embed-kernels.sh FILE... > kernel_sources.c
set -eu
echo '/* Made by scripts/embed-kernels.sh from kernels/; do not edit. */'
echo '#include "engine/opencl/kernel_sources.h"'
n=0
for f in "$@"; do
    printf 'static const char text_%d[] = {' $n
    od -An -v -t d1 "$f" | sed 's/\([-0-9][0-9]*\)/\1,/g'
    echo '0};'
    n=$((n + 1))
done
echo 'const struct fn_kernel_source fn_kernel_sources[] = {'
n=0
for f in "$@"; do
    printf '    {"%s", text_%d},\n' "$(basename "$f")" $n
    n=$((n + 1))
done
echo '    {0, 0}};'
