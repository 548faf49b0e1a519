/* SPDX-License-Identifier: Apache-2.0
 *
 * reference.c -- the reference engine: what every device must compute, as plain loops. It is also
 * the example of a back end (backend.h). Speed is not its business; being obviously right is. */
#include "engine/reference.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/backend.h"
#include "engine/cleanup.h"
#include "engine/fixed.h"

/* Sum of products of one output value: weights of one output channel over the window whose top left
 * is (y0, x0), positions outside the input counting as zero. */
static int32_t convolve(const struct fn_layer *layer, const struct fn_tensor *in,
                        const int8_t *input, const int8_t *weights, int y0, int x0) {
    int32_t acc = 0;
    for (int ky = 0; ky < layer->kernel_h; ky++) {
        int y = y0 + ky;
        if (y < 0 || y >= in->height) continue;
        for (int kx = 0; kx < layer->kernel_w; kx++) {
            int x = x0 + kx;
            if (x < 0 || x >= in->width) continue;
            const int8_t *p =
                input + ((size_t)y * (size_t)in->width + (size_t)x) * (size_t)in->channels;
            const int8_t *w = weights + ((size_t)ky * (size_t)layer->kernel_w + (size_t)kx) *
                                            (size_t)in->channels;
            for (int c = 0; c < in->channels; c++) acc += (int32_t)p[c] * w[c];
        }
    }
    return acc;
}

static void run_conv(const struct fn_model *model, int index, int8_t *const *tensors) {
    const struct fn_layer *layer = &model->network.layers[index];
    const struct fn_tensor *in = &model->network.tensors[layer->input];
    const struct fn_tensor *out = &model->network.tensors[layer->output];
    const struct fn_params *params = &model->params[index];
    const int8_t *residual = layer->residual >= 0 ? tensors[layer->residual] : NULL;
    const int8_t *low = layer->residual_remainder ? tensors[layer->residual_remainder] : NULL;
    int low_bits = fn_remainder_bits(model->frac_bits, layer->residual, layer->residual_remainder);
    int d = fn_remainder_bits(model->frac_bits, layer->output, layer->remainder);
    size_t kernel_size = fn_layer_kernel_size(layer);
    for (int oc = 0; oc < layer->out_channels; oc++) {
        const int8_t *weights = params->weights + (size_t)oc * kernel_size;
        int s = fn_model_shift(model, index, oc);
        int r = residual ? fn_model_residual_shift(model, index, oc) : 0;
        for (int y = 0; y < out->height; y++)
            for (int x = 0; x < out->width; x++) {
                int32_t acc = params->bias[oc] + convolve(layer, in, tensors[layer->input], weights,
                                                          y * layer->stride - layer->pad_h,
                                                          x * layer->stride - layer->pad_w);
                size_t at = ((size_t)y * (size_t)out->width + (size_t)x) * (size_t)out->channels +
                            (size_t)(layer->output_offset + oc);
                if (residual) acc += residual[at] * (INT32_C(1) << r);
                if (low) acc += low[at] * (INT32_C(1) << (r - low_bits));
                int8_t *to = &tensors[layer->output][at];
                if (layer->remainder)
                    *to =
                        fn_requantize_wide(acc, s, d, layer->relu, &tensors[layer->remainder][at]);
                else
                    *to = fn_requantize(acc, s, layer->relu);
            }
    }
}

static void run_pool(const struct fn_model *model, int index, int8_t *const *tensors) {
    const struct fn_layer *layer = &model->network.layers[index];
    const struct fn_tensor *in = &model->network.tensors[layer->input];
    const struct fn_tensor *out = &model->network.tensors[layer->output];
    const int8_t *input = tensors[layer->input];
    int d = fn_model_pool_shift(model, index);
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            for (int c = 0; c < in->channels; c++) {
                int8_t max = INT8_MIN;
                for (int ky = 0; ky < layer->kernel_h; ky++)
                    for (int kx = 0; kx < layer->kernel_w; kx++) {
                        size_t at = ((size_t)(y * layer->stride + ky) * (size_t)in->width +
                                     (size_t)(x * layer->stride + kx)) *
                                        (size_t)in->channels +
                                    (size_t)c;
                        if (input[at] > max) max = input[at];
                    }
                tensors[layer->output]
                       [((size_t)y * (size_t)out->width + (size_t)x) * (size_t)out->channels +
                        (size_t)(layer->output_offset + c)] = fn_pool_rescale(max, d);
            }
}

static void run_head(const struct fn_model *model, int index, int8_t *const *tensors,
                     int32_t *ret_accumulators) {
    const struct fn_layer *layer = &model->network.layers[index];
    const struct fn_tensor *in = &model->network.tensors[layer->input];
    const struct fn_params *params = &model->params[index];
    size_t channels = (size_t)in->channels, positions = (size_t)in->height * (size_t)in->width;
    assert(ret_accumulators);
    for (int o = 0; o < layer->out_channels; o++) {
        int32_t acc = params->bias[o];
        for (size_t p = 0; p < positions; p++)
            for (size_t c = 0; c < channels; c++)
                acc += (int32_t)params->weights[(size_t)o * channels + c] *
                       tensors[layer->input][p * channels + c];
        ret_accumulators[o] = acc;
    }
}

