/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_zip.c -- any bytes as a ZIP file; every member that is let through must be readable. */
#include "model/sources/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static volatile uint8_t sink;
    struct fn_error err;
    FN_CLEANUP(fn_zip_close) struct fn_zip *zip = NULL;
    if (fn_zip_open("zip", data, size, &zip, &err) != FN_OK) return 0;
    for (size_t i = 0; i < fn_zip_count(zip) && i < 64; i++) {
        const uint8_t *bytes;
        size_t n;
        if (fn_zip_find(zip, fn_zip_name(zip, i)) > i) __builtin_trap();
        if (fn_zip_member(zip, i, &bytes, &n, &err) != FN_OK) continue;
        for (size_t k = 0; k < n; k++) sink = sink ^ bytes[k];
    }
    return 0;
}
