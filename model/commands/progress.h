/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.h -- one line on stderr that fills up, on a terminal only. */
#ifndef FN_PROGRESS_H
#define FN_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

struct fn_progress {
    const char *label; /* borrowed: "calibrating" */
    size_t total, done;
    bool shown;  /* stderr is a terminal */
    int percent; /* as last drawn */
};

void fn_progress_start(struct fn_progress *progress, const char *label, size_t total);
/* One more is done. The caller serialises. NULL is a no-op. */
void fn_progress_step(struct fn_progress *progress);
/* Wipe the line. NULL is a no-op. */
void fn_progress_end(struct fn_progress *progress);

#endif
