/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange.h -- requests until they are answered or have failed for good: several at once, each
 * with its own deadline and retries. */
#ifndef FNC_EXCHANGE_H
#define FNC_EXCHANGE_H

#include "clients/c/transport.h"

struct fnc_policy {
    int64_t timeout_ms; /* of one request, from its first attempt to its answer */
    int retries;        /* 0...FNC_MAX_RETRIES */
    int concurrency;    /* 1...FNC_MAX_SLOTS */
};

/* Called in the thread of the exchange, once for every request, in the order in which they end:
 * with the body of a 2xx answer, or with NULL and the error. The body is freed afterwards. */
typedef void fnc_finish(void *context, size_t i, const char *body, size_t size,
                        const struct facenet_error *err);

/* Ask for requests[0...n-1]. A failure of the exchange itself (no memory for a session) is told of
 * every request too. */
void fnc_exchange(struct fnc_transport *transport, const struct fnc_policy *policy,
                  const struct fnc_request *requests, size_t n, fnc_finish *finish, void *context);

#endif
