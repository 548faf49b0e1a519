/* SPDX-License-Identifier: Apache-2.0
 *
 * board.c -- see board.h. Block counts are those of the vendors' product tables for the part, rates
 * those of the fitted memory: 64 bits of DDR4-2400 are 19.2 GB/s, and so on. */
#include "model/plan/board.h"

#include <math.h>
#include <strings.h>

const struct fn_board fn_boards[] = {
    {"DE10-Nano", "Cyclone V SE A6", FN_FABRIC_CYCLONE_V, 112, 557, 120, 3.2},
    {"DE5a-Net", "Arria 10 GX 1150", FN_FABRIC_VARIABLE, 1518, 2713, 220, 34.1},
    {"A10-PAC", "Arria 10 GX 1150", FN_FABRIC_VARIABLE, 1518, 2713, 220, 34.1},
    {"S10-PAC", "Stratix 10 SX 2800", FN_FABRIC_VARIABLE, 5760, 11721, 300, 76.8},
    {"Ultra96", "Zynq UltraScale+ ZU3EG", FN_FABRIC_ULTRASCALE, 360, 216, 250, 8.5},
    {"KV260", "Kria K26", FN_FABRIC_ULTRASCALE, 1248, 144, 300, 19.2},
    {"ZCU102", "Zynq UltraScale+ ZU9EG", FN_FABRIC_ULTRASCALE, 2520, 912, 300, 19.2},
    {"ZCU104", "Zynq UltraScale+ ZU7EV", FN_FABRIC_ULTRASCALE, 1728, 312, 300, 19.2},
    {"U50", "Alveo U50", FN_FABRIC_ULTRASCALE, 5952, 1344, 300, 316},
    {"U55C", "Alveo U55C", FN_FABRIC_ULTRASCALE, 9024, 2016, 300, 460},
    {"U250", "Alveo U250", FN_FABRIC_ULTRASCALE, 12288, 2688, 300, 77},
};
const int fn_n_boards = sizeof fn_boards / sizeof fn_boards[0];

/* Products a multiplier block makes each clock; one memory block's shape. */
static const struct {
    int products, ram_width, ram_depth;
} fabrics[] = {
    [FN_FABRIC_ULTRASCALE] = {2, 72, 512},
    [FN_FABRIC_VARIABLE] = {2, 40, 512},
    [FN_FABRIC_CYCLONE_V] = {3, 40, 256},
};

const struct fn_board *fn_board_find(const char *name) {
    for (int i = 0; i < fn_n_boards; i++)
        if (strcasecmp(fn_boards[i].name, name) == 0) return &fn_boards[i];
    return NULL;
}

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

int fn_board_dsp(enum fn_fabric fabric, const struct fn_array *array) {
    return (int)divide_up((int64_t)fn_array_products(array), fabrics[fabric].products);
}

static int64_t blocks_of(enum fn_fabric fabric, int64_t width, int64_t depth) {
    return divide_up(width, fabrics[fabric].ram_width) *
           divide_up(depth, fabrics[fabric].ram_depth);
}

int fn_board_ram(enum fn_fabric fabric, const struct fn_array *array, const struct fn_work *works,
                 int n_works) {
    int64_t weights = 0, rows = 0; /* words */
    for (int i = 0; i < n_works; i++) {
        const struct fn_work *work = &works[i];
        int64_t vectors = divide_up(work->in_channels, array->vec);
        if (work->kind == FN_WORK_CONV) {
            int64_t taps = work->weights / work->out_channels / work->in_channels;
            if (taps * vectors > weights) weights = taps * vectors;
        }
        int64_t row = (int64_t)work->kernel_h * work->in_width * vectors;
        if (row > rows) rows = row;
    }
    int64_t vector_bits = 8LL * array->vec;
    return (int)(blocks_of(fabric, vector_bits * array->lane, 2 * weights) +
                 blocks_of(fabric, vector_bits * array->pixels, 2 * rows));
}

static bool fits(const struct fn_board *board, const struct fn_array *array,
                 const struct fn_work *works, int n_works) {
    return fn_board_dsp(board->fabric, array) <= board->dsp * 0.85 &&
           fn_board_ram(board->fabric, array, works, n_works) <= board->ram * 0.75;
}

bool fn_board_best(const struct fn_board *board, const struct fn_array *base,
                   const struct fn_work *works, int n_works, int batch, struct fn_array *ret) {
    enum { VECS = 5, LANES = 6 };
    double seconds[VECS][LANES], least = INFINITY, fewest = INFINITY;
    struct fn_array array = *base;
    for (int v = 0; v < VECS; v++) {
        for (int l = 0; l < LANES; l++) {
            struct fn_cost cost = {.seconds = INFINITY};
            array.vec = 4 << v;
            array.lane = 4 << l;
            if (fits(board, &array, works, n_works))
                fn_array_total(&array, works, n_works, batch, &cost);
            seconds[v][l] = cost.seconds;
            least = fmin(least, cost.seconds);
        }
    }
    for (int v = 0; v < VECS; v++) {
        for (int l = 0; l < LANES; l++) {
            array.vec = 4 << v;
            array.lane = 4 << l;
            if (seconds[v][l] > 1.03 * least || fn_array_products(&array) >= fewest) continue;
            fewest = fn_array_products(&array);
            *ret = array;
        }
    }
    return isfinite(least);
}
