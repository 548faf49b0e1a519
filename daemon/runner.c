/* SPDX-License-Identifier: Apache-2.0
 *
 * runner.c -- see runner.h. */
#include "daemon/runner.h"

#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/errand.h"

enum job { OPEN = 1, SUBMIT, COLLECT, SELF_TEST, CLOSE };

/* The thread's while a job is in work. */
struct work {
    const struct fn_model *model; /* borrowed */
    struct fn_engine_options options;
    char *strings[5]; /* owned, what options borrows */
    struct fn_engine *engine;
    struct fn_engine_description description;
    int n;             /* crops of the batch, or of the test */
    uint8_t *crops;    /* [max_batch][160][160][3] */
    float *embeddings; /* [max_batch][embedding_size] */
};

struct fn_runner {
    struct fn_errand *errand;                 /* owned */
    struct work *work;                        /* the errand's */
    struct fn_engine_description description; /* these three are as they were at opening */
    int slots;
    size_t embedding_size;
};

static void free_work(void *context) {
    struct work *work = context;
    fn_engine_close(work->engine);
    for (int i = 0; i < 5; i++) free(work->strings[i]);
    free(work->crops);
    free(work->embeddings);
    free(work);
}

static fn_status do_job(void *context, int job, struct fn_error *err) {
    struct work *work = context;
    switch ((enum job)job) {
    case OPEN: {
        fn_status status = fn_engine_open(work->model, &work->options, &work->engine, err);
        if (status == FN_OK) fn_engine_describe(work->engine, &work->description);
        return status;
    }
    case SUBMIT:
        return fn_engine_submit(work->engine, work->crops, work->n, err);
    case COLLECT:
        return fn_engine_collect(work->engine, work->embeddings, NULL, err);
    case SELF_TEST:
        return fn_engine_self_test_at(work->engine, work->n, err);
    case CLOSE:
        fn_engine_close(FN_TAKE(work->engine));
        return FN_OK;
    }
    return fn_fail(err, FN_INTERNAL, "no such job");
}

static bool copy_string(struct work *work, int slot, const char **string) {
    if (!*string) return true;
    work->strings[slot] = strdup(*string);
    *string = work->strings[slot];
    return work->strings[slot];
}

static struct work *make_work(const struct fn_model *model,
                              const struct fn_engine_options *options) {
    size_t batch = (size_t)options->max_batch, size = (size_t)model->network.embedding_size;
    struct work *work = calloc(1, sizeof *work);
    if (!work) return NULL;
    work->model = model;
    work->options = *options;
    work->crops = malloc(batch * FN_CROP_SIZE);
    work->embeddings = calloc(batch, size * sizeof *work->embeddings);
    struct fn_engine_options *own = &work->options;
    if (work->crops && work->embeddings && copy_string(work, 0, &own->device) &&
        copy_string(work, 1, &own->kernel_family) && copy_string(work, 2, &own->kernel_dir) &&
        copy_string(work, 3, &own->cache_dir) && copy_string(work, 4, &own->program))
        return work;
    free_work(work);
    return NULL;
}

static fn_status make(const struct fn_model *model, const struct fn_engine_options *options,
                      const atomic_bool *give_up, struct fn_runner **ret_runner,
                      struct fn_error *err) {
    struct fn_runner *r = calloc(1, sizeof *r);
    struct work *work = r ? make_work(model, options) : NULL;
    if (!work) {
        free(r);
        return fn_fail(err, FN_NO_MEMORY, "no memory for a device");
    }
    fn_status status = fn_errand_new(work, do_job, free_work, give_up, &r->errand, err);
    if (status != FN_OK) {
        free_work(work);
        free(r);
        return status;
    }
    r->work = work;
    r->embedding_size = (size_t)model->network.embedding_size;
    *ret_runner = r;
    return FN_OK;
}

fn_status fn_runner_open(const struct fn_model *model, const struct fn_engine_options *options,
                         int64_t patience_ns, const atomic_bool *give_up,
                         struct fn_runner **ret_runner, bool *ret_stuck, struct fn_error *err) {
    struct fn_runner *r;
    *ret_stuck = false;
    fn_status status = make(model, options, give_up, &r, err);
    if (status != FN_OK) return status;
    status = fn_errand_ask(r->errand, OPEN, patience_ns, err);
    if (status == FN_OK) {
        r->description = r->work->description;
        r->slots = fn_engine_slots(r->work->engine);
        *ret_runner = r;
    } else {
        *ret_stuck = !fn_runner_close(r, patience_ns);
    }
    return status;
}

fn_status fn_runner_submit(struct fn_runner *r, const uint8_t *const *crops, int n,
                           int64_t patience_ns, struct fn_error *err) {
    if (!fn_runner_is_stuck(r)) {
        for (size_t i = 0; i < (size_t)n; i++)
            memcpy(r->work->crops + i * FN_CROP_SIZE, crops[i], FN_CROP_SIZE);
        r->work->n = n;
    }
    return fn_errand_ask(r->errand, SUBMIT, patience_ns, err);
}

fn_status fn_runner_collect(struct fn_runner *r, int n, int64_t patience_ns, float *ret_embeddings,
                            struct fn_error *err) {
    fn_status status = fn_errand_ask(r->errand, COLLECT, patience_ns, err);
    if (status == FN_OK || status == FN_NOT_UNIT)
        memcpy(ret_embeddings, r->work->embeddings,
               (size_t)n * r->embedding_size * sizeof *ret_embeddings);
    return status;
}

int fn_runner_slots(const struct fn_runner *r) {
    return r->slots;
}

fn_status fn_runner_self_test(struct fn_runner *r, int n, int64_t patience_ns,
                              struct fn_error *err) {
    if (!fn_runner_is_stuck(r)) r->work->n = n;
    return fn_errand_ask(r->errand, SELF_TEST, patience_ns, err);
}

bool fn_runner_is_stuck(const struct fn_runner *r) {
    return fn_errand_is_stuck(r->errand);
}

const struct fn_engine_description *fn_runner_describe(const struct fn_runner *r) {
    return &r->description;
}

bool fn_runner_close(struct fn_runner *r, int64_t patience_ns) {
    if (!r) return true;
    bool closed = fn_errand_close(r->errand, CLOSE, patience_ns);
    free(r);
    return closed;
}
