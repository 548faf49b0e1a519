/* SPDX-License-Identifier: Apache-2.0
 *
 * extract.c -- see extract.h. Numbers are copied as they are stored, only brought into the order
 * HWIO; nothing is rounded or folded. */
#include "model/inspect/extract.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/file.h"
#include "engine/preprocess.h"
#include "engine/sha256.h"
#include "model/commands/paths.h"
#include "model/inspect/new_folder.h"
#include "model/inspect/npy_write.h"
#include "model/sources/naming.h"
#include "model/sources/tensor.h"

struct writer {
    const struct fn_source *source;
    const char *folder;
    json_t *tensors; /* of the manifest */
    struct fn_error *err;
};

/* Make the folders of a file below writer->folder. */
static fn_status make_folders(const struct writer *writer, const char *file) {
    char path[PATH_MAX];
    int root = snprintf(path, sizeof path, "%s/%s", writer->folder, file);
    if (root < 0 || (size_t)root >= sizeof path)
        return fn_fail(writer->err, FN_IO, "%s: path is too long", file);
    for (char *slash = path + strlen(writer->folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return fn_fail(writer->err, FN_IO, "%s: %s", path, strerror(errno));
        *slash = '/';
    }
    return FN_OK;
}

/* The stored numbers in the order HWIO; a vector stays one. */
static void gather(const struct fn_source_array *a, size_t element, char *ret_bytes,
                   double *ret_low, double *ret_high) {
    const char *data = a->data;
    char *out = ret_bytes;
    *ret_low = INFINITY;
    *ret_high = -INFINITY;
    for (int64_t h = 0; h < a->shape[1]; h++)
        for (int64_t w = 0; w < a->shape[2]; w++)
            for (int64_t i = 0; i < a->shape[3]; i++)
                for (int64_t o = 0; o < a->shape[0]; o++, out += element) {
                    size_t at = (size_t)(o * a->stride[0] + h * a->stride[1] + w * a->stride[2] +
                                         i * a->stride[3]);
                    memcpy(out, data + at * element, element);
                    double value = fn_tensor_number(a->dtype, out, 0);
                    *ret_low = fmin(*ret_low, value);
                    *ret_high = fmax(*ret_high, value);
                }
}

static fn_status add_to_manifest(const struct writer *writer, const char *name, const char *file,
                                 enum fn_dtype dtype, int rank, const int64_t *shape, double low,
                                 double high, const char *sha256) {
    json_t *dims = json_array();
    for (int i = 0; i < rank; i++) (void)json_array_append_new(dims, json_integer(shape[i]));
    json_t *entry = json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:s}", "name", name, "file", file,
                              "shape", dims, "dtype", fn_npy_dtype_name(dtype), "min",
                              isfinite(low) ? json_real(low) : json_null(), "max",
                              isfinite(high) ? json_real(high) : json_null(), "sha256", sha256);
    if (!entry || json_array_append_new(writer->tensors, entry) != 0)
        return fn_fail(writer->err, FN_NO_MEMORY, "no memory for the manifest");
    return FN_OK;
}

static fn_status write_part(const struct writer *writer, const char *scope, enum fn_part part,
                            const struct fn_source_array *a) {
    char name[FN_NAME_SIZE + 32], file[FN_NAME_SIZE + 40], path[PATH_MAX];
    fn_naming_slim_part(scope, part, name, sizeof name);
    (void)snprintf(file, sizeof file, "%s.npy", name);
    (void)snprintf(path, sizeof path, "%s/%s", writer->folder, file);
    fn_status status = make_folders(writer, file);
    if (status != FN_OK) return status;

    const int64_t hwio[4] = {a->shape[1], a->shape[2], a->shape[3], a->shape[0]};
    bool matrix = strcmp(scope, FN_ROOT "/Bottleneck") == 0;
    int rank = part != FN_PART_KERNEL ? 1 : matrix ? 2 : 4;
    const int64_t *shape = hwio + 4 - rank;
    size_t element = fn_dtype_size(a->dtype);
    size_t size = (size_t)(hwio[0] * hwio[1] * hwio[2] * hwio[3]) * element;
    FN_CLEANUP_FREE char *bytes = malloc(FN_NPY_HEADER_MAX + size);
    if (!bytes) return fn_fail(writer->err, FN_NO_MEMORY, "%s: no memory", path);
    size_t header = fn_npy_header(a->dtype, rank, shape, bytes);
    double low, high;
    gather(a, element, bytes + header, &low, &high);
    const struct fn_piece piece = {bytes, header + size};
    status = fn_file_write(path, &piece, 1, writer->err);
    if (status != FN_OK) return status;
    char sha256[FN_SHA256_HEX_SIZE];
    fn_sha256_hex(bytes, header + size, sha256);
    return add_to_manifest(writer, name, file, a->dtype, rank, shape, low, high, sha256);
}

static fn_status write_manifest(const struct writer *writer) {
    const struct fn_source *source = writer->source;
    json_t *manifest = json_pack(
        "{s:s, s:i, s:{s:s, s:s, s:s}, s:s, s:f, s:s, s:O}", "format", FN_EXTRACT_FORMAT, "version",
        FN_EXTRACT_VERSION, "source", "format", source->reader ? source->reader->format : "memory",
        "name", fn_path_base(source->path), "sha256", source->sha256, "layout", "HWIO",
        "batchnorm_epsilon", source->batchnorm_epsilon, "residual_scale",
        source->residual_scale_folded ? "folded" : "separate", "tensors", writer->tensors);
    if (manifest && source->preprocessing_known)
        (void)json_object_set_new(manifest, "preprocessing",
                                  json_string(fn_preprocessing_name(source->preprocessing)));
    FN_CLEANUP_FREE char *text = manifest ? json_dumps(manifest, JSON_INDENT(1)) : NULL;
    json_decref(manifest);
    if (!text) return fn_fail(writer->err, FN_NO_MEMORY, "no memory for the manifest");
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/" FN_EXTRACT_MANIFEST, writer->folder);
    const struct fn_piece pieces[] = {{text, strlen(text)}, {"\n", 1}};
    return fn_file_write(path, pieces, 2, writer->err);
}

static fn_status write_all(const struct writer *writer, const struct fn_network *network) {
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (layer->op == FN_OP_POOL) continue;
        const struct fn_source_scope *scope = fn_source_find(writer->source, layer->name);
        for (int part = 0; scope && part < FN_PARTS; part++) {
            if (!scope->part[part].data) continue;
            fn_status status =
                write_part(writer, layer->name, (enum fn_part)part, &scope->part[part]);
            if (status != FN_OK) return status;
        }
    }
    return write_manifest(writer);
}

fn_status fn_extract_write(const struct fn_source *source, const struct fn_network *network,
                           const char *directory, struct fn_error *err) {
    struct fn_new_folder folder;
    fn_status status = fn_new_folder_begin(directory, &folder, err);
    if (status != FN_OK) return status;
    const struct writer writer = {
        .source = source, .folder = folder.path, .tensors = json_array(), .err = err};
    status = write_all(&writer, network);
    json_decref(writer.tensors);
    return fn_new_folder_end(&folder, status, err);
}
