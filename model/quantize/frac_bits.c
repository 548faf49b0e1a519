/* SPDX-License-Identifier: Apache-2.0
 *
 * frac_bits.c -- see frac_bits.h. */
#include "model/quantize/frac_bits.h"

#include <jansson.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/file.h"
#include "engine/fixed.h"

#define MAX_FILE_SIZE ((size_t)1 << 20)

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
    if (status != FN_OK) return status;
    if (bits.f[0] != input_frac_bits)
        return fn_fail(err, FN_BAD_SOURCE, "%s: frac_bits: %s is %d; this preprocessing gives %d",
                       path, network->tensors[0].name, bits.f[0], input_frac_bits);
    *ret = bits;
    return FN_OK;
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
    FN_CLEANUP_FREE char *text = complete ? json_dumps(root, JSON_INDENT(1)) : NULL;
    if (!text) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", path);
    const struct fn_piece pieces[] = {{text, strlen(text)}, {"\n", 1}};
    return fn_file_write(path, pieces, 2, err);
}
