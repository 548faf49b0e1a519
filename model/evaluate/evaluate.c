/* SPDX-License-Identifier: Apache-2.0
 *
 * evaluate.c -- see evaluate.h. */
#include "model/evaluate/evaluate.h"

#include "model/parallel.h"

#define CHUNK 64 /* pictures in memory at a time */

fn_status fn_evaluate_embed(const struct fn_paths *paths, const struct fn_crop_way *way,
                            int n_threads, struct fn_subject *subjects, size_t n_subjects,
                            bool *ret_missing, struct fn_error *err) {
    for (size_t s = 0; s < n_subjects; s++) {
        size_t size = (size_t)fn_embedder_size(subjects[s].embedder);
        subjects[s].embeddings = calloc(paths->n + 1, size * sizeof(float));
        if (!subjects[s].embeddings)
            return fn_fail(err, FN_NO_MEMORY, "no memory for %zu embeddings", paths->n);
    }
    struct fn_progress progress;
    fn_progress_start(&progress, "embedding", paths->n);
    fn_status status = FN_OK;
    for (size_t first = 0; first < paths->n && status == FN_OK; first += CHUNK) {
        size_t n = paths->n - first < CHUNK ? paths->n - first : CHUNK;
        FN_CLEANUP(fn_crops_done) struct fn_crops crops = {0};
        status = fn_crops_load(paths, first, n, way, false, n_threads, &progress, &crops,
                               ret_missing + first, err);
        for (size_t s = 0; s < n_subjects && status == FN_OK; s++)
            status = fn_embedder_run(subjects[s].embedder, crops.pixels, n, NULL,
                                     subjects[s].embeddings +
                                         first * (size_t)fn_embedder_size(subjects[s].embedder),
                                     err);
    }
    fn_progress_end(&progress);
    return status;
}

static double squared_distance(const float *embeddings, int size, size_t a, size_t b) {
    const float *x = embeddings + a * (size_t)size, *y = embeddings + b * (size_t)size;
    double sum = 0;
    for (int i = 0; i < size; i++) {
        double difference = (double)x[i] - y[i];
        sum += difference * difference;
    }
    return sum;
}

/* Every two pictures of different people. */
struct impostor_job {
    const struct fn_lfw *lfw;
    const float *embeddings;
    int size;
    const bool *missing;  /* [pictures] */
    const size_t *starts; /* [pictures]: where those with picture i as the first begin */
    double *distances;
};

static fn_status measure_row(void *context, size_t i, int worker, struct fn_error *err) {
    (void)worker;
    (void)err;
    const struct impostor_job *job = context;
    double *out = job->distances + job->starts[i];
    for (size_t j = i + 1; j < job->lfw->n_pictures; j++)
        if (!job->missing[i] && !job->missing[j] &&
            job->lfw->pictures[i].person != job->lfw->pictures[j].person)
            *out++ = squared_distance(job->embeddings, job->size, i, j);
    return FN_OK;
}

static fn_status measure_all_impostors(const struct fn_lfw *lfw, const float *embeddings, int size,
                                       const bool *missing, struct fn_roc *roc,
                                       struct fn_error *err) {
    size_t n = lfw->n_pictures, total = 0;
    FN_CLEANUP_FREE size_t *starts = calloc(n + 1, sizeof *starts);
    if (!starts) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu pictures", n);
    /* Pictures are sorted by person: whoever comes after one's own run is somebody else. */
    for (size_t i = 0, end = 0, after = 0; i < n; i++) {
        if (i == end) {
            while (end < n && lfw->pictures[end].person == lfw->pictures[i].person) end++;
            after = 0;
            for (size_t j = end; j < n; j++) after += !missing[j];
        }
        starts[i] = total;
        total += missing[i] ? 0 : after;
    }
    roc->impostors = calloc(total + 1, sizeof *roc->impostors);
    if (!roc->impostors) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu pairs", total);
    roc->n_impostors = total;
    struct impostor_job job = {lfw, embeddings, size, missing, starts, roc->impostors};
    return fn_parallel_run(n, fn_parallel_cpus(), measure_row, &job, NULL, err);
}

