/* SPDX-License-Identifier: Apache-2.0
 *
 * source_keras.c -- FaceNet as the Keras ports name it (Block35_1_Branch_0_Conv2d_1x1 and
 * ..._BatchNorm) in any file of Keras: .h5 with weights alone or a whole model (below
 * /model_weights), Keras 3's `.weights.h5`, where variables have numbers for names, and its
 * `.keras`, a ZIP file with one of those and the model's configuration. Kernels HWIO; residual
 * scales are layers of their own there, so not folded. */
#include <jansson.h>
#include <string.h>

#include "model/sources/hdf5.h"
#include "model/sources/naming.h"
#include "model/sources/zip.h"

#define CONFIG     "config.json" /* members of a .keras file */
#define WEIGHTS    "model.weights.h5"
#define MAX_CONFIG ((size_t)64 << 20)

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
    const json_t *config; /* of the whole model, borrowed; NULL when the file has none before */
    bool unnamed; /* a Keras 3 file that does not name its layers, nor has a configuration */
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

/* A file that does not name its layers counts them by class: "conv2d_2" is the third Conv2D of the
 * model's configuration. */
static bool find_layer(const json_t *config, const char *place, char *ret_layer, size_t size) {
    static const char *const classes[][2] = {
        {"Conv2D", "conv2d"}, {"BatchNormalization", "batch_normalization"}, {"Dense", "dense"}};
    size_t index;
    json_t *layer;
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        size_t length = strlen(classes[i][1]);
        if (strncmp(place, classes[i][1], length) != 0) continue;
        if (place[length] && place[length] != '_') continue;
        long left = place[length] ? strtol(place + length + 1, NULL, 10) : 0;
        json_array_foreach(json_object_get(json_object_get(config, "config"), "layers"), index,
                           layer) {
            const char *class = json_string_value(json_object_get(layer, "class_name"));
            const char *name =
                json_string_value(json_object_get(json_object_get(layer, "config"), "name"));
            if (!class || !name || strcmp(class, classes[i][0]) != 0 || left-- != 0) continue;
            return snprintf(ret_layer, size, "%s", name) < (int)size;
        }
    }
    return false;
}

static fn_status visit_dataset(void *context, const struct fn_raw_tensor *tensor,
                               struct fn_error *err) {
    struct visit *visit = context;
    char layer[FN_NAME_SIZE], scope[FN_NAME_SIZE];
    const char *variable;
    enum fn_part part;
    if (strncmp(tensor->name, "optimizer", 9) == 0) return FN_OK;
    bool counted = strncmp(tensor->name, "vars:", 5) == 0;
    bool numbered = counted || strncmp(tensor->name, "vars/", 5) == 0;
    if (counted && !visit->config) return visit->unnamed = true, FN_OK;
    if (!split(tensor->name, layer, sizeof layer, &variable) ||
        (counted && !find_layer(visit->config, layer + 5, layer, sizeof layer)))
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
        if (strncmp(part[FN_PART_GAMMA].origin, "vars", 4) != 0 || part[FN_PART_VARIANCE].data)
            continue;
        for (int to = FN_PART_VARIANCE; to > FN_PART_GAMMA; to--) part[to] = part[to - 1];
        memset(&part[FN_PART_GAMMA], 0, sizeof part[FN_PART_GAMMA]);
    }
}

/* The epsilon of the BatchNorm layers in a model's configuration, which must agree. */
static fn_status read_epsilon(struct fn_source *source, const json_t *root, struct fn_error *err) {
    json_t *layer;
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
    if (!agree)
        return fn_fail(err, FN_BAD_SOURCE, "%s: BatchNorm layers with several epsilons",
                       source->path);
    if (found >= 0) source->batchnorm_epsilon = found;
    return FN_OK;
}

static void decref(json_t **json) {
    json_decref(*json);
}

