/* SPDX-License-Identifier: Apache-2.0
 *
 * keys.h -- API keys: which there are, what each may do, and how often.
 *
 * The file has one key a line: "name scopes sha256 [requests a second]", and lines that begin with
 * '#'. It holds digests only: a key is 256 random bits, which cannot be guessed from its SHA-256,
 * so a slow password hash would buy nothing and cost every request. A key is looked for among all
 * entries in the same time, wherever and whether it stands. */
#ifndef FN_KEYS_H
#define FN_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/http/http.h"
#include "engine/cleanup.h"
#include "engine/status.h"

enum fn_scope {
    FN_SCOPE_NONE = 0, /* needs no key */
    FN_SCOPE_INFER = 1,
    FN_SCOPE_METRICS = 2,
};

/* Requests a second on average, and how many at once; rate 0: no limit. */
struct fn_key_rate {
    int64_t rate, burst;
};

struct fn_keys; /* opaque; read-only but for the clocks of its rates */

/* Parse a file's text; `name` stands in messages. `rate` is for keys without one of their own.
 * `before` (NULL: none): keys that are in it too keep what they have used up. FN_USAGE names the
 * line. */
FN_MUST fn_status fn_keys_parse(const char *name, const char *text, size_t size,
                                const struct fn_key_rate *rate, const struct fn_keys *before,
                                struct fn_keys **ret_keys, struct fn_error *err);
/* The same from a file of at most 1 MiB. FN_IO, FN_USAGE. */
FN_MUST fn_status fn_keys_read(const char *path, const struct fn_key_rate *rate,
                               const struct fn_keys *before, struct fn_keys **ret_keys,
                               struct fn_error *err);
int fn_keys_count(const struct fn_keys *keys);

/* Whether the request ("Authorization: Bearer" or "X-API-Key") may. FN_UNAUTHORIZED without a known
 * key, FN_FORBIDDEN without the scope, FN_RATE_LIMITED with *ret_retry_ms when it comes too often
 * at now_ns (engine/clock.h). */
FN_MUST fn_status fn_keys_check(struct fn_keys *keys, const struct fn_http_request *request,
                                enum fn_scope scope, int64_t now_ns, long *ret_retry_ms,
                                struct fn_error *err);

/* NULL is a no-op. */
void fn_keys_free(struct fn_keys *keys);
FN_DEFINE_CLEANUP(struct fn_keys *, fn_keys_free)

#define FN_KEY_SIZE      69  /* "fnk_", 64 hex digits, NUL */
#define FN_KEY_LINE_SIZE 192 /* a line of the file without its newline, NUL */

/* A fresh key and the line that stands for it. `what`: "name" or "name:scope,scope"; infer when
 * there is no scope. FN_USAGE, or FN_IO when the kernel gives no random bytes. */
FN_MUST fn_status fn_key_make(const char *what, char ret_key[FN_KEY_SIZE],
                              char ret_line[FN_KEY_LINE_SIZE], struct fn_error *err);

#endif
