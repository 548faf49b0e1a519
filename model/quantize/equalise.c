/* SPDX-License-Identifier: Apache-2.0
 *
 * equalise.c -- see equalise.h. */
#include "model/quantize/equalise.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "engine/safetensors.h"

#define FIRST_LETTER 'a'
#define N_LETTERS    (2 * FN_SCALE_STEP_MAX + 1)

FN_DEFINE_CLEANUP(json_t *, json_decref)

fn_status fn_equalisation_new(const struct fn_network *network, struct fn_equalisation *ret,
                              struct fn_error *err) {
    struct fn_equalisation made = {0};
    for (int t = 0; t < network->n_tensors; t++) {
        made.steps[t] = calloc((size_t)network->tensors[t].channels, 1);
        if (made.steps[t]) continue;
        fn_equalisation_done(&made);
        return fn_fail(err, FN_NO_MEMORY, "no memory for the channels' scales");
    }
    *ret = made;
    return FN_OK;
}

void fn_equalisation_done(struct fn_equalisation *equalisation) {
    for (int t = 0; t < FN_MAX_TENSORS; t++) free(equalisation->steps[t]);
    *equalisation = (struct fn_equalisation){0};
}

double fn_equalisation_factor(int step) {
    /* constants, because exp2() is not the same everywhere */
    static const double quarters[4] = {0x1p+0, 0x1.306fe0a31b715p+0, 0x1.6a09e667f3bcdp+0,
                                       0x1.ae89f995ad3adp+0};
    int octave = (step + 4 * FN_SCALE_STEP_MAX) / 4 - FN_SCALE_STEP_MAX;
    return ldexp(quarters[step - 4 * octave], octave);
}

bool fn_equalisation_is_free(const struct fn_layer *layer) {
    return layer->op == FN_OP_CONV && layer->residual < 0;
}

void fn_equalisation_spread(const struct fn_network *network,
                            struct fn_equalisation *equalisation) {
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (layer->op == FN_OP_HEAD || fn_equalisation_is_free(layer)) continue;
        int from = layer->op == FN_OP_POOL ? layer->input : layer->residual;
        const int8_t *steps = equalisation->steps[from];
        if (layer->op != FN_OP_POOL) steps += layer->output_offset;
        memcpy(equalisation->steps[layer->output] + layer->output_offset, steps,
               (size_t)layer->out_channels);
    }
}

void fn_equalisation_apply(const struct fn_equalisation *equalisation, const struct fn_layer *layer,
                           double *weights, double *bias) {
    const int8_t *in = equalisation->steps[layer->input];
    const int8_t *out =
        layer->output < 0 ? NULL : equalisation->steps[layer->output] + layer->output_offset;
    size_t taps = (size_t)layer->kernel_h * (size_t)layer->kernel_w;
    for (int oc = 0; oc < layer->out_channels; oc++) {
        int step = out ? out[oc] : 0;
        bias[oc] *= fn_equalisation_factor(step);
        for (size_t tap = 0; tap < taps; tap++)
            for (int ic = 0; ic < layer->in_channels; ic++)
                *weights++ *= fn_equalisation_factor(step - in[ic]);
    }
}

char *fn_equalisation_write(const struct fn_equalisation *equalisation,
                            const struct fn_network *network) {
    FN_CLEANUP(json_decref) json_t *root = json_object();
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (!fn_equalisation_is_free(layer)) continue;
        const int8_t *steps = equalisation->steps[layer->output] + layer->output_offset;
        FN_CLEANUP_FREE char *letters = malloc((size_t)layer->out_channels + 1);
        if (!letters) return NULL;
        for (int oc = 0; oc < layer->out_channels; oc++)
            letters[oc] = (char)(FIRST_LETTER + FN_SCALE_STEP_MAX + steps[oc]);
        letters[layer->out_channels] = '\0';
        if (json_object_set_new(root, layer->name, json_string(letters)) != 0) return NULL;
    }
    return json_dumps(root, JSON_COMPACT);
}

static fn_status read_layer(const char *where, const json_t *root, const struct fn_layer *layer,
                            int8_t *ret_steps, struct fn_error *err) {
    const char *letters = json_string_value(json_object_get(root, layer->name));
    size_t n = (size_t)layer->out_channels;
    if (!letters || strlen(letters) != n)
        return fn_fail(err, FN_BAD_SOURCE, "%s: scales of %s: found %zu, expected %zu", where,
                       layer->name, letters ? strlen(letters) : 0, n);
    for (size_t i = 0; i < n; i++) {
        int step = letters[i] - FIRST_LETTER - FN_SCALE_STEP_MAX;
        if (step < -FN_SCALE_STEP_MAX || step > FN_SCALE_STEP_MAX)
            return fn_fail(err, FN_BAD_SOURCE, "%s: scales of %s: character %zu is none of %c...%c",
                           where, layer->name, i, FIRST_LETTER, FIRST_LETTER + N_LETTERS - 1);
        ret_steps[i] = (int8_t)step;
    }
    return FN_OK;
}

fn_status fn_equalisation_read(const char *where, const char *json,
                               const struct fn_network *network, struct fn_equalisation *ret,
                               struct fn_error *err) {
    FN_CLEANUP(json_decref) json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root))
        return fn_fail(err, FN_BAD_SOURCE, "%s: scales: expected an object", where);
    struct fn_equalisation made;
    fn_status status = fn_equalisation_new(network, &made, err);
    if (status != FN_OK) return status;
    size_t known = 0;
    for (int i = 0; i < network->n_layers && status == FN_OK; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (!fn_equalisation_is_free(layer)) continue;
        status =
            read_layer(where, root, layer, made.steps[layer->output] + layer->output_offset, err);
        known++;
    }
    if (status == FN_OK && json_object_size(root) != known)
        status = fn_fail(err, FN_BAD_SOURCE, "%s: scales of %zu layers, expected %zu", where,
                         json_object_size(root), known);
    if (status != FN_OK) {
        fn_equalisation_done(&made);
        return status;
    }
    fn_equalisation_spread(network, &made);
    *ret = made;
    return FN_OK;
}

fn_status fn_equalisation_of(const struct fn_model *model, struct fn_equalisation *ret,
                             struct fn_error *err) {
    const char *text = model->file ? fn_safetensors_metadata(model->file, "channel_scales") : NULL;
    return text ? fn_equalisation_read("channel_scales", text, &model->network, ret, err)
                : fn_equalisation_new(&model->network, ret, err);
}
