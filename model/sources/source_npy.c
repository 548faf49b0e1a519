/* SPDX-License-Identifier: Apache-2.0
 *
 * source_npy.c -- a directory of .npy files, as the WebNN test data publish FaceNet: kernels
 * [oc][kh][kw][ic] in `Block35_1_Branch_1_Conv2d_0b_3x3_kernel.npy`, biases in
 * `..._Conv2D_bias.npy`, BatchNorm and residual scales folded in.
 *
 * The digest is over the lines `<sha256 of the file>  <name>\n` of all .npy files in the order of
 * their names, so that `LC_ALL=C sha256sum *.npy | sha256sum` in the directory gives it too. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/sha256.h"
#include "model/commands/paths.h"
#include "model/sources/naming.h"
#include "model/sources/npy.h"
#include "model/sources/tensor.h"

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Suffix of the file name, and the part it is. */
static const struct {
    const char *suffix;
    enum fn_part part;
} suffixes[] = {{"_kernel.npy", FN_PART_KERNEL}, {"_Conv2D_bias.npy", FN_PART_BIAS}};

/* A file name to scope and part; false when it is none of the network's. */
static bool map_file(const char *file, char ret_scope[FN_NAME_SIZE], enum fn_part *ret_part) {
    if (strcmp(file, "Bottleneck_kernel_transpose.npy") == 0 ||
        strcmp(file, "Bottleneck_MatMul_bias.npy") == 0) {
        (void)snprintf(ret_scope, FN_NAME_SIZE, FN_ROOT "/Bottleneck");
        *ret_part = ends_with(file, "_bias.npy") ? FN_PART_BIAS : FN_PART_KERNEL;
        return true;
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if (!ends_with(file, suffixes[i].suffix)) continue;
        char stem[128];
        size_t length = strlen(file) - strlen(suffixes[i].suffix);
        if (length >= sizeof stem) return false;
        memcpy(stem, file, length);
        stem[length] = '\0';
        *ret_part = suffixes[i].part;
        return fn_naming_block(stem, ret_scope);
    }
    return false;
}

static void name_part(const char *scope, enum fn_part part, char *ret_name, size_t size) {
    ret_name[0] = '\0';
    if (part != FN_PART_KERNEL && part != FN_PART_BIAS) return;
    if (strcmp(scope, FN_ROOT "/Bottleneck") == 0) {
        (void)snprintf(ret_name, size, "%s",
                       part == FN_PART_BIAS ? "Bottleneck_MatMul_bias.npy"
                                            : "Bottleneck_kernel_transpose.npy");
        return;
    }
    char layer[FN_NAME_SIZE];
    fn_naming_block_of(scope, layer, sizeof layer);
    (void)snprintf(ret_name, size, "%s%s", layer,
                   part == FN_PART_BIAS ? "_Conv2D_bias.npy" : "_kernel.npy");
}

/* Canonical axes: a matrix [oc][ic] is a 1x1 kernel; a vector is [n][1][1][1]. */
static fn_status add_array(struct fn_source *source, const char *file, const char *scope,
                           enum fn_part part, const struct fn_npy *npy, struct fn_error *err) {
    static const int axes_of_rank[5][4] = {
        {-1, -1, -1, -1}, {0, -1, -1, -1}, {0, -1, -1, 1}, {-1, -1, -1, -1}, {0, 1, 2, 3}};
    bool fits = part == FN_PART_KERNEL ? npy->rank == 4 || npy->rank == 2 : npy->rank == 1;
    if (!fits)
        return fn_fail(err, FN_BAD_SOURCE, "%s/%s: %d dimensions; expected %s", source->path, file,
                       npy->rank, part == FN_PART_KERNEL ? "4, or 2 for a matrix" : "1");
    struct fn_source_array array = {.data = npy->data, .dtype = npy->dtype};
    for (int k = 0; k < 4; k++) {
        int axis = axes_of_rank[npy->rank][k];
        array.shape[k] = axis < 0 ? 1 : npy->shape[axis];
        array.stride[k] = axis < 0 ? 0 : npy->stride[axis];
    }
    (void)snprintf(array.origin, sizeof array.origin, "%s", file);
    return fn_source_add(source, scope, part, &array, err);
}

static fn_status read_file(struct fn_source *source, const char *path, struct fn_sha256 *sha,
                           struct fn_error *err) {
    const char *file = fn_path_base(path);
    uint8_t *bytes = NULL;
    size_t size = 0;
    fn_status status = fn_source_load(source, path, &bytes, &size, err);
    if (status != FN_OK) return status;
    char hex[FN_SHA256_HEX_SIZE];
    fn_sha256_hex(bytes, size, hex);
    fn_sha256_add(sha, hex, strlen(hex));
    fn_sha256_add(sha, "  ", 2);
    fn_sha256_add(sha, file, strlen(file));
    fn_sha256_add(sha, "\n", 1);

    char scope[FN_NAME_SIZE];
    enum fn_part part;
    if (!map_file(file, scope, &part)) return fn_source_skip(source, file, err);
    struct fn_npy npy;
    status = fn_npy_parse(path, bytes, size, &npy, err);
    return status == FN_OK ? add_array(source, file, scope, part, &npy, err) : status;
}

static int is_npy(const struct dirent *entry) {
    return ends_with(entry->d_name, ".npy");
}

static int compare_names(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* The .npy files of the directory itself; what lies in folders below is not of this source. */
static fn_status read_files(struct fn_source *source, struct dirent *const *entries, int n,
                            struct fn_error *err) {
    struct fn_sha256 *sha = fn_sha256_new();
    if (!sha) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", source->path);
    fn_status status = FN_OK;
    for (int i = 0; i < n && status == FN_OK; i++) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s/%s", source->path, entries[i]->d_name) >=
            (int)sizeof path)
            status = fn_fail(err, FN_IO, "%s: path is too long", entries[i]->d_name);
        else
            status = read_file(source, path, sha, err);
    }
    fn_sha256_finish(sha, source->sha256);
    return status;
}

static fn_status read_directory(const char *path, struct fn_source *source, struct fn_error *err) {
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_npy, compare_names);
    if (n < 0) return fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
    fn_status status = read_files(source, entries, n, err);
    for (int i = 0; i < n; i++) free(entries[i]);
    free((void *)entries);
    source->residual_scale_folded = true;
    if (status == FN_OK && source->n_scopes == 0)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: a folder without trained weights; expected .npy files like "
                       "Conv2d_1a_3x3_kernel.npy, or one checkpoint's .index",
                       path);
    return status;
}

static bool recognise(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

const struct fn_source_reader fn_source_npy = {
    .format = "npy",
    .about = "a directory of .npy files",
    .recognise = recognise,
    .read = read_directory,
    .name_part = name_part,
};
