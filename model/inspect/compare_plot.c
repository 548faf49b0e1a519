/* SPDX-License-Identifier: Apache-2.0
 *
 * compare_plot.c -- a comparison drawn by gnuplot: the histograms of before and after over each
 * other, and the error of each element by its value below. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void write_script(FILE *to, const struct fn_comparison *c, const char *path,
                         const char *terminal) {
    struct histogram h;
    count(c, &h);
    (void)fprintf(to,
                  "set terminal %s size 900,700\nset output '%s'\nset multiplot layout 2,1 title "
                  "\"%s\" noenhanced\nset style fill transparent solid 0.45 noborder\n"
                  "set boxwidth %g\nset ylabel 'elements'\n"
                  "plot '-' using 1:2 with boxes title 'before', '-' using 1:2 with boxes title "
                  "'after'\n",
                  terminal, path, c->name, h.step * 0.95);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t b = 0; b < BINS; b++)
            (void)fprintf(to, "%g %zu\n", h.low + ((double)b + 0.5) * h.step,
                          pass ? h.after[b] : h.before[b]);
        (void)fputs("e\n", to);
    }
    (void)fputs("set ylabel 'after - before'\nset xlabel 'value before'\n"
                "plot '-' using 1:2 with points pt 7 ps 0.3 title 'error'\n",
                to);
    size_t step = c->n / MAX_POINTS + 1;
    for (size_t i = 0; i < c->n; i += step)
        (void)fprintf(to, "%g %g\n", c->elements[i].before,
                      c->elements[i].after - c->elements[i].before);
    (void)fputs("e\nunset multiplot\n", to);
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

fn_status fn_comparison_plot(const struct fn_comparison *comparison, const char *path,
                             struct fn_error *err) {
    const char *terminal = ends_with(path, ".svg")   ? "svg"
                           : ends_with(path, ".png") ? "pngcairo"
                                                     : NULL;
    if (!terminal)
        return fn_fail(err, FN_USAGE, "--plot %s: expected a name in .svg or .png", path);
    if (strpbrk(path, "'\n")) return fn_fail(err, FN_USAGE, "--plot: a quote in the file's name");
    /* NOLINTNEXTLINE(cert-env33-c): a constant command */
    FILE *gnuplot = popen("gnuplot 2>/dev/null", "we");
    if (!gnuplot) return fn_fail(err, FN_IO, "gnuplot cannot be started: %s", strerror(errno));
    write_script(gnuplot, comparison, path, terminal);
    struct stat info;
    if (pclose(gnuplot) != 0 || stat(path, &info) != 0 || info.st_size == 0) {
        (void)unlink(path);
        return fn_fail(err, FN_IO, "%s: gnuplot did not draw it (is gnuplot installed?)", path);
    }
    return FN_OK;
}
