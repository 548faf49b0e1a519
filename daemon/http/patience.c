/* SPDX-License-Identifier: Apache-2.0
 *
 * patience.c -- see patience.h. */
#include "daemon/http/patience.h"

#include "engine/clock.h"

#define FRESH_GRACE_NS  FN_NS_PER_S /* draining: what a client may take to send its request */
#define STOP_GRACE_NS   FN_NS_PER_S
#define CROWDED_IDLE_NS FN_NS_PER_S
#define DEPARTED_NS     (100 * FN_NS_PER_MS) /* for what is in the socket's buffer to be read */

static int64_t idle_ns(const struct fn_patience *patience, const struct fn_http_limits *limits) {
    if (patience->stopping) return 0;
    if (patience->fresh)
        return patience->draining ? FRESH_GRACE_NS : limits->header_timeout_ms * FN_NS_PER_MS;
    if (patience->draining) return 0;
    int64_t full = limits->idle_timeout_ms * FN_NS_PER_MS;
    return patience->crowded && full > CROWDED_IDLE_NS ? CROWDED_IDLE_NS : full;
}

int64_t fn_patience_ns(const struct fn_patience *patience, const struct fn_http_limits *limits) {
    bool receiving = patience->phase == FN_PHASE_IDLE || patience->phase == FN_PHASE_HEADERS ||
                     patience->phase == FN_PHASE_BODY;
    if (receiving && patience->departed) return patience->stopping ? 0 : DEPARTED_NS;
    switch (patience->phase) {
    case FN_PHASE_IDLE:
        return idle_ns(patience, limits);
    case FN_PHASE_HEADERS:
        return patience->stopping ? 0 : limits->header_timeout_ms * FN_NS_PER_MS;
    case FN_PHASE_BODY:
    case FN_PHASE_REPLY:
        if (patience->stopping) return STOP_GRACE_NS;
        return limits->body_timeout_ms * FN_NS_PER_MS +
               (int64_t)patience->moved * 1000 / limits->min_rate * FN_NS_PER_MS;
    case FN_PHASE_WORK:
    case FN_PHASE_RESUMED:
        break;
    }
    return INT64_MAX;
}
