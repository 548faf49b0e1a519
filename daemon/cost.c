/* SPDX-License-Identifier: Apache-2.0
 *
 * cost.c -- see cost.h. */
#include "daemon/cost.h"

#define NEW_SHARE 0.2 /* of a new measurement */

void fn_cost_note(struct fn_cost *cost, int n, double ms) {
    cost->ms[n] = ms;
}

static double at_start_ms(const struct fn_cost *cost, int n) {
    int below = n, above = n;
    while (below > 0 && cost->ms[below] <= 0) below--;
    while (above <= FN_MAX_BATCH && cost->ms[above] <= 0) above++;
    if (above > FN_MAX_BATCH) /* as if nothing were gained by more at once */
        return below > 0 ? cost->ms[below] * n / below : 0;
    if (below == 0 || below == above) return cost->ms[above];
    double part = (double)(n - below) / (above - below);
    return cost->ms[below] + part * (cost->ms[above] - cost->ms[below]);
}

void fn_cost_follow(struct fn_cost *cost, int n, double ms) {
    double expected = at_start_ms(cost, n), now = cost->factor > 0 ? cost->factor : 1;
    if (expected <= 0)
        fn_cost_note(cost, n, ms);
    else
        cost->factor = (1 - NEW_SHARE) * now + NEW_SHARE * ms / expected;
}

double fn_cost_ms(const struct fn_cost *cost, int n) {
    return at_start_ms(cost, n) * (cost->factor > 0 ? cost->factor : 1);
}

int fn_cost_limit(const struct fn_cost *cost, int max_batch, double objective_ms) {
    int limit = max_batch;
    while (limit > 1 && 2 * fn_cost_ms(cost, limit) > objective_ms) limit--;
    return limit;
}

double fn_cost_wait_ms(const struct fn_cost *cost, int ahead, int limit) {
    int full = ahead / limit;
    return full * fn_cost_ms(cost, limit) + fn_cost_ms(cost, ahead % limit + 1);
}
