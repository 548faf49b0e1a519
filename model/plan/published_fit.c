/* SPDX-License-Identifier: Apache-2.0
 *
 * published_fit.c -- see published_fit.h. */
#include "model/plan/published_fit.h"

#include <math.h>

/* CHaiDNN's input stage buffer: 4096 words (docs/CONFIGURABLE_PARAMS.md) of 4 maps. */
#define CHAIDNN_TILE_BYTES 16384.0

static struct fn_array array_of(const struct fn_fit *fit, const struct fn_published *row) {
    return (struct fn_array){.vec = row->vec,
                             .lane = row->lane,
                             .pixels = row->pixels,
                             .flow = row->family == FN_ENGINE_CHAIDNN ? FN_FLOW_TILED
                                                                      : FN_FLOW_STREAMED,
                             .hertz = row->megahertz * 1e6,
                             .bytes_per_second = row->gigabytes * 1e9 * fit->bandwidth_share,
                             .drain = fit->drain,
                             .tile = CHAIDNN_TILE_BYTES};
}

double fn_published_predict(const struct fn_fit *fit, const struct fn_published *row) {
    struct fn_work works[FN_PUBLISHED_MAX_WORKS];
    struct fn_array array = array_of(fit, row);
    struct fn_cost cost;
    int n = fn_published_network(row->network, works);
    fn_array_total(&array, works, n, row->batch, &cost);
    return row->batch / cost.seconds;
}

double fn_published_utilisation(const struct fn_published *row, double pictures_per_second) {
    struct fn_work works[FN_PUBLISHED_MAX_WORKS];
    double macs = 0;
    int n = fn_published_network(row->network, works);
    for (int i = 0; i < n; i++) macs += (double)fn_work_macs(&works[i]);
    return macs * pictures_per_second /
           ((double)row->vec * row->lane * row->pixels * row->megahertz * 1e6);
}

static double misfit(enum fn_engine_family family, const struct fn_fit *fit) {
    double sum = 0;
    for (int i = 0; i < fn_published_n_rows; i++) {
        const struct fn_published *row = &fn_published_rows[i];
        if (row->family != family || row->held_out) continue;
        double error = log(fn_published_predict(fit, row) / row->pictures_per_second);
        sum += error * error;
    }
    return sum;
}

void fn_published_fit(enum fn_engine_family family, struct fn_fit *ret) {
    struct fn_fit best = {.drain = 8, .bandwidth_share = 0.5};
    double *const numbers[] = {&best.drain, &best.bandwidth_share};
    double lowest = misfit(family, &best);
    /* Hooke and Jeeves: each number by a factor up and down, the factor's excess halved when
     * neither helps. */
    for (double step = 1; step > 1e-3;) {
        bool better = false;
        for (int k = 0; k < 2; k++) {
            double kept = *numbers[k];
            const double tries[] = {kept * (1 + step), kept / (1 + step)};
            for (int side = 0; side < 2; side++) {
                *numbers[k] = tries[side];
                double now = misfit(family, &best);
                if (now < lowest) {
                    lowest = now;
                    kept = tries[side];
                    better = true;
                    break;
                }
            }
            *numbers[k] = kept;
        }
        if (!better) step /= 2;
    }
    *ret = best;
}

double fn_published_bandwidth_share(void) {
    double sum = 0;
    for (int family = 0; family < FN_N_ENGINES; family++) {
        struct fn_fit fit;
        fn_published_fit((enum fn_engine_family)family, &fit);
        sum += fit.bandwidth_share;
    }
    return sum / FN_N_ENGINES;
}
