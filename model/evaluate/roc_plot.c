/* SPDX-License-Identifier: Apache-2.0
 *
 * roc_plot.c -- see roc_plot.h. */
#include "model/evaluate/roc_plot.h"

#include <math.h>
#include <stdint.h>

#include "model/gnuplot.h"

/* A vertex for every impostor at which more same pairs come in, and the ends: at most n_same + 2,
 * however many impostors there are. */
static void write_curve(FILE *script, const struct fn_roc *roc) {
    size_t accepted = 0, last = SIZE_MAX;
    for (size_t k = 1; k <= roc->n_impostors; k++) {
        double threshold = k < roc->n_impostors ? roc->impostors[k] : INFINITY;
        while (accepted < roc->n_same && roc->same[accepted] < threshold) accepted++;
        if (accepted == last && k != roc->n_impostors) continue;
        last = accepted;
        (void)fprintf(script, "%.9g %.9g\n", (double)k / (double)roc->n_impostors,
                      (double)accepted / (double)roc->n_same);
    }
}

fn_status fn_roc_plot(const char *path, const struct fn_roc_curve *curves, size_t n_curves,
                      struct fn_error *err) {
    struct fn_gnuplot plot;
    fn_status status = fn_gnuplot_begin(path, 800, 600, &plot, err);
    if (status != FN_OK) return status;
    (void)fputs("set logscale x\nset format x '%g'\nset grid\nset key bottom right\n"
                "set xlabel 'false accept rate'\nset ylabel 'true accept rate'\n"
                "set yrange [0:1.01]\n",
                plot.script);
    for (size_t i = 0; i < n_curves; i++) {
        (void)fprintf(plot.script, "$curve%zu << EOD\n", i);
        write_curve(plot.script, curves[i].roc);
        (void)fputs("EOD\n", plot.script);
    }
    for (size_t i = 0; i < n_curves; i++) {
        (void)fprintf(plot.script, "%s $curve%zu using 1:2 with steps lw 2 title ",
                      i ? "," : "plot", i);
        fn_gnuplot_quote(&plot, curves[i].title);
    }
    (void)fputc('\n', plot.script);
    return fn_gnuplot_finish(&plot, err);
}