/* Distances of the listed pairs by kind; impostors only if asked for. */
static fn_status split(const struct fn_roc_pair *pairs, size_t n, bool impostors,
                       struct fn_roc *roc, struct fn_error *err) {
    roc->same = calloc(n + 1, sizeof *roc->same);
    if (impostors) roc->impostors = calloc(n + 1, sizeof *roc->impostors);
    if (!roc->same || (impostors && !roc->impostors))
        return fn_fail(err, FN_NO_MEMORY, "no memory for %zu pairs", n);
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].same)
            roc->same[roc->n_same++] = pairs[i].distance;
        else if (impostors)
            roc->impostors[roc->n_impostors++] = pairs[i].distance;
    }
    return FN_OK;
}

static fn_status fit(struct fn_roc_pair *pairs, size_t n, int n_folds, struct fn_verdict *verdict,
                     struct fn_error *err) {
    verdict->n_folds = n_folds > 1 ? n_folds : fn_roc_make_subfolds(pairs, n);
    if (verdict->n_folds < 2)
        return fn_fail(err, FN_USAGE, "at least two same and two different pairs are needed");
    fn_status status = fn_roc_cross_validate(pairs, n, verdict->n_folds, verdict->accuracies,
                                             &verdict->accuracy, err);
    if (status == FN_OK) status = fn_roc_best_threshold(pairs, n, -1, &verdict->threshold, err);
    if (status != FN_OK) return status;
    size_t right = 0;
    for (size_t i = 0; i < n; i++)
        right += (pairs[i].distance < verdict->threshold) == pairs[i].same;
    verdict->threshold_accuracy = (double)right / (double)n;
    return FN_OK;
}

/* Squared distances are at most 4. */
static double distance_of(const struct fn_lfw_pair *pair, const float *embeddings, int size,
                          const bool *missing) {
    if (missing[pair->a] || missing[pair->b]) return pair->same ? 9 : -1;
    return squared_distance(embeddings, size, pair->a, pair->b);
}

static fn_status judge(const struct fn_lfw *lfw, const float *embeddings, int size,
                       const bool *missing, bool all_impostors, const struct fn_values *fars,
                       struct fn_verdict *verdict, struct fn_error *err) {
    size_t n = lfw->n_pairs;
    FN_CLEANUP_FREE struct fn_roc_pair *pairs = calloc(n + 1, sizeof *pairs);
    if (!pairs) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu pairs", n);
    for (size_t i = 0; i < n; i++)
        pairs[i] = (struct fn_roc_pair){distance_of(&lfw->pairs[i], embeddings, size, missing),
                                        lfw->pairs[i].same, lfw->pairs[i].fold};
    fn_status status = fit(pairs, n, lfw->n_folds, verdict, err);
    if (status == FN_OK) status = split(pairs, n, !all_impostors, &verdict->roc, err);
    if (status == FN_OK && all_impostors)
        status = measure_all_impostors(lfw, embeddings, size, missing, &verdict->roc, err);
    if (status != FN_OK) return status;
    fn_roc_sort(&verdict->roc);
    verdict->auc = fn_roc_auc(&verdict->roc);
    for (size_t i = 0; i < fars->n; i++) {
        struct fn_far_point *point = &verdict->points[verdict->n_points++];
        point->far = fars->value[i];
        point->measurable = fn_roc_tar(&verdict->roc, point->far, &point->tar, &point->threshold);
    }
    return FN_OK;
}

fn_status fn_evaluate_judge(const struct fn_lfw *lfw, const float *embeddings, int size,
                            const bool *missing, bool all_impostors, const struct fn_values *fars,
                            struct fn_verdict *ret_verdict, struct fn_error *err) {
    struct fn_verdict verdict = {0};
    fn_status status = judge(lfw, embeddings, size, missing, all_impostors, fars, &verdict, err);
    if (status == FN_OK)
        *ret_verdict = verdict;
    else
        fn_verdict_done(&verdict);
    return status;
}

void fn_verdict_done(struct fn_verdict *verdict) {
    fn_roc_done(&verdict->roc);
}
