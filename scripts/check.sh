#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What `make check` does once the tools are there: every test and every lint, one after the other, in
# the order in which they are likely to fail. The first that fails ends it. Times are summed up at the
# end.
# Usage: check.sh
set -euo pipefail
cd "$(dirname "$0")/.."

# LLVM, in pocl, gives the thread that compiles a signal stack of its own; AddressSanitizer would unmap
# that as if it were its own when the thread ends.
export ASAN_OPTIONS=abort_on_error=0:detect_leaks=1:strict_string_checks=1:use_sigaltstack=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export LSAN_OPTIONS=suppressions=tests/sanitizers/lsan.supp:print_suppressions=0
export TSAN_OPTIONS=suppressions=tests/sanitizers/tsan.supp:halt_on_error=1:second_deadlock_stack=1

jobs=$(nproc)
times=()

# step NAME COMMAND...: run it under a heading and remember how long it took.
step() {
    local name=$1 began=$SECONDS
    shift
    printf '\n=== %s\n' "$name"
    if ! "$@"; then
        printf '=== %s: FAILED after %d s\n' "$name" $((SECONDS - began))
        exit 1
    fi
    times+=("$(printf '%5d s  %s' $((SECONDS - began)) "$name")")
}

run_make() { make --no-print-directory "$@"; }

step 'build with gcc, warnings are errors' run_make -j"$jobs" all unit-build
step 'build with clang, warnings are errors' run_make -j"$jobs" CC=clang all unit-build
step 'format, layers, shell, Python, cppcheck, clang-tidy' run_make -j"$jobs" lint
step "Intel's OpenCL runtime with its FPGA emulator" run_make fpga-emulator
step 'unit tests' run_make unit
step 'Python tests' run_make pytest
step 'trainer' run_make train-check
step 'build with address and undefined sanitizers' \
    run_make -j"$jobs" SAN=address,undefined all unit-build
step 'unit tests, address and undefined sanitizers' run_make SAN=address,undefined unit
step 'HTTP and client tests, address and undefined sanitizers' \
    run_make SAN=address,undefined pytest \
    T='tests/http tests/client --ignore=tests/client/test_python_package.py'
step 'fuzz corpora and mutations, address and undefined sanitizers' \
    run_make SAN=address,undefined fuzz-check
step 'build with thread sanitizer' run_make -j"$jobs" SAN=thread all
step 'unit tests with threads, thread sanitizer' run_make -j"$jobs" SAN=thread unit-threads
step 'HTTP and client tests, thread sanitizer' run_make SAN=thread pytest \
    T='tests/http tests/client/test_c_library.py tests/client/test_command_dir.py'

printf '\n=== all passed in %d s\n' "$SECONDS"
printf '%s\n' "${times[@]}"
