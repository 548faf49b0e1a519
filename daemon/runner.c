/* SPDX-License-Identifier: Apache-2.0
 *
 * runner.c -- see runner.h. */
#include "daemon/runner.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/thread.h"
#include "engine/cleanup.h"

#define LOOK_UP_NS (50 * FN_NS_PER_MS) /* how often a wait looks whether to give up */

enum job { NO_JOB, OPEN, SUBMIT, COLLECT, SELF_TEST, CLOSE };

struct fn_runner {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum job job;               /* guarded by lock: what is asked for; NO_JOB: done */
    bool left_behind;           /* guarded by lock: the thread frees all this */
    const atomic_bool *give_up; /* borrowed */
    bool stuck;                 /* the caller's */
    fn_status status; /* of the last job, as `err`; written by the thread before it is done */
    struct fn_error err;
    int n;
    /* The thread's while a job is in work. */
    const struct fn_model *model;
    struct fn_engine_options options;
    char *strings[5]; /* owned, what options borrows */
    struct fn_engine *engine;
    struct fn_engine_description description;
    int slots;
    uint8_t *crops;    /* [max_batch][160][160][3] */
    float *embeddings; /* [max_batch][embedding_size] */
};

static atomic_int left_behind;

static void free_all(struct fn_runner *r) {
    fn_engine_close(r->engine);
    for (int i = 0; i < 5; i++) free(r->strings[i]);
    free(r->crops);
    free(r->embeddings);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static fn_status do_job(struct fn_runner *r, enum job job) {
    fn_status status = FN_OK;
    if (job == OPEN) {
        status = fn_engine_open(r->model, &r->options, &r->engine, &r->err);
        if (status == FN_OK) fn_engine_describe(r->engine, &r->description);
        if (status == FN_OK) r->slots = fn_engine_slots(r->engine);
    } else if (job == SUBMIT) {
        status = fn_engine_submit(r->engine, r->crops, r->n, &r->err);
    } else if (job == COLLECT) {
        status = fn_engine_collect(r->engine, r->embeddings, NULL, &r->err);
    } else if (job == SELF_TEST) {
        status = fn_engine_self_test_at(r->engine, r->n, &r->err);
    } else if (job == CLOSE) {
        fn_engine_close(FN_TAKE(r->engine));
    }
    return status;
}

static void *serve(void *arg) {
    struct fn_runner *r = arg;
    for (;;) {
        pthread_mutex_lock(&r->lock);
        while (r->job == NO_JOB) pthread_cond_wait(&r->changed, &r->lock);
        enum job job = r->job;
        pthread_mutex_unlock(&r->lock);
        fn_status status = do_job(r, job);
        pthread_mutex_lock(&r->lock);
        r->status = status;
        r->job = NO_JOB;
        bool alone = r->left_behind;
        pthread_cond_signal(&r->changed);
        pthread_mutex_unlock(&r->lock);
        if (alone) {
            free_all(r);
            atomic_fetch_sub(&left_behind, 1);
        }
        if (alone || job == CLOSE) return NULL;
    }
}

/* With the lock: wait until the job is done; false when it takes too long. To close what works has
 * the time that it needs: nobody is kept waiting by it. */
static bool wait_done(struct fn_runner *r, enum job job, int64_t patience_ns) {
    int64_t now = fn_now_ns();
    int64_t until = patience_ns < INT64_MAX - now ? now + patience_ns : INT64_MAX;
    while (r->job != NO_JOB && now < until && (job == CLOSE || !atomic_load(r->give_up))) {
        struct timespec wake = fn_timespec(until - now < LOOK_UP_NS ? until : now + LOOK_UP_NS);
        (void)pthread_cond_clockwait(&r->changed, &r->lock, CLOCK_MONOTONIC, &wake);
        now = fn_now_ns();
    }
    return r->job == NO_JOB;
}

/* Hand the thread a job and wait. */
static fn_status ask(struct fn_runner *r, enum job job, int64_t patience_ns, struct fn_error *err) {
    int64_t began = fn_now_ns();
    if (r->stuck) return fn_fail(err, FN_DEVICE_FAILED, "the device has not answered for long");
    pthread_mutex_lock(&r->lock);
    r->job = job;
    pthread_cond_signal(&r->changed);
    r->stuck = !wait_done(r, job, patience_ns);
    pthread_mutex_unlock(&r->lock);
    if (r->stuck)
        return fn_fail(err, FN_DEVICE_FAILED, "the device did not answer within %.0f ms",
                       fn_ms(fn_now_ns() - began));
    if (r->status != FN_OK) return fn_fail(err, r->status, "%s", r->err.text);
    return FN_OK;
}

static bool copy_string(struct fn_runner *r, int slot, const char **string) {
    if (!*string) return true;
    r->strings[slot] = strdup(*string);
    *string = r->strings[slot];
    return r->strings[slot];
}

static fn_status make(const struct fn_model *model, const struct fn_engine_options *options,
                      struct fn_runner **ret_runner, struct fn_error *err) {
    size_t batch = (size_t)options->max_batch, size = (size_t)model->network.embedding_size;
    struct fn_runner *r = calloc(1, sizeof *r);
    if (!r) return fn_fail(err, FN_NO_MEMORY, "no memory for a device");
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->changed, NULL);
    r->model = model;
    r->options = *options;
    r->crops = malloc(batch * FN_CROP_SIZE);
    r->embeddings = calloc(batch, size * sizeof *r->embeddings);
    if (!r->crops || !r->embeddings || !copy_string(r, 0, &r->options.device) ||
        !copy_string(r, 1, &r->options.kernel_family) ||
        !copy_string(r, 2, &r->options.kernel_dir) || !copy_string(r, 3, &r->options.cache_dir) ||
        !copy_string(r, 4, &r->options.program)) {
        free_all(r);
        return fn_fail(err, FN_NO_MEMORY, "no memory for a device");
    }
    if (fn_thread_start(&r->thread, serve, r) != 0) {
        free_all(r);
        return fn_fail(err, FN_IO, "cannot start a device's thread");
    }
    *ret_runner = r;
    return FN_OK;
}

