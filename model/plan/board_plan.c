/* SPDX-License-Identifier: Apache-2.0
 *
 * board_plan.c -- see board_plan.h. */
#include "model/plan/board_plan.h"

#include <string.h>

#include "engine/model.h"
#include "model/plan/published_fit.h"

static fn_status check_fit(const struct fn_board_plan *plan, struct fn_error *err) {
    const struct fn_board *board = &plan->board;
    const struct fn_fpga_sizes *sizes = &plan->pipeline.sizes;
    int dsp = fn_board_dsp(board->fabric, (int64_t)sizes->vec * sizes->lane);
    int ram = fn_board_ram(board->fabric, sizes);
    if (dsp <= board->dsp && ram <= board->ram) return FN_OK;
    return fn_fail(err, FN_USAGE,
                   "an array of %d x %d takes %d multiplier and %d memory blocks; %s has %d and %d",
                   sizes->vec, sizes->lane, dsp, ram, board->name, board->dsp, board->ram);
}

fn_status fn_board_plan_make(const struct fn_model *model, const struct fn_board_plan_wish *wish,
                             struct fn_board_plan *ret, struct fn_error *err) {
    int largest = 0;
    *ret = (struct fn_board_plan){
        .model = model->id,
        .board = wish->board,
        .speed = {.hertz = wish->board.megahertz * 1e6,
                  .bytes_per_second = wish->board.gigabytes * 1e9 * fn_published_bandwidth_share(),
                  .launch = wish->launch},
        .n_batches = wish->n_batches};
    memcpy(ret->batches, wish->batches, sizeof ret->batches);
    for (int i = 0; i < ret->n_batches; i++)
        if (ret->batches[i] > largest) largest = ret->batches[i];
    (void)fn_work_of_network(&model->network, ret->works);
    if (!wish->vec)
        return fn_board_best(&ret->board, model, &ret->speed, largest, &ret->pipeline, err);
    fn_status status =
        fn_pipeline_make(model, wish->vec, wish->lane, fn_board_form(ret->board.fabric), largest,
                         &ret->pipeline, err);
    return status == FN_OK ? check_fit(ret, err) : status;
}
