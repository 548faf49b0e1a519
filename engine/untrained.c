/* SPDX-License-Identifier: Apache-2.0
 *
 * untrained.c -- a network of the right shape with pseudo-random weights, for tests and for a first
 * look without any weights. Integer arithmetic only: every machine makes the same file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/fixed.h"
#include "engine/golden.h"
#include "engine/model_writer.h"
#include "engine/picture/picture.h"
#include "engine/preprocess.h"
#include "engine/prng.h"
#include "engine/reference.h"

FN_DEFINE_CLEANUP(struct fn_model_draft *, fn_model_draft_free)

/* Output channels of the full network (Szegedy et al. 2016; davidsandberg/facenet); # is a number.
 */
static const struct {
    const char *scope;
    int out_channels;
} full_widths[] = {
    {"Conv2d_1a_3x3", 32},
    {"Conv2d_2a_3x3", 32},
    {"Conv2d_2b_3x3", 64},
    {"Conv2d_3b_1x1", 80},
    {"Conv2d_4a_3x3", 192},
    {"Conv2d_4b_3x3", 256},
    {"Repeat/block35_#/Branch_0/Conv2d_1x1", 32},
    {"Repeat/block35_#/Branch_1/Conv2d_0a_1x1", 32},
    {"Repeat/block35_#/Branch_1/Conv2d_0b_3x3", 32},
    {"Repeat/block35_#/Branch_2/Conv2d_0a_1x1", 32},
    {"Repeat/block35_#/Branch_2/Conv2d_0b_3x3", 32},
    {"Repeat/block35_#/Branch_2/Conv2d_0c_3x3", 32},
    {"Repeat/block35_#/Conv2d_1x1", 256},
    {"Mixed_6a/Branch_0/Conv2d_1a_3x3", 384},
    {"Mixed_6a/Branch_1/Conv2d_0a_1x1", 192},
    {"Mixed_6a/Branch_1/Conv2d_0b_3x3", 192},
    {"Mixed_6a/Branch_1/Conv2d_1a_3x3", 256},
    {"Repeat_1/block17_#/Branch_0/Conv2d_1x1", 128},
    {"Repeat_1/block17_#/Branch_1/Conv2d_0a_1x1", 128},
    {"Repeat_1/block17_#/Branch_1/Conv2d_0b_1x7", 128},
    {"Repeat_1/block17_#/Branch_1/Conv2d_0c_7x1", 128},
    {"Repeat_1/block17_#/Conv2d_1x1", 896},
    {"Mixed_7a/Branch_0/Conv2d_0a_1x1", 256},
    {"Mixed_7a/Branch_0/Conv2d_1a_3x3", 384},
    {"Mixed_7a/Branch_1/Conv2d_0a_1x1", 256},
    {"Mixed_7a/Branch_1/Conv2d_1a_3x3", 256},
    {"Mixed_7a/Branch_2/Conv2d_0a_1x1", 256},
    {"Mixed_7a/Branch_2/Conv2d_0b_3x3", 256},
    {"Mixed_7a/Branch_2/Conv2d_1a_3x3", 256},
    {"Repeat_2/block8_#/Branch_0/Conv2d_1x1", 192},
    {"Repeat_2/block8_#/Branch_1/Conv2d_0a_1x1", 192},
    {"Repeat_2/block8_#/Branch_1/Conv2d_0b_1x3", 192},
    {"Repeat_2/block8_#/Branch_1/Conv2d_0c_3x1", 192},
    {"Repeat_2/block8_#/Conv2d_1x1", 1792},
    {"Block8/Branch_0/Conv2d_1x1", 192},
    {"Block8/Branch_1/Conv2d_0a_1x1", 192},
    {"Block8/Branch_1/Conv2d_0b_1x3", 192},
    {"Block8/Branch_1/Conv2d_0c_3x1", 192},
    {"Block8/Conv2d_1x1", 1792},
};

struct recipe {
    int width_numerator; /* of 32 */
    int embedding_size;
};

static bool same_scope(const char *pattern, const char *scope) {
    for (; *pattern && *scope; pattern++, scope++) {
        if (*pattern == '#') {
            while (scope[1] >= '0' && scope[1] <= '9') scope++;
        } else if (*pattern != *scope) {
            return false;
        }
    }
    return *pattern == *scope;
}

