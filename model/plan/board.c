/* SPDX-License-Identifier: Apache-2.0
 *
 * board.c -- see board.h. Block counts are those of the vendors' product tables for the part, rates
 * those of the fitted memory: 64 bits of DDR4-2400 are 19.2 GB/s, and so on. */
#include "model/plan/board.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "engine/cleanup.h"

const struct fn_board fn_boards[] = {
    {"DE10-Nano", "Cyclone V SE A6", FN_FABRIC_CYCLONE_V, 112, 557, 120, 3.2, 83820, 0},
    {"DE5a-Net", "Arria 10 GX 1150", FN_FABRIC_VARIABLE, 1518, 2713, 220, 34.1, 854400, 0},
    {"A10-PAC", "Arria 10 GX 1150", FN_FABRIC_VARIABLE, 1518, 2713, 220, 34.1, 854400, 0},
    {"S10-PAC", "Stratix 10 SX 2800", FN_FABRIC_VARIABLE, 5760, 11721, 300, 76.8, 1866240, 0},
    {"Ultra96", "Zynq UltraScale+ ZU3EG", FN_FABRIC_ULTRASCALE, 360, 216, 250, 8.5, 70560, 0},
    {"KV260", "Kria K26", FN_FABRIC_ULTRASCALE, 1248, 144, 300, 19.2, 117120, 64},
    {"ZCU102", "Zynq UltraScale+ ZU9EG", FN_FABRIC_ULTRASCALE, 2520, 912, 300, 19.2, 274080, 0},
    {"ZCU104", "Zynq UltraScale+ ZU7EV", FN_FABRIC_ULTRASCALE, 1728, 312, 300, 19.2, 230400, 96},
    {"U50", "Alveo U50", FN_FABRIC_ULTRASCALE, 5952, 1344, 300, 316, 871680, 640},
    {"U55C", "Alveo U55C", FN_FABRIC_ULTRASCALE, 9024, 2016, 300, 460, 1303680, 960},
    {"U250", "Alveo U250", FN_FABRIC_ULTRASCALE, 12288, 2688, 300, 77, 1728000, 1280},
};
const int fn_n_boards = sizeof fn_boards / sizeof fn_boards[0];

struct shape {
    int width, depth;
};

/* Products a multiplier block makes each clock; the shapes that a memory block can have with a port
 * for writing and one for reading; Yosys's tables and registers of a product and of a lane. */
static const struct {
    int products;
    const char *ram_name;
    struct shape ram[4];
    int product_tables, product_registers, lane_tables, lane_registers, form;
} fabrics[] = {
    [FN_FABRIC_ULTRASCALE] = {2,
                              "BRAM36",
                              {{72, 512}, {36, 1024}, {18, 2048}, {9, 4096}},
                              57,
                              22,
                              378,
                              77,
                              FN_FPGA_PER_LAYER},
    [FN_FABRIC_VARIABLE] = {2,
                            "M20K",
                            {{40, 512}, {20, 1024}, {10, 2048}, {5, 4096}},
                            30,
                            21,
                            501,
                            77,
                            FN_FPGA_PER_BATCH},
    [FN_FABRIC_CYCLONE_V] = {3,
                             "M10K",
                             {{40, 256}, {20, 512}, {10, 1024}, {5, 2048}},
                             30,
                             21,
                             501,
                             77,
                             FN_FPGA_PER_BATCH},
};
static const struct shape uram = {72, 4096};

const struct fn_board *fn_board_find(const char *name) {
    for (int i = 0; i < fn_n_boards; i++)
        if (strcasecmp(fn_boards[i].name, name) == 0) return &fn_boards[i];
    return NULL;
}

const char *fn_board_ram_name(enum fn_fabric fabric) {
    return fabrics[fabric].ram_name;
}

int fn_board_form(enum fn_fabric fabric) {
    return fabrics[fabric].form;
}

static int divide_up(int64_t a, int64_t b) {
    return (int)((a + b - 1) / b);
}

int fn_board_dsp(enum fn_fabric fabric, int64_t products) {
    return divide_up(products, fabrics[fabric].products);
}

