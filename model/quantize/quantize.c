/* SPDX-License-Identifier: Apache-2.0
 *
 * quantize.c -- see quantize.h. All arithmetic is in double and per channel, so the result does not
 * depend on threads or CPU. */
#include "model/quantize/quantize.h"

#include <math.h>

#include "engine/fixed.h"
#include "model/parallel.h"
#include "model/quantize/joint_rounding.h"

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
    const struct fn_quantize_layer *layer;
    int first, n;
    size_t kernel;
    double *exact; /* [kernel], room to work in, like: */
    float *g;      /* [kernel] */
};

static const struct fn_layer *layer_of(const struct fn_quantize_layer *layer) {
    return &layer->draft->network.layers[layer->index];
}

/* Write the weights of channel `oc` on the grid of f; returns their sum. */
static int64_t round_weights(const struct channels *c, int oc, int f) {
    const struct fn_quantize_layer *layer = c->layer;
    const double *weights = layer->weights + (size_t)oc * c->kernel;
    int8_t *q = layer->draft->params[layer->index].weights + (size_t)oc * c->kernel;
    bool stays = layer->keeps_weights && layer->draft->params[layer->index].frac_bits[oc] == f;
    for (size_t i = 0; i < c->kernel && !stays; i++) {
        double value = fn_quantize_real(weights[i], f);
        q[i] = (int8_t)(value < -127 ? -127 : value > 127 ? 127 : value);
        c->exact[i] = ldexp(weights[i], f);
    }
    if (layer->covariance && !stays)
        fn_joint_rounding_improve(c->exact, layer->covariance, c->kernel, c->g, q);
    int64_t sum = 0;
    for (size_t i = 0; i < c->kernel; i++) sum += q[i];
    return sum;
}

/* Write channel `oc` with f_w = f into the draft; false when its limits do not hold. */
static bool try_channel(const struct channels *c, int oc, int f) {
    const struct fn_quantize_layer *l = c->layer;
    const struct fn_layer *layer = layer_of(l);
    const struct fn_corrections *corrections = l->plan->corrections;
    int64_t sum = round_weights(c, oc, f);
    int f_bias = l->draft->frac_bits[layer->input] + f;
    double bias = ldexp(l->bias[oc], f_bias);
    if (corrections)
        bias += ldexp(corrections->units[l->index][oc],
                      f_bias - fn_correction_frac_bits(layer, l->draft->frac_bits));
    /* The pixel's half step, exact because the first layer is VALID: see DESIGN, preprocessing. */
    if (layer->input == 0 && l->draft->preprocessing == FN_PREPROCESSING_FIXED)
        bias += 0.5 * (double)sum;
    if (layer->op == FN_OP_HEAD) {
        const struct fn_tensor *in = &l->draft->network.tensors[layer->input];
        bias *= (double)in->height * in->width;
    }
    bias = floor(bias + 0.5);
    if (!(bias >= INT32_MIN && bias <= INT32_MAX)) return false;
    l->draft->params[l->index].bias[oc] = (int32_t)bias;
    l->draft->params[l->index].frac_bits[oc] = (int8_t)f;
    return fn_model_draft_channel_fits(l->draft, l->index, oc);
}

/* -1, or the first channel that breaks a limit. */
static int try_frac(const struct channels *c, int f) {
    for (int oc = c->first; oc < c->first + c->n; oc++)
        if (!try_channel(c, oc, f)) return oc;
    return -1;
}

/* -1, or a channel for which there is no f_w. */
static int quantize_channels(const struct channels *c) {
    const struct fn_quantize_plan *plan = c->layer->plan;
    int smallest, largest, failed = -1;
    if (plan->is_fixed) return try_frac(c, plan->fixed);
    fn_quantize_best(c->layer->weights + (size_t)c->first * c->kernel, (size_t)c->n * c->kernel,
                     &smallest, &largest);
    for (int f = smallest; f <= largest; f++)
        if ((failed = try_frac(c, f)) < 0) return -1;
    for (int f = smallest - 1; f >= FN_FRAC_W_MIN; f--)
        if ((failed = try_frac(c, f)) < 0) return -1;
    return failed;
}

