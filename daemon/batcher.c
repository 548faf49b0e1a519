/* SPDX-License-Identifier: Apache-2.0
 *
 * batcher.c -- see batcher.h. One lock guards the queue and the figures; it is never held while the
 * device computes or while done() runs. */
#include "daemon/batcher.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/thread.h"
#include "engine/engine.h"

struct fn_batcher {
    struct fn_batcher_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fn_batch_item *first, **last; /* guarded by lock */
    bool stopping;                       /* guarded by lock */
    struct fn_batcher_stats stats;       /* guarded by lock */
    int64_t waiting_ns;                  /* since when the queue has not been taken from */
    int64_t computing_ns;                /* start of the batch on the device, or INT64_MAX */
    bool joined;
    /* The submitter's own. */
    int limit;         /* crops of the batch that is being made */
    int64_t check_ns;  /* when to look after the device */
    uint8_t *crops;    /* [max_batch][160][160][3] */
    float *embeddings; /* [max_batch][embedding_size] */
    struct fn_batch_item *batch[FN_MAX_BATCH];
};

static bool is_expired(const struct fn_batch_item *item, int64_t now) {
    return now > item->deadline_ns || atomic_load(item->gone);
}

static void finish(struct fn_batcher *b, struct fn_batch_item *item, fn_status status,
                   int64_t started, int64_t ended, int n) {
    struct fn_metrics *metrics = b->options.metrics;
    fn_histogram_add(&metrics->queue_seconds, started - item->submitted_ns);
    atomic_fetch_add(status == FN_OK                  ? &metrics->pictures_computed
                     : status == FN_DEADLINE_EXCEEDED ? &metrics->pictures_expired
                                                      : &metrics->pictures_failed,
                     1);
    item->waited_ns = started - item->submitted_ns;
    item->computed_ns = ended - started;
    item->batch_size = n;
    item->done(item, status);
}

static bool has_its_share(const struct fn_batcher *b, const struct fn_batch_item *item, int n) {
    int share = b->limit / 2, count = 0;
    for (int i = 0; i < n; i++) count += b->batch[i]->owner == item->owner;
    return count >= (share ? share : 1);
}

/* Move crops from the queue into the batch, expired ones into the list *ret_expired: first by
 * shares, then (`whole`) whatever is left. Returns how many the batch holds. */
static int fill_batch(struct fn_batcher *b, int n, int64_t now, bool whole,
                      struct fn_batch_item **ret_expired) {
    struct fn_batch_item **at = &b->first;
    while (*at && n < b->limit) {
        struct fn_batch_item *item = *at;
        bool expired = is_expired(item, now);
        if (!expired && !whole && has_its_share(b, item, n)) {
            at = &item->next;
            continue;
        }
        *at = item->next;
        if (!*at) b->last = at;
        b->stats.queued--;
        b->stats.pictures_queued -= item->is_last;
        if (expired) {
            item->next = *ret_expired;
            *ret_expired = item;
        } else {
            b->batch[n++] = item;
        }
    }
    return n;
}

/* Wait for crops; make a batch. Returns how many live ones it holds, or -1 when there will be no
 * more. */
static int take_batch(struct fn_batcher *b, struct fn_batch_item **ret_expired) {
    pthread_mutex_lock(&b->lock);
    b->computing_ns = INT64_MAX;
    b->stats.computing = 0;
    while (!b->first && !b->stopping && fn_now_ns() < b->check_ns) {
        struct timespec due = fn_timespec(b->check_ns);
        (void)pthread_cond_clockwait(&b->changed, &b->lock, CLOCK_MONOTONIC, &due);
    }
    if (!b->first) {
        bool stopping = b->stopping;
        pthread_mutex_unlock(&b->lock);
        return stopping ? -1 : 0;
    }
    b->limit = b->options.limit ? b->options.limit(b->options.context) : b->options.max_batch;
    struct timespec until = fn_timespec(b->first->submitted_ns + b->options.max_delay_ns);
    while (b->options.max_delay_ns && b->stats.queued < b->limit && !b->stopping)
        if (pthread_cond_clockwait(&b->changed, &b->lock, CLOCK_MONOTONIC, &until) != 0) break;
    int64_t now = fn_now_ns();
    int n = fill_batch(b, 0, now, false, ret_expired);
    n = fill_batch(b, n, now, true, ret_expired);
    b->waiting_ns = now;
    if (n > 0) b->computing_ns = now;
    b->stats.computing = n;
    pthread_mutex_unlock(&b->lock);
    return n;
}

static void note_batch(struct fn_batcher *b, int n, int64_t ns) {
    fn_histogram_add(&b->options.metrics->device_seconds, ns);
    atomic_fetch_add(&b->options.metrics->batches[n], 1);
}

static fn_status run(struct fn_batcher *b, const uint8_t *crops, int n, float *embeddings,
                     const char **ret_backend) {
    struct fn_error err = {.status = FN_OK};
    fn_status status = b->options.run(b->options.context, crops, n, embeddings, ret_backend, &err);
    if (status != FN_OK)
        fn_log(FN_LOG_ERROR, "event=batch_failed pictures=%d code=%s detail=\"%s\"", n,
               fn_status_code(status), err.text);
    return status;
}

