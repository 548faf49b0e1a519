/* SPDX-License-Identifier: Apache-2.0
 *
 * choose_scales.c -- see choose_scales.h. One pass sums the squared error of every channel at every
 * step; then each group of channels takes its best step. */
#include "model/quantize/choose_scales.h"

#include <math.h>
#include <string.h>

#define N_STEPS       (2 * FN_SCALE_STEP_MAX + 1)
#define CLIPPING      16.0F
#define HEADROOM      2.0F
#define FORBIDDEN     1e12F
#define MAX_POSITIONS 400 /* of a tensor, of one picture: enough, spread over all of it */

/* Errors by lot, tensor, step and channel: tensors lie one after another, [step][channel]. */
struct sums {
    const struct fn_network *network;
    const int8_t *frac_bits;
    size_t offsets[FN_MAX_TENSORS + 1];
    double *errors; /* [lots][offsets[n_tensors]] */
};

/* Add (x - what remains of it)^2, in units of the grid, of one position's channels.
 *
 * These pictures are a sample, and others have larger values. So what clipping costs counts
 * CLIPPING times, and a step that enlarges is FORBIDDEN where it brings a value above the limit,
 * which leaves HEADROOM. Without both, the sum is better on these pictures and worse on any others,
 * for channels that speak up rarely above all (docs/quantization.md). */
static void add_position(const float *x, size_t channels, float scale, float low, float limit,
                         double *restrict errors) {
    for (size_t c = 0; c < channels; c++) {
        float y = x[c] * scale;
        float inside = y < low ? low : y > 127 ? 127 : y;
        float difference = y - (float)((int)(inside + 128.5F) - 128);
        float weight = y > 127.5F || y < low - 0.5F ? CLIPPING : 1;
        float forbidden = fabsf(y) > limit ? FORBIDDEN : 0;
        errors[c] += (double)(weight * difference * difference + forbidden);
    }
}

static void visit(void *context, int lot, const struct fn_float_run *run) {
    const struct sums *sums = context;
    const struct fn_network *network = sums->network;
    double *lot_errors = sums->errors + (size_t)lot * sums->offsets[network->n_tensors];
    for (int t = 1; t < network->n_tensors; t++) {
        const struct fn_tensor *tensor = &network->tensors[t];
        const float *x = fn_float_run_tensor(run, t);
        size_t channels = (size_t)tensor->channels;
        size_t positions = (size_t)tensor->height * (size_t)tensor->width;
        size_t stride = (positions / MAX_POSITIONS) | 1; /* odd: not the same columns in each row */
        for (int k = 0; k < N_STEPS; k++) {
            float scale =
                (float)ldexp(fn_equalisation_factor(k - FN_SCALE_STEP_MAX), sums->frac_bits[t]);
            float limit = k > FN_SCALE_STEP_MAX ? 127 / HEADROOM : INFINITY;
            double *errors = lot_errors + sums->offsets[t] + (size_t)k * channels;
            for (size_t p = 0; p < positions; p += stride)
                add_position(x + p * channels, channels, scale, tensor->is_signed ? -128 : 0, limit,
                             errors);
        }
    }
}

/* A channel's mean error at step k, in the network's units. */
static double channel_error(const struct sums *sums, int tensor, int channel, int k) {
    const struct fn_tensor *t = &sums->network->tensors[tensor];
    size_t at = sums->offsets[tensor] + (size_t)k * (size_t)t->channels + (size_t)channel;
    double sum = 0;
    for (size_t lot = 0; lot < FN_LOTS; lot++)
        sum += sums->errors[lot * sums->offsets[sums->network->n_tensors] + at];
    size_t positions = (size_t)t->height * (size_t)t->width;
    size_t stride = (positions / MAX_POSITIONS) | 1;
    double weight = (double)stride; /* as if all positions had been seen */
    double grid = ldexp(fn_equalisation_factor(k - FN_SCALE_STEP_MAX), sums->frac_bits[tensor]);
    return weight * sum / (grid * grid);
}

/* Which channel decides for each: itself, or the one that its pool or residual hands on. Numbers
 * are channels counted through all tensors. */
static void find_deciders(const struct fn_network *network, const size_t *first,
                          size_t *ret_decider) {
    for (size_t i = 0; i < first[network->n_tensors]; i++) ret_decider[i] = i;
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (layer->op == FN_OP_HEAD || fn_equalisation_is_free(layer)) continue;
        int from = layer->op == FN_OP_POOL ? layer->input : layer->residual;
        size_t offset = layer->op == FN_OP_POOL ? 0 : (size_t)layer->output_offset;
        for (size_t c = 0; c < (size_t)layer->out_channels; c++)
            ret_decider[first[layer->output] + (size_t)layer->output_offset + c] =
                ret_decider[first[from] + offset + c];
    }
}

static int best_step(const double errors[N_STEPS]) {
    int best = FN_SCALE_STEP_MAX; /* step 0 wins a tie */
    for (int k = 0; k < N_STEPS; k++)
        if (errors[k] < errors[best]) best = k;
    return best - FN_SCALE_STEP_MAX;
}

static fn_status choose(const struct sums *sums, struct fn_equalisation *equalisation,
                        struct fn_error *err) {
    const struct fn_network *network = sums->network;
    size_t first[FN_MAX_TENSORS + 1] = {0};
    for (int t = 0; t < network->n_tensors; t++)
        first[t + 1] = first[t] + (size_t)network->tensors[t].channels;
    size_t n = first[network->n_tensors];
    FN_CLEANUP_FREE size_t *decider = calloc(n, sizeof *decider);
    FN_CLEANUP_FREE double(*errors)[N_STEPS] = calloc(n, sizeof *errors);
    if (!decider || !errors) return fn_fail(err, FN_NO_MEMORY, "no memory for channel errors");
    find_deciders(network, first, decider);
    for (int t = 1; t < network->n_tensors; t++)
        for (int c = 0; c < network->tensors[t].channels; c++)
            for (int k = 0; k < N_STEPS; k++)
                errors[decider[first[t] + (size_t)c]][k] += channel_error(sums, t, c, k);
    for (int t = 1; t < network->n_tensors; t++)
        for (int c = 0; c < network->tensors[t].channels; c++)
            equalisation->steps[t][c] = (int8_t)best_step(errors[decider[first[t] + (size_t)c]]);
    return FN_OK;
}

fn_status fn_choose_scales(const struct fn_float_pass *pass, const int8_t *frac_bits,
                           struct fn_equalisation *ret, struct fn_error *err) {
    struct sums sums = {.network = pass->network, .frac_bits = frac_bits};
    for (int t = 0; t < pass->network->n_tensors; t++)
        sums.offsets[t + 1] =
            sums.offsets[t] + (size_t)N_STEPS * (size_t)pass->network->tensors[t].channels;
    FN_CLEANUP_FREE double *errors =
        calloc(FN_LOTS * sums.offsets[pass->network->n_tensors], sizeof *errors);
    if (!errors) return fn_fail(err, FN_NO_MEMORY, "no memory for channel errors");
    sums.errors = errors;
    fn_status status = fn_float_pass_run(pass, "scales", visit, &sums, err);
    struct fn_equalisation made;
    if (status == FN_OK) status = fn_equalisation_new(pass->network, &made, err);
    if (status != FN_OK) return status;
    status = choose(&sums, &made, err);
    if (status == FN_OK)
        *ret = made;
    else
        fn_equalisation_done(&made);
    return status;
}
