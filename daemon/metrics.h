/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.h -- what is counted, for GET /metrics. docs/metrics.md lists every name.
 *
 * Counters only ever rise and belong to the process, not to a configuration or a model: a reload
 * changes none. Every request that is received ends in exactly one outcome, so that
 * received = answered + refused + expired + dropped + failed + in flight at any moment at which
 * nothing moves; tests hold the daemon to it. No label ever carries what a client sent. */
#ifndef FN_METRICS_H
#define FN_METRICS_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/engine.h"
#include "engine/status.h"

#define FN_METRIC_ROUTES    48
#define FN_METRIC_STATUSES  24
#define FN_HISTOGRAM_BOUNDS 14

/* What became of a request. */
enum fn_outcome {
    FN_OUTCOME_ANSWERED, /* 2xx, delivered */
    FN_OUTCOME_REFUSED,  /* the client's fault, or too busy: 4xx, 503 overloaded or draining */
    FN_OUTCOME_EXPIRED,  /* 504 */
    FN_OUTCOME_DROPPED,  /* the client was gone, or cut off, before it had the answer */
    FN_OUTCOME_FAILED,   /* ours: 500, 503 no_device */
    FN_OUTCOMES,
};

/* Seconds, upper bounds of the buckets in histogram.c's table. */
struct fn_histogram {
    atomic_ullong buckets[FN_HISTOGRAM_BOUNDS + 1];
    atomic_ullong sum_ns;
};

struct fn_metrics {
    atomic_ullong received;
    atomic_llong in_flight;
    atomic_ullong outcomes[FN_OUTCOMES];
    atomic_ullong requests[FN_METRIC_ROUTES][FN_METRIC_STATUSES]; /* by route, by HTTP status */
    atomic_ullong refusals[64];                                   /* by place in FN_STATUS_LIST */
    struct fn_histogram request_seconds, decode_seconds, detect_seconds, queue_seconds,
        device_seconds;
    atomic_ullong batches[FN_MAX_BATCH + 1]; /* by size */
    atomic_ullong pictures_submitted, pictures_computed, pictures_expired, pictures_failed;
    atomic_ullong failovers, stalls, selftest_failures; /* of devices */
    atomic_ullong reloads[2];                           /* failed, succeeded */
    atomic_llong last_reload_s; /* UNIX time of the last that succeeded; the start is one */
};

void fn_histogram_add(struct fn_histogram *histogram, int64_t ns);

/* A request's headers have come, and it has ended. `route`: index of the route table, or -1. */
void fn_metrics_note_received(struct fn_metrics *metrics);
void fn_metrics_note_ended(struct fn_metrics *metrics, int route, int http_status, fn_status status,
                           int delivered, int64_t ns);

/* Write what is in here, and of the process, in the Prometheus text format. `route_name`: by
 * index, NULL for a place without one. */
void fn_metrics_write(const struct fn_metrics *metrics, const char *(*route_name)(int), FILE *out);

/* "# HELP", "# TYPE" and one sample; for what others keep. `type`: "gauge" or "counter". */
void fn_metrics_write_one(FILE *out, const char *name, const char *type, const char *help,
                          double value);
void fn_metrics_write_head(FILE *out, const char *name, const char *type, const char *help);
/* A label's value with \, " and newline escaped, without the quotes. */
void fn_metrics_write_label(FILE *out, const char *value);

#endif
