/* SPDX-License-Identifier: Apache-2.0
 *
 * retry.h -- whether to ask again, and when. Pure, so that every case can be tested. */
#ifndef FNC_RETRY_H
#define FNC_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define FNC_MAX_RETRIES 3

struct fnc_attempt {
    bool broken;            /* no connection, or it ended before the answer did */
    long http_status;       /* of the answer, when not broken */
    int64_t retry_after_ms; /* what the server asked for; -1: nothing */
    int number;             /* 0 the first */
};

/* Milliseconds to wait before trying again, or -1: the outcome stands. Every POST of facenetd is
 * pure, so repeating is always safe. `random` spreads clients that failed together: the wait is
 * what the server asked for, or 100 ms doubled every time, and up to half as long again. A wait
 * that would not end before `left_ms` is not worth beginning. */
int64_t fnc_retry_wait_ms(const struct fnc_attempt *attempt, int retries, int64_t left_ms,
                          uint32_t random);

#endif