static void compute(struct fn_batcher *b, int n) {
    size_t length = (size_t)b->options.embedding_size;
    const char *backend = NULL;
    for (int i = 0; i < n; i++)
        memcpy(b->crops + (size_t)i * FN_CROP_SIZE, b->batch[i]->crop, FN_CROP_SIZE);
    int64_t started = fn_now_ns();
    fn_status status = run(b, b->crops, n, b->embeddings, &backend);
    /* One picture without an embedding fails the whole call: find out whose it is. */
    bool apart = status == FN_NOT_UNIT && n > 1;
    int64_t ended = fn_now_ns();
    note_batch(b, n, ended - started);
    for (int i = 0; i < n; i++) {
        float *embedding = b->embeddings + (size_t)i * length;
        fn_status own = status;
        if (apart) own = run(b, b->crops + (size_t)i * FN_CROP_SIZE, 1, embedding, &backend);
        if (own == FN_OK) memcpy(b->batch[i]->embedding, embedding, length * sizeof *embedding);
        b->batch[i]->backend = backend;
        finish(b, b->batch[i], own, started, ended, n);
    }
}

static void look_after(struct fn_batcher *b) {
    pthread_mutex_lock(&b->lock);
    b->computing_ns = fn_now_ns();
    pthread_mutex_unlock(&b->lock);
    b->check_ns = b->options.check(b->options.context);
}

static void *submit_batches(void *arg) {
    struct fn_batcher *b = arg;
    for (;;) {
        struct fn_batch_item *next, *expired = NULL;
        int n = take_batch(b, &expired);
        if (n < 0) return NULL;
        int64_t now = fn_now_ns();
        for (; expired; expired = next) {
            next = expired->next;
            finish(b, expired, FN_DEADLINE_EXCEEDED, now, now, 0);
        }
        if (n > 0) compute(b, n);
        if (fn_now_ns() >= b->check_ns) look_after(b);
    }
}

fn_status fn_batcher_new(const struct fn_batcher_options *options, struct fn_batcher **ret_batcher,
                         struct fn_error *err) {
    size_t n = (size_t)options->max_batch, length = (size_t)options->embedding_size;
    struct fn_batcher *b = calloc(1, sizeof *b);
    if (b) b->crops = malloc(n * FN_CROP_SIZE);
    if (b) b->embeddings = calloc(n * length, sizeof *b->embeddings);
    if (!b || !b->crops || !b->embeddings) {
        if (b) free(b->crops);
        if (b) free(b->embeddings);
        free(b);
        return fn_fail(err, FN_NO_MEMORY, "no memory for batches of %zu", n);
    }
    b->options = *options;
    b->last = &b->first;
    b->computing_ns = INT64_MAX;
    b->check_ns = options->check ? options->check(options->context) : INT64_MAX;
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_cond_init(&b->changed, NULL);
    if (fn_thread_start(&b->thread, submit_batches, b) != 0) {
        b->joined = true;
        fn_batcher_free(b);
        return fn_fail(err, FN_IO, "cannot start the submitter thread");
    }
    *ret_batcher = b;
    return FN_OK;
}

fn_status fn_batcher_submit(struct fn_batcher *b, struct fn_batch_item *const *items, int n,
                            struct fn_error *err) {
    fn_status status = FN_OK;
    int64_t now = fn_now_ns();
    pthread_mutex_lock(&b->lock);
    if (b->stopping) {
        status = fn_fail(err, FN_DRAINING, "the server is shutting down");
    } else if (b->stats.pictures_queued >= b->options.max_queue) {
        status = fn_fail(err, FN_OVERLOADED, "%d pictures wait already, at most %d may",
                         b->stats.pictures_queued, b->options.max_queue);
    } else {
        if (!b->first) b->waiting_ns = now;
        for (int i = 0; i < n; i++) {
            items[i]->submitted_ns = now;
            items[i]->next = NULL;
            items[i]->is_last = i == n - 1;
            *b->last = items[i];
            b->last = &items[i]->next;
        }
        b->stats.queued += n;
        atomic_fetch_add(&b->options.metrics->pictures_submitted, (unsigned long long)n);
        b->stats.pictures_queued++;
        pthread_cond_signal(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    return status;
}

void fn_batcher_get_stats(struct fn_batcher *b, struct fn_batcher_stats *ret) {
    pthread_mutex_lock(&b->lock);
    *ret = b->stats;
    pthread_mutex_unlock(&b->lock);
}

int fn_batcher_ahead(struct fn_batcher *b) {
    pthread_mutex_lock(&b->lock);
    int ahead = b->stats.queued + b->stats.computing;
    pthread_mutex_unlock(&b->lock);
    return ahead;
}

int64_t fn_batcher_stalled_since_ns(struct fn_batcher *b) {
    pthread_mutex_lock(&b->lock);
    int64_t since_ns = b->computing_ns;
    if (b->first && b->waiting_ns < since_ns) since_ns = b->waiting_ns;
    pthread_mutex_unlock(&b->lock);
    return since_ns;
}

void fn_batcher_stop(struct fn_batcher *b) {
    if (b->joined) return;
    pthread_mutex_lock(&b->lock);
    b->stopping = true;
    pthread_cond_signal(&b->changed);
    pthread_mutex_unlock(&b->lock);
    (void)pthread_join(b->thread, NULL);
    b->joined = true;
}

void fn_batcher_free(struct fn_batcher *b) {
    if (!b) return;
    fn_batcher_stop(b);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b->crops);
    free(b->embeddings);
    free(b);
}
