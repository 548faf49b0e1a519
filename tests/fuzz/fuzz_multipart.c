/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_multipart.c -- any body as multipart/form-data; the first line is the Content-Type. Parts
 * must lie within the body, in order, apart from each other. */
#include "daemon/api/multipart.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct fn_part parts[FN_MAX_PARTS];
    struct fn_error err;
    int n_parts;
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    if (!newline) return 0;
    size_t type_size = (size_t)(newline - data);
    const uint8_t *body = newline + 1, *end = data + size;
    (void)fn_multipart_is((const char *)data, type_size);
    if (fn_multipart_parse((const char *)data, type_size, body, (size_t)(end - body), parts,
                           &n_parts, &err) != FN_OK)
        return 0;
    const uint8_t *at = body;
    for (int i = 0; i < n_parts; i++) {
        const uint8_t *name = (const uint8_t *)parts[i].name;
        if (name < at || parts[i].name_size == 0 || name + parts[i].name_size > parts[i].data)
            abort();
        if (parts[i].data + parts[i].size > end) abort();
        at = parts[i].data + parts[i].size;
    }
    return 0;
}
