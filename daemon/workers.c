/* SPDX-License-Identifier: Apache-2.0
 *
 * workers.c -- see workers.h. */
#include "daemon/workers.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "daemon/thread.h"

struct queue {
    struct fn_task *first, **last;
};

struct fn_workers {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct queue queues[2]; /* by enum fn_urgency; guarded by lock */
    bool stopping;          /* guarded by lock */
    int n_threads;
    pthread_t threads[];
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

static void *work(void *arg) {
    struct fn_workers *workers = arg;
    for (;;) {
        struct fn_task *task;
        pthread_mutex_lock(&workers->lock);
        while (!(task = take(workers)) && !workers->stopping)
            pthread_cond_wait(&workers->changed, &workers->lock);
        pthread_mutex_unlock(&workers->lock);
        if (!task) return NULL;
        task->run(task);
    }
}

fn_status fn_workers_new(int n_threads, struct fn_workers **ret_workers, struct fn_error *err) {
    struct fn_workers *workers =
        calloc(1, sizeof *workers + (size_t)n_threads * sizeof workers->threads[0]);
    if (!workers) return fn_fail(err, FN_NO_MEMORY, "no memory for %d workers", n_threads);
    for (int i = 0; i < 2; i++) workers->queues[i].last = &workers->queues[i].first;
    (void)pthread_mutex_init(&workers->lock, NULL);
    (void)pthread_cond_init(&workers->changed, NULL);
    for (int i = 0; i < n_threads; i++) {
        if (fn_thread_start(&workers->threads[i], work, workers) != 0) {
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
    *queue->last = task;
    queue->last = &task->next;
    pthread_cond_signal(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
}

void fn_workers_free(struct fn_workers *workers) {
    if (!workers) return;
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
    for (int i = 0; i < workers->n_threads; i++) (void)pthread_join(workers->threads[i], NULL);
    assert(!workers->queues[0].first && !workers->queues[1].first);
    pthread_cond_destroy(&workers->changed);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}