static bool find_width(const void *context, const char *scope, int64_t ret_shape[4]) {
    const struct recipe *recipe = context;
    const char *name = scope + strlen(FN_ROOT "/");
    if (strcmp(name, "Bottleneck") == 0) {
        ret_shape[0] = recipe->embedding_size;
        return true;
    }
    for (size_t i = 0; i < sizeof full_widths / sizeof full_widths[0]; i++)
        if (same_scope(full_widths[i].scope, name)) {
            int64_t width = (int64_t)full_widths[i].out_channels * recipe->width_numerator / 32;
            ret_shape[0] = width < 1 ? 1 : width;
            return true;
        }
    return false;
}

/* Fractional bits that give weights uniform in -127...127 (variance 73^2) He's variance 2 / fan_in
 * (He et al. 2015, arXiv:1502.01852): the least f with 4^f >= 73^2 * fan_in / 2. */
static int he_frac_bits(int64_t fan_in) {
    int f = 0;
    for (int64_t power = 1; power < INT64_C(73) * 73 * fan_in / 2; power *= 4) f++;
    return f;
}

static void fill_weights(struct fn_model_draft *draft, int layer, struct fn_prng *prng) {
    const struct fn_layer *l = &draft->network.layers[layer];
    size_t kernel_size = fn_layer_kernel_size(l);
    /* Up-projections are scaled by 0.10...0.20 in the real network: three bits. */
    int f = he_frac_bits((int64_t)kernel_size) + (l->residual >= 0 ? 3 : 0);
    for (int oc = 0; oc < l->out_channels; oc++) {
        int8_t *weights = draft->params[layer].weights + (size_t)oc * kernel_size;
        fn_prng_fill(prng, weights, kernel_size);
        for (size_t i = 0; i < kernel_size; i++)
            if (weights[i] == INT8_MIN) weights[i] = -127;
        draft->params[layer].frac_bits[oc] = (int8_t)(f + (int)(fn_prng_next(prng) % 3) - 1);
    }
}

/* Biases in -1/8...1/8, once the input's fractional bits are known. */
static void fill_bias(struct fn_model_draft *draft, int layer, struct fn_prng *prng) {
    const struct fn_layer *l = &draft->network.layers[layer];
    for (int oc = 0; oc < l->out_channels; oc++) {
        int f = draft->frac_bits[l->input] + draft->params[layer].frac_bits[oc];
        int64_t eighths = (int64_t)(fn_prng_next(prng) % 2048) - 1024; /* of 2^-13 */
        draft->params[layer].bias[oc] =
            (int32_t)(f >= 13 ? eighths * (INT64_C(1) << (f - 13)) : eighths >> (13 - f));
    }
}

/* ---- fractional bits of activations, from what the reference engine makes of one picture ---- */

struct trial {
    struct fn_model_draft *draft;
    struct fn_model *view; /* of the draft; its frac_bits are the trial's */
    int8_t *tensors[FN_MAX_TENSORS];
};

/* Whether every channel of every layer that writes `tensor` obeys the limits. */
static bool writers_fit(const struct trial *trial, int tensor) {
    const struct fn_network *net = &trial->draft->network;
    for (int i = 0; i < net->n_layers; i++) {
        const struct fn_layer *l = &net->layers[i];
        if (l->output != tensor || l->op == FN_OP_POOL) continue;
        for (int oc = 0; oc < l->out_channels; oc++)
            if (!fn_model_draft_channel_fits(trial->draft, i, oc)) return false;
    }
    return true;
}

/* Run what writes `tensor` with f fractional bits; true when at most 1 in 512 values saturate. */
static bool try_frac_bits(struct trial *trial, int tensor, int f) {
    const struct fn_network *net = &trial->draft->network;
    trial->draft->frac_bits[tensor] = trial->view->frac_bits[tensor] = (int8_t)f;
    if (!writers_fit(trial, tensor)) return false;
    for (int i = 0; i < net->n_layers; i++)
        if (net->layers[i].output == tensor)
            fn_reference_layer(trial->view, i, trial->tensors, NULL);
    size_t size = fn_tensor_size(&net->tensors[tensor]), saturated = 0;
    for (size_t i = 0; i < size; i++)
        saturated += trial->tensors[tensor][i] == 127 || trial->tensors[tensor][i] == -128;
    return saturated * 512 <= size;
}

/* The most fractional bits that fit, found downwards. */
static bool choose_frac_bits(struct trial *trial, int tensor) {
    for (int f = 10; f >= -10; f--)
        if (try_frac_bits(trial, tensor, f)) return true;
    return false;
}

