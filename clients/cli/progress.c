/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.c -- see progress.h. */
#include "clients/cli/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define WIDTH 30

static double now_s(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void cli_progress_begin(struct cli_progress *progress, size_t total, bool quiet) {
    *progress = (struct cli_progress){
        .total = total, .shown = !quiet && isatty(STDERR_FILENO), .began_s = now_s()};
}

double cli_progress_seconds(const struct cli_progress *progress) {
    return now_s() - progress->began_s;
}

void cli_progress_show(struct cli_progress *progress) {
    double now = now_s(), seconds = now - progress->began_s;
    if (!progress->shown || (now - progress->drawn_s < 0.1 && progress->done < progress->total))
        return;
    char bar[WIDTH + 1];
    size_t filled = progress->total ? WIDTH * progress->done / progress->total : WIDTH;
    for (size_t i = 0; i < WIDTH; i++) bar[i] = i < filled ? '#' : '-';
    bar[WIDTH] = '\0';
    double rate = seconds > 0 ? (double)progress->done / seconds : 0;
    double left = rate > 0 ? (double)(progress->total - progress->done) / rate : 0;
    unsigned long whole = (unsigned long)left;
    (void)fprintf(stderr, "\r\x1b[K[%s] %zu/%zu  %.1f/s  %lu:%02lu left", bar, progress->done,
                  progress->total, rate, whole / 60, whole % 60);
    if (progress->failed) (void)fprintf(stderr, "  %zu failed", progress->failed);
    (void)fflush(stderr);
    progress->drawn_s = now;
}

void cli_progress_clear(struct cli_progress *progress) {
    if (progress->shown) (void)fputs("\r\x1b[K", stderr);
    progress->drawn_s = 0;
}
