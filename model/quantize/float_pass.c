/* SPDX-License-Identifier: Apache-2.0
 *
 * float_pass.c -- see float_pass.h. */
#include "model/quantize/float_pass.h"

#include "model/parallel.h"

struct job {
    const struct fn_float_pass *pass;
    fn_float_visit visit;
    void *context;
    struct fn_float_run *runs[FN_MAX_THREADS]; /* owned */
    float *images;                             /* [threads][160][160][3], owned */
};

static fn_status run_lot(void *context, size_t lot, int worker, struct fn_error *err) {
    const struct job *job = context;
    const struct fn_float_pass *pass = job->pass;
    float *image = job->images + (size_t)worker * FN_CROP_SIZE;
    for (size_t i = lot * pass->n / FN_LOTS; i < (lot + 1) * pass->n / FN_LOTS; i++) {
        fn_float_preprocess(pass->preprocessing, pass->crops + i * FN_CROP_SIZE, image);
        fn_status status = fn_float_net_run(job->runs[worker], image, NULL, err);
        if (status != FN_OK) return status;
        job->visit(job->context, (int)lot, job->runs[worker]);
    }
    return FN_OK;
}

fn_status fn_float_pass_run(const struct fn_float_pass *pass, const char *name,
                            fn_float_visit visit, void *context, struct fn_error *err) {
    FN_CLEANUP_FREE float *images = calloc((size_t)pass->n_threads * FN_CROP_SIZE, sizeof *images);
    if (!images) return fn_fail(err, FN_NO_MEMORY, "no memory for the float network");
    struct job job = {.pass = pass, .visit = visit, .context = context, .images = images};
    fn_status status = FN_OK;
    for (int i = 0; i < pass->n_threads && status == FN_OK; i++)
        status = fn_float_run_new(pass->net, &job.runs[i], err);
    if (status == FN_OK) {
        struct fn_progress progress;
        fn_progress_start(&progress, name, FN_LOTS);
        status = fn_parallel_run(FN_LOTS, pass->n_threads, run_lot, &job, &progress, err);
        fn_progress_end(&progress);
    }
    for (int i = 0; i < pass->n_threads; i++) fn_float_run_free(job.runs[i]);
    return status;
}
