/* SPDX-License-Identifier: Apache-2.0
 *
 * compare_plot.c -- a comparison drawn by gnuplot: the histograms of before and after over each
 * other, and the error of each element by its value below. */
#include <math.h>

#include "model/gnuplot.h"
#include "model/inspect/compare.h"

#define BINS       64
#define MAX_POINTS 4000 /* of the error; more would be a black field */

struct histogram {
    size_t before[BINS], after[BINS];
    double low, step;
};

static size_t bin_of(const struct histogram *h, double x) {
    double bin = (x - h->low) / h->step;
    return bin < 0 ? 0 : bin >= BINS ? BINS - 1 : (size_t)bin;
}

static void count(const struct fn_comparison *c, struct histogram *ret) {
    const struct fn_comparison_summary s = fn_comparison_summarize(c);
    double low = s.low, high = s.high;
    for (size_t i = 0; i < c->n; i++) {
        low = fmin(low, c->elements[i].after);
        high = fmax(high, c->elements[i].after);
    }
    *ret = (struct histogram){.low = low, .step = high > low ? (high - low) / BINS : 1};
    for (size_t i = 0; i < c->n; i++) {
        ret->before[bin_of(ret, c->elements[i].before)]++;
        ret->after[bin_of(ret, c->elements[i].after)]++;
    }
}

static void write_histograms(const struct fn_gnuplot *plot, const struct fn_comparison *c) {
    struct histogram h;
    count(c, &h);
    (void)fputs("set multiplot layout 2,1 title ", plot->script);
    fn_gnuplot_quote(plot, c->name);
    /* the same values below each other */
    (void)fprintf(plot->script, "\nset xrange [%g:%g]\n", h.low, h.low + BINS * h.step);
    (void)fprintf(plot->script,
                  "set style fill transparent solid 0.45 noborder\n"
                  "set boxwidth %g\nset ylabel 'elements'\n"
                  "plot '-' using 1:2 with boxes title 'before', '-' using 1:2 with boxes title "
                  "'after'\n",
                  h.step * 0.95);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t b = 0; b < BINS; b++)
            (void)fprintf(plot->script, "%g %zu\n", h.low + ((double)b + 0.5) * h.step,
                          pass ? h.after[b] : h.before[b]);
        (void)fputs("e\n", plot->script);
    }
}

fn_status fn_comparison_plot(const struct fn_comparison *comparison, const char *path,
                             struct fn_error *err) {
    struct fn_gnuplot plot;
    fn_status status = fn_gnuplot_begin(path, 900, 700, &plot, err);
    if (status != FN_OK) return status;
    write_histograms(&plot, comparison);
    (void)fputs("set ylabel 'after - before'\nset xlabel 'value before'\n"
                "plot '-' using 1:2 with points pt 7 ps 0.3 notitle\n",
                plot.script);
    size_t step = comparison->n / MAX_POINTS + 1;
    for (size_t i = 0; i < comparison->n; i += step)
        (void)fprintf(plot.script, "%g %g\n", comparison->elements[i].before,
                      comparison->elements[i].after - comparison->elements[i].before);
    (void)fputs("e\nunset multiplot\n", plot.script);
    return fn_gnuplot_finish(&plot, err);
}
