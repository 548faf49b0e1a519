/* SPDX-License-Identifier: Apache-2.0
 *
 * retry.c -- see retry.h. */
#include "clients/c/retry.h"

#define FIRST_WAIT_MS 100

int64_t fnc_retry_wait_ms(const struct fnc_attempt *attempt, int retries, int64_t left_ms,
                          uint32_t random) {
    bool busy = !attempt->broken && (attempt->http_status == 503 || attempt->http_status == 429);
    if (attempt->number >= retries || !(attempt->broken || busy)) return -1;
    int64_t base = (int64_t)FIRST_WAIT_MS << attempt->number;
    if (attempt->retry_after_ms >= 0) base = attempt->retry_after_ms;
    if (base >= left_ms) return -1;
    int64_t wait = base + (int64_t)(random % (uint64_t)(base / 2 + 1));
    /* The spread alone is no reason to give up. */
    return wait < left_ms ? wait : base;
}
