/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_graph_meta.c -- any bytes as the .meta graph beside a checkpoint. */
#include "model/sources/graph.h"
#include "model/sources/naming.h"
#include "tests/fuzz/source_target.h"

static fn_status read_meta(const char *path, struct fn_source *source, struct fn_error *err) {
    return fn_graph_read_meta(source, path, err);
}

static bool recognise(const char *path) {
    (void)path;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct fn_source_reader reader = {.format = "meta",
                                                   .recognise = recognise,
                                                   .read = read_meta,
                                                   .name_part = fn_naming_slim_part};
    try_bytes(&reader, data, size);
    return 0;
}
