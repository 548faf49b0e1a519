#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Hold the planner against published boards and Yosys's synthesis of our array; write the tables to
# docs/planner.md.
# Usage: planner-check.sh PLANNER_CHECK
set -euo pipefail
cd "$(dirname "$0")/.."

# count VEC LANE PACKED TOP SYNTHESIS MULTIPLIER TABLE REGISTER: six numbers, three of them Yosys's.
count() {
    local statistics sizes=''
    [ "$4" = fn_finish ] || sizes="chparam -set VEC $1 -set LANE $2 -set PACKED $3 $4;"
    statistics=$(yosys -p "read_verilog kernels/rtl/fn_dot_two.v kernels/rtl/fn_array.v \
        kernels/rtl/fn_finish.v; $sizes $5 -top $4; flatten; stat")
    statistics=${statistics##*=== "$4" ===}
    printf '%s %s %s ' "$1" "$2" "$3"
    awk -v multiplier="$6" -v table="$7" -v register="$8" '
        $1 ~ multiplier { m += $2 }
        $1 ~ table { t += $2 }
        $1 ~ register { r += $2 }
        END { print m + 0, t + 0, r + 0 }' <<<"$statistics"
}

xilinx=('synth_xilinx -family xcup' '^DSP48E2$' '^LUT' '^FD')
intel=(synth_intel_alm '^MISTRAL_MUL9X9$' '^MISTRAL_ALUT' '^MISTRAL_FF$')
counts=$(
    for size in '8 8' '16 16' '16 32'; do
        # shellcheck disable=SC2086 # two numbers
        count $size 1 fn_array "${xilinx[@]}"
    done
    for size in '8 8' '16 16'; do
        # shellcheck disable=SC2086
        count $size 0 fn_array "${intel[@]}"
    done
    count 0 0 1 fn_finish "${xilinx[@]}"
    count 0 0 0 fn_finish "${intel[@]}"
)
# shellcheck disable=SC2086 # numbers
"$1" $counts >docs/planner.md.new || { rm -f docs/planner.md.new; echo 'planner-check: out of bounds' >&2; exit 1; }
mv docs/planner.md.new docs/planner.md
cat docs/planner.md
