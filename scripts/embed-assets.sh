#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Turn files into the C table of daemon/api/asset.h, so that the daemon carries them.
# Usage: embed-assets.sh FILE... > assets.c
set -eu
echo '/* Made by scripts/embed-assets.sh from daemon/page/; do not edit. */'
echo '#include "daemon/api/asset.h"'
n=0
for f in "$@"; do
    printf 'static const unsigned char bytes_%d[] = {' $n
    od -An -v -t u1 "$f" | sed 's/\([0-9][0-9]*\)/\1,/g'
    echo '};'
    n=$((n + 1))
done
echo 'const struct fn_asset fn_assets[] = {'
n=0
for f in "$@"; do
    printf '    {"%s", "\\"%s\\"", bytes_%d, sizeof bytes_%d},\n' "$(basename "$f")" \
        "$(sha256sum "$f" | cut -c1-32)" $n $n
    n=$((n + 1))
done
echo '    {0, 0, 0, 0}};'
