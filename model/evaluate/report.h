/* SPDX-License-Identifier: Apache-2.0
 *
 * report.h -- what `evaluate` found, for people and for programs. */
#ifndef FN_REPORT_H
#define FN_REPORT_H

#include "model/evaluate/evaluate.h"
#include "model/quantize/facts.h"

#define FN_MAX_SUBJECTS 2

struct fn_report_subject {
    const char *what;    /* "fixed point" or "float32" */
    const char *id;      /* model id, or the source's name */
    const char *backend; /* what computed */
    struct fn_verdict verdict;
};

struct fn_report {
    const char *pairs, *images;
    int n_folds; /* of the pairs file */
    size_t n_pairs, n_pictures;
    const struct fn_crop_way *crop; /* borrowed */
    size_t n_missing;               /* pictures in which a face was sought and not found */
    size_t n_missing_pairs;         /* listed pairs with such a picture: counted as wrong */
    bool all_impostors;
    struct fn_report_subject subjects[FN_MAX_SUBJECTS];
    size_t n_subjects;
    struct fn_cosines cosines; /* between the two subjects; n = 0: there is one */
};

void fn_report_print(const struct fn_report *report);
/* One JSON object on stdout. */
FN_MUST fn_status fn_report_print_json(const struct fn_report *report, struct fn_error *err);

#endif
