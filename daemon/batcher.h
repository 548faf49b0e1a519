/* SPDX-License-Identifier: Apache-2.0
 *
 * batcher.h -- crops from many requests to one device, several at a time.
 *
 * Work-conserving: the one submitter thread takes whatever waits, oldest first, as soon as the
 * device is free; what arrives while it computes forms the next batch. A device that takes a second
 * batch while it computes one gets it as soon as a full one waits: a smaller one would only give up
 * its company. While several owners wait, none gets more than half of a batch. A picture whose
 * deadline has passed or whose client has gone is dropped before it is given to the device, also to
 * one that takes over from another; and none that may be late before its turn comes is queued there
 * behind a batch, where it could not be taken back. A batch never shares its fate: when one picture
 * has no embedding the others get theirs. */
#ifndef FN_BATCHER_H
#define FN_BATCHER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/devices.h"
#include "daemon/metrics.h"
#include "engine/status.h"

/* One crop. Caller-owned; the batcher's from submit until `done` is called. */
struct fn_batch_item {
    const uint8_t *crop;     /* [160][160][3], borrowed */
    float *embedding;        /* [embedding_size], borrowed; written when done with FN_OK */
    int64_t deadline_ns;     /* of engine/clock.h */
    const atomic_bool *gone; /* borrowed */
    const void *owner;       /* whose it is, for fairness; never dereferenced */
    /* Called once, in the submitter thread: hand over, do not compute. FN_OK, FN_DEADLINE_EXCEEDED
     * (also when `gone`), or what the device said. */
    void (*done)(struct fn_batch_item *item, fn_status status);
    void *context;

    /* Written by the batcher before done(). */
    int64_t waited_ns, computed_ns; /* until its batch's turn on the device; there */
    int batch_size;
    const char *backend; /* that computed it, borrowed from the batcher; NULL: none */

    /* Private. */
    struct fn_batch_item *next;
    int64_t submitted_ns;
    bool is_last; /* of those submitted together */
};

struct fn_batcher_options {
    /* As fn_devices_submit(), _collect() and _slots(), or a test's: begin to compute n crops; the
     * oldest such batch's embeddings, [n][embedding_size], when its turn came and what computed it
     * (static for as long as the batcher); how many batches may be begun before one is collected,
     * 1...FN_MAX_SLOTS, under the lock (NULL: 1). */
    void (*submit)(void *context, struct fn_device_batch *batch);
    fn_status (*collect)(void *context, float *ret_embeddings, const char **ret_backend,
                         int64_t *ret_began_ns, struct fn_error *err);
    int (*slots)(void *context);
    /* Crops that may go into a batch now, 1...max_batch; NULL: max_batch. Under the lock. */
    int (*limit)(void *context);
    /* How long a batch of n takes; NULL: nobody knows. Under the lock. */
    double (*cost_ms)(void *context, int n);
    /* Look after the device while it has no batch; returns when to do so again. NULL: never. */
    int64_t (*check)(void *context);
    void *context;
    struct fn_metrics *metrics; /* borrowed */
    int embedding_size, max_batch, max_queue;
    int64_t max_delay_ns; /* how long a first picture may wait for others */
};

struct fn_batcher_stats {
    int queued;          /* crops that wait */
    int computing;       /* crops on the device, in all its batches */
    int pictures_queued; /* pictures they are of: calls of fn_batcher_submit() */
};

struct fn_batcher; /* opaque */

FN_MUST fn_status fn_batcher_new(const struct fn_batcher_options *options,
                                 struct fn_batcher **ret_batcher, struct fn_error *err);

/* Queue the n crops of a picture that items point to, all or none. FN_OVERLOADED when max_queue
 * pictures wait, FN_DRAINING after stop. */
FN_MUST fn_status fn_batcher_submit(struct fn_batcher *batcher, struct fn_batch_item *const *items,
                                    int n, struct fn_error *err);

void fn_batcher_get_stats(struct fn_batcher *batcher, struct fn_batcher_stats *ret);

/* Crops that wait or are being computed. */
int fn_batcher_ahead(struct fn_batcher *batcher);

/* When the oldest batch on the device began, or the queue was last taken from while pictures wait,
 * whichever is earlier; INT64_MAX when there is nothing to do. */
int64_t fn_batcher_stalled_since_ns(struct fn_batcher *batcher);

/* Take no more, compute what waits, end the thread. */
void fn_batcher_stop(struct fn_batcher *batcher);
/* Stops first. NULL is a no-op. */
void fn_batcher_free(struct fn_batcher *batcher);

#endif
