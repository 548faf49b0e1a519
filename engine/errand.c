/* SPDX-License-Identifier: Apache-2.0
 *
 * errand.c -- see errand.h. */
#include "engine/errand.h"

#include <pthread.h>
#include <stdlib.h>

#include "engine/clock.h"
#include "engine/thread.h"

#define LOOK_UP_NS (50 * FN_NS_PER_MS) /* how often a wait looks whether to give up */
#define NO_JOB     0

struct fn_errand {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int job;                    /* guarded by lock: what is asked for; NO_JOB: done */
    bool ending;                /* guarded by lock: the job is the last */
    bool left_behind;           /* guarded by lock: the thread frees all this */
    const atomic_bool *give_up; /* borrowed, or NULL */
    bool stuck;                 /* the caller's */
    fn_status status; /* of the last job, as `err`; written by the thread before it is done */
    struct fn_error err;
    fn_errand_run *run;
    void *context; /* owned */
    void (*free_context)(void *);
};

static atomic_int left_behind;

static void free_all(struct fn_errand *e) {
    e->free_context(e->context);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static void *serve(void *arg) {
    struct fn_errand *e = arg;
    for (;;) {
        pthread_mutex_lock(&e->lock);
        while (e->job == NO_JOB) pthread_cond_wait(&e->changed, &e->lock);
        int job = e->job;
        pthread_mutex_unlock(&e->lock);
        fn_status status = e->run(e->context, job, &e->err);
        pthread_mutex_lock(&e->lock);
        e->status = status;
        e->job = NO_JOB;
        bool alone = e->left_behind, last = e->ending;
        pthread_cond_signal(&e->changed);
        pthread_mutex_unlock(&e->lock);
        if (alone) {
            free_all(e);
            atomic_fetch_sub(&left_behind, 1);
        }
        if (alone || last) return NULL;
    }
}

fn_status fn_errand_new(void *context, fn_errand_run *run, void (*free_context)(void *),
                        const atomic_bool *give_up, struct fn_errand **ret_errand,
                        struct fn_error *err) {
    struct fn_errand *e = calloc(1, sizeof *e);
    if (!e) return fn_fail(err, FN_NO_MEMORY, "no memory for a device's thread");
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_cond_init(&e->changed, NULL);
    e->run = run;
    e->context = context;
    e->free_context = free_context;
    e->give_up = give_up;
    if (fn_thread_start(&e->thread, serve, e) != 0) {
        pthread_cond_destroy(&e->changed);
        pthread_mutex_destroy(&e->lock);
        free(e);
        return fn_fail(err, FN_IO, "cannot start a device's thread");
    }
    *ret_errand = e;
    return FN_OK;
}

/* With the lock: wait until the job is done; false when it takes too long. To end what works has
 * the time that it needs: nobody is kept waiting by it. */
static bool wait_done(struct fn_errand *e, int64_t patience_ns) {
    int64_t now = fn_now_ns();
    int64_t until = patience_ns < INT64_MAX - now ? now + patience_ns : INT64_MAX;
    while (e->job != NO_JOB && now < until &&
           (e->ending || !e->give_up || !atomic_load(e->give_up))) {
        struct timespec wake = fn_timespec(until - now < LOOK_UP_NS ? until : now + LOOK_UP_NS);
        (void)pthread_cond_clockwait(&e->changed, &e->lock, CLOCK_MONOTONIC, &wake);
        now = fn_now_ns();
    }
    return e->job == NO_JOB;
}

static fn_status ask(struct fn_errand *e, int job, bool last, int64_t patience_ns,
                     struct fn_error *err) {
    int64_t began = fn_now_ns();
    if (e->stuck) return fn_fail(err, FN_DEVICE_FAILED, "the device has not answered for long");
    pthread_mutex_lock(&e->lock);
    e->job = job;
    e->ending = last;
    pthread_cond_signal(&e->changed);
    e->stuck = !wait_done(e, patience_ns);
    pthread_mutex_unlock(&e->lock);
    if (e->stuck)
        return fn_fail(err, FN_DEVICE_FAILED, "the device did not answer within %.0f ms",
                       fn_ms(fn_now_ns() - began));
    if (e->status != FN_OK) return fn_fail(err, e->status, "%s", e->err.text);
    return FN_OK;
}

fn_status fn_errand_ask(struct fn_errand *e, int job, int64_t patience_ns, struct fn_error *err) {
    return ask(e, job, false, patience_ns, err);
}

bool fn_errand_is_stuck(const struct fn_errand *e) {
    return e->stuck;
}

/* Whether the thread is still at a job: then it is left behind. A stuck one may have come back. */
static bool leave_behind(struct fn_errand *e) {
    pthread_mutex_lock(&e->lock);
    bool busy = e->job != NO_JOB;
    e->left_behind = busy;
    if (busy) {
        atomic_fetch_add(&left_behind, 1);
        (void)pthread_detach(e->thread);
    }
    pthread_mutex_unlock(&e->lock);
    return busy;
}

bool fn_errand_close(struct fn_errand *e, int last_job, int64_t patience_ns) {
    struct fn_error unused;
    if (!e || (e->stuck && leave_behind(e))) return !e;
    e->stuck = false;
    (void)ask(e, last_job, true, patience_ns, &unused);
    if (e->stuck && leave_behind(e)) return false;
    (void)pthread_join(e->thread, NULL);
    free_all(e);
    return true;
}

int fn_errands_left_behind(void) {
    return atomic_load(&left_behind);
}
