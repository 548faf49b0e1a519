/* SPDX-License-Identifier: Apache-2.0
 *
 * workers.c -- see workers.h. */
#include "daemon/workers.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "engine/clock.h"
#include "engine/thread.h"

struct queue {
    struct fn_task *first, **last;
};

struct worker {
    pthread_t thread;
    struct fn_workers *pool;
    int64_t busy_since_ns; /* INT64_MAX when it waits; guarded by the pool's lock */
};

struct fn_workers {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct queue queues[2]; /* by enum fn_urgency; guarded by lock */
    bool stopping;          /* guarded by lock */
    int64_t waiting_ns;     /* since when the queues have not been taken from; guarded by lock */
    int n_threads;
    struct worker workers[];
};

static struct fn_task *take(struct fn_workers *workers) {
    for (int i = 0; i < 2; i++) {
        struct queue *queue = &workers->queues[i];
        struct fn_task *task = queue->first;
        if (!task) continue;
        queue->first = task->next;
        if (!queue->first) queue->last = &queue->first;
        return task;
    }
    return NULL;
}

static bool has_queued(const struct fn_workers *workers) {
    return workers->queues[0].first || workers->queues[1].first;
}

static void *work(void *arg) {
    struct worker *worker = arg;
    struct fn_workers *workers = worker->pool;
    for (;;) {
        struct fn_task *task;
        pthread_mutex_lock(&workers->lock);
        worker->busy_since_ns = INT64_MAX;
        while (!(task = take(workers)) && !workers->stopping)
            pthread_cond_wait(&workers->changed, &workers->lock);
        worker->busy_since_ns = workers->waiting_ns = fn_now_ns();
        pthread_mutex_unlock(&workers->lock);
        if (!task) return NULL;
        task->run(task);
    }
}

fn_status fn_workers_new(int n_threads, struct fn_workers **ret_workers, struct fn_error *err) {
    struct fn_workers *workers =
        calloc(1, sizeof *workers + (size_t)n_threads * sizeof workers->workers[0]);
    if (!workers) return fn_fail(err, FN_NO_MEMORY, "no memory for %d workers", n_threads);
    for (int i = 0; i < 2; i++) workers->queues[i].last = &workers->queues[i].first;
    (void)pthread_mutex_init(&workers->lock, NULL);
    (void)pthread_cond_init(&workers->changed, NULL);
    for (int i = 0; i < n_threads; i++) {
        struct worker *worker = &workers->workers[i];
        *worker = (struct worker){.pool = workers, .busy_since_ns = INT64_MAX};
        if (fn_thread_start(&worker->thread, work, worker) != 0) {
            fn_workers_free(workers);
            return fn_fail(err, FN_IO, "cannot start worker thread %d of %d", i + 1, n_threads);
        }
        workers->n_threads++;
    }
    *ret_workers = workers;
    return FN_OK;
}

void fn_workers_push(struct fn_workers *workers, struct fn_task *task, enum fn_urgency urgency) {
    struct queue *queue = &workers->queues[urgency];
    task->next = NULL;
    pthread_mutex_lock(&workers->lock);
    if (!has_queued(workers)) workers->waiting_ns = fn_now_ns();
    *queue->last = task;
    queue->last = &task->next;
    pthread_cond_signal(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
}

int64_t fn_workers_stalled_since_ns(struct fn_workers *workers) {
    pthread_mutex_lock(&workers->lock);
    int64_t oldest = has_queued(workers) ? workers->waiting_ns : INT64_MAX;
    for (int i = 0; i < workers->n_threads; i++)
        if (workers->workers[i].busy_since_ns < oldest) oldest = workers->workers[i].busy_since_ns;
    pthread_mutex_unlock(&workers->lock);
    return oldest;
}

void fn_workers_free(struct fn_workers *workers) {
    if (!workers) return;
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
    for (int i = 0; i < workers->n_threads; i++)
        (void)pthread_join(workers->workers[i].thread, NULL);
    assert(!has_queued(workers));
    pthread_cond_destroy(&workers->changed);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}
