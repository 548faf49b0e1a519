#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Turn files into a C table of engine/embedded.h, so that the programs carry them.
# Usage: embed-files.sh TABLE FILE... > table.c
set -eu
table=$1
shift
echo '/* Made by scripts/embed-files.sh; do not edit. */'
echo '#include "engine/embedded.h"'
n=0
for f in "$@"; do
    printf 'static const unsigned char bytes_%d[] = {' $n
    od -An -v -t u1 "$f" | sed 's/\([0-9][0-9]*\)/\1,/g'
    echo '0};'
    n=$((n + 1))
done
printf 'const struct fn_embedded_file %s[] = {\n' "$table"
n=0
for f in "$@"; do
    printf '    {"%s", "%s", bytes_%d, sizeof bytes_%d - 1},\n' "$(basename "$f")" \
        "$(sha256sum "$f" | cut -c1-32)" $n $n
    n=$((n + 1))
done
echo '    {0, 0, 0, 0}};'
