/* SPDX-License-Identifier: Apache-2.0
 *
 * source_keras.c -- FaceNet as the Keras ports name it (Block35_1_Branch_0_Conv2d_1x1 and
 * ..._BatchNorm) in any .h5 file of Keras: weights alone, a whole model (below /model_weights), or
 * Keras 3's `.weights.h5`, where variables have numbers for names. Kernels HWIO; residual scales
 * are layers of their own there, so not folded. */
#include <jansson.h>
#include <string.h>

#include "model/sources/hdf5.h"
#include "model/sources/naming.h"

static const struct {
    const char *name;
    enum fn_part part;
} variables[] = {
    {"kernel", FN_PART_KERNEL},    {"bias", FN_PART_BIAS},
    {"gamma", FN_PART_GAMMA},      {"beta", FN_PART_BETA},
    {"moving_mean", FN_PART_MEAN}, {"moving_variance", FN_PART_VARIANCE},
};

/* Keras 3 numbers a layer's variables; a BatchNorm without gamma begins with beta. What was
 * numbered is kept until the layer is complete. */
struct visit {
    struct fn_source *source;
    bool unnamed; /* a Keras 3 file that does not name its layers */
};

static bool find_part(const char *variable, enum fn_part *ret_part) {
    size_t length = strcspn(variable, ":");
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        if (strlen(variables[i].name) == length &&
            strncmp(variables[i].name, variable, length) == 0)
            return *ret_part = variables[i].part, true;
    return false;
}

/* "A/B/kernel:0" to the layer B and the part; without B, false. */
static bool split(const char *path, char *ret_layer, size_t size, const char **ret_variable) {
    const char *slash = strrchr(path, '/');
    if (!slash) return false;
    const char *begin = slash;
    while (begin > path && begin[-1] != '/') begin--;
    *ret_variable = slash + 1;
    int length = snprintf(ret_layer, size, "%.*s", (int)(slash - begin), begin);
    return length > 0 && (size_t)length < size;
}

static bool strip(char *name, const char *suffix) {
    size_t length = strlen(name), end = strlen(suffix);
    if (length <= end || strcmp(name + length - end, suffix) != 0) return false;
    name[length - end] = '\0';
    return true;
}

/* Number 0...3 of a layer. Which of BatchNorm's parts it is depends on how many there are, so they
 * are taken as if gamma were there, and moved when the layer turns out to have three. */
static bool numbered_part(bool norm, const char *number, enum fn_part *ret_part) {
    if (number[0] < '0' || number[0] > (norm ? '3' : '1') || number[1]) return false;
    *ret_part = (enum fn_part)((norm ? FN_PART_GAMMA : FN_PART_KERNEL) + (number[0] - '0'));
    return true;
}

static fn_status visit_dataset(void *context, const struct fn_raw_tensor *tensor,
                               struct fn_error *err) {
    struct visit *visit = context;
    char layer[FN_NAME_SIZE], scope[FN_NAME_SIZE];
    const char *variable;
    enum fn_part part;
    if (strncmp(tensor->name, "optimizer", 9) == 0) return FN_OK;
    if (strncmp(tensor->name, "vars//", 6) == 0) return visit->unnamed = true, FN_OK;
    bool numbered = strncmp(tensor->name, "vars/", 5) == 0;
    if (!split(tensor->name, layer, sizeof layer, &variable))
        return fn_source_skip(visit->source, tensor->name, err);
    bool norm = strip(layer, "_BatchNorm");
    if (!fn_naming_block(layer, scope) ||
        !(numbered ? numbered_part(norm, variable, &part) : find_part(variable, &part)))
        return fn_source_skip(visit->source, tensor->name, err);
    return fn_tensor_add(visit->source, scope, part, FN_LAYOUT_HWIO, tensor, err);
}

/* A numbered BatchNorm of three: what was taken as gamma, beta and mean is beta, mean, variance. */
static void move_numbered(struct fn_source *source) {
    for (size_t i = 0; i < source->n_scopes; i++) {
        struct fn_source_array *part = source->scopes[i].part;
        if (strncmp(part[FN_PART_GAMMA].origin, "vars/", 5) != 0 || part[FN_PART_VARIANCE].data)
            continue;
        for (int to = FN_PART_VARIANCE; to > FN_PART_GAMMA; to--) part[to] = part[to - 1];
        memset(&part[FN_PART_GAMMA], 0, sizeof part[FN_PART_GAMMA]);
    }
}

/* The epsilon of the BatchNorm layers in a model's configuration, which must agree. */
static fn_status read_epsilon(struct fn_source *source, const char *config, struct fn_error *err) {
    json_t *root = json_loads(config, 0, NULL), *layer;
    size_t index;
    double found = -1;
    bool agree = true;
    json_array_foreach(json_object_get(json_object_get(root, "config"), "layers"), index, layer) {
        const char *class = json_string_value(json_object_get(layer, "class_name"));
        const json_t *epsilon = json_object_get(json_object_get(layer, "config"), "epsilon");
        if (!class || strcmp(class, "BatchNormalization") != 0 || !json_is_number(epsilon))
            continue;
        double value = json_number_value(epsilon);
        agree &= found < 0 || value == found;
        found = value;
    }
    json_decref(root);
    if (!agree)
        return fn_fail(err, FN_BAD_SOURCE, "%s: BatchNorm layers with several epsilons",
                       source->path);
    if (found >= 0) source->batchnorm_epsilon = found;
    return FN_OK;
}

static fn_status read_file(const char *path, struct fn_source *source, struct fn_error *err) {
    struct visit visit = {.source = source};
    const char *config;
    fn_status status = fn_source_file_digest(path, source->sha256, err);
    if (status == FN_OK) status = fn_hdf5_read(source, path, visit_dataset, &visit, &config, err);
    if (status == FN_OK && config) status = read_epsilon(source, config, err);
    if (status != FN_OK) return status;
    move_numbered(source);
    if (source->n_scopes == 0)
        return fn_fail(err, FN_BAD_SOURCE, "%s: an HDF5 file, but %s", path,
                       visit.unnamed
                           ? "one of Keras 3 that does not name its layers; save the model as .h5"
                           : "no layer in it has a name of FaceNet, such as Conv2d_1a_3x3");
    return FN_OK;
}

static bool recognise(const char *path) {
    static const uint8_t magic[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    uint8_t head[8];
    return fn_source_peek(path, head, sizeof head) && memcmp(head, magic, sizeof magic) == 0;
}

static void name_part(const char *scope, enum fn_part part, char *ret_name, size_t size) {
    char layer[FN_NAME_SIZE];
    fn_naming_block_of(scope, layer, sizeof layer);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        if (variables[i].part == part)
            (void)snprintf(ret_name, size, "%s%s/%s", layer,
                           part == FN_PART_KERNEL || part == FN_PART_BIAS ? "" : "_BatchNorm",
                           variables[i].name);
}

const struct fn_source_reader fn_source_keras = {
    .format = "keras-h5",
    .about = "a Keras .h5 file",
    .recognise = recognise,
    .read = read_file,
    .name_part = name_part,
};
