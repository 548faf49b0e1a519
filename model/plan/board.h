/* SPDX-License-Identifier: Apache-2.0
 *
 * board.h -- boards that people have, and what an array of ours would take of them. */
#ifndef FN_BOARD_H
#define FN_BOARD_H

#include "model/plan/pipeline.h"

enum fn_fabric {
    FN_FABRIC_ULTRASCALE, /* DSP48E2: two products with a shared operand each; BRAM36, URAM */
    FN_FABRIC_VARIABLE,   /* Arria 10, Stratix 10: two 18 x 19 products a block; M20K */
    FN_FABRIC_CYCLONE_V,  /* three 9 x 9 products a block; M10K */
};

struct fn_board {
    const char *name; /* as --board takes it, without regard to case */
    const char *part;
    enum fn_fabric fabric;
    int dsp, ram;     /* blocks; ram: BRAM36, M20K or M10K */
    double megahertz; /* what such designs reach there, not the part's limit */
    double gigabytes; /* per second, of the memory the accelerator reads: its nominal rate */
    int tables;       /* look-up tables: LUTs, or two of each ALM; 0: not known */
    int uram;         /* blocks of 4096 x 72, where the part has them */
};

extern const struct fn_board fn_boards[];
extern const int fn_n_boards;

const struct fn_board *fn_board_find(const char *name); /* NULL: none of that name */

/* Multiplier blocks for so many products a clock. The kernels multiply for addresses too, once a
 * layer: a few dozen blocks more at most, which the compiler may share. */
int fn_board_dsp(enum fn_fabric fabric, int64_t products);

/* Memory blocks of what the kernels keep on the chip: weights of a block of `lane` channels and the
 * input rows of an output row (kernels/fpga_params.h), each twice, so that one half fills while the
 * other is used. FIFOs of 16 tokens are made of logic. */
int fn_board_ram(enum fn_fabric fabric, const struct fn_fpga_sizes *sizes);
/* The same of URAM, where a tool puts it there. */
int fn_board_uram(const struct fn_fpga_sizes *sizes);
const char *fn_board_ram_name(enum fn_fabric fabric);

/* Logic of the array and of what finishes its sums, as Yosys maps kernels/rtl (docs/planner.md); of
 * Arria 10 and Stratix 10 as of Cyclone V. Yosys adds outside the multiplier blocks, where vendors'
 * tools chain sums within: tables are an upper bound of these two stages, and the others and the
 * board's shell come on top. */
struct fn_logic {
    int tables, registers;
};
struct fn_logic fn_board_array_logic(enum fn_fabric fabric, int64_t products);
struct fn_logic fn_board_finish_logic(enum fn_fabric fabric, int lane);

/* How the kernels are launched there: FN_FPGA_PER_BATCH or FN_FPGA_PER_LAYER. */
int fn_board_form(enum fn_fabric fabric);

/* The array with the fewest multipliers that is within 3 % of the fastest for batches of
 * `pictures`, among those that take at most 85 % of the board's multipliers and 75 % of its memory
 * blocks: the rest is the shell's, and a larger array is slower to close timing on. FN_USAGE when
 * not even the smallest fits. */
FN_MUST fn_status fn_board_best(const struct fn_board *board, const struct fn_model *model,
                                const struct fn_pipeline_speed *speed, int pictures,
                                struct fn_pipeline *ret, struct fn_error *err);

#endif
