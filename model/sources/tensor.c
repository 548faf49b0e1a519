/* SPDX-License-Identifier: Apache-2.0
 *
 * tensor.c -- see tensor.h. */
#include "model/sources/tensor.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/file.h"
#include "engine/sha256.h"

bool fn_tensor_pack(struct fn_raw_tensor *tensor, int64_t *ret_count) {
    int64_t count = 1;
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        if (tensor->shape[axis] < 0) return false;
        tensor->stride[axis] = count;
        if (__builtin_mul_overflow(count, tensor->shape[axis], &count)) return false;
    }
    *ret_count = count;
    return count <= INT64_MAX / 8;
}

bool fn_tensor_fits(const struct fn_raw_tensor *tensor, uint64_t available) {
    uint64_t last = 0;
    for (int axis = 0; axis < tensor->rank; axis++) {
        uint64_t step;
        if (tensor->shape[axis] < 0 || tensor->stride[axis] < 0) return false;
        if (tensor->shape[axis] == 0) return true; /* no element at all */
        if (__builtin_mul_overflow((uint64_t)tensor->shape[axis] - 1,
                                   (uint64_t)tensor->stride[axis], &step) ||
            __builtin_add_overflow(last, step, &last))
            return false;
    }
    return last < available;
}

double fn_tensor_number(enum fn_dtype dtype, const void *data, size_t index) {
    const char *at = (const char *)data + index * fn_dtype_size(dtype);
    uint16_t half;
    float single;
    double whole;
    if (dtype == FN_DTYPE_F32) return memcpy(&single, at, sizeof single), (double)single;
    if (dtype == FN_DTYPE_F64) return memcpy(&whole, at, sizeof whole), whole;
    memcpy(&half, at, sizeof half);
    int exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
    double magnitude = exponent == 0x1f ? (fraction ? NAN : INFINITY)
                       : exponent == 0  ? ldexp(fraction, -24)
                                        : ldexp(fraction | 0x400, exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

double fn_tensor_round_epsilon(float epsilon) {
    char text[32];
    (void)snprintf(text, sizeof text, "%.6g", (double)epsilon);
    return strtod(text, NULL);
}

static const char *const kernel_axes[] = {
    "4 (HWIO), or 2 for a matrix", "4 (OIHW), or 2 for a matrix", "4 (OHWI), or 2 for a matrix"};

fn_status fn_tensor_add(struct fn_source *source, const char *scope, enum fn_part part,
                        enum fn_layout layout, const struct fn_raw_tensor *tensor,
                        struct fn_error *err) {
    /* Which of the tensor's axes is each of [oc][kh][kw][ic]; -1: none. */
    static const int kernel[3][4] = {{3, 0, 1, 2}, {0, 2, 3, 1}, {0, 1, 2, 3}};
    static const int matrix[3][4] = {{1, -1, -1, 0}, {0, -1, -1, 1}, {0, -1, -1, 1}};
    static const int vector[4] = {0, -1, -1, -1};
    const int *axes = part != FN_PART_KERNEL ? vector
                      : tensor->rank == 2    ? matrix[layout]
                                             : kernel[layout];
    bool fits = part != FN_PART_KERNEL ? tensor->rank == 1 : tensor->rank == 2 || tensor->rank == 4;
    if (!fits)
        return fn_fail(err, FN_BAD_SOURCE, "%s: %s: %d dimensions; expected %s", source->path,
                       tensor->name, tensor->rank,
                       part == FN_PART_KERNEL ? kernel_axes[layout] : "1");
    struct fn_source_array array = {.data = tensor->data, .dtype = tensor->dtype};
    for (int k = 0; k < 4; k++) {
        array.shape[k] = axes[k] < 0 ? 1 : tensor->shape[axes[k]];
        array.stride[k] = axes[k] < 0 ? 0 : tensor->stride[axes[k]];
    }
    (void)snprintf(array.origin, sizeof array.origin, "%s", tensor->name);
    return fn_source_add(source, scope, part, &array, err);
}

fn_status fn_source_charge(struct fn_source *source, uint64_t size, struct fn_error *err) {
    if (size > source->memory_limit - source->memory_used)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: needs %llu MiB of memory and more; the limit is %llu MiB (--memory)",
                       source->path, (unsigned long long)((source->memory_used + size) >> 20),
                       (unsigned long long)(source->memory_limit >> 20));
    source->memory_used += size;
    return FN_OK;
}

fn_status fn_source_allocate(struct fn_source *source, uint64_t size, void **ret_memory,
                             struct fn_error *err) {
    fn_status status = fn_source_charge(source, size, err);
    if (status != FN_OK) return status;
    void *memory = malloc(size ? size : 1);
    if (!memory) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", source->path);
    status = fn_source_own(source, memory, free, err);
    if (status == FN_OK) *ret_memory = memory;
    return status;
}

/* Not a pipe, which would be waited for, nor a device, which may never end. */
static fn_status check_regular(const char *path, uint64_t *ret_size, struct fn_error *err) {
    struct stat info;
    if (stat(path, &info) != 0) return fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return fn_fail(err, FN_IO, "%s: is not a regular file", path);
    if (ret_size) *ret_size = (uint64_t)info.st_size;
    return FN_OK;
}

fn_status fn_source_read_file(struct fn_source *source, const char *path, uint8_t **ret_bytes,
                              size_t *ret_size, struct fn_error *err) {
    uint64_t size = 0;
    fn_status status = check_regular(path, &size, err);
    if (status == FN_OK) status = fn_source_charge(source, size, err);
    /* No more than was charged, even when the file grows meanwhile. */
    return status == FN_OK ? fn_file_read(path, size, ret_bytes, ret_size, err) : status;
}

fn_status fn_source_load(struct fn_source *source, const char *path, uint8_t **ret_bytes,
                         size_t *ret_size, struct fn_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    fn_status status = fn_source_read_file(source, path, &bytes, &size, err);
    if (status == FN_OK) status = fn_source_own(source, bytes, free, err);
    if (status != FN_OK) return status;
    *ret_bytes = bytes;
    *ret_size = size;
    return FN_OK;
}

fn_status fn_source_file_digest(const char *path, char ret_hex[FN_DIGEST_SIZE],
                                struct fn_error *err) {
    enum { PIECE = 1 << 20 };
    fn_status status = check_regular(path, NULL, err);
    if (status != FN_OK) return status;
    FN_CLEANUP(fclose) FILE *file = fopen(path, "rbe");
    if (!file) return fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
    FN_CLEANUP_FREE void *piece = malloc(PIECE);
    struct fn_sha256 *sha = piece ? fn_sha256_new() : NULL;
    /* cppcheck-suppress resourceLeak -- the cleanup attribute closes it */
    if (!sha) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", path);
    for (size_t n; (n = fread(piece, 1, PIECE, file)) > 0;) fn_sha256_add(sha, piece, n);
    fn_sha256_finish(sha, ret_hex);
    return ferror(file) ? fn_fail(err, FN_IO, "%s: cannot be read", path) : FN_OK;
}

bool fn_source_peek(const char *path, void *ret_bytes, size_t size) {
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) return false;
    FN_CLEANUP(fclose) FILE *file = fopen(path, "rbe");
    return file && fread(ret_bytes, size, 1, file) == 1;
}
