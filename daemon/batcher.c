/* SPDX-License-Identifier: Apache-2.0
 *
 * batcher.c -- see batcher.h. One lock guards the queue and the figures; it is never held while the
 * device is given a batch or waited for, or while done() runs. */
#include "daemon/batcher.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "engine/clock.h"
#include "engine/engine.h"
#include "engine/thread.h"

struct fn_batcher {
    struct fn_batcher_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fn_batch_item *head, **last; /* guarded by lock */
    bool stopping;                      /* guarded by lock */
    struct fn_batcher_stats stats;      /* guarded by lock */
    int64_t waiting_ns;                 /* since when the queue has not been taken from */
    int64_t computing_ns;               /* start of the oldest batch in flight, or INT64_MAX */
    bool joined;
    /* The submitter's own. */
    int limit;         /* crops of the batch that is being made */
    int64_t check_ns;  /* when to look after the device */
    float *embeddings; /* [max_batch][embedding_size] */
    struct batch {
        struct fn_device_batch to_device; /* first: what review_batch() is given */
        struct fn_batcher *batcher;
        struct fn_batch_item *items[FN_MAX_BATCH]; /* [to_device.n] */
    } batches[FN_MAX_SLOTS];                       /* a ring */
    int first, n_flying; /* the oldest batch in flight, and how many there are */
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

/* With the lock. */
static int find_limit(const struct fn_batcher *b) {
    return b->options.limit ? b->options.limit(b->options.context) : b->options.max_batch;
}

static bool has_its_share(const struct fn_batcher *b, const struct batch *batch,
                          const struct fn_batch_item *item) {
    int share = b->limit / 2, count = 0;
    for (int i = 0; i < batch->to_device.n; i++) count += batch->items[i]->owner == item->owner;
    return count >= (share ? share : 1);
}

/* With the lock: when the device would come to another batch. */
static int64_t find_turn(const struct fn_batcher *b, int64_t now) {
    if (b->n_flying == 0 || !b->options.cost_ms) return now;
    double ms = 0;
    for (int i = 0; i < b->n_flying; i++) {
        const struct batch *batch = &b->batches[(b->first + i) % FN_MAX_SLOTS];
        ms += b->options.cost_ms(b->options.context, batch->to_device.n);
    }
    int64_t turn = b->computing_ns + (int64_t)(ms * (double)FN_NS_PER_MS);
    return turn > now ? turn : now;
}

/* Move crops from the queue into the batch, whose turn comes at `turn`, expired ones into the list
 * *ret_expired: first by shares, then (`whole`) whatever is left. What may not live until that turn
 * stays. */
static void fill_batch(struct fn_batcher *b, struct batch *batch, int64_t now, int64_t turn,
                       bool whole, struct fn_batch_item **ret_expired) {
    struct fn_batch_item **at = &b->head;
    struct fn_device_batch *to_device = &batch->to_device;
    while (*at && to_device->n < b->limit) {
        struct fn_batch_item *item = *at;
        bool expired = is_expired(item, now);
        if (!expired && (turn > item->deadline_ns || (!whole && has_its_share(b, batch, item)))) {
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
            to_device->crops[to_device->n] = item->crop;
            batch->items[to_device->n++] = item;
        }
    }
}

static void finish_expired(struct fn_batcher *b, struct fn_batch_item *expired) {
    struct fn_batch_item *next;
    int64_t now = fn_now_ns();
    for (; expired; expired = next) {
        next = expired->next;
        finish(b, expired, FN_DEADLINE_EXCEEDED, now, now, 0);
    }
}

/* A device is about to get the batch, perhaps after another has failed. */
static void review_batch(struct fn_device_batch *to_device) {
    struct batch *batch = (struct batch *)(void *)to_device;
    struct fn_batcher *b = batch->batcher;
    struct fn_batch_item *expired = NULL;
    int64_t now = fn_now_ns();
    int kept = 0, n = to_device->n;
    for (int i = 0; i < n; i++) {
        struct fn_batch_item *item = batch->items[i];
        if (is_expired(item, now)) {
            item->next = expired;
            expired = item;
        } else {
            to_device->crops[kept] = item->crop;
            batch->items[kept++] = item;
        }
    }
    if (!expired) return;
    to_device->n = kept;
    pthread_mutex_lock(&b->lock);
    b->stats.computing -= n - kept;
    pthread_mutex_unlock(&b->lock);
    finish_expired(b, expired);
}

/* With the lock and nothing in flight: wait for crops, and a while for more. */
static void wait_for_crops(struct fn_batcher *b) {
    while (!b->head && !b->stopping && fn_now_ns() < b->check_ns) {
        struct timespec due = fn_timespec(b->check_ns);
        (void)pthread_cond_clockwait(&b->changed, &b->lock, CLOCK_MONOTONIC, &due);
    }
    if (!b->head) return;
    int limit = find_limit(b);
    struct timespec until = fn_timespec(b->head->submitted_ns + b->options.max_delay_ns);
    while (b->options.max_delay_ns && b->stats.queued < limit && !b->stopping)
        if (pthread_cond_clockwait(&b->changed, &b->lock, CLOCK_MONOTONIC, &until) != 0) break;
}

/* With the lock: whether the device is to get a batch beside those in flight. Not when it is to be
 * looked after, which needs it idle. */
static bool wants_another(struct fn_batcher *b) {
    int slots = b->options.slots ? b->options.slots(b->options.context) : 1;
    return b->n_flying < slots && b->stats.queued >= find_limit(b) && fn_now_ns() < b->check_ns;
}

/* Make a batch, if there is to be one now; with none in flight, wait for it. Returns the batch, in
 * the ring, or NULL; *ret_end: there will be no more. */
static struct batch *take_batch(struct fn_batcher *b, struct fn_batch_item **ret_expired,
                                bool *ret_end) {
    if (b->n_flying == FN_MAX_SLOTS) return NULL;
    struct batch *batch = &b->batches[(b->first + b->n_flying) % FN_MAX_SLOTS];
    batch->to_device.n = 0;
    batch->to_device.review = review_batch;
    batch->batcher = b;
    pthread_mutex_lock(&b->lock);
    if (b->n_flying == 0) wait_for_crops(b);
    if (b->head && (b->n_flying == 0 || wants_another(b))) {
        int64_t now = fn_now_ns();
        b->limit = find_limit(b);
        int64_t turn = find_turn(b, now);
        fill_batch(b, batch, now, turn, false, ret_expired);
        fill_batch(b, batch, now, turn, true, ret_expired);
        b->waiting_ns = now;
        if (batch->to_device.n > 0 && b->n_flying == 0) b->computing_ns = now;
        b->stats.computing += batch->to_device.n;
    } else {
        *ret_end = b->stopping && !b->head && b->n_flying == 0;
    }
    pthread_mutex_unlock(&b->lock);
    if (batch->to_device.n == 0) return NULL;
    b->n_flying++;
    return batch;
}

static void note_batch(struct fn_batcher *b, int n, int64_t ns) {
    fn_histogram_add(&b->options.metrics->device_seconds, ns);
    atomic_fetch_add(&b->options.metrics->batches[n], 1);
}

/* An embedding of length one is never all zeros. */
static bool is_missing(const float *embedding, size_t length) {
    while (length > 0 && embedding[length - 1] == 0) length--;
    return length == 0;
}

static void collect(struct fn_batcher *b) {
    size_t length = (size_t)b->options.embedding_size;
    struct batch *batch = &b->batches[b->first];
    struct fn_error err = {.status = FN_OK};
    const char *backend = NULL;
    int64_t began;
    fn_status status =
        b->options.collect(b->options.context, b->embeddings, &backend, &began, &err);
    int64_t ended = fn_now_ns();
    int n = batch->to_device.n; /* some may have been taken out */
    if (status != FN_OK && n > 0)
        fn_log(FN_LOG_ERROR, "event=batch_failed pictures=%d code=%s detail=\"%s\"", n,
               fn_status_code(status), err.text);
    if (n > 0) note_batch(b, n, ended - began);
    b->first = (b->first + 1) % FN_MAX_SLOTS;
    b->n_flying--;
    pthread_mutex_lock(&b->lock);
    b->computing_ns = b->n_flying ? ended : INT64_MAX;
    b->stats.computing -= n;
    pthread_mutex_unlock(&b->lock);
    for (int i = 0; i < n; i++) {
        const float *embedding = b->embeddings + (size_t)i * length;
        fn_status own = status == FN_NOT_UNIT && !is_missing(embedding, length) ? FN_OK : status;
        if (own == FN_OK) memcpy(batch->items[i]->embedding, embedding, length * sizeof *embedding);
        batch->items[i]->backend = backend;
        finish(b, batch->items[i], own, began, ended, n);
    }
}

static void look_after(struct fn_batcher *b) {
    pthread_mutex_lock(&b->lock);
    b->computing_ns = fn_now_ns();
    pthread_mutex_unlock(&b->lock);
    b->check_ns = b->options.check(b->options.context);
    pthread_mutex_lock(&b->lock);
    b->computing_ns = INT64_MAX;
    pthread_mutex_unlock(&b->lock);
}

static void *submit_batches(void *arg) {
    struct fn_batcher *b = arg;
    for (bool end = false; !end;) {
        struct fn_batch_item *expired = NULL;
        struct batch *batch = take_batch(b, &expired, &end);
        if (batch) b->options.submit(b->options.context, &batch->to_device);
        finish_expired(b, expired);
        if (batch) continue; /* there may be another one for the device */
        if (b->n_flying > 0) collect(b);
        if (!end && b->n_flying == 0 && fn_now_ns() >= b->check_ns) look_after(b);
    }
    return NULL;
}

fn_status fn_batcher_new(const struct fn_batcher_options *options, struct fn_batcher **ret_batcher,
                         struct fn_error *err) {
    size_t n = (size_t)options->max_batch, length = (size_t)options->embedding_size;
    struct fn_batcher *b = calloc(1, sizeof *b);
    if (b) b->embeddings = calloc(n * length, sizeof *b->embeddings);
    if (!b || !b->embeddings) {
        free(b);
        return fn_fail(err, FN_NO_MEMORY, "no memory for batches of %zu", n);
    }
    b->options = *options;
    b->last = &b->head;
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
        if (!b->head) b->waiting_ns = now;
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
    if (b->head && b->waiting_ns < since_ns) since_ns = b->waiting_ns;
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
    free(b->embeddings);
    free(b);
}