fn_status fn_runner_open(const struct fn_model *model, const struct fn_engine_options *options,
                         int64_t patience_ns, const atomic_bool *give_up,
                         struct fn_runner **ret_runner, bool *ret_stuck, struct fn_error *err) {
    struct fn_runner *r;
    *ret_stuck = false;
    fn_status status = make(model, options, &r, err);
    if (status != FN_OK) return status;
    r->give_up = give_up;
    status = ask(r, OPEN, patience_ns, err);
    if (status == FN_OK)
        *ret_runner = r;
    else
        *ret_stuck = !fn_runner_close(r, patience_ns);
    return status;
}

fn_status fn_runner_submit(struct fn_runner *r, const uint8_t *const *crops, int n,
                           int64_t patience_ns, struct fn_error *err) {
    for (size_t i = 0; i < (size_t)n && !r->stuck; i++)
        memcpy(r->crops + i * FN_CROP_SIZE, crops[i], FN_CROP_SIZE);
    if (!r->stuck) r->n = n;
    return ask(r, SUBMIT, patience_ns, err);
}

fn_status fn_runner_collect(struct fn_runner *r, int n, int64_t patience_ns, float *ret_embeddings,
                            struct fn_error *err) {
    size_t size = (size_t)n * (size_t)r->model->network.embedding_size;
    fn_status status = ask(r, COLLECT, patience_ns, err);
    if (status == FN_OK || status == FN_NOT_UNIT)
        memcpy(ret_embeddings, r->embeddings, size * sizeof *ret_embeddings);
    return status;
}

int fn_runner_slots(const struct fn_runner *r) {
    return r->slots;
}

fn_status fn_runner_self_test(struct fn_runner *r, int n, int64_t patience_ns,
                              struct fn_error *err) {
    if (!r->stuck) r->n = n;
    return ask(r, SELF_TEST, patience_ns, err);
}

bool fn_runner_is_stuck(const struct fn_runner *r) {
    return r->stuck;
}

const struct fn_engine_description *fn_runner_describe(const struct fn_runner *r) {
    return &r->description;
}

/* Whether the thread is still at a job: then it is left behind. A stuck one may have come back. */
static bool leave_behind(struct fn_runner *r) {
    pthread_mutex_lock(&r->lock);
    bool busy = r->job != NO_JOB;
    r->left_behind = busy;
    if (busy) {
        atomic_fetch_add(&left_behind, 1);
        (void)pthread_detach(r->thread);
    }
    pthread_mutex_unlock(&r->lock);
    return busy;
}

bool fn_runner_close(struct fn_runner *r, int64_t patience_ns) {
    struct fn_error unused;
    if (!r || (r->stuck && leave_behind(r))) return !r;
    r->stuck = false;
    fn_status status = ask(r, CLOSE, patience_ns, &unused);
    if (status != FN_OK && leave_behind(r)) return false;
    (void)pthread_join(r->thread, NULL);
    free_all(r);
    return true;
}

int fn_runner_left_behind(void) {
    return atomic_load(&left_behind);
}
