/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_base64.c -- any bytes as base64 or a data URI. What decodes must encode to the same again.
 */
#include "daemon/api/base64.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fn_error err;
    uint8_t *bytes, *again;
    size_t n_bytes, n_again;
    if (fn_base64_decode_data((const char *)data, size, &bytes, &n_bytes, &err) != FN_OK) return 0;
    size_t n_text = fn_base64_encoded_size(n_bytes);
    char *text = malloc(n_text + 1);
    if (!text) abort();
    fn_base64_encode(bytes, n_bytes, text);
    if (fn_base64_decode(text, n_text, &again, &n_again, &err) != FN_OK) abort();
    if (n_again != n_bytes || memcmp(again, bytes, n_bytes) != 0) abort();
    free(text);
    free(bytes);
    free(again);
    return 0;
}
