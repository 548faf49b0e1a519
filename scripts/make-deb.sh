#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What `make deb` does: build the Debian packages from the files that git tracks, in a folder of their
# own, and print where they are.
# Usage: make-deb.sh
set -euo pipefail
cd "$(dirname "$0")/.."

packaged=$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
version=$(sed -n 's/^#define FN_VERSION *"\(.*\)"/\1/p' engine/version.h)
if [ "$packaged" != "$version" ]; then
    echo "deb: debian/changelog is at $packaged, engine/version.h at $version" >&2
    exit 1
fi

tree=build/deb/facenetd-$version
rm -rf build/deb
mkdir -p "$tree"
git ls-files -z | xargs -0 cp --parents --no-dereference --target-directory="$tree"
if ! (cd "$tree" && dpkg-buildpackage --build=binary --no-sign) >build/deb/log 2>&1; then
    tail -n 40 build/deb/log >&2
    exit 1
fi
ls build/deb/*.deb
