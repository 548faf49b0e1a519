/* SPDX-License-Identifier: Apache-2.0
 *
 * report_page_evaluation.c -- accuracies for the page, from what `evaluate --json` printed: judging
 * takes minutes and is that command's business. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "engine/file.h"
#include "model/inspect/report_page.h"

#define MAX_FILE_SIZE ((size_t)1 << 20)

FN_DEFINE_CLEANUP(json_t *, json_decref)

static bool read_result(json_t *result, struct fn_report_page_accuracy *ret) {
    const char *what, *name;
    struct fn_report_page_accuracy a = {0};
    if (json_unpack(result, "{s:s, s:s, s:{s:F, s:F}, s:F}", "what", &what, "model", &name,
                    "accuracy", "mean", &a.mean, "standard_error", &a.standard_error, "auc",
                    &a.auc) != 0)
        return false;
    if (!(a.mean >= 0 && a.mean <= 1) || !(a.auc >= 0 && a.auc <= 1) || !isfinite(a.standard_error))
        return false;
    (void)snprintf(a.what, sizeof a.what, "%s", what);
    (void)snprintf(a.name, sizeof a.name, "%s", name);
    *ret = a;
    return true;
}

fn_status fn_report_page_read_evaluation(struct fn_report_page *report, const char *path,
                                         struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *bytes = NULL;
    size_t size = 0;
    fn_status status = fn_file_read(path, MAX_FILE_SIZE, &bytes, &size, err);
    if (status != FN_OK) return status;
    FN_CLEANUP(json_decref)
    json_t *root = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, NULL);
    json_t *results = json_object_get(root, "results");
    size_t n = json_array_size(results);
    struct fn_report_page_accuracy found[2] = {0};
    bool complete = n >= 1 && n <= 2;
    for (size_t i = 0; i < n && complete; i++)
        complete = read_result(json_array_get(results, i), &found[i]);
    if (!complete)
        return fn_fail(err, FN_USAGE, "%s: expected what `facenet-model evaluate --json` prints",
                       path);
    if (strcmp(found[0].name, report->model->id) != 0)
        return fn_fail(err, FN_USAGE, "%s is about model %s; this one is %s", path, found[0].name,
                       report->model->id);
    memcpy(report->accuracies, found, sizeof found);
    report->n_accuracies = n;
    (void)snprintf(report->pairs, sizeof report->pairs, "%lld pairs, %lld pictures",
                   (long long)json_integer_value(json_object_get(root, "pairs")),
                   (long long)json_integer_value(json_object_get(root, "pictures")));
    return FN_OK;
}