static fn_status quantize_group(void *context, size_t group, int worker, struct fn_error *err) {
    (void)worker;
    const struct fn_quantize_layer *l = context;
    const struct fn_quantize_plan *plan = l->plan;
    const struct fn_layer *layer = layer_of(l);
    struct channels c = {
        .layer = l, .first = (int)group, .n = 1, .kernel = fn_layer_kernel_size(layer)};
    if (plan->per_tensor) c.n = layer->out_channels;
    FN_CLEANUP_FREE double *exact = malloc(c.kernel * sizeof *exact);
    FN_CLEANUP_FREE float *g = malloc(c.kernel * sizeof *g);
    if (!exact || !g) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", layer->name);
    c.exact = exact;
    c.g = g;
    int failed = quantize_channels(&c);
    if (failed < 0) return FN_OK;
    return fn_fail(err, FN_BAD_SOURCE,
                   "%s: %s, channel %d: no f_w in %d...%d keeps shifts and sums within their "
                   "limits (input f %d, bias %g)",
                   l->source->path, layer->name, failed,
                   plan->is_fixed ? plan->fixed : FN_FRAC_W_MIN,
                   plan->is_fixed ? plan->fixed : FN_FRAC_W_MAX, l->draft->frac_bits[layer->input],
                   l->bias[failed]);
}

fn_status fn_quantize_layer_open(const struct fn_source *source,
                                 const struct fn_quantize_plan *plan, struct fn_model_draft *draft,
                                 int index, struct fn_quantize_layer *ret, struct fn_error *err) {
    const struct fn_layer *layer = &draft->network.layers[index];
    size_t channels = (size_t)layer->out_channels, kernel = fn_layer_kernel_size(layer);
    FN_CLEANUP_FREE double *weights = malloc(channels * kernel * sizeof *weights);
    FN_CLEANUP_FREE double *bias = malloc(channels * sizeof *bias);
    if (!weights || !bias) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", layer->name);
    fn_status status = fn_source_fold(source, layer, weights, bias, err);
    if (status != FN_OK) return status;
    if (plan->scales) fn_equalisation_apply(plan->scales, layer, weights, bias);
    *ret =
        (struct fn_quantize_layer){.source = source, .plan = plan, .draft = draft, .index = index};
    ret->weights = FN_TAKE(weights);
    ret->bias = FN_TAKE(bias);
    return FN_OK;
}

void fn_quantize_layer_done(struct fn_quantize_layer *layer) {
    free(layer->weights);
    free(layer->bias);
}

fn_status fn_quantize_layer_run(const struct fn_quantize_layer *layer, int n_threads,
                                struct fn_error *err) {
    struct fn_quantize_layer job = *layer;
    size_t groups = layer->plan->per_tensor ? 1 : (size_t)layer_of(layer)->out_channels;
    return fn_parallel_run(groups, n_threads, quantize_group, &job, NULL, err);
}

struct job {
    const struct fn_source *source;
    const struct fn_quantize_plan *plan;
    struct fn_model_draft *draft;
};

static fn_status quantize_layer(void *context, size_t index, int worker, struct fn_error *err) {
    (void)worker;
    const struct job *job = context;
    if (job->draft->network.layers[index].op == FN_OP_POOL) return FN_OK;
    struct fn_quantize_layer layer;
    fn_status status =
        fn_quantize_layer_open(job->source, job->plan, job->draft, (int)index, &layer, err);
    if (status != FN_OK) return status;
    status = fn_quantize_layer_run(&layer, 1, err);
    fn_quantize_layer_done(&layer);
    return status;
}

fn_status fn_quantize(const struct fn_source *source, const struct fn_quantize_plan *plan,
                      struct fn_model_draft *draft, int n_threads, struct fn_error *err) {
    static const struct fn_quantize_plan plain = {0};
    struct job job = {source, plan ? plan : &plain, draft};
    return fn_parallel_run((size_t)draft->network.n_layers, n_threads, quantize_layer, &job, NULL,
                           err);
}
