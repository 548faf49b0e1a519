/* SPDX-License-Identifier: Apache-2.0
 *
 * gnuplot.h -- pictures drawn by gnuplot, the only file that starts it. It reads its script from
 * one memory file and writes the picture to another, so no pipe can fill up, no name of ours
 * reaches its parser, and an existing file is replaced only by a whole picture. */
#ifndef FN_GNUPLOT_H
#define FN_GNUPLOT_H

#include <stdbool.h>
#include <stdio.h>

#include "engine/status.h"

struct fn_gnuplot {
    FILE *script;     /* commands and data go here; the terminal is set already */
    int picture;      /* memory file */
    const char *path; /* borrowed */
    bool png;
};

/* Begin a picture of width x height pixels; the name's end, .svg or .png, says which kind. FN_USAGE
 * for another end, FN_IO. Afterwards fn_gnuplot_finish() is due. */
FN_MUST fn_status fn_gnuplot_begin(const char *path, int width, int height, struct fn_gnuplot *ret,
                                   struct fn_error *err);

/* A text between quotes in the script; what could end it or be a command becomes a space. */
void fn_gnuplot_quote(const struct fn_gnuplot *plot, const char *text);

/* Draw, write the file, free. FN_IO when gnuplot is not installed, fails, or the file cannot be
 * written. */
FN_MUST fn_status fn_gnuplot_finish(struct fn_gnuplot *plot, struct fn_error *err);

#endif
