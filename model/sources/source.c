/* SPDX-License-Identifier: Apache-2.0
 *
 * source.c -- the store of views behind every reader; source_fold.c turns them into weights. */
#include "model/sources/source.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/preprocess.h"

static const struct fn_source_reader *const readers[] = {
    &fn_source_extract, /* before checkpoints and npy, which are folders too */
    &fn_source_tf_checkpoint, &fn_source_npy,                        /* takes any folder */
    &fn_source_safetensors,   &fn_source_keras,    &fn_source_torch, /* any other ZIP file */
    &fn_source_onnx,          &fn_source_graphdef, /* last: little tells it apart */
};
#define N_READERS (sizeof readers / sizeof readers[0])

#define MAX_SCOPES 4096 /* far above any network's; keeps a hostile file's cost low */

static const char *const part_names[FN_PARTS] = {"weights", "bias",        "gamma",
                                                 "beta",    "moving mean", "moving variance"};

fn_status fn_source_new(const char *path, struct fn_source **ret_source, struct fn_error *err) {
    struct fn_source *source = calloc(1, sizeof *source);
    if (!source) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", path);
    (void)snprintf(source->path, sizeof source->path, "%s", path);
    source->batchnorm_epsilon = 0.001;
    source->memory_limit = FN_SOURCE_MEMORY;
    *ret_source = source;
    return FN_OK;
}

void fn_source_free(struct fn_source *source) {
    if (!source) return;
    for (size_t i = source->n_storage; i-- > 0;) source->storage[i].free(source->storage[i].object);
    for (size_t i = 0; i < source->n_unused; i++) free(source->unused[i]);
    free(source->storage);
    free(source->unused);
    free(source->scopes);
    free(source);
}

fn_status fn_source_own(struct fn_source *source, void *object, void (*free_object)(void *),
                        struct fn_error *err) {
    struct fn_storage *grown = reallocarray(source->storage, source->n_storage + 1, sizeof *grown);
    if (!grown) {
        free_object(object);
        return fn_fail(err, FN_NO_MEMORY, "%s: no memory", source->path);
    }
    source->storage = grown;
    source->storage[source->n_storage++] = (struct fn_storage){object, free_object};
    return FN_OK;
}

const struct fn_source_scope *fn_source_find(const struct fn_source *source, const char *scope) {
    for (size_t i = 0; i < source->n_scopes; i++)
        if (strcmp(source->scopes[i].name, scope) == 0) return &source->scopes[i];
    return NULL;
}

static struct fn_source_scope *find_or_make(struct fn_source *source, const char *scope) {
    for (size_t i = 0; i < source->n_scopes; i++)
        if (strcmp(source->scopes[i].name, scope) == 0) return &source->scopes[i];
    if (source->n_scopes == source->scopes_capacity) {
        size_t more = source->scopes_capacity ? 2 * source->scopes_capacity : 160;
        struct fn_source_scope *grown = reallocarray(source->scopes, more, sizeof *grown);
        if (!grown) return NULL;
        source->scopes = grown;
        source->scopes_capacity = more;
    }
    struct fn_source_scope *made = &source->scopes[source->n_scopes++];
    memset(made, 0, sizeof *made);
    (void)snprintf(made->name, sizeof made->name, "%s", scope);
    return made;
}

fn_status fn_source_add(struct fn_source *source, const char *scope, enum fn_part part,
                        const struct fn_source_array *array, struct fn_error *err) {
    if (strlen(scope) >= FN_NAME_SIZE)
        return fn_fail(err, FN_BAD_SOURCE, "%s: %s: the name is too long", source->path,
                       array->origin);
    if (array->dtype != FN_DTYPE_F16 && array->dtype != FN_DTYPE_F32 &&
        array->dtype != FN_DTYPE_F64)
        return fn_fail(err, FN_BAD_SOURCE, "%s: %s: numbers of type %s; expected F16, F32 or F64",
                       source->path, array->origin, fn_dtype_name(array->dtype));
    if (source->n_scopes == MAX_SCOPES)
        return fn_fail(err, FN_BAD_SOURCE, "%s: more than %d layers; FaceNet has 132", source->path,
                       MAX_SCOPES - 1);
    struct fn_source_scope *place = find_or_make(source, scope);
    if (!place) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", source->path);
    if (place->part[part].data)
        return fn_fail(err, FN_BAD_SOURCE, "%s: %s and %s are both the %s of %s", source->path,
                       place->part[part].origin, array->origin, part_names[part], scope);
    place->part[part] = *array;
    return FN_OK;
}