void fn_reference_layer(const struct fn_model *model, int layer, int8_t *const *tensors,
                        int32_t *ret_accumulators) {
    switch (model->network.layers[layer].op) {
    case FN_OP_CONV:
        run_conv(model, layer, tensors);
        break;
    case FN_OP_POOL:
        run_pool(model, layer, tensors);
        break;
    case FN_OP_HEAD:
        run_head(model, layer, tensors, ret_accumulators);
        break;
    }
}

/* ---- the back end ---- */

struct reference {
    const struct fn_model *model;    /* borrowed */
    int n_pictures;                  /* that the tensors hold: 1, or max_batch with keep_tensors */
    int8_t *tensors[FN_MAX_TENSORS]; /* owned: [n_pictures][height][width][channels] */
    int32_t *accumulators; /* owned: [max_batch][embedding_size], of the batch in flight */
};

static size_t tensor_size(const struct fn_model *model, int tensor) {
    return fn_tensor_size(&model->network.tensors[tensor]);
}

static void reference_close(void *state) {
    struct reference *ref = state;
    for (int i = 0; i < FN_MAX_TENSORS; i++) free(ref->tensors[i]);
    free(ref->accumulators);
    free(ref);
}

static fn_status reference_open(const struct fn_model *model,
                                const struct fn_engine_options *options, void **ret_state,
                                struct fn_error *err) {
    struct reference *ref = calloc(1, sizeof *ref);
    if (!ref) return fn_fail(err, FN_NO_MEMORY, "no memory for the reference engine");
    ref->model = model;
    ref->n_pictures = options->keep_tensors ? options->max_batch : 1;
    ref->accumulators =
        calloc((size_t)options->max_batch,
               ((size_t)model->network.embedding_size + 1) * sizeof *ref->accumulators);
    bool complete = ref->accumulators;
    for (int i = 0; i < model->network.n_tensors && complete; i++) {
        ref->tensors[i] = calloc((size_t)ref->n_pictures, tensor_size(model, i));
        complete = ref->tensors[i];
    }
    if (!complete) {
        reference_close(ref);
        return fn_fail(err, FN_NO_MEMORY, "no memory for the reference engine's tensors");
    }
    *ret_state = ref;
    return FN_OK;
}

static int reference_slots(const void *state) {
    (void)state;
    return 1;
}

static fn_status reference_submit(void *state, int slot, const int8_t *input, int n,
                                  struct fn_error *err) {
    (void)slot;
    (void)err;
    struct reference *ref = state;
    const struct fn_model *model = ref->model;
    assert(model->network.n_tensors > 0);
    for (int picture = 0; picture < n; picture++) {
        int8_t *tensors[FN_MAX_TENSORS];
        size_t kept = ref->n_pictures > 1 ? (size_t)picture : 0;
        for (int i = 0; i < model->network.n_tensors; i++)
            tensors[i] = ref->tensors[i] + kept * tensor_size(model, i);
        memcpy(tensors[0], input + (size_t)picture * tensor_size(model, 0), tensor_size(model, 0));
        for (int i = 0; i < model->network.n_layers; i++)
            fn_reference_layer(model, i, tensors,
                               ref->accumulators +
                                   (size_t)picture * (size_t)model->network.embedding_size);
    }
    return FN_OK;
}

static fn_status reference_collect(void *state, int slot, int n, int32_t *ret_accumulators,
                                   struct fn_error *err) {
    (void)slot;
    (void)err;
    const struct reference *ref = state;
    if (ret_accumulators)
        memcpy(ret_accumulators, ref->accumulators,
               (size_t)n * (size_t)ref->model->network.embedding_size * sizeof *ret_accumulators);
    return FN_OK;
}

static fn_status reference_read_tensor(void *state, int tensor, int picture, int8_t *ret_values,
                                       struct fn_error *err) {
    (void)err;
    const struct reference *ref = state;
    size_t size = tensor_size(ref->model, tensor);
    memcpy(ret_values, ref->tensors[tensor] + (size_t)picture * size, size);
    return FN_OK;
}

static void reference_describe(const void *state, struct fn_engine_description *ret) {
    (void)state;
    *ret = (struct fn_engine_description){.backend = "reference",
                                          .kernel_family = "reference",
                                          .platform = "C",
                                          .device = "CPU",
                                          .driver = "",
                                          .label = "reference",
                                          .note = ""};
}

const struct fn_backend fn_backend_reference = {
    .open = reference_open,
    .slots = reference_slots,
    .submit = reference_submit,
    .collect = reference_collect,
    .read_tensor = reference_read_tensor,
    .describe = reference_describe,
    .close = reference_close,
};
