/* SPDX-License-Identifier: Apache-2.0
 *
 * record.c -- see record.h. */
#include "model/evaluate/record.h"

#include <string.h>

#include <jansson.h>

#include "engine/cleanup.h"
#include "engine/safetensors.h"

FN_DEFINE_CLEANUP(json_t *, json_decref)

static const char *crop_of(const struct fn_report *report, const struct fn_record *record) {
    return record->crop ? record->crop : fn_crop_way_name(report->crop);
}

static json_t *make_entry(const struct fn_report *report, const struct fn_record *record) {
    const struct fn_verdict *verdict = &report->subjects[0].verdict;
    json_t *entry =
        json_pack("{s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:s*}", "on", record->on, "crop",
                  crop_of(report, record), "pairs", (json_int_t)report->n_pairs, "accuracy",
                  verdict->accuracy.mean, "standard_deviation", verdict->accuracy.deviation,
                  "threshold", verdict->threshold, "auc", verdict->auc, "note", record->note);
    if (!entry || report->n_subjects < 2) return entry;
    const struct fn_report_subject *other = &report->subjects[1];
    json_t *compared =
        json_pack("{s:{s:s, s:f}, s:{s:f, s:f}}", "float32", "name", other->id, "accuracy",
                  other->verdict.accuracy.mean, "cosine", "mean", report->cosines.mean,
                  "percentile_1", report->cosines.percentile_1);
    if (compared && json_object_update(entry, compared) == 0) {
        json_decref(compared);
        return entry;
    }
    json_decref(compared);
    json_decref(entry);
    return NULL;
}

static bool is_of(const json_t *entry, const char *on, const char *crop) {
    const char *its_on = json_string_value(json_object_get(entry, "on"));
    const char *its_crop = json_string_value(json_object_get(entry, "crop"));
    return its_on && its_crop && strcmp(its_on, on) == 0 && strcmp(its_crop, crop) == 0;
}

fn_status fn_record_add(const struct fn_model *model, const struct fn_report *report,
                        const struct fn_record *record, char **ret_list, struct fn_error *err) {
    const char *text = fn_safetensors_metadata(model->file, "evaluations");
    FN_CLEANUP(json_decref) json_t *list = text ? json_loads(text, 0, NULL) : json_array();
    json_t *entry = make_entry(report, record);
    if (!list || !entry) {
        json_decref(entry);
        return fn_fail(err, FN_USAGE, "the figures cannot be recorded: a text that is no UTF-8");
    }
    for (size_t i = json_array_size(list); i-- > 0;)
        if (is_of(json_array_get(list, i), record->on, crop_of(report, record)))
            (void)json_array_remove(list, i);
    if (json_array_size(list) == FN_MAX_EVALUATIONS) {
        json_decref(entry);
        return fn_fail(err, FN_USAGE, "the model holds %d evaluations, no more fit",
                       FN_MAX_EVALUATIONS);
    }
    char *dumped = json_array_append_new(list, entry) == 0
                       ? json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(6))
                       : NULL;
    if (!dumped) return fn_fail(err, FN_NO_MEMORY, "no memory for the model's evaluations");
    *ret_list = dumped;
    return FN_OK;
}
