/* SPDX-License-Identifier: Apache-2.0
 *
 * frac_bits.c -- see frac_bits.h. */
#include "model/quantize/frac_bits.h"

#include <jansson.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/file.h"
#include "engine/fixed.h"

#define MAX_FILE_SIZE ((size_t)4 << 20)

#define JOINT "joint"

FN_DEFINE_CLEANUP(json_t *, json_decref)

static fn_status read_provenance(const char *path, const json_t *root, struct fn_frac_bits *bits,
                                 struct fn_error *err) {
    const json_t *calibration = json_object_get(root, "calibration");
    if (!calibration) return FN_OK;
    FN_CLEANUP_FREE char *text =
        json_is_object(calibration) ? json_dumps(calibration, JSON_COMPACT) : NULL;
    if (!text || strlen(text) >= sizeof bits->provenance)
        return fn_fail(err, FN_BAD_SOURCE, "%s: calibration: expected an object of below %zu bytes",
                       path, sizeof bits->provenance);
    memcpy(bits->provenance, text, strlen(text) + 1);
    return FN_OK;
}

static fn_status read_values(const char *path, const struct fn_network *network, json_t *values,
                             struct fn_frac_bits *bits, struct fn_error *err) {
    if (!json_is_object(values))
        return fn_fail(err, FN_BAD_SOURCE, "%s: expected an object frac_bits", path);
    const char *name;
    json_t *value;
    json_object_foreach(values, name, value) {
        int t = fn_network_find_tensor(network, name);
        if (t < 0)
            return fn_fail(err, FN_BAD_SOURCE, "%s: frac_bits: the network has no tensor %.80s",
                           path, name);
        json_int_t f = json_integer_value(value);
        if (!json_is_integer(value) || f < FN_FRAC_X_MIN || f > FN_FRAC_X_MAX)
            return fn_fail(err, FN_BAD_SOURCE, "%s: frac_bits: %s: expected an integer in %d...%d",
                           path, name, FN_FRAC_X_MIN, FN_FRAC_X_MAX);
        bits->f[t] = (int8_t)f;
    }
    for (int t = 0; t < network->n_tensors; t++)
        if (!json_object_get(values, network->tensors[t].name))
            return fn_fail(err, FN_BAD_SOURCE, "%s: frac_bits: tensor %s is missing", path,
                           network->tensors[t].name);
    return FN_OK;
}

void fn_frac_bits_done(struct fn_frac_bits *bits) {
    fn_equalisation_done(&bits->scales);
    fn_corrections_done(&bits->corrections);
    *bits = (struct fn_frac_bits){0};
}

static fn_status read_scales(const char *path, const struct fn_network *network, const json_t *root,
                             struct fn_frac_bits *bits, struct fn_error *err) {
    const json_t *scales = json_object_get(root, "scales");
    if (!scales) return FN_OK;
    FN_CLEANUP_FREE char *text = json_dumps(scales, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", path);
    fn_status status = fn_equalisation_read(path, text, network, &bits->scales, err);
    bits->has_scales = status == FN_OK;
    return status;
}

static fn_status read_layer_corrections(const char *path, const struct fn_layer *layer,
                                        const json_t *list, int32_t *ret_units,
                                        struct fn_error *err) {
    size_t n = (size_t)layer->out_channels;
    if (!json_is_array(list) || json_array_size(list) != n)
        return fn_fail(err, FN_BAD_SOURCE, "%s: corrections: %s: found %zu, expected %zu", path,
                       layer->name, json_array_size(list), n);
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(list, i);
        json_int_t units = json_integer_value(value);
        if (!json_is_integer(value) || units < -FN_CORRECTION_MAX || units > FN_CORRECTION_MAX)
            return fn_fail(err, FN_BAD_SOURCE,
                           "%s: corrections: %s: number %zu is no integer in %d...%d", path,
                           layer->name, i, -FN_CORRECTION_MAX, FN_CORRECTION_MAX);
        ret_units[i] = (int32_t)units;
    }
    return FN_OK;
}

static fn_status read_corrections(const char *path, const struct fn_network *network,
                                  const json_t *root, struct fn_frac_bits *bits,
                                  struct fn_error *err) {
    const json_t *layers = json_object_get(root, "corrections");
    if (!layers) return FN_OK;
    fn_status status = fn_corrections_new(network, &bits->corrections, err);
    size_t known = 0;
    for (int i = 0; i < network->n_layers && status == FN_OK; i++) {
        if (!bits->corrections.units[i]) continue;
        const struct fn_layer *layer = &network->layers[i];
        status = read_layer_corrections(path, layer, json_object_get(layers, layer->name),
                                        bits->corrections.units[i], err);
        known++;
    }
    if (status == FN_OK && json_object_size(layers) != known)
        status = fn_fail(err, FN_BAD_SOURCE, "%s: corrections of %zu layers, expected %zu", path,
                         json_object_size(layers), known);
    bits->has_corrections = status == FN_OK;
    return status;
}

