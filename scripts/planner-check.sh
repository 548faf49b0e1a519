#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Hold the planner against published boards and Yosys's synthesis of our array; write the tables to
# docs/planner.md.
# Usage: planner-check.sh PLANNER_CHECK
set -euo pipefail
cd "$(dirname "$0")/.."

# count VEC LANE PACKED SYNTHESIS MULTIPLIER LOGIC: five numbers, the last two from Yosys.
count() {
    local statistics
    statistics=$(yosys -p "read_verilog kernels/rtl/fn_dot_two.v kernels/rtl/fn_array.v; \
        chparam -set VEC $1 -set LANE $2 -set PACKED $3 fn_array; $4 -top fn_array; flatten; stat")
    statistics=${statistics##*=== fn_array ===}
    printf '%s %s %s ' "$1" "$2" "$3"
    awk -v multiplier="$5" -v logic="$6" '
        $1 == multiplier { m += $2 }
        $1 ~ logic { l += $2 }
        END { print m + 0, l + 0 }' <<<"$statistics"
}

counts=$(
    for size in '8 8' '16 16' '16 32'; do
        # shellcheck disable=SC2086 # two numbers
        count $size 1 'synth_xilinx -family xcup' DSP48E2 '^LUT'
    done
    for size in '8 8' '16 16'; do
        # shellcheck disable=SC2086
        count $size 0 synth_intel_alm MISTRAL_MUL9X9 '^MISTRAL_ALUT'
    done
)
# shellcheck disable=SC2086 # numbers
"$1" $counts >docs/planner.md.new || { rm -f docs/planner.md.new; echo 'planner-check: out of bounds' >&2; exit 1; }
mv docs/planner.md.new docs/planner.md
cat docs/planner.md
