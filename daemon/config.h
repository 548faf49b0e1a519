/* SPDX-License-Identifier: Apache-2.0
 *
 * config.h -- what can be set: defaults, then the configuration file, then flags. Reading is all or
 * nothing: an unknown key, a wrong type or a value out of range is an error with its line.
 * docs/configuration.md says what each key means. */
#ifndef FN_CONFIG_H
#define FN_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/log.h"
#include "engine/engine.h"
#include "engine/picture/picture.h"
#include "engine/status.h"

#define FN_CONFIG_PATH       "/etc/facenetd/facenetd.conf"
#define FN_MAX_ALLOWED_HOSTS 32
#define FN_MAX_FALLBACKS     4
#define FN_MAX_CORS_ORIGINS  16
#define FN_MAX_LISTEN        8 /* as FN_MAX_LISTENERS */

/* X(key, default, smallest, largest): all whole numbers. */
#define FN_CONFIG_NUMBERS(X)                                                                       \
    X(max_batch, 16, 1, FN_MAX_BATCH)                                                              \
    X(max_delay_us, 0, 0, 2000)                                                                    \
    X(max_queue, 64, 1, 65536)                                                                     \
    X(max_body, 24 << 20, 1024, 1 << 30)                                                           \
    X(max_inflight_bytes, 256 << 20, 1 << 20, INT64_C(1) << 40)                                    \
    X(max_pixels, FN_MAX_PIXELS_DEFAULT, 1, 1000000000)                                            \
    X(max_faces, 32, 1, 1000)                                                                      \
    X(max_pictures, 64, 1, 128)                                                                    \
    X(deadline_ms, 2000, 1, 3600000)                                                               \
    X(max_connections, 512, 1, 65536)                                                              \
    X(lanes, 1, 1, 16)                                                                             \
    X(workers, 0, 0, 256)                                                                          \
    X(header_timeout_ms, 5000, 10, 3600000)                                                        \
    X(body_timeout_ms, 10000, 10, 3600000)                                                         \
    X(idle_timeout_ms, 30000, 10, 3600000)                                                         \
    X(min_rate, 65536, 1, 1 << 30)                                                                 \
    X(device_stall_ms, 2000, 10, 3600000)                                                          \
    X(device_retry_ms, 30000, 10, 86400000)                                                        \
    X(self_test_ms, 30000, 10, 86400000)                                                           \
    X(latency_objective_ms, 1000, 1, 3600000)                                                      \
    X(key_rate, 0, 0, 1000000)                                                                     \
    X(key_burst, 20, 1, 1000000)                                                                   \
    X(drain_delay_ms, 0, 0, 3600000)                                                               \
    X(drain_timeout_ms, 20000, 0, 3600000)

/* X(key, default): strings; NULL is unset. */
#define FN_CONFIG_STRINGS(X)                                                                       \
    X(model, "/var/lib/facenetd/model.safetensors")                                                \
    X(device, "auto")                                                                              \
    X(detector, "cpu")                                                                             \
    X(kernel_family, NULL)                                                                         \
    X(kernel_dir, NULL)                                                                            \
    X(program, NULL)                                                                               \
    X(cache_dir, NULL)                                                                             \
    X(keys_file, NULL)                                                                             \
    X(tls_certificate, NULL)                                                                       \
    X(tls_key, NULL)

struct fn_config {
#define FN_CONFIG_NUMBER(key, initial, smallest, largest) int64_t key;
    FN_CONFIG_NUMBERS(FN_CONFIG_NUMBER)
#undef FN_CONFIG_NUMBER
#define FN_CONFIG_STRING(key, initial) char *key; /* owned */
    FN_CONFIG_STRINGS(FN_CONFIG_STRING)
#undef FN_CONFIG_STRING
    int n_listen;
    char *listen[FN_MAX_LISTEN]; /* owned */
    int n_allowed_hosts;
    char *allowed_hosts[FN_MAX_ALLOWED_HOSTS]; /* owned */
    int n_fallback;
    char *fallback[FN_MAX_FALLBACKS]; /* owned */
    int n_cors_origins;
    char *cors_origins[FN_MAX_CORS_ORIGINS]; /* owned */
    enum fn_log_level log_level;
    /* Flags only: never by accident in a file. */
    bool allow_untrained, insecure;
};

/* Defaults alone. */
FN_MUST fn_status fn_config_new(struct fn_config **ret_config, struct fn_error *err);
/* Apply a file's text; `name` stands in messages. FN_USAGE, and then *config may be half changed.
 */
FN_MUST fn_status fn_config_apply(struct fn_config *config, const char *name, const char *text,
                                  size_t size, struct fn_error *err);
/* Read and apply a file of at most 1 MiB. FN_IO, FN_USAGE. */
FN_MUST fn_status fn_config_read(struct fn_config *config, const char *path, struct fn_error *err);
/* What no key can say alone. FN_USAGE. */
FN_MUST fn_status fn_config_check(const struct fn_config *config, struct fn_error *err);
/* Replace one of the strings by a copy. */
FN_MUST fn_status fn_config_set(char **slot, const char *value, struct fn_error *err);
/* NULL is a no-op. */
void fn_config_free(struct fn_config *config);

#endif