static fn_status read_rounding(const char *path, const json_t *root, struct fn_frac_bits *bits,
                               struct fn_error *err) {
    const json_t *rounding = json_object_get(root, "rounding");
    if (!rounding) return FN_OK;
    const char *text = json_string_value(rounding);
    if (!text || strcmp(text, JOINT) != 0)
        return fn_fail(err, FN_BAD_SOURCE, "%s: rounding: expected \"%s\" or nothing", path, JOINT);
    bits->jointly = true;
    return FN_OK;
}

fn_status fn_frac_bits_read(const char *path, const struct fn_network *network, int input_frac_bits,
                            struct fn_frac_bits *ret, struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *bytes = NULL;
    size_t size = 0;
    fn_status status = fn_file_read(path, MAX_FILE_SIZE, &bytes, &size, err);
    if (status != FN_OK) return status;
    json_error_t error;
    FN_CLEANUP(json_decref)
    json_t *root = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &error);
    if (!root) return fn_fail(err, FN_BAD_SOURCE, "%s:%d: %.160s", path, error.line, error.text);
    struct fn_frac_bits bits = {0};
    status = read_provenance(path, root, &bits, err);
    if (status == FN_OK)
        status = read_values(path, network, json_object_get(root, "frac_bits"), &bits, err);
    if (status == FN_OK && bits.f[0] != input_frac_bits)
        status = fn_fail(err, FN_BAD_SOURCE, "%s: frac_bits: %s is %d; this preprocessing gives %d",
                         path, network->tensors[0].name, bits.f[0], input_frac_bits);
    if (status == FN_OK) status = read_scales(path, network, root, &bits, err);
    if (status == FN_OK) status = read_corrections(path, network, root, &bits, err);
    if (status == FN_OK) status = read_rounding(path, root, &bits, err);
    if (status == FN_OK)
        *ret = bits;
    else
        fn_frac_bits_done(&bits);
    return status;
}

/* Null when there is no memory. */
static json_t *pack_corrections(const struct fn_network *network,
                                const struct fn_corrections *corrections) {
    json_t *layers = json_object();
    for (int i = 0; i < network->n_layers; i++) {
        if (!corrections->units[i]) continue;
        json_t *list = json_array();
        for (int oc = 0; oc < network->layers[i].out_channels; oc++)
            (void)json_array_append_new(list, json_integer(corrections->units[i][oc]));
        (void)json_object_set_new(layers, network->layers[i].name, list);
    }
    return layers;
}

static bool add_scales(json_t *root, const struct fn_network *network,
                       const struct fn_equalisation *scales) {
    FN_CLEANUP_FREE char *text = fn_equalisation_write(scales, network);
    return text && json_object_set_new(root, "scales", json_loads(text, 0, NULL)) == 0;
}

fn_status fn_frac_bits_write(const char *path, const struct fn_network *network,
                             const struct fn_frac_bits *bits, struct fn_error *err) {
    FN_CLEANUP(json_decref) json_t *root = json_object();
    if (bits->provenance[0])
        (void)json_object_set_new(root, "calibration",
                                  json_loads(bits->provenance, JSON_REJECT_DUPLICATES, NULL));
    json_t *values = json_object(); /* owned by root */
    bool complete = json_object_set_new(root, "frac_bits", values) == 0;
    for (int t = 0; t < network->n_tensors && complete; t++)
        complete =
            json_object_set_new(values, network->tensors[t].name, json_integer(bits->f[t])) == 0;
    if (complete && bits->has_scales) complete = add_scales(root, network, &bits->scales);
    if (complete && bits->has_corrections)
        complete = json_object_set_new(root, "corrections",
                                       pack_corrections(network, &bits->corrections)) == 0;
    if (complete && bits->jointly)
        complete = json_object_set_new(root, "rounding", json_string(JOINT)) == 0;
    FN_CLEANUP_FREE char *text = complete ? json_dumps(root, JSON_COMPACT) : NULL;
    if (!text) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", path);
    const struct fn_piece pieces[] = {{text, strlen(text)}, {"\n", 1}};
    return fn_file_write(path, pieces, 2, err);
}
