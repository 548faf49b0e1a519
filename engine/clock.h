/* SPDX-License-Identifier: Apache-2.0
 *
 * clock.h -- the one clock: monotonic nanoseconds, so that a clock set by hand or by NTP
 * never expires a request. */
#ifndef FN_CLOCK_H
#define FN_CLOCK_H

#include <stdint.h>
#include <time.h>

#define FN_NS_PER_MS INT64_C(1000000)
#define FN_NS_PER_US INT64_C(1000)
#define FN_NS_PER_S  INT64_C(1000000000)

static inline int64_t fn_now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * FN_NS_PER_S + now.tv_nsec;
}

static inline struct timespec fn_timespec(int64_t ns) {
    return (struct timespec){.tv_sec = ns / FN_NS_PER_S, .tv_nsec = ns % FN_NS_PER_S};
}

static inline double fn_ms(int64_t ns) {
    return (double)ns / (double)FN_NS_PER_MS;
}

#endif