static bool is_ready(const struct fn_network *net, int tensor, const bool *known) {
    for (int i = 0; i < net->n_layers; i++) {
        const struct fn_layer *l = &net->layers[i];
        if (l->output == tensor && (!known[l->input] || (l->residual >= 0 && !known[l->residual])))
            return false;
    }
    return true;
}

static fn_status calibrate(struct trial *trial, struct fn_prng *prng, struct fn_error *err) {
    const struct fn_network *net = &trial->draft->network;
    bool known[FN_MAX_TENSORS] = {[0] = true};
    for (int n_known = 1; n_known < net->n_tensors;) {
        int tensor = 1;
        while (known[tensor] || !is_ready(net, tensor, known)) tensor++;
        for (int i = 0; i < net->n_layers; i++)
            if (net->layers[i].output == tensor && net->layers[i].op != FN_OP_POOL)
                fill_bias(trial->draft, i, prng);
        if (!choose_frac_bits(trial, tensor))
            return fn_fail(err, FN_INTERNAL, "no fractional bits fit %s",
                           net->tensors[tensor].name);
        known[tensor] = true;
        n_known++;
    }
    fill_bias(trial->draft, net->n_layers - 1, prng);
    return FN_OK;
}

static fn_status run_calibration(struct fn_model_draft *draft, uint64_t seed, struct fn_prng *prng,
                                 struct fn_error *err) {
    struct trial trial = {.draft = draft};
    FN_CLEANUP_FREE uint8_t *crop = malloc(FN_CROP_SIZE);
    fn_status status = fn_model_draft_view(draft, &trial.view, err);
    for (int i = 0; i < draft->network.n_tensors && status == FN_OK; i++) {
        trial.tensors[i] = calloc(fn_tensor_size(&draft->network.tensors[i]), 1);
        if (!trial.tensors[i] || !crop) status = fn_fail(err, FN_NO_MEMORY, "no memory");
    }
    if (status == FN_OK) {
        fn_golden_picture(seed, crop);
        fn_preprocess(draft->preprocessing, crop, FN_CROP_SIZE, trial.tensors[0]);
        draft->frac_bits[0] = trial.view->frac_bits[0] =
            (int8_t)fn_preprocessing_frac_bits(draft->preprocessing);
        status = calibrate(&trial, prng, err);
    }
    for (int i = 0; i < FN_MAX_TENSORS; i++) free(trial.tensors[i]);
    free(trial.view);
    return status;
}

fn_status fn_untrained_draft(uint64_t seed, int width_numerator, int embedding_size,
                             struct fn_model_draft **ret_draft, struct fn_error *err) {
    if (width_numerator < 1 || width_numerator > 32)
        return fn_fail(err, FN_USAGE, "width is %d/32, expected 1...32", width_numerator);
    if (embedding_size < 1 || embedding_size > FN_MAX_CHANNELS)
        return fn_fail(err, FN_USAGE, "embedding size is %d, expected 1...%d", embedding_size,
                       FN_MAX_CHANNELS);
    const struct recipe recipe = {width_numerator, embedding_size};
    const struct fn_shapes shapes = {.find = find_width, .context = &recipe, .widths_only = true};
    FN_CLEANUP_FREE struct fn_network *network = malloc(sizeof *network);
    FN_CLEANUP(fn_model_draft_free) struct fn_model_draft *draft = NULL;
    if (!network) return fn_fail(err, FN_NO_MEMORY, "no memory for a network");
    fn_status status = fn_network_build(&shapes, network, err);
    if (status == FN_OK) status = fn_model_draft_new(network, &draft, err);
    if (status != FN_OK) return status;
    struct fn_prng prng = {seed};
    draft->untrained = true;
    for (int i = 0; i < network->n_layers; i++)
        if (network->layers[i].op != FN_OP_POOL) fill_weights(draft, i, &prng);
    status = run_calibration(draft, seed, &prng, err);
    if (status != FN_OK) return status;
    (void)snprintf(draft->crop, sizeof draft->crop, "%s", FN_CROP_WHOLE);
    (void)snprintf(draft->source_format, sizeof draft->source_format, "untrained");
    (void)snprintf(draft->source_name, sizeof draft->source_name, "seed %llu, width %d/32",
                   (unsigned long long)seed, width_numerator);
    *ret_draft = FN_TAKE(draft);
    return FN_OK;
}
