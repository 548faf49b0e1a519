/* SPDX-License-Identifier: Apache-2.0
 *
 * evaluate.h -- LFW's verification protocol on the embeddings of one or several networks.
 *
 * Accuracy is of the listed pairs, each fold at the threshold on squared L2 that is best for the
 * others; one set alone is cut into sub-folds. True-accept rates, AUC and the curve take the listed
 * same pairs, and as impostors the listed different pairs or every two pictures of different
 * people. */
#ifndef FN_EVALUATE_H
#define FN_EVALUATE_H

#include "model/commands/args.h"
#include "model/crops.h"
#include "model/evaluate/embedder.h"
#include "model/evaluate/lfw.h"
#include "model/evaluate/roc.h"

/* One network under test. */
struct fn_subject {
    struct fn_embedder *embedder; /* borrowed */
    float *embeddings;            /* [pictures][size], owned */
};

/* Load, crop and embed all pictures with every subject, a few at a time: memory does not grow with
 * their number but for the embeddings. ret_missing: [paths->n], whether a face was sought and not
 * found. */
FN_MUST fn_status fn_evaluate_embed(const struct fn_paths *paths, const struct fn_crop_way *way,
                                    int n_threads, struct fn_subject *subjects, size_t n_subjects,
                                    bool *ret_missing, struct fn_error *err);

struct fn_far_point {
    double far, tar, threshold;
    bool measurable;
};

struct fn_verdict {
    int n_folds; /* sub-folds, when there was one set */
    double accuracies[FN_LFW_MAX_FOLDS];
    struct fn_roc_spread accuracy;
    double threshold, threshold_accuracy; /* best over all pairs, and the accuracy there */
    double auc;
    struct fn_far_point points[FN_MAX_ARG_VALUES];
    size_t n_points;
    struct fn_roc roc; /* owned */
};

/* Judge one subject's embeddings ([pictures][size]). A listed pair with a missing picture is wrong
 * at any threshold; among every two pictures of different people the missing ones are left out.
 * FN_USAGE when there are too few pairs. */
FN_MUST fn_status fn_evaluate_judge(const struct fn_lfw *lfw, const float *embeddings, int size,
                                    const bool *missing, bool all_impostors,
                                    const struct fn_values *fars, struct fn_verdict *ret_verdict,
                                    struct fn_error *err);
void fn_verdict_done(struct fn_verdict *verdict);

#endif