/* Blocks of a memory of so many bursts: the fewest that any of the shapes allows. */
static int blocks_of(const struct shape *shapes, int n_shapes, int bursts) {
    int fewest = INT32_MAX;
    for (int i = 0; i < n_shapes; i++) {
        int blocks = divide_up(INT64_C(8) * FN_FPGA_BURST, shapes[i].width) *
                     divide_up(bursts, shapes[i].depth);
        if (blocks < fewest) fewest = blocks;
    }
    return fewest;
}

/* A weight vector is written burst by burst and read as a whole, so its bursts lie side by side. */
static int memory_of(const struct shape *shapes, int n_shapes, const struct fn_fpga_sizes *sizes) {
    int parts = sizes->vec * sizes->lane / FN_FPGA_BURST;
    return parts * blocks_of(shapes, n_shapes, 2 * sizes->weights) +
           blocks_of(shapes, n_shapes, 2 * sizes->band);
}

int fn_board_ram(enum fn_fabric fabric, const struct fn_fpga_sizes *sizes) {
    return memory_of(fabrics[fabric].ram, 4, sizes);
}

int fn_board_uram(const struct fn_fpga_sizes *sizes) {
    return memory_of(&uram, 1, sizes);
}

struct fn_logic fn_board_array_logic(enum fn_fabric fabric, int64_t products) {
    return (struct fn_logic){(int)products * fabrics[fabric].product_tables,
                             (int)products * fabrics[fabric].product_registers};
}

struct fn_logic fn_board_finish_logic(enum fn_fabric fabric, int lane) {
    return (struct fn_logic){lane * fabrics[fabric].lane_tables,
                             lane * fabrics[fabric].lane_registers};
}

static bool fits(const struct fn_board *board, const struct fn_fpga_sizes *sizes) {
    return fn_board_dsp(board->fabric, (int64_t)sizes->vec * sizes->lane) <= board->dsp * 0.85 &&
           fn_board_ram(board->fabric, sizes) <= board->ram * 0.75;
}

/* All that kernels can be compiled for: `vec` a power of two, `lane` a multiple of it. */
#define MAX_ARRAYS 64
struct candidate {
    int vec, lane;
    double seconds;
};

static fn_status try_arrays(const struct fn_board *board, const struct fn_model *model,
                            const struct fn_pipeline_speed *speed, int pictures,
                            struct candidate *ret, int *ret_n, struct fn_error *err) {
    FN_CLEANUP_FREE struct fn_pipeline *pipeline = malloc(sizeof *pipeline);
    if (!pipeline) return fn_fail(err, FN_NO_MEMORY, "no memory for the plan");
    int n = 0, form = fn_board_form(board->fabric);
    for (int vec = 4; vec <= FN_FPGA_BURST; vec *= 2)
        for (int lane = vec; lane <= 128 && n < MAX_ARRAYS; lane += vec) {
            if (!fn_pipeline_is_array(vec, lane)) continue;
            struct fn_cost cost;
            /* A slow array may count too far for the batch: no choice either. */
            fn_status status = fn_pipeline_make(model, vec, lane, form, pictures, pipeline, err);
            if (status == FN_NO_MEMORY) return status;
            if (status != FN_OK || !fits(board, &pipeline->sizes)) continue;
            fn_pipeline_total(pipeline, speed, pictures, &cost);
            ret[n++] = (struct candidate){vec, lane, cost.seconds};
        }
    *ret_n = n;
    return FN_OK;
}

fn_status fn_board_best(const struct fn_board *board, const struct fn_model *model,
                        const struct fn_pipeline_speed *speed, int pictures,
                        struct fn_pipeline *ret, struct fn_error *err) {
    struct candidate found[MAX_ARRAYS], best = {0};
    double least = INFINITY;
    int n = 0;
    fn_status status = try_arrays(board, model, speed, pictures, found, &n, err);
    if (status != FN_OK) return status;
    if (n == 0)
        return fn_fail(err, FN_USAGE,
                       "%s has %d multiplier and %d memory blocks, too few for the smallest array, "
                       "8 x 8",
                       board->name, board->dsp, board->ram);
    for (int i = 0; i < n; i++) least = fmin(least, found[i].seconds);
    for (int i = 0; i < n; i++)
        if (found[i].seconds <= 1.03 * least &&
            (!best.vec || found[i].vec * found[i].lane < best.vec * best.lane))
            best = found[i];
    return fn_pipeline_make(model, best.vec, best.lane, fn_board_form(board->fabric), pictures, ret,
                            err);
}
