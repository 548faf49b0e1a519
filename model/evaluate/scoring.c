/* SPDX-License-Identifier: Apache-2.0
 *
 * scoring.c -- pictures in chunks: each cut by many threads, then embedded together. */
#include "model/evaluate/scoring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/file.h"
#include "engine/verdict.h"
#include "model/parallel.h"

#define CHUNK         64
#define MAX_FILE_SIZE ((size_t)64 << 20)

FN_DEFINE_CLEANUP(struct fn_picture *, fn_picture_free)

struct job {
    const struct fn_pairs *pairs;
    const char *dir;
    struct fn_face_cutter *cutter;
    size_t first;   /* picture of the chunk */
    uint8_t *crops; /* [CHUNK][160][160][3] */
    bool *found;    /* [n_pictures] */
};

static fn_status cut_one(void *context, size_t index, int worker, struct fn_error *err) {
    const struct job *job = context;
    char path[4096];
    size_t size, picture_index = job->first + index;
    const char *name = job->pairs->pictures[picture_index];
    int length = snprintf(path, sizeof path, "%s/%s", job->dir, name);
    if (length < 0 || (size_t)length >= sizeof path)
        return fn_fail(err, FN_USAGE, "%.200s: the path is too long", name);
    FN_CLEANUP_FREE uint8_t *bytes = NULL;
    FN_CLEANUP(fn_picture_free) struct fn_picture *picture = NULL;
    fn_status status = fn_file_read(path, MAX_FILE_SIZE, &bytes, &size, err);
    if (status != FN_OK) return status;
    struct fn_error inner = {0};
    status = fn_picture_decode(bytes, size, FN_MAX_PIXELS_DEFAULT, &picture, &inner);
    if (status == FN_OK)
        status = fn_face_cutter_cut(job->cutter, worker, picture, job->crops + index * FN_CROP_SIZE,
                                    &inner);
    job->found[picture_index] = status == FN_OK;
    if (status == FN_OK || status == FN_FACE_NOT_FOUND || status == FN_SEVERAL_FACES) return FN_OK;
    return fn_fail(err, status, "%s: %s", path, inner.text);
}

/* Embed what was found in a chunk: crops and embeddings move together, then apart. */
static fn_status embed_chunk(const struct job *job, size_t n, const struct fn_embed *embed,
                             float *embeddings, struct fn_error *err) {
    size_t kept = 0, size = embed->size;
    for (size_t i = 0; i < n; i++) {
        if (!job->found[job->first + i]) continue;
        if (kept != i)
            memcpy(job->crops + kept * FN_CROP_SIZE, job->crops + i * FN_CROP_SIZE, FN_CROP_SIZE);
        kept++;
    }
    fn_status status = kept ? embed->run(embed->context, job->crops, kept, embeddings, err) : FN_OK;
    for (size_t i = n; i-- > 0 && status == FN_OK;) {
        float *to = embeddings + i * size;
        if (job->found[job->first + i])
            memmove(to, embeddings + --kept * size, size * sizeof *to);
        else
            memset(to, 0, size * sizeof *to);
    }
    return status;
}

fn_status fn_scores_make(const struct fn_pairs *pairs, const char *dir,
                         struct fn_face_cutter *cutter, int n_threads, const struct fn_embed *embed,
                         struct fn_progress *progress, struct fn_scores *ret_scores,
                         struct fn_error *err) {
    FN_CLEANUP(fn_scores_done) struct fn_scores scores = {.size = embed->size};
    FN_CLEANUP_FREE uint8_t *crops = malloc(CHUNK * (size_t)FN_CROP_SIZE);
    scores.embeddings = calloc(pairs->n_pictures * embed->size, sizeof *scores.embeddings);
    scores.found = calloc(pairs->n_pictures, sizeof *scores.found);
    if (!crops || !scores.embeddings || !scores.found)
        return fn_fail(err, FN_NO_MEMORY, "no memory for %zu embeddings", pairs->n_pictures);
    struct job job = {pairs, dir, cutter, 0, crops, scores.found};
    for (; job.first < pairs->n_pictures; job.first += CHUNK) {
        size_t rest = pairs->n_pictures - job.first, n = rest < CHUNK ? rest : CHUNK;
        fn_status status = fn_parallel_run(n, n_threads, cut_one, &job, progress, err);
        if (status == FN_OK)
            status = embed_chunk(&job, n, embed, scores.embeddings + job.first * embed->size, err);
        if (status != FN_OK) return status;
    }
    for (size_t i = 0; i < pairs->n_pictures; i++) scores.n_missing += !scores.found[i];
    *ret_scores = scores;
    scores.embeddings = NULL; /* they are the caller's now */
    scores.found = NULL;
    return FN_OK;
}