fn_status fn_source_skip(struct fn_source *source, const char *name, struct fn_error *err) {
    char **grown = reallocarray(source->unused, source->n_unused + 1, sizeof *grown);
    if (grown) source->unused = grown;
    char *copy = grown ? strdup(name) : NULL;
    if (!copy) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", source->path);
    source->unused[source->n_unused++] = copy;
    return FN_OK;
}

const struct fn_source_reader *fn_source_recognise(const char *path) {
    for (size_t i = 0; i < N_READERS; i++)
        if (readers[i]->recognise(path)) return readers[i];
    return NULL;
}

static fn_status fail_unknown(const char *path, struct fn_error *err) {
    struct stat info; /* asked for now only: a checkpoint's prefix need not exist */
    if (stat(path, &info) != 0) return fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return fn_fail(err, FN_IO, "%s: is neither a regular file nor a folder", path);
    char known[200] = "";
    for (size_t i = 0; i < N_READERS; i++) {
        size_t used = strlen(known);
        const struct fn_source_reader *reader = readers[i];
        if (!reader) break; /* never: the analyzer does not see into the table */
        (void)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", reader->format);
    }
    return fn_fail(err, FN_BAD_SOURCE, "%.80s: no trained weights in any known form (%s)", path,
                   known);
}

fn_status fn_source_open_with(const char *path, const struct fn_source_options *options,
                              struct fn_source **ret_source, struct fn_error *err) {
    const struct fn_source_reader *reader = fn_source_recognise(path);
    if (!reader) return fail_unknown(path, err);
    if (options && options->use_averages && reader != &fn_source_tf_checkpoint)
        return fn_fail(err, FN_USAGE, "%s: --ema, but only TensorFlow checkpoints have averages",
                       path);
    FN_CLEANUP(fn_source_free) struct fn_source *source = NULL;
    fn_status status = fn_source_new(path, &source, err);
    if (status != FN_OK) return status;
    source->reader = reader;
    if (options) {
        source->use_averages = options->use_averages;
        if (options->memory_limit) source->memory_limit = options->memory_limit;
    }
    status = reader->read(path, source, err);
    if (status != FN_OK) return status;
    *ret_source = FN_TAKE(source);
    return FN_OK;
}

fn_status fn_source_open(const char *path, struct fn_source **ret_source, struct fn_error *err) {
    return fn_source_open_with(path, NULL, ret_source, err);
}

struct lookup {
    const struct fn_source *source;
    char *missing; /* [FN_NAME_SIZE]: the first scope that was asked for and is not there */
};

static bool find_shape(const void *context, const char *scope, int64_t ret_shape[4]) {
    const struct lookup *lookup = context;
    const struct fn_source_scope *found = fn_source_find(lookup->source, scope);
    if (!found || !found->part[FN_PART_KERNEL].data) {
        if (!lookup->missing[0]) (void)snprintf(lookup->missing, FN_NAME_SIZE, "%s", scope);
        return false;
    }
    memcpy(ret_shape, found->part[FN_PART_KERNEL].shape, 4 * sizeof *ret_shape);
    return true;
}

static fn_status fail_missing(const struct fn_source *source, const char *scope, enum fn_part part,
                              struct fn_error *err) {
    char name[160] = "";
    if (source->reader) source->reader->name_part(scope, part, name, sizeof name);
    return fn_fail(err, FN_BAD_SOURCE, "%s: the %s of %s is missing%s%s%s", source->path,
                   part_names[part], scope, name[0] ? " (expected " : "", name, name[0] ? ")" : "");
}

static fn_status check_vector(const struct fn_source *source, const struct fn_layer *layer,
                              const struct fn_source_array *array, enum fn_part part,
                              struct fn_error *err) {
    if (array->shape[0] == layer->out_channels && array->shape[1] == 1 && array->shape[2] == 1 &&
        array->shape[3] == 1)
        return FN_OK;
    return fn_fail(
        err, FN_BAD_SOURCE, "%s: %s: %lld numbers as the %s of %s; expected %d", source->path,
        array->origin,
        (long long)(array->shape[0] * array->shape[1] * array->shape[2] * array->shape[3]),
        part_names[part], layer->name, layer->out_channels);
}

