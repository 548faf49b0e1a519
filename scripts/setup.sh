#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Install the Debian 12 packages that are missing, by name.
# Usage: setup.sh run|check|full   run: to build and start; check: also to test and lint; full: also
#                                  for the proofs that take longer
#
# With everything there this is one dpkg-query: no apt, no network. Packages are installed as root or
# through sudo; where neither is possible, the one line to run is printed and nothing is changed.
# SETUP=0 in the environment skips it all, for systems where the tools come from elsewhere.
set -euo pipefail

run_packages=(
    gcc libc6-dev make pkg-config
    libmicrohttpd-dev libgnutls28-dev libjansson-dev nettle-dev
    opencl-headers ocl-icd-opencl-dev pocl-opencl-icd
    libjpeg62-turbo-dev libspng-dev libwebp-dev
    libopenblas-dev libprotobuf-c-dev protobuf-c-compiler libonnx-dev
    libhdf5-dev zlib1g-dev
    libcurl4-openssl-dev
    gnuplot-nox curl ca-certificates python3-pip
)
check_packages=(
    clang clang-format clang-tidy libclang-rt-14-dev cppcheck shellcheck
    libcmocka-dev git python3-venv python3-torch abigail-tools mandoc openssl zsh fish iverilog chromium
    verilator yosys clinfo oclgrind g++ graphviz haproxy systemd
)
full_packages=(debhelper dpkg-dev debootstrap systemd-container lintian)

level=${1:-}
case $level in
run) wanted=("${run_packages[@]}") ;;
check) wanted=("${run_packages[@]}" "${check_packages[@]}") ;;
full) wanted=("${run_packages[@]}" "${check_packages[@]}" "${full_packages[@]}") ;;
*)
    echo "usage: setup.sh run|check|full" >&2
    exit 2
    ;;
esac

[ "${SETUP:-1}" != 0 ] || exit 0

if ! command -v dpkg-query >/dev/null; then
    echo "setup: this is not Debian; facenetd is set up on Debian 12. Install the equivalents of" >&2
    echo "  ${wanted[*]}" >&2
    echo "and run make again with SETUP=0." >&2
    exit 1
fi

# dpkg-query exits 1 when it does not know a name; what it does print is what counts.
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
    grep -qx "installed $package" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=()
elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
elif command -v sudo >/dev/null && [ -t 0 ]; then
    as_root=(sudo)
else
    echo "setup: ${#missing[@]} packages are missing and this user may not install them. Run as root:" >&2
    echo "apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 "$@" >&2
}

echo "setup: installing ${missing[*]}" >&2
apt update || echo "setup: apt-get update failed; trying with the lists that are there" >&2
apt install -y --no-install-recommends "${missing[@]}"