void fn_scores_done(struct fn_scores *scores) {
    free(scores->embeddings);
    free(scores->found);
    *scores = (struct fn_scores){0};
}

/* ---- pairs ---------------------------------------------------------------------------------- */

static float distance(const struct fn_scores *scores, size_t a, size_t b) {
    return fn_verdict_distance(scores->embeddings + a * scores->size,
                               scores->embeddings + b * scores->size, scores->size);
}

struct collector {
    const struct fn_scores *scores;
    const struct fn_pairs *pairs;
    bool same; /* which pairs are wanted */
    struct fn_pair_set set;
    size_t capacity;
};

static fn_status collect(struct collector *c, size_t a, size_t b, struct fn_error *err) {
    const uint32_t *people = c->pairs->people;
    if ((people[a] == people[b]) != c->same) return FN_OK;
    if (!c->scores->found[a] || !c->scores->found[b]) return FN_OK;
    if (c->set.n == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 1024;
        struct fn_scored_pair *grown = NULL;
        if (c->set.n >= FN_MAX_SCORED_PAIRS)
            return fn_fail(err, FN_USAGE, "more than %d pairs; use --impostors listed",
                           FN_MAX_SCORED_PAIRS);
        grown = realloc(c->set.pairs, capacity * sizeof *grown);
        if (!grown) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu pairs", capacity);
        c->set.pairs = grown;
        c->capacity = capacity;
    }
    c->set.pairs[c->set.n++] =
        (struct fn_scored_pair){distance(c->scores, a, b), people[a], people[b]};
    return FN_OK;
}

static fn_status collect_pairs(const struct fn_scores *scores, const struct fn_pairs *pairs,
                               bool same, bool all, struct fn_pair_set *ret_set,
                               struct fn_error *err) {
    struct collector c = {.scores = scores, .pairs = pairs, .same = same};
    fn_status status = FN_OK;
    for (size_t i = 0; !all && i < pairs->n_pairs && status == FN_OK; i++)
        status = collect(&c, pairs->pairs[i].a, pairs->pairs[i].b, err);
    for (size_t a = 0; all && a < pairs->n_pictures; a++)
        for (size_t b = a + 1; b < pairs->n_pictures && status == FN_OK; b++)
            status = collect(&c, a, b, err);
    if (status == FN_OK)
        *ret_set = c.set;
    else
        free(c.set.pairs);
    return status;
}

fn_status fn_scores_impostors(const struct fn_scores *scores, const struct fn_pairs *pairs,
                              bool all, struct fn_pair_set *ret_set, struct fn_error *err) {
    return collect_pairs(scores, pairs, false, all, ret_set, err);
}

fn_status fn_scores_genuine(const struct fn_scores *scores, const struct fn_pairs *pairs, bool all,
                            struct fn_pair_set *ret_set, struct fn_error *err) {
    return collect_pairs(scores, pairs, true, all, ret_set, err);
}

double fn_scores_accuracy(const struct fn_scores *scores, const struct fn_pairs *pairs,
                          float threshold) {
    size_t right = 0;
    for (size_t i = 0; i < pairs->n_pairs; i++) {
        const struct fn_pair *pair = &pairs->pairs[i];
        if (!scores->found[pair->a] || !scores->found[pair->b]) continue;
        right += (distance(scores, pair->a, pair->b) <= threshold) == pair->same;
    }
    return pairs->n_pairs ? (double)right / (double)pairs->n_pairs : 0;
}
