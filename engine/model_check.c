/* SPDX-License-Identifier: Apache-2.0
 *
 * model_check.c -- limits of every channel, and the model id. */
#include "engine/model_check.h"

#include <stdio.h>
#include <string.h>

#include "engine/fixed.h"
#include "engine/preprocess.h"
#include "engine/safetensors.h"
#include "engine/sha256.h"

void fn_channel_describe(const struct fn_network *network, const int8_t *tensor_frac_bits,
                         const struct fn_params *params, int layer, int output_channel,
                         struct fn_channel *ret_channel) {
    const struct fn_layer *l = &network->layers[layer];
    const struct fn_tensor *in = &network->tensors[l->input];
    int f_acc = tensor_frac_bits[l->input] + params->frac_bits[output_channel];
    *ret_channel = (struct fn_channel){
        .weights = params->weights + (size_t)output_channel * fn_layer_kernel_size(l),
        .n_weights = fn_layer_kernel_size(l),
        .bias = params->bias[output_channel],
        .input_signed = in->is_signed,
        .positions = l->op == FN_OP_HEAD ? in->height * in->width : 1,
        .shift = l->op == FN_OP_HEAD ? 0 : f_acc - tensor_frac_bits[l->output],
        .has_residual = l->residual >= 0,
        .residual_shift = l->residual >= 0 ? f_acc - tensor_frac_bits[l->residual] : 0,
        .residual_remainder =
            fn_remainder_bits(tensor_frac_bits, l->residual, l->residual_remainder),
        .remainder = fn_remainder_bits(tensor_frac_bits, l->output, l->remainder),
    };
}

static fn_status check_channel(const struct fn_model *model, const char *name, int layer, int oc,
                               struct fn_error *err) {
    const struct fn_layer *l = &model->network.layers[layer];
    const struct fn_params *params = &model->params[layer];
    struct fn_channel channel;
    int f_w = params->frac_bits[oc];
    if (f_w < FN_FRAC_W_MIN || f_w > FN_FRAC_W_MAX)
        return fn_fail(err, FN_BAD_MODEL, "%s: %s channel %d: frac_bits is %d, expected %d...%d",
                       name, l->name, oc, f_w, FN_FRAC_W_MIN, FN_FRAC_W_MAX);
    fn_channel_describe(&model->network, model->frac_bits, params, layer, oc, &channel);
    if (memchr(channel.weights, (uint8_t)INT8_MIN, channel.n_weights))
        return fn_fail(err, FN_BAD_MODEL, "%s: %s channel %d: has a weight of -128, least is -127",
                       name, l->name, oc);
    if (fn_channel_fits(&channel)) return FN_OK;
    int64_t min = 0, max = 0;
    if (channel.residual_shift >= channel.residual_remainder &&
        channel.residual_shift <= FN_RESIDUAL_MAX)
        fn_channel_bounds(&channel, &min, &max);
    return fn_fail(err, FN_BAD_MODEL,
                   "%s: %s channel %d: accumulator may reach %lld...%lld with shifts s = %d, "
                   "r = %d; expected int32, s %d...%d, r %d...%d",
                   name, l->name, oc, (long long)min, (long long)max, channel.shift,
                   channel.residual_shift, channel.remainder, FN_SHIFT_MAX,
                   channel.residual_remainder, FN_RESIDUAL_MAX);
}

static fn_status check_layer(const struct fn_model *model, const char *name, int layer,
                             struct fn_error *err) {
    const struct fn_layer *l = &model->network.layers[layer];
    if (l->op == FN_OP_POOL) {
        int d = fn_model_pool_shift(model, layer);
        if (d < -FN_POOL_SHIFT_MAX || d > FN_POOL_SHIFT_MAX)
            return fn_fail(err, FN_BAD_MODEL, "%s: %s: shift of %d bits, expected at most %d", name,
                           l->name, d, FN_POOL_SHIFT_MAX);
        return FN_OK;
    }
    int bits = fn_remainder_bits(model->frac_bits, l->output, l->remainder);
    if (l->remainder && (bits < 1 || bits > FN_REMAINDER_MAX))
        return fn_fail(err, FN_BAD_MODEL,
                       "%s: %s: a remainder of %d bits, expected 1...%d more than the output's",
                       name, l->name, bits, FN_REMAINDER_MAX);
    fn_status status = FN_OK;
    for (int oc = 0; oc < l->out_channels && status == FN_OK; oc++)
        status = check_channel(model, name, layer, oc, err);
    return status;
}

fn_status fn_model_check(const struct fn_model *model, const char *name, struct fn_error *err) {
    for (int i = 0; i < model->network.n_tensors; i++)
        if (model->frac_bits[i] < FN_FRAC_X_MIN || model->frac_bits[i] > FN_FRAC_X_MAX)
            return fn_fail(err, FN_BAD_MODEL, "%s: %s: %d fractional bits, expected %d...%d", name,
                           model->network.tensors[i].name, model->frac_bits[i], FN_FRAC_X_MIN,
                           FN_FRAC_X_MAX);
    int expected = fn_preprocessing_frac_bits(model->preprocessing);
    if (model->frac_bits[0] != expected)
        return fn_fail(err, FN_BAD_MODEL,
                       "%s: the picture has %d fractional bits, preprocessing %s makes %d", name,
                       model->frac_bits[0], fn_preprocessing_name(model->preprocessing), expected);
    fn_status status = FN_OK;
    for (int i = 0; i < model->network.n_layers && status == FN_OK; i++)
        status = check_layer(model, name, i, err);
    return status;
}

static void add_text(struct fn_sha256 *sha, const char *text) {
    fn_sha256_add(sha, text, strlen(text));
}

fn_status fn_model_compute_id(const struct fn_model *model, const struct fn_stored_tensor *tensors,
                              size_t n_tensors, char ret_id[FN_MODEL_ID_SIZE],
                              struct fn_error *err) {
    struct fn_sha256 *sha = fn_sha256_new();
    if (!sha) return fn_fail(err, FN_NO_MEMORY, "no memory for the model id");
    char line[FN_NAME_SIZE + 64], hex[FN_SHA256_HEX_SIZE];
    for (size_t i = 0; i < n_tensors; i++) {
        const struct fn_stored_tensor *t = &tensors[i];
        add_text(sha, t->name);
        (void)snprintf(line, sizeof line, "\n%s", fn_dtype_name(t->dtype));
        add_text(sha, line);
        for (int k = 0; k < t->rank; k++) {
            (void)snprintf(line, sizeof line, "%c%lld", k ? ',' : '\n', (long long)t->shape[k]);
            add_text(sha, line);
        }
        add_text(sha, "\n");
        fn_sha256_add(sha, t->data, t->size);
    }
    for (int i = 0; i < model->network.n_tensors; i++) {
        (void)snprintf(line, sizeof line, "%s=%d\n", model->network.tensors[i].name,
                       model->frac_bits[i]);
        add_text(sha, line);
    }
    (void)snprintf(line, sizeof line, "embedding_size=%d\npreprocessing=%s\n",
                   model->network.embedding_size, fn_preprocessing_name(model->preprocessing));
    add_text(sha, line);
    fn_sha256_finish(sha, hex);
    (void)snprintf(ret_id, FN_MODEL_ID_SIZE, "%s%.16s", model->untrained ? "untrained-" : "", hex);
    return FN_OK;
}
