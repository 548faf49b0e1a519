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

/* Output channels in the making, which will have one f_w: one of them, or a whole layer. */
struct channels {
    struct fn_model_draft *draft;
    int layer, first, n;
    const double *weights;      /* [n][kernel] */
    const double *bias;         /* [n] */
    const int32_t *corrections; /* [n], or NULL */
    size_t kernel;
};

/* Write channel `first` + k with f_w = f into the draft; false when its limits do not hold. */
static bool try_channel(const struct channels *c, int k, int f) {
    const struct fn_layer *layer = &c->draft->network.layers[c->layer];
    int oc = c->first + k;
    int8_t *q = c->draft->params[c->layer].weights + (size_t)oc * c->kernel;
    int64_t sum = 0;
    for (size_t i = 0; i < c->kernel; i++) {
        double value = fn_quantize_real(c->weights[(size_t)k * c->kernel + i], f);
        q[i] = (int8_t)(value < -127 ? -127 : value > 127 ? 127 : value);
        sum += q[i];
    }
    int f_bias = c->draft->frac_bits[layer->input] + f;
    double bias = ldexp(c->bias[k], f_bias);
    if (c->corrections)
        bias +=
            ldexp(c->corrections[k], f_bias - fn_correction_frac_bits(layer, c->draft->frac_bits));
    /* The pixel's half step, exact because the first layer is VALID: see DESIGN, preprocessing. */
    if (layer->input == 0 && c->draft->preprocessing == FN_PREPROCESSING_FIXED)
        bias += 0.5 * (double)sum;
    if (layer->op == FN_OP_HEAD) {
        const struct fn_tensor *in = &c->draft->network.tensors[layer->input];
        bias *= (double)in->height * in->width;
    }
    bias = floor(bias + 0.5);
    if (!(bias >= INT32_MIN && bias <= INT32_MAX)) return false;
    c->draft->params[c->layer].bias[oc] = (int32_t)bias;
    c->draft->params[c->layer].frac_bits[oc] = (int8_t)f;
    return fn_model_draft_channel_fits(c->draft, c->layer, oc);
}

/* -1, or the first channel (counted in the layer) that breaks a limit. */
static int try_frac(const struct channels *c, int f) {
    for (int k = 0; k < c->n; k++)
        if (!try_channel(c, k, f)) return c->first + k;
    return -1;
}

/* -1, or a channel for which there is no f_w. */
static int quantize_channels(const struct channels *c, const struct fn_quantize_plan *plan) {
    int smallest, largest, failed = -1;
    if (plan->is_fixed) return try_frac(c, plan->fixed);
    fn_quantize_best(c->weights, (size_t)c->n * c->kernel, &smallest, &largest);
    for (int f = smallest; f <= largest; f++)
        if ((failed = try_frac(c, f)) < 0) return -1;
    for (int f = smallest - 1; f >= FN_FRAC_W_MIN; f--)
        if ((failed = try_frac(c, f)) < 0) return -1;
    return failed;
}

struct job {
    const struct fn_source *source;
    const struct fn_quantize_plan *plan;
    struct fn_model_draft *draft;
};

static fn_status quantize_layer(void *context, size_t index, int worker, struct fn_error *err) {
    (void)worker;
    const struct job *job = context;
    const struct fn_quantize_plan *plan = job->plan;
    const struct fn_layer *layer = &job->draft->network.layers[index];
    if (layer->op == FN_OP_POOL) return FN_OK;
    size_t channels = (size_t)layer->out_channels;
    size_t kernel = fn_layer_kernel_size(layer);
    FN_CLEANUP_FREE double *weights = malloc(channels * kernel * sizeof *weights);
    FN_CLEANUP_FREE double *bias = malloc(channels * sizeof *bias);
    if (!weights || !bias) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", layer->name);
    fn_status status = fn_source_fold(job->source, layer, weights, bias, err);
    if (status != FN_OK) return status;
    if (plan->scales) fn_equalisation_apply(plan->scales, layer, weights, bias);
    int together = plan->per_tensor ? layer->out_channels : 1;
    for (int oc = 0; oc < layer->out_channels; oc += together) {
        const struct channels c = {job->draft,
                                   (int)index,
                                   oc,
                                   together,
                                   weights + (size_t)oc * kernel,
                                   bias + oc,
                                   plan->corrections ? plan->corrections->units[index] + oc : NULL,
                                   kernel};
        int failed = quantize_channels(&c, plan);
        if (failed >= 0)
            return fn_fail(err, FN_BAD_SOURCE,
                           "%s: %s, channel %d: no f_w in %d...%d keeps shifts and sums within "
                           "their limits (input f %d, bias %g)",
                           job->source->path, layer->name, failed,
                           plan->is_fixed ? plan->fixed : FN_FRAC_W_MIN,
                           plan->is_fixed ? plan->fixed : FN_FRAC_W_MAX,
                           job->draft->frac_bits[layer->input], bias[failed]);
    }
    return FN_OK;
}

fn_status fn_quantize(const struct fn_source *source, const struct fn_quantize_plan *plan,
                      struct fn_model_draft *draft, int n_threads, struct fn_error *err) {
    static const struct fn_quantize_plan plain = {0};
    struct job job = {source, plan ? plan : &plain, draft};
    return fn_parallel_run((size_t)draft->network.n_layers, n_threads, quantize_layer, &job, NULL,
                           err);
}
