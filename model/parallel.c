/* SPDX-License-Identifier: Apache-2.0
 *
 * parallel.c -- a counter under one lock; parallel.h has the contract. */
#include "model/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

#include "model/commands/interrupt.h"

struct pool {
    size_t n;
    fn_task task;
    void *context;
    pthread_mutex_t lock; /* guards what follows */
    size_t next;
    int next_worker;
    bool failed;
    size_t failed_index;
    struct fn_error failure;
    struct fn_progress *progress;
};

/* The next index, or n when there is nothing more to do. */
static size_t take_index(struct pool *pool) {
    (void)pthread_mutex_lock(&pool->lock);
    if (fn_interrupted() && !pool->failed) {
        pool->failed = true;
        pool->failed_index = pool->next;
        (void)fn_fail(&pool->failure, FN_IO, "interrupted");
    }
    size_t index = pool->failed ? pool->n : pool->next;
    if (index < pool->n) pool->next++;
    (void)pthread_mutex_unlock(&pool->lock);
    return index;
}

static void report(struct pool *pool, size_t index, fn_status status, const struct fn_error *err) {
    (void)pthread_mutex_lock(&pool->lock);
    if (status == FN_OK) {
        fn_progress_step(pool->progress);
    } else if (!pool->failed || index < pool->failed_index) {
        pool->failed = true;
        pool->failed_index = index;
        pool->failure = *err;
        pool->failure.status = status;
    }
    (void)pthread_mutex_unlock(&pool->lock);
}

static void *work(void *context) {
    struct pool *pool = context;
    (void)pthread_mutex_lock(&pool->lock);
    int worker = pool->next_worker++;
    (void)pthread_mutex_unlock(&pool->lock);
    for (size_t index; (index = take_index(pool)) < pool->n;) {
        struct fn_error err = {0};
        fn_status status = pool->task(pool->context, index, worker, &err);
        report(pool, index, status, &err);
    }
    return NULL;
}

fn_status fn_parallel_run(size_t n, int n_workers, fn_task task, void *context,
                          struct fn_progress *progress, struct fn_error *err) {
    struct pool pool = {.n = n, .task = task, .context = context, .progress = progress};
    (void)pthread_mutex_init(&pool.lock, NULL); /* cannot fail on Linux */
    pthread_t threads[FN_MAX_THREADS];
    int started = 0;
    if (n_workers > FN_MAX_THREADS) n_workers = FN_MAX_THREADS;
    /* This thread works too; if a thread cannot be had, the others do its share. */
    while (started < n_workers - 1 && (size_t)started + 1 < n &&
           pthread_create(&threads[started], NULL, work, &pool) == 0)
        started++;
    (void)work(&pool);
    for (int i = 0; i < started; i++) (void)pthread_join(threads[i], NULL);
    (void)pthread_mutex_destroy(&pool.lock);
    if (!pool.failed) return FN_OK;
    return fn_fail(err, pool.failure.status, "%s", pool.failure.text);
}

int fn_parallel_cpus(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > FN_MAX_THREADS ? FN_MAX_THREADS : n;
}
