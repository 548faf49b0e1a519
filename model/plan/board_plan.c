/* SPDX-License-Identifier: Apache-2.0
 *
 * board_plan.c -- see board_plan.h. */
#include "model/plan/board_plan.h"

#include <string.h>

#include "model/plan/published_fit.h"

/* Our array starts a window right after the one before it (kernels/rtl/fn_array.v), so that a block
 * costs its products and nothing else. */
static struct fn_array base_array(const struct fn_board_plan_wish *wish) {
    return (struct fn_array){.vec = wish->vec,
                             .lane = wish->lane,
                             .pixels = 1,
                             .flow = FN_FLOW_STREAMED,
                             .hertz = wish->board.megahertz * 1e6,
                             .bytes_per_second =
                                 wish->board.gigabytes * 1e9 * fn_published_bandwidth_share(),
                             .launch = wish->launch};
}

static fn_status check_fit(const struct fn_board_plan *plan, struct fn_error *err) {
    const struct fn_board *board = &plan->board;
    int dsp = fn_board_dsp(board->fabric, &plan->array);
    int ram = fn_board_ram(board->fabric, &plan->array, plan->works, plan->n_works);
    if (dsp <= board->dsp && ram <= board->ram) return FN_OK;
    return fn_fail(err, FN_USAGE,
                   "an array of %d x %d takes %d multiplier and %d memory blocks; %s has %d and %d",
                   plan->array.vec, plan->array.lane, dsp, ram, board->name, board->dsp,
                   board->ram);
}

fn_status fn_board_plan_make(const char *model, const struct fn_network *network,
                             const struct fn_board_plan_wish *wish, struct fn_board_plan *ret,
                             struct fn_error *err) {
    struct fn_board_plan plan = {
        .model = model, .board = wish->board, .n_batches = wish->n_batches};
    memcpy(plan.batches, wish->batches, sizeof plan.batches);
    plan.n_works = fn_work_of_network(network, plan.works);
    plan.array = base_array(wish);
    if (wish->vec) {
        fn_status status = check_fit(&plan, err);
        if (status != FN_OK) return status;
    } else if (!fn_board_best(&wish->board, &plan.array, plan.works, plan.n_works,
                              plan.batches[plan.n_batches - 1], &plan.array)) {
        return fn_fail(err, FN_USAGE,
                       "%s has %d multiplier and %d memory blocks, too few for the smallest array, "
                       "4 x 4",
                       wish->board.name, wish->board.dsp, wish->board.ram);
    }
    *ret = plan;
    return FN_OK;
}
