/* SPDX-License-Identifier: Apache-2.0
 *
 * report.c -- see report.h. */
#include "model/evaluate/report.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

FN_DEFINE_CLEANUP(json_t *, json_decref)

#define LABEL "%-28s"
#define CELL  " %22s"

/* One line: a label and a cell for each subject. */
static void print_row(const struct fn_report *report, const char *label,
                      void (*cell)(const struct fn_verdict *, size_t, char *, size_t),
                      size_t index) {
    (void)printf(LABEL, label);
    for (size_t s = 0; s < report->n_subjects; s++) {
        char text[48];
        cell(&report->subjects[s].verdict, index, text, sizeof text);
        (void)printf(CELL, text);
    }
    (void)putchar('\n');
}

static void cell_mean(const struct fn_verdict *v, size_t index, char *text, size_t size) {
    (void)index;
    (void)snprintf(text, size, "%.2f %%", 100 * v->accuracy.mean);
}

static void cell_deviation(const struct fn_verdict *v, size_t index, char *text, size_t size) {
    (void)index;
    (void)snprintf(text, size, "%.2f %%", 100 * v->accuracy.deviation);
}

static void cell_error(const struct fn_verdict *v, size_t index, char *text, size_t size) {
    (void)index;
    (void)snprintf(text, size, "%.2f %%", 100 * v->accuracy.error);
}

static void cell_threshold(const struct fn_verdict *v, size_t index, char *text, size_t size) {
    (void)index;
    (void)snprintf(text, size, "%.4f (%.2f %%)", v->threshold, 100 * v->threshold_accuracy);
}

static void cell_auc(const struct fn_verdict *v, size_t index, char *text, size_t size) {
    (void)index;
    (void)snprintf(text, size, "%.6f", v->auc);
}

static void cell_tar(const struct fn_verdict *v, size_t index, char *text, size_t size) {
    const struct fn_far_point *point = &v->points[index];
    if (!point->measurable)
        (void)snprintf(text, size, "not measurable");
    else
        (void)snprintf(text, size, "%.2f %% (at %.4f)", 100 * point->tar, point->threshold);
}

void fn_report_print(const struct fn_report *report) {
    const struct fn_verdict *first = &report->subjects[0].verdict;
    (void)printf("pairs        %s: %zu, %d %s, %zu pictures in %s\n", report->pairs,
                 report->n_pairs, report->n_folds, report->n_folds == 1 ? "fold" : "folds",
                 report->n_pictures, report->images);
    (void)printf("crops        %s\n", fn_crop_way_about(report->crop));
    if (report->crop->mode == FN_CROP_FACES)
        (void)printf("faces        none in %zu pictures: %zu listed pairs count as wrong\n",
                     report->n_missing, report->n_missing_pairs);
    if (report->n_folds == 1)
        (void)printf("folds        one set, so %d stratified sub-folds: every %dth same and every "
                     "%dth different pair\n",
                     first->n_folds, first->n_folds, first->n_folds);
    (void)printf("impostors    %zu, %s\n", first->roc.n_impostors,
                 report->all_impostors ? "every two pictures of different people"
                                       : "the listed different pairs");
    (void)printf("distance     squared L2; same means below the threshold\n\n" LABEL, "");
    for (size_t s = 0; s < report->n_subjects; s++) (void)printf(CELL, report->subjects[s].what);
    (void)printf("\n");
    print_row(report, "accuracy, mean of folds", cell_mean, 0);
    print_row(report, "  standard deviation", cell_deviation, 0);
    print_row(report, "  standard error", cell_error, 0);
    print_row(report, "best threshold, all pairs", cell_threshold, 0);
    print_row(report, "area under the curve", cell_auc, 0);
    for (size_t i = 0; i < first->n_points; i++) {
        char label[40];
        (void)snprintf(label, sizeof label, "TAR at FAR %g", first->points[i].far);
        print_row(report, label, cell_tar, i);
    }
    (void)putchar('\n');
    for (size_t s = 0; s < report->n_subjects; s++)
        (void)printf("%-12s %s, computed by %s\n", report->subjects[s].what, report->subjects[s].id,
                     report->subjects[s].backend);
    if (report->cosines.n)
        (void)printf("cosine       between the two on %zu pictures: mean %.4f, 1st percentile "
                     "%.4f\n",
                     report->cosines.n, report->cosines.mean, report->cosines.percentile_1);
}

static json_t *points_of(const struct fn_verdict *verdict) {
    json_t *list = json_array();
    for (size_t i = 0; i < verdict->n_points; i++) {
        const struct fn_far_point *p = &verdict->points[i];
        json_t *item = json_pack("{s:f, s:b}", "far", p->far, "measurable", p->measurable);
        if (p->measurable) {
            (void)json_object_set_new(item, "tar", json_real(p->tar));
            /* Infinity, when every impostor may be accepted, is no JSON number. */
            (void)json_object_set_new(
                item, "threshold", isfinite(p->threshold) ? json_real(p->threshold) : json_null());
        }
        (void)json_array_append_new(list, item);
    }
    return list;
}

static json_t *subject_of(const struct fn_report_subject *subject) {
    const struct fn_verdict *v = &subject->verdict;
    json_t *folds = json_array();
    for (int i = 0; i < v->n_folds; i++)
        (void)json_array_append_new(folds, json_real(v->accuracies[i]));
    return json_pack("{s:s, s:s, s:s, s:{s:f, s:f, s:f, s:o}, s:{s:f, s:f}, s:f, s:o}", "what",
                     subject->what, "model", subject->id, "backend", subject->backend, "accuracy",
                     "mean", v->accuracy.mean, "standard_deviation", v->accuracy.deviation,
                     "standard_error", v->accuracy.error, "folds", folds, "best_threshold",
                     "l2_squared", v->threshold, "accuracy", v->threshold_accuracy, "auc", v->auc,
                     "tar_at_far", points_of(v));
}

fn_status fn_report_print_json(const struct fn_report *report, struct fn_error *err) {
    json_t *subjects = json_array();
    for (size_t s = 0; s < report->n_subjects; s++)
        (void)json_array_append_new(subjects, subject_of(&report->subjects[s]));
    const struct fn_verdict *first = &report->subjects[0].verdict;
    FN_CLEANUP(json_decref)
    json_t *root = json_pack(
        "{s:s%, s:I, s:I, s:i, s:i, s:b, s:s, s:I, s:I, s:{s:s, s:I}, s:s, s:o}", "pairs_file",
        report->pairs, strlen(report->pairs), "pairs", (json_int_t)report->n_pairs, "pictures",
        (json_int_t)report->n_pictures, "folds_in_file", report->n_folds, "folds", first->n_folds,
        "subfolds", report->n_folds == 1, "crop", fn_crop_way_name(report->crop),
        "pictures_without_face", (json_int_t)report->n_missing, "pairs_without_face",
        (json_int_t)report->n_missing_pairs, "impostors", "which",
        report->all_impostors ? "all" : "listed", "count", (json_int_t)first->roc.n_impostors,
        "metric", "l2_squared", "results", subjects);
    if (root && report->cosines.n)
        (void)json_object_set_new(
            root, "cosine_to_float",
            json_pack("{s:I, s:f, s:f}", "pictures", (json_int_t)report->cosines.n, "mean",
                      report->cosines.mean, "percentile_1", report->cosines.percentile_1));
    if (!root || json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) != 0)
        return fn_fail(err, FN_NO_MEMORY, "the report cannot be written as JSON");
    (void)putchar('\n');
    return FN_OK;
}
