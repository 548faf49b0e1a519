/* SPDX-License-Identifier: Apache-2.0
 *
 * record.h -- what was measured of a model, as the entry of its file's `evaluations`
 * (docs/model-format.md). */
#ifndef FN_RECORD_H
#define FN_RECORD_H

#include "model/evaluate/report.h"

struct fn_record {
    const char *on;   /* "LFW fold 1" */
    const char *crop; /* contract by which the pictures were cut before, or NULL: as the report */
    const char *note; /* or NULL */
};

/* The model's list as JSON text with the report's first subject added; an entry on the same set and
 * crop is replaced. ret_list: owned by the caller, free(). FN_USAGE when the list is full or a text
 * is no UTF-8; FN_NO_MEMORY. */
FN_MUST fn_status fn_record_add(const struct fn_model *model, const struct fn_report *report,
                                const struct fn_record *record, char **ret_list,
                                struct fn_error *err);

#endif
