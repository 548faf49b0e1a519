/* SPDX-License-Identifier: Apache-2.0
 *
 * report_page.h -- what quantization did to each layer, measured, and a page about it. */
#ifndef FN_REPORT_PAGE_H
#define FN_REPORT_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/model.h"
#include "model/sources/source.h"

struct fn_report_page_layer {
    double weight_low, weight_high; /* of the trained weights; without them, of the quantized */
    int frac_low, frac_high;        /* f_w over the channels */
    double weight_sqnr_db;          /* NAN without a source */
    double clipped;                 /* share of weights at the end of the range */
    int output_frac_bits;           /* of the head: 0, it has none */
    double output_low, output_high; /* real numbers on the pictures; NAN without */
    int64_t n_outputs, n_saturated; /* on the pictures */
    double cosine;                  /* of the output to the float network's, mean; NAN without */
};

/* One column of before and after: what `evaluate --json` found of a network. */
struct fn_report_page_accuracy {
    char what[24], name[40];
    double mean, standard_error, auc; /* mean and error in 0...1 */
};

struct fn_report_page {
    const struct fn_model *model; /* borrowed */
    char source[200];             /* "" without */
    size_t n_pictures;
    const char *crop;                                  /* how they were cut; static, NULL without */
    struct fn_report_page_layer layers[FN_MAX_LAYERS]; /* by layer */
    char pairs[64]; /* of the accuracies: "600 pairs"; "" without */
    struct fn_report_page_accuracy accuracies[2];
    size_t n_accuracies;
    double *embedding_cosines; /* [n_pictures] ascending, owned; NULL without source */
};

/* Measure. `source` may be NULL, and n_crops 0: what then cannot be known is NAN. crops:
 * [n][160][160][3]. */
FN_MUST fn_status fn_report_page_measure(const struct fn_model *model,
                                         const struct fn_source *source, const uint8_t *crops,
                                         size_t n_crops, struct fn_report_page *ret_report,
                                         struct fn_error *err);
void fn_report_page_done(struct fn_report_page *report);

/* Take the accuracies from the file that `evaluate --json` wrote about this model. FN_IO, FN_USAGE
 * when it is another file, or about another model. */
FN_MUST fn_status fn_report_page_read_evaluation(struct fn_report_page *report, const char *path,
                                                 struct fn_error *err);

/* The page: HTML with all it needs in it. Whether writing succeeded, ferror(to) says. */
void fn_report_page_write(FILE *to, const struct fn_report_page *report);

#endif
