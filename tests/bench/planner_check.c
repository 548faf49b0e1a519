/* SPDX-License-Identifier: Apache-2.0
 *
 * planner_check.c -- the planner held against what was measured elsewhere, as docs/planner.md.
 *
 *   planner_check [VEC LANE PACKED MULTIPLIERS LOGIC]...    counts that Yosys made of our array
 *
 * Exit status 1 when a prediction for a row that was held out is off by more than a quarter, or a
 * count of multipliers by more than a tenth. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/plan/board.h"
#include "model/plan/published_fit.h"

static const char *const families[] = {"PipeCNN", "CHaiDNN"};

static bool print_rows(void) {
    bool good = true;
    struct fn_fit fits[FN_N_ENGINES];
    for (int f = 0; f < FN_N_ENGINES; f++) fn_published_fit((enum fn_engine_family)f, &fits[f]);
    (void)puts(
        "## Speed\n\n"
        "Two numbers of each engine are fitted to its rows; rows marked *held out* are "
        "not among them.\nMeasured: by those who published it.\n\n"
        "| row | engine | board | network | array | MHz | measured /s | predicted /s | error | "
        "used, measured | used, predicted | |\n"
        "|--:|---|---|---|---|--:|--:|--:|--:|--:|--:|---|");
    for (int i = 0; i < fn_published_n_rows; i++) {
        const struct fn_published *row = &fn_published_rows[i];
        double predicted = fn_published_predict(&fits[row->family], row);
        double error = predicted / row->pictures_per_second - 1;
        (void)printf("| %d | %s | %s | %s | %d x %d x %d | %.0f | %.2f | %.2f | %+.1f %% | %.1f %% "
                     "| %.1f %% "
                     "| %s |\n",
                     row->row, families[row->family], row->board, row->network, row->vec, row->lane,
                     row->pixels, row->megahertz, row->pictures_per_second, predicted, 100 * error,
                     100 * fn_published_utilisation(row, row->pictures_per_second),
                     100 * fn_published_utilisation(row, predicted),
                     row->held_out ? "held out" : "");
        if (row->held_out && fabs(error) > 0.25) good = false;
    }
    (void)puts("\n| engine | clocks lost a block | share of the memory's rate |\n"
               "|---|--:|--:|");
    for (int f = 0; f < FN_N_ENGINES; f++)
        (void)printf("| %s | %.1f | %.0f %% |\n", families[f], fits[f].drain,
                     100 * fits[f].bandwidth_share);
    return good;
}

static int number(const char *text) {
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < 0 || value > 1 << 24) {
        (void)fprintf(stderr, "planner_check: %s is not a count\n", text);
        exit(2);
    }
    return (int)value;
}

static bool print_counts(int n, char **counts) {
    bool good = true;
    (void)puts(
        "\n## Multipliers\n\n"
        "Our own array in Verilog (`kernels/rtl/fn_array.v`), as Yosys maps it. Logic: look-up "
        "tables; Yosys\nadds outside the multiplier blocks, where vendors' tools chain them "
        "within.\n\n"
        "| array | for | planned | Yosys | error | logic | a product |\n"
        "|---|---|--:|--:|--:|--:|--:|");
    for (int i = 0; i + 4 < n; i += 5) {
        struct fn_array array = {
            .vec = number(counts[i]), .lane = number(counts[i + 1]), .pixels = 1};
        bool packed = number(counts[i + 2]) != 0;
        double counted = number(counts[i + 3]), logic = number(counts[i + 4]);
        double products = fn_array_products(&array);
        double planned = packed ? fn_board_dsp(FN_FABRIC_ULTRASCALE, &array) : products;
        double error = planned / counted - 1;
        (void)printf("| %d x %d | %s | %.0f | %.0f | %+.1f %% | %.0f | %.0f |\n", array.vec,
                     array.lane,
                     packed ? "UltraScale+, two products a DSP48E2"
                            : "Cyclone V, 9 x 9 multipliers, three a block",
                     planned, counted, 100 * error, logic, logic / products);
        if (!(fabs(error) <= 0.10)) good = false;
    }
    return good;
}

int main(int argc, char **argv) {
    (void)puts("# The planner, checked\n\n"
               "Written by `make planner-check`. Nothing of ours has run on an FPGA: what "
               "`facenet-model plan` says is\npredicted. Here its formulas are held against boards "
               "that others measured, and its count of multipliers\nagainst a synthesis of our own "
               "array. docs/fpga.md says where the rows are from.\n");
    bool rows = print_rows(), counts = print_counts(argc - 1, argv + 1);
    return rows && counts ? 0 : 1;
}
