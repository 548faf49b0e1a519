/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_config.c -- any bytes as a configuration. What is accepted must be within the limits; what
 * is refused must say so in one line. */
#include "daemon/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fn_config *config;
    struct fn_error err;
    if (fn_config_new(&config, &err) != FN_OK) abort();
    if (fn_config_apply(config, "fuzz", (const char *)data, size, &err) != FN_OK) {
        if (err.status != FN_USAGE && err.status != FN_NO_MEMORY) abort();
        if (strchr(err.text, '\n')) abort();
    }
#define WITHIN(key, initial, smallest, largest)                                                    \
    if (config->key < (smallest) || config->key > (largest)) abort();
    FN_CONFIG_NUMBERS(WITHIN)
#undef WITHIN
    if (config->n_listen > FN_MAX_LISTEN || !config->model || !config->device) abort();
    fn_config_free(config);
    return 0;
}
