/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_keys.c -- key files, and the same bytes as a key that is presented. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "daemon/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct fn_key_rate rate = {1, 1};
    struct fn_http_request request = {.n_headers = 1,
                                      .headers = {{"Authorization", (const char *)data, 13, size}}};
    struct fn_keys *keys;
    struct fn_error err;
    long retry_ms;
    if (fn_keys_parse("fuzz", (const char *)data, size, &rate, NULL, &keys, &err) != FN_OK)
        return 0;
    /* A file is no key to itself: that would be a digest found by chance. */
    if (fn_keys_check(keys, &request, FN_SCOPE_INFER, 0, &retry_ms, &err) == FN_OK) abort();
    fn_keys_free(keys);
    return 0;
}
