/* SPDX-License-Identifier: Apache-2.0
 *
 * planner_check.c -- the planner held against what was measured elsewhere, as docs/planner.md.
 *
 *   planner_check [VEC LANE PACKED MULTIPLIERS TABLES REGISTERS]...   what Yosys made of our array
 *
 * Exit status 1 when a prediction for a row that was held out is off by more than a quarter, or a
 * count of multipliers or tables by more than a tenth. */
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

static bool is_near(double planned, double counted) {
    return fabs(planned / counted - 1) <= 0.10;
}

/* VEC LANE PACKED MULTIPLIERS TABLES REGISTERS; LANE 0 stands for one lane's finishing. */
#define N_COUNTS 6
static bool print_count(char **counts) {
    int vec = number(counts[0]), lane = number(counts[1]);
    bool packed = number(counts[2]) != 0;
    int multipliers = number(counts[3]), tables = number(counts[4]), registers = number(counts[5]);
    enum fn_fabric fabric = packed ? FN_FABRIC_ULTRASCALE : FN_FABRIC_CYCLONE_V;
    int64_t products = (int64_t)vec * lane;
    struct fn_logic logic =
        lane ? fn_board_array_logic(fabric, products) : fn_board_finish_logic(fabric, 1);
    double planned = packed ? fn_board_dsp(fabric, products) : (double)products;
    const char *what = packed ? "UltraScale+, two products a DSP48E2"
                              : "Cyclone V, 9 x 9 multipliers, three a block";
    if (lane)
        (void)printf("| %d x %d | %s | %.0f | %d | %+.1f %% |", vec, lane, what, planned,
                     multipliers, 100 * (planned / multipliers - 1));
    else
        (void)printf("| finishing a lane | %s |   |   |   |", packed ? "UltraScale+" : "Cyclone V");
    (void)printf(" %d | %d | %d | %d |\n", logic.tables, tables, logic.registers, registers);
    return (!lane || is_near(planned, multipliers)) && is_near(logic.tables, tables) &&
           (!lane || products < 256 || is_near(logic.registers, registers));
}

static bool print_counts(int n, char **counts) {
    bool good = true;
    (void)puts(
        "\n## Multipliers and logic\n\n"
        "Our own array in Verilog (`kernels/rtl/fn_array.v`), and what finishes its sums, as "
        "Yosys maps them. It adds\noutside the multiplier blocks, where vendors' tools chain "
        "sums within.\n\n"
        "| array | for | multipliers, planned | Yosys | error | tables, planned | Yosys | "
        "registers, planned | Yosys |\n"
        "|---|---|--:|--:|--:|--:|--:|--:|--:|");
    for (int i = 0; i + N_COUNTS <= n; i += N_COUNTS) good = print_count(counts + i) && good;
    return good;
}

int main(int argc, char **argv) {
    (void)puts(
        "# The planner, checked\n\n"
        "Written by `make planner-check`. Nothing of ours has run on an FPGA: what "
        "`facenet-model plan` says is\npredicted. What the kernels do is counted: clocks and "
        "bytes of each stage of each layer are those of the\nkernels in simulation, and "
        "waiting between the stages takes less than 2 % (`tests/unit/test_pipeline.c`).\nWhat "
        "a memory gives is taken from others' boards: here a model of their engines is fitted "
        "to some of\ntheir rows and held against the rest. The multipliers are held against a "
        "synthesis of our own array.\ndocs/fpga.md says where the rows are from.\n");
    bool rows = print_rows(), counts = print_counts(argc - 1, argv + 1);
    return rows && counts ? 0 : 1;
}