static fn_status check_layer(const struct fn_source *source, const struct fn_layer *layer,
                             struct fn_error *err) {
    const struct fn_source_scope *scope = fn_source_find(source, layer->name);
    if (!scope || !scope->part[FN_PART_KERNEL].data)
        return fail_missing(source, layer->name, FN_PART_KERNEL, err);
    bool mean = scope->part[FN_PART_MEAN].data, variance = scope->part[FN_PART_VARIANCE].data;
    bool any_norm =
        mean || variance || scope->part[FN_PART_GAMMA].data || scope->part[FN_PART_BETA].data;
    if (any_norm && !mean) return fail_missing(source, layer->name, FN_PART_MEAN, err);
    if (any_norm && !variance) return fail_missing(source, layer->name, FN_PART_VARIANCE, err);
    if (!any_norm && !scope->part[FN_PART_BIAS].data)
        return fail_missing(source, layer->name, FN_PART_BIAS, err);
    for (int part = FN_PART_BIAS; part < FN_PARTS; part++) {
        if (!scope->part[part].data) continue;
        fn_status status = check_vector(source, layer, &scope->part[part], (enum fn_part)part, err);
        if (status != FN_OK) return status;
    }
    return FN_OK;
}

static bool has_layer(const struct fn_network *network, const char *name) {
    for (int i = 0; i < network->n_layers; i++)
        if (network->layers[i].op != FN_OP_POOL && strcmp(network->layers[i].name, name) == 0)
            return true;
    return false;
}

fn_status fn_source_network(struct fn_source *source, struct fn_network *ret_network,
                            struct fn_error *err) {
    char missing[FN_NAME_SIZE] = "";
    const struct lookup lookup = {source, missing};
    const struct fn_shapes shapes = {.find = find_shape, .context = &lookup};
    FN_CLEANUP_FREE struct fn_network *network = calloc(1, sizeof *network);
    if (!network) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", source->path);
    struct fn_error inner = {0};
    fn_status status = fn_network_build(&shapes, network, &inner);
    if (status != FN_OK && missing[0]) return fail_missing(source, missing, FN_PART_KERNEL, err);
    if (status != FN_OK) return fn_fail(err, status, "%s: %s", source->path, inner.text);
    for (int i = 0; i < network->n_layers; i++) {
        if (network->layers[i].op == FN_OP_POOL) continue;
        status = check_layer(source, &network->layers[i], err);
        if (status != FN_OK) return status;
    }
    for (size_t i = 0; i < source->n_scopes; i++) {
        if (has_layer(network, source->scopes[i].name)) continue;
        for (int part = 0; part < FN_PARTS; part++) {
            if (!source->scopes[i].part[part].data) continue;
            status = fn_source_skip(source, source->scopes[i].part[part].origin, err);
            if (status != FN_OK) return status;
        }
    }
    *ret_network = *network;
    return FN_OK;
}

fn_status fn_source_preprocessing(const struct fn_source *source, int embedding_size,
                                  const char *wanted, enum fn_preprocessing *ret,
                                  struct fn_error *err) {
    if (wanted) {
        for (int p = FN_PREPROCESSING_FIXED; p <= FN_PREPROCESSING_PER_IMAGE; p++)
            if (strcmp(wanted, fn_preprocessing_name((enum fn_preprocessing)p)) == 0) {
                *ret = (enum fn_preprocessing)p;
                return FN_OK;
            }
        return fn_fail(err, FN_USAGE, "--preprocessing %s: expected fixed or per-image", wanted);
    }
    if (!source->preprocessing_known && embedding_size == 128)
        return fn_fail(err, FN_USAGE,
                       "%s: a 128-d network, and the 2017 and 2018 models differ: give "
                       "--preprocessing per-image (2017) or --preprocessing fixed (2018)",
                       source->path);
    *ret = source->preprocessing_known ? source->preprocessing : FN_PREPROCESSING_FIXED;
    return FN_OK;
}
