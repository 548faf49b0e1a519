/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.h -- how far a long run is: a bar on a terminal, nothing elsewhere. Not safe between
 * threads: its user holds a lock. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

struct cli_progress {
    size_t total, done, failed, faces;
    bool shown; /* stderr is a terminal, and nobody said --quiet */
    double began_s, drawn_s;
};

void cli_progress_begin(struct cli_progress *progress, size_t total, bool quiet);
/* Draw what has changed, at most ten times a second. */
void cli_progress_show(struct cli_progress *progress);
/* Take the bar away, so that a line can be printed. */
void cli_progress_clear(struct cli_progress *progress);
/* Seconds since the beginning. */
double cli_progress_seconds(const struct cli_progress *progress);

#endif
