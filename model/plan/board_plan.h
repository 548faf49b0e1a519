/* SPDX-License-Identifier: Apache-2.0
 *
 * board_plan.h -- a network on a board, predicted: which array fits, how long a batch takes. */
#ifndef FN_BOARD_PLAN_H
#define FN_BOARD_PLAN_H

#include <stdio.h>

#include "model/plan/board.h"

#define FN_BOARD_PLAN_MAX_BATCHES 8

struct fn_board_plan {
    const char *model; /* id; borrowed */
    struct fn_board board;
    struct fn_pipeline pipeline;
    struct fn_pipeline_speed speed;
    struct fn_work works[FN_MAX_LAYERS]; /* names and shapes */
    int batches[FN_BOARD_PLAN_MAX_BATCHES], n_batches;
};

/* What is asked for. vec and lane: both 0 for the best array. */
struct fn_board_plan_wish {
    struct fn_board board;
    int vec, lane;
    double launch; /* seconds a layer */
    int batches[FN_BOARD_PLAN_MAX_BATCHES], n_batches;
};

/* model: borrowed as long as the plan. The last batch is the largest. FN_USAGE when nothing fits,
 * or the array asked for does not, with what it would take and what the board has. The off-chip
 * rate is the share of the board's nominal one that the published engines reached
 * (published_fit.h).
 */
FN_MUST fn_status fn_board_plan_make(const struct fn_model *model,
                                     const struct fn_board_plan_wish *wish,
                                     struct fn_board_plan *ret, struct fn_error *err);

/* A table for people: the array, batches, where the time of the largest batch goes; with
 * every_layer one line a layer too. */
void fn_board_plan_print(FILE *to, const struct fn_board_plan *plan, bool every_layer);

/* Everything as one JSON object. */
FN_MUST fn_status fn_board_plan_print_json(FILE *to, const struct fn_board_plan *plan,
                                           struct fn_error *err);

/* The roofline and each layer's use of the array as a picture, .svg or .png. */
FN_MUST fn_status fn_board_plan_plot(const char *path, const struct fn_board_plan *plan,
                                     struct fn_error *err);

/* One line for each known board, for the last batch of the wish. */
FN_MUST fn_status fn_board_plan_print_boards(FILE *to, const struct fn_model *model,
                                             const struct fn_board_plan_wish *wish,
                                             struct fn_error *err);

#endif