/* An .h5 file; `config` is what is known of the model before, or NULL. */
static fn_status read_h5(struct fn_source *source, const struct fn_hdf5_input *input,
                         const json_t *config, struct fn_error *err) {
    struct visit visit = {.source = source, .config = config};
    const char *text;
    fn_status status = fn_hdf5_read(source, input, visit_dataset, &visit, &text, err);
    if (status != FN_OK) return status;
    __attribute__((cleanup(decref))) json_t *own = text ? json_loads(text, 0, NULL) : NULL;
    if (config || own) status = read_epsilon(source, config ? config : own, err);
    if (status != FN_OK) return status;
    move_numbered(source);
    if (source->n_scopes == 0)
        return fn_fail(err, FN_BAD_SOURCE, "%s: a file of Keras or HDF5, but %s", source->path,
                       visit.unnamed
                           ? "it does not name its layers; save the model as .keras or .h5"
                           : "no layer in it has a name of FaceNet, such as Conv2d_1a_3x3");
    return FN_OK;
}

static fn_status find_member(const struct fn_zip *zip, const char *path, const char *name,
                             const uint8_t **ret_bytes, size_t *ret_size, struct fn_error *err) {
    size_t index = fn_zip_find(zip, name);
    if (index == fn_zip_count(zip))
        return fn_fail(err, FN_BAD_SOURCE, "%s: a .keras file without a %s", path, name);
    return fn_zip_member(zip, index, ret_bytes, ret_size, err);
}

static fn_status read_zip(struct fn_source *source, const char *path, struct fn_error *err) {
    FN_CLEANUP(fn_zip_close) struct fn_zip *zip = NULL;
    uint8_t *bytes = NULL;
    const uint8_t *text = NULL, *weights = NULL;
    size_t size = 0, text_size = 0, weights_size = 0;
    fn_status status = fn_source_load(source, path, &bytes, &size, err);
    if (status == FN_OK) status = fn_zip_open(path, bytes, size, &zip, err);
    if (status == FN_OK) status = find_member(zip, path, CONFIG, &text, &text_size, err);
    if (status == FN_OK) status = find_member(zip, path, WEIGHTS, &weights, &weights_size, err);
    if (status != FN_OK) return status;
    __attribute__((cleanup(decref))) json_t *config =
        text_size <= MAX_CONFIG ? json_loadb((const char *)text, text_size, 0, NULL) : NULL;
    if (!config) return fn_fail(err, FN_BAD_SOURCE, "%s: its " CONFIG " is no JSON", path);
    const struct fn_hdf5_input input = {.path = path, .image = weights, .size = weights_size};
    return read_h5(source, &input, config, err);
}

static bool is_zip(const char *path) {
    uint8_t head[2];
    return fn_source_peek(path, head, sizeof head) && memcmp(head, "PK", 2) == 0;
}

static fn_status read_file(const char *path, struct fn_source *source, struct fn_error *err) {
    fn_status status = fn_source_file_digest(path, source->sha256, err);
    if (status != FN_OK) return status;
    const struct fn_hdf5_input input = {.path = path};
    return is_zip(path) ? read_zip(source, path, err) : read_h5(source, &input, NULL, err);
}

/* HDF5's signature, or a ZIP file that begins with a member of a .keras file. */
static bool recognise(const char *path) {
    static const uint8_t hdf5[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    static const char *const members[] = {"metadata.json", CONFIG, WEIGHTS};
    enum { LOCAL = 30 }; /* bytes of a member's header, its name follows */
    uint8_t head[LOCAL + sizeof WEIGHTS];
    if (!fn_source_peek(path, head, sizeof head)) return false;
    if (memcmp(head, hdf5, sizeof hdf5) == 0) return true;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (memcmp(head, "PK\3\4", 4) == 0 && head[26] == strlen(members[i]) && head[27] == 0 &&
            memcmp(head + LOCAL, members[i], strlen(members[i])) == 0)
            return true;
    return false;
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
    .format = "keras",
    .about = "a Keras file (.h5 or .keras)",
    .recognise = recognise,
    .read = read_file,
    .name_part = name_part,
};
