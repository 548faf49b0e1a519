/* SPDX-License-Identifier: Apache-2.0
 *
 * cost.h -- what a batch of each size takes on a device: measured at start, and corrected by every
 * batch since. Devices are regular enough that this predicts; a size not measured is judged by its
 * neighbours, never too low for lack of knowledge. What other work on the machine adds, it adds to
 * all sizes: so batches correct one factor and not the sizes that they happen to have. Not locked:
 * whoever has the device has it. */
#ifndef FN_COST_H
#define FN_COST_H

#include "engine/engine.h"

struct fn_cost {
    double ms[FN_MAX_BATCH + 1]; /* by size, at start; 0: not measured */
    double factor;               /* how much slower it is now; 0: as at start */
};

/* A measurement at start, with nothing else to do. */
void fn_cost_note(struct fn_cost *cost, int n, double ms);
/* A batch that was served. */
void fn_cost_follow(struct fn_cost *cost, int n, double ms);
/* Milliseconds of a batch of n >= 1; 0 when nothing is known. */
double fn_cost_ms(const struct fn_cost *cost, int n);
/* The largest size within 1...max_batch with which a crop that has just missed a batch is done
 * within objective_ms: it waits for that batch and for its own. */
int fn_cost_limit(const struct fn_cost *cost, int max_batch, double objective_ms);
/* Milliseconds until a crop is done with `ahead` crops before it, in batches of up to `limit`. */
double fn_cost_wait_ms(const struct fn_cost *cost, int ahead, int limit);

#endif
