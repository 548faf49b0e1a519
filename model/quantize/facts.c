/* SPDX-License-Identifier: Apache-2.0
 *
 * facts.c -- see facts.h. */
#include "model/quantize/facts.h"

#include <limits.h>
#include <math.h>

#include "engine/cleanup.h"
#include "engine/model_check.h"

static void widen(struct fn_span *span, int value) {
    if (value < span->low) span->low = value;
    if (value > span->high) span->high = value;
}

static double channel_bits(const struct fn_model *model, int index, int oc) {
    struct fn_channel channel;
    fn_channel_describe(&model->network, model->frac_bits, &model->params[index], index, oc,
                        &channel);
    int64_t min, max;
    fn_channel_bounds(&channel, &min, &max);
    return log2(fmax(1, fmax((double)max, -(double)min)));
}

static void gather_layer(const struct fn_model *model, int index, struct fn_facts *facts) {
    const struct fn_layer *layer = &model->network.layers[index];
    facts->macs += fn_layer_macs(&model->network, layer);
    facts->parameters += (int64_t)layer->out_channels * ((int64_t)fn_layer_kernel_size(layer) + 1);
    facts->convolutions += layer->op == FN_OP_CONV;
    for (int oc = 0; oc < layer->out_channels; oc++) {
        bool residual = layer->residual >= 0;
        widen(residual ? &facts->projections : &facts->weights, model->params[index].frac_bits[oc]);
        if (layer->op == FN_OP_CONV) widen(&facts->shifts, fn_model_shift(model, index, oc));
        if (residual) widen(&facts->residuals, fn_model_residual_shift(model, index, oc));
        facts->bound_bits = fmax(facts->bound_bits, channel_bits(model, index, oc));
    }
}

void fn_facts_gather(const struct fn_model *model, struct fn_facts *ret) {
    const struct fn_span empty = {INT_MAX, INT_MIN};
    *ret = (struct fn_facts){.activations = empty,
                             .weights = empty,
                             .projections = empty,
                             .shifts = empty,
                             .residuals = empty};
    for (int t = 0; t < model->network.n_tensors; t++)
        if (!model->network.tensors[t].is_remainder) widen(&ret->activations, model->frac_bits[t]);
    for (int i = 0; i < model->network.n_layers; i++)
        if (model->network.layers[i].op != FN_OP_POOL) gather_layer(model, i, ret);
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

fn_status fn_cosines_measure(const float *a, const float *b, size_t n, int size,
                             struct fn_cosines *ret, struct fn_error *err) {
    FN_CLEANUP_FREE double *cosines = malloc(n * sizeof *cosines);
    if (!cosines) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu cosines", n);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double dot = 0;
        for (size_t k = i * (size_t)size; k < (i + 1) * (size_t)size; k++)
            dot += (double)a[k] * b[k];
        cosines[i] = dot;
        sum += dot;
    }
    qsort(cosines, n, sizeof *cosines, compare_doubles);
    *ret = (struct fn_cosines){n, sum / (double)n, cosines[(n + 99) / 100 - 1]};
    return FN_OK;
}
