/* SPDX-License-Identifier: Apache-2.0
 *
 * source_target.h -- any bytes as a file of trained weights: whatever a reader lets through must be
 * readable to its ends, within a small memory limit. */
#ifndef FN_SOURCE_TARGET_H
#define FN_SOURCE_TARGET_H

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/sources/source.h"
#include "model/sources/tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_MEMORY ((uint64_t)64 << 20)

/* Add up every number of every view: an element outside its storage is a fault. */
static inline void touch_all(const struct fn_source *source) {
    static volatile double sink;
    for (size_t i = 0; i < source->n_scopes; i++)
        for (int p = 0; p < FN_PARTS; p++) {
            const struct fn_source_array *a = &source->scopes[i].part[p];
            if (!a->data || a->shape[0] * a->shape[1] > 4096 || a->shape[2] * a->shape[3] > 4096)
                continue;
            for (int64_t o = 0; o < a->shape[0]; o++)
                for (int64_t h = 0; h < a->shape[1]; h++)
                    for (int64_t w = 0; w < a->shape[2]; w++)
                        for (int64_t c = 0; c < a->shape[3]; c++)
                            sink = sink +
                                   fn_tensor_number(a->dtype, a->data,
                                                    (size_t)(o * a->stride[0] + h * a->stride[1] +
                                                             w * a->stride[2] + c * a->stride[3]));
        }
}

static inline void try_path(const struct fn_source_reader *reader, const char *path) {
    struct fn_error err;
    struct fn_source *source = NULL;
    if (fn_source_new(path, &source, &err) != FN_OK) return;
    source->reader = reader;
    source->memory_limit = FUZZ_MEMORY;
    (void)reader->recognise(path);
    if (reader->read(path, source, &err) == FN_OK) touch_all(source);
    static struct fn_network network;
    if (fn_source_network(source, &network, &err) == FN_OK && network.n_layers == 0)
        __builtin_trap();
    fn_source_free(source);
}

/* The bytes as a file that only this process sees. */
static inline void try_bytes(const struct fn_source_reader *reader, const uint8_t *data,
                             size_t size) {
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0) abort();
    for (size_t at = 0; at < size;) {
        ssize_t n = write(fd, data + at, size - at);
        if (n <= 0) abort();
        at += (size_t)n;
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    try_path(reader, path);
    (void)close(fd);
}

#endif
