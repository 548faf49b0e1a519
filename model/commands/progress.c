/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.c -- see progress.h. */
#include "model/commands/progress.h"

#include <stdio.h>
#include <unistd.h>

#define BAR_WIDTH 40

static void draw(struct fn_progress *progress) {
    int percent = progress->total ? (int)(100 * progress->done / progress->total) : 100;
    if (!progress->shown || percent == progress->percent) return;
    progress->percent = percent;
    static const char full[] = "########################################";
    int filled = percent * BAR_WIDTH / 100;
    (void)fprintf(stderr, "\r%-14s [%.*s%*s] %3d %%", progress->label, filled, full,
                  BAR_WIDTH - filled, "", percent);
    (void)fflush(stderr);
}

void fn_progress_start(struct fn_progress *progress, const char *label, size_t total) {
    *progress = (struct fn_progress){label, total, 0, isatty(STDERR_FILENO) == 1, -1};
    draw(progress);
}

void fn_progress_step(struct fn_progress *progress) {
    if (!progress) return;
    progress->done++;
    draw(progress);
}

void fn_progress_end(struct fn_progress *progress) {
    if (progress && progress->shown) (void)fputs("\r\033[K", stderr);
}
