/* SPDX-License-Identifier: Apache-2.0
 *
 * scoring.h -- a list of pairs to distances, from the picture files to the network's answer. */
#ifndef FN_SCORING_H
#define FN_SCORING_H

#include "model/commands/progress.h"
#include "model/evaluate/faces.h"
#include "model/evaluate/pairs.h"
#include "model/evaluate/threshold.h"

#define FN_MAX_SCORED_PAIRS 50000000

/* Whatever computes: crops [n][160][160][3] to embeddings [n][size]. */
struct fn_embed {
    fn_status (*run)(void *context, const uint8_t *crops, size_t n, float *ret_embeddings,
                     struct fn_error *err);
    void *context;
    size_t size;
};

/* Embeddings of the pictures of a list. */
struct fn_scores {
    float *embeddings; /* [n_pictures][size], owned; zero where no face was found */
    bool *found;       /* [n_pictures], owned */
    size_t n_missing;  /* pictures without a face */
    size_t size;
};

/* Cut and embed all pictures of the list, files below `dir`. A picture without a face, or with
 * several where one is expected, is noted in `found`; anything else wrong with a file is an error
 * that names it. progress (or NULL) moves by one a picture. */
FN_MUST fn_status fn_scores_make(const struct fn_pairs *pairs, const char *dir,
                                 struct fn_face_cutter *cutter, int n_threads,
                                 const struct fn_embed *embed, struct fn_progress *progress,
                                 struct fn_scores *ret_scores, struct fn_error *err);
void fn_scores_done(struct fn_scores *scores);

/* Pairs of two different people: those of the list, or all that its pictures make. Pairs with a
 * missing face are left out. The caller frees ret_set->pairs. FN_USAGE when there are more than
 * FN_MAX_SCORED_PAIRS. */
FN_MUST fn_status fn_scores_impostors(const struct fn_scores *scores, const struct fn_pairs *pairs,
                                      bool all, struct fn_pair_set *ret_set, struct fn_error *err);
/* Pairs of one person, likewise. */
FN_MUST fn_status fn_scores_genuine(const struct fn_scores *scores, const struct fn_pairs *pairs,
                                    bool all, struct fn_pair_set *ret_set, struct fn_error *err);

/* Share of the list's pairs judged rightly at a threshold; a pair with a missing face is wrong. */
double fn_scores_accuracy(const struct fn_scores *scores, const struct fn_pairs *pairs,
                          float threshold);

static inline void fn_scores_done_cleanup(struct fn_scores *scores) {
    fn_scores_done(scores);
}

#endif
