/* SPDX-License-Identifier: Apache-2.0
 *
 * board.h -- boards that people have, and what an array of ours would take of them. */
#ifndef FN_BOARD_H
#define FN_BOARD_H

#include "model/plan/array.h"

enum fn_fabric {
    FN_FABRIC_ULTRASCALE, /* DSP48E2: two products with a shared operand each; RAM 512 x 72 */
    FN_FABRIC_VARIABLE,   /* Arria 10, Stratix 10: two 18 x 19 products a block; RAM 512 x 40 */
    FN_FABRIC_CYCLONE_V,  /* three 9 x 9 products a block; RAM 256 x 40 */
};

struct fn_board {
    const char *name; /* as --board takes it, without regard to case */
    const char *part;
    enum fn_fabric fabric;
    int dsp, ram;     /* blocks; ram: BRAM36, M20K or M10K */
    double megahertz; /* what such designs reach there, not the part's limit */
    double gigabytes; /* per second, of the memory the accelerator reads: its nominal rate */
};

extern const struct fn_board fn_boards[];
extern const int fn_n_boards;

const struct fn_board *fn_board_find(const char *name); /* NULL: none of that name */

/* Multiplier blocks of an array. Rounding shifts and sums are made of logic. */
int fn_board_dsp(enum fn_fabric fabric, const struct fn_array *array);

/* Memory blocks of an array: weights of `lane` channels and input rows of one kernel height, each
 * twice, so that one half fills while the other is used. */
int fn_board_ram(enum fn_fabric fabric, const struct fn_array *array, const struct fn_work *works,
                 int n_works);

/* The array of powers of two with the fewest multipliers that is within 3 % of the fastest for
 * `batch`, among those that take at most 85 % of the board's multipliers and 75 % of its memory
 * blocks: the rest is the shell's, and a larger array is slower to close timing on. `base` supplies
 * flow, clock, bandwidth, drain and launch. Returns false when not even the smallest fits. */
bool fn_board_best(const struct fn_board *board, const struct fn_array *base,
                   const struct fn_work *works, int n_works, int batch, struct fn_array *ret);

#endif
