/* SPDX-License-Identifier: Apache-2.0
 *
 * quantize.c -- see quantize.h. All arithmetic is in double and per channel, so the result does not
 * depend on threads or CPU. */
#include "model/quantize/quantize.h"

#include <math.h>

#include "engine/fixed.h"
#include "model/parallel.h"

/* Nearest grid point in units of 2^-f, and what clamping alone costs. */
static double grid_error(const double *weights, size_t n, int f, double *ret_clipping) {
    const double scale = ldexp(1, f);
    double sum = 0, clipping = 0;
    for (size_t i = 0; i < n; i++) {
        double t = weights[i] * scale;
        double q = floor(t + 0.5);
        q = q < -127 ? -127 : q > 127 ? 127 : q;
        double square = (t - q) * (t - q);
        sum += square;
        if (t > 127 || t < -127) clipping += square;
    }
    *ret_clipping = ldexp(clipping, -2 * f);
    return ldexp(sum, -2 * f);
}

double fn_quantize_error(const double *weights, size_t n, int f) {
    double clipping;
    return grid_error(weights, n, f, &clipping);
}

/* The finest grid that clips nothing; FN_FRAC_W_MIN when even that clips. */
static int widest(const double *weights, size_t n) {
    double low = 0, high = 0;
    for (size_t i = 0; i < n; i++) {
        low = fmin(low, weights[i]);
        high = fmax(high, weights[i]);
    }
    int f = FN_FRAC_W_MAX;
    while (f > FN_FRAC_W_MIN &&
           (fn_quantize_real(high, f) > 127 || fn_quantize_real(low, f) < -127))
        f--;
    return f;
}

void fn_quantize_best(const double *weights, size_t n, int *ret_smallest, int *ret_largest) {
    /* Going finer than `widest`, clipping only grows: once it alone costs as much as the best, no
     * finer grid can win. Going coarser, the error cannot fall, but may stay the same. */
    int first = widest(weights, n), best = first, last = first;
    double clipping, least = grid_error(weights, n, first, &clipping);
    for (int f = first + 1; f <= FN_FRAC_W_MAX; f++) {
        double error = grid_error(weights, n, f, &clipping);
        if (error < least) {
            least = error;
            best = last = f;
        } else if (error <= least && last == f - 1) {
            last = f;
        }
        if (clipping > least) break;
    }
    while (best > FN_FRAC_W_MIN && fn_quantize_error(weights, n, best - 1) <= least) best--;
    *ret_smallest = best;
    *ret_largest = last;
}

/* One output channel in the making. */
struct channel {
    struct fn_model_draft *draft;
    int layer, oc;
    const double *weights; /* [n] */
    size_t n;
    double bias;
};

/* Write the channel with f_w = f into the draft; false when its limits do not hold. */
static bool try_frac(const struct channel *c, int f) {
    const struct fn_layer *layer = &c->draft->network.layers[c->layer];
    int8_t *q = c->draft->params[c->layer].weights + (size_t)c->oc * c->n;
    int64_t sum = 0;
    for (size_t i = 0; i < c->n; i++) {
        double value = fn_quantize_real(c->weights[i], f);
        q[i] = (int8_t)(value < -127 ? -127 : value > 127 ? 127 : value);
        sum += q[i];
    }
    double bias = ldexp(c->bias, c->draft->frac_bits[layer->input] + f);
    /* The pixel's half step, exact because the first layer is VALID: see DESIGN, preprocessing. */
    if (layer->input == 0 && c->draft->preprocessing == FN_PREPROCESSING_FIXED)
        bias += 0.5 * (double)sum;
    if (layer->op == FN_OP_HEAD) {
        const struct fn_tensor *in = &c->draft->network.tensors[layer->input];
        bias *= (double)in->height * in->width;
    }
    bias = floor(bias + 0.5);
    if (!(bias >= INT32_MIN && bias <= INT32_MAX)) return false;
    c->draft->params[c->layer].bias[c->oc] = (int32_t)bias;
    c->draft->params[c->layer].frac_bits[c->oc] = (int8_t)f;
    return fn_model_draft_channel_fits(c->draft, c->layer, c->oc);
}

static bool quantize_channel(const struct channel *c) {
    int smallest, largest;
    fn_quantize_best(c->weights, c->n, &smallest, &largest);
    for (int f = smallest; f <= largest; f++)
        if (try_frac(c, f)) return true;
    for (int f = smallest - 1; f >= FN_FRAC_W_MIN; f--)
        if (try_frac(c, f)) return true;
    return false;
}

struct job {
    const struct fn_source *source;
    struct fn_model_draft *draft;
};

static fn_status quantize_layer(void *context, size_t index, int worker, struct fn_error *err) {
    (void)worker;
    const struct job *job = context;
    const struct fn_layer *layer = &job->draft->network.layers[index];
    if (layer->op == FN_OP_POOL) return FN_OK;
    size_t channels = (size_t)layer->out_channels;
    size_t n = fn_layer_kernel_size(layer);
    FN_CLEANUP_FREE double *weights = malloc(channels * n * sizeof *weights);
    FN_CLEANUP_FREE double *bias = malloc(channels * sizeof *bias);
    if (!weights || !bias) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", layer->name);
    fn_status status = fn_source_fold(job->source, layer, weights, bias, err);
    if (status != FN_OK) return status;
    for (int oc = 0; oc < layer->out_channels; oc++) {
        const struct channel channel = {job->draft, (int)index, oc, weights + (size_t)oc * n,
                                        n,          bias[oc]};
        if (!quantize_channel(&channel))
            return fn_fail(err, FN_BAD_SOURCE,
                           "%s: %s, channel %d: no f_w in %d...%d keeps shifts and sums within "
                           "their limits (input f %d, bias %g)",
                           job->source->path, layer->name, oc, FN_FRAC_W_MIN, FN_FRAC_W_MAX,
                           job->draft->frac_bits[layer->input], bias[oc]);
    }
    return FN_OK;
}

fn_status fn_quantize(const struct fn_source *source, struct fn_model_draft *draft, int n_threads,
                      struct fn_error *err) {
    struct job job = {source, draft};
    return fn_parallel_run((size_t)draft->network.n_layers, n_threads, quantize_layer, &job, NULL,
                           err);
}
