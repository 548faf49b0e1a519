/* SPDX-License-Identifier: Apache-2.0
 *
 * source_extract.c -- a folder that `facenet-model extract` wrote: its manifest names the files and
 * has their digests, which are checked. */
#include <jansson.h>
#include <limits.h>
#include <string.h>

#include "engine/preprocess.h"
#include "engine/sha256.h"
#include "model/inspect/extract.h"
#include "model/sources/naming.h"
#include "model/sources/npy.h"
#include "model/sources/tensor.h"

#define MAX_MANIFEST ((size_t)16 << 20)

static void decref(json_t **json) {
    json_decref(*json);
}

/* Below the folder: no way up, no root. */
static bool is_inside(const char *file) {
    return file[0] && file[0] != '/' && strncmp(file, "../", 3) != 0 && !strstr(file, "/../");
}

static fn_status read_tensor(struct fn_source *source, const char *folder, const json_t *entry,
                             struct fn_error *err) {
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *file = json_string_value(json_object_get(entry, "file"));
    const char *sha256 = json_string_value(json_object_get(entry, "sha256"));
    char scope[FN_NAME_SIZE], path[PATH_MAX], found[FN_SHA256_HEX_SIZE];
    enum fn_part part;
    if (!name || !file || !sha256 || !is_inside(file) || !fn_naming_slim(name, scope, &part))
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: a tensor of the manifest lacks a slim name, a file inside the folder "
                       "or a sha256: %.60s",
                       folder, name ? name : "(no name)");
    if (snprintf(path, sizeof path, "%s/%s", folder, file) >= (int)sizeof path)
        return fn_fail(err, FN_IO, "%s: path is too long", file);
    uint8_t *bytes = NULL;
    size_t size = 0;
    fn_status status = fn_source_load(source, path, &bytes, &size, err);
    if (status != FN_OK) return status;
    fn_sha256_hex(bytes, size, found);
    if (strcmp(found, sha256) != 0)
        return fn_fail(err, FN_BAD_SOURCE, "%s: sha256 %.16s..., the manifest has %.16s...", path,
                       found, sha256);
    struct fn_npy npy;
    status = fn_npy_parse(path, bytes, size, &npy, err);
    if (status != FN_OK) return status;
    struct fn_raw_tensor tensor = {
        .name = name, .dtype = npy.dtype, .rank = npy.rank, .data = npy.data};
    memcpy(tensor.shape, npy.shape, sizeof tensor.shape);
    memcpy(tensor.stride, npy.stride, sizeof tensor.stride);
    return fn_tensor_add(source, scope, part, FN_LAYOUT_HWIO, &tensor, err);
}

static fn_status read_properties(struct fn_source *source, const char *folder,
                                 const json_t *manifest, struct fn_error *err) {
    const char *scale = json_string_value(json_object_get(manifest, "residual_scale"));
    const char *layout = json_string_value(json_object_get(manifest, "layout"));
    const char *wanted = json_string_value(json_object_get(manifest, "preprocessing"));
    const json_t *epsilon = json_object_get(manifest, "batchnorm_epsilon");
    double value = json_number_value(epsilon);
    if (!scale || (strcmp(scale, "folded") != 0 && strcmp(scale, "separate") != 0) || !layout ||
        strcmp(layout, "HWIO") != 0 || !json_is_number(epsilon) || !(value >= 0) ||
        json_integer_value(json_object_get(manifest, "version")) != FN_EXTRACT_VERSION)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s/" FN_EXTRACT_MANIFEST ": expected version %d, layout HWIO, "
                       "residual_scale folded or separate, and a batchnorm_epsilon",
                       folder, FN_EXTRACT_VERSION);
    source->residual_scale_folded = strcmp(scale, "folded") == 0;
    source->batchnorm_epsilon = value;
    for (int p = FN_PREPROCESSING_FIXED; wanted && p <= FN_PREPROCESSING_PER_IMAGE; p++)
        if (strcmp(wanted, fn_preprocessing_name((enum fn_preprocessing)p)) == 0) {
            source->preprocessing = (enum fn_preprocessing)p;
            source->preprocessing_known = true;
        }
    return FN_OK;
}

static fn_status read_folder(const char *path, struct fn_source *source, struct fn_error *err) {
    char file[PATH_MAX];
    uint8_t *bytes = NULL;
    size_t size = 0, index;
    if (snprintf(file, sizeof file, "%s/" FN_EXTRACT_MANIFEST, path) >= (int)sizeof file)
        return fn_fail(err, FN_IO, "%s: path is too long", path);
    fn_status status = fn_source_load(source, file, &bytes, &size, err);
    if (status != FN_OK) return status;
    fn_sha256_hex(bytes, size, source->sha256); /* it has the digests of all files */
    json_error_t error;
    __attribute__((cleanup(decref))) json_t *manifest =
        size <= MAX_MANIFEST ? json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &error)
                             : NULL;
    if (!manifest)
        return fn_fail(err, FN_BAD_SOURCE, "%s: not JSON: %s", file,
                       size <= MAX_MANIFEST ? error.text : "too long");
    status = read_properties(source, path, manifest, err);
    json_t *entry;
    json_array_foreach(json_object_get(manifest, "tensors"), index, entry) {
        if (status == FN_OK) status = read_tensor(source, path, entry, err);
    }
    if (status == FN_OK && source->n_scopes == 0)
        return fn_fail(err, FN_BAD_SOURCE, "%s: no tensors in it", file);
    return status;
}

static bool recognise(const char *path) {
    enum { HEAD = 64 }; /* the format comes first in a manifest; the shortest is longer */
    char file[PATH_MAX], head[HEAD + 1] = "";
    return snprintf(file, sizeof file, "%s/" FN_EXTRACT_MANIFEST, path) < (int)sizeof file &&
           fn_source_peek(file, head, HEAD) && strstr(head, "\"" FN_EXTRACT_FORMAT "\"");
}

const struct fn_source_reader fn_source_extract = {
    .format = "extract",
    .about = "a folder that `facenet-model extract` wrote",
    .recognise = recognise,
    .read = read_folder,
    .name_part = fn_naming_slim_part,
};
