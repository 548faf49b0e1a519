/* SPDX-License-Identifier: Apache-2.0
 *
 * report_page_html.c -- the page of report_page.h: figures on top, three charts as inline SVG, then
 * the table. No scripts, no files beside it; what comes from outside is escaped. */
#include <math.h>

#include "model/inspect/report_page.h"

static const char style[] =
    ":root{color-scheme:light dark;--fg:#1b2430;--dim:#667;--bg:#fff;--card:#f4f6f9;--bar:#3b7dd8;"
    "--bad:#d1495b;--line:#c9d1dc}"
    "@media(prefers-color-scheme:dark){:root{--fg:#e7ecf3;--dim:#9aa7b8;--bg:#12171e;"
    "--card:#1b222c;--bar:#6ca6f5;--bad:#ff7b8b;--line:#39434f}}"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:1100px;"
    "margin:2rem auto;padding:0 1rem}h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;"
    "margin:2.2rem 0 .3rem}p{margin:.2rem 0;color:var(--dim)}"
    ".cards{display:flex;flex-wrap:wrap;gap:.8rem;margin:1.2rem 0}.card{background:var(--card);"
    "border-radius:.6rem;padding:.7rem 1rem;min-width:9rem}.card b{display:block;font-size:1.35rem;"
    "font-variant-numeric:tabular-nums}.card span{color:var(--dim);font-size:.85rem}"
    "svg{width:100%;height:auto;background:var(--card);border-radius:.6rem}"
    "svg text{fill:var(--dim);font:11px system-ui,sans-serif}.bar{fill:var(--bar)}"
    ".bad{fill:var(--bad)}.grid{stroke:var(--line);stroke-width:1}"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;"
    "font-size:.85rem;width:100%}th,td{padding:.25rem .6rem;text-align:right;white-space:nowrap;"
    "border-bottom:1px solid var(--line)}th:first-child,td:first-child{text-align:left}"
    "th{position:sticky;top:0;background:var(--bg)}";

static void put_text(FILE *to, const char *text) {
    for (; *text; text++) {
        switch (*text) {
        case '<':
            (void)fputs("&lt;", to);
            break;
        case '>':
            (void)fputs("&gt;", to);
            break;
        case '&':
            (void)fputs("&amp;", to);
            break;
        case '"':
            (void)fputs("&quot;", to);
            break;
        default:
            (void)fputc(*text, to);
        }
    }
}

/* `digits` after the point, or that many significant ones when it is below 0. */
static void put_value(FILE *to, double value, int digits) {
    if (isnan(value))
        (void)fputs("&ndash;", to);
    else if (digits < 0)
        (void)fprintf(to, "%.*g", -digits, value);
    else
        (void)fprintf(to, "%.*f", digits, value);
}

static void put_card(FILE *to, const char *about, double value, int digits, const char *unit) {
    (void)fputs("<div class=card><b>", to);
    put_value(to, value, digits);
    (void)fprintf(to, "%s</b><span>%s</span></div>\n", isnan(value) ? "" : unit, about);
}

/* ---- charts --------------------------------------------------------------------------------- */

struct chart {
    const char *title, *about;
    double (*value)(const struct fn_report_page_layer *layer);
    double (*grid)(int line); /* values of the lines; NAN ends them */
    int grid_digits;
    const char *unit;
    double low, high; /* of the axis */
    bool low_is_bad;
    double bad; /* where a bar turns red */
};

static double sqnr(const struct fn_report_page_layer *l) {
    return isfinite(l->weight_sqnr_db) ? l->weight_sqnr_db : NAN;
}

/* Decades below one that the cosine loses: 2 is 0.99, 3 is 0.999. */
static double nines(const struct fn_report_page_layer *l) {
    return isnan(l->cosine) ? NAN : fmin(-log10(fmax(1 - l->cosine, 1e-9)), 6);
}

static double saturated(const struct fn_report_page_layer *l) {
    return l->n_outputs ? 100.0 * (double)l->n_saturated / (double)l->n_outputs : NAN;
}

static double tens(int line) {
    return line < 6 ? 10.0 * line : NAN;
}

static double decades(int line) {
    return line < 7 ? (double)line : NAN;
}

static double tenths(int line) {
    return line < 6 ? 0.2 * line : NAN;
}

static const struct chart charts[] = {
    {"Where the cosine to the float network is lost",
     "Mean cosine of each layer's output to the float network's, in nines: 2 is 0.99, 3 is 0.999. "
     "Layers in order of execution.",
     nines, decades, 0, "", 0, 5, true, 2},
    {"Signal to quantization noise of the weights",
     "Decibels, trained weights after folding against the int8 ones.", sqnr, tens, 0, " dB", 0, 50,
     true, 30},
    {"Saturated activations", "Share of a layer's outputs at the end of the range, in percent.",
     saturated, tenths, 1, " %", 0, 1, false, 0.5},
};

static void put_chart(FILE *to, const struct fn_report_page *report, const struct chart *chart) {
    enum { WIDTH = 1060, HEIGHT = 220, LEFT = 48, TOP = 12, BOTTOM = 12 };
    const struct fn_network *net = &report->model->network;
    bool any = false;
    for (int i = 0; i < net->n_layers; i++) any |= !isnan(chart->value(&report->layers[i]));
    (void)fprintf(to, "<h2>%s</h2><p>%s</p>\n", chart->title, chart->about);
    if (!any) {
        (void)fputs("<p>Not measured: it needs the trained weights (--source) or pictures "
                    "(--calibration).</p>\n",
                    to);
        return;
    }
    double plot = HEIGHT - TOP - BOTTOM, step = (double)(WIDTH - LEFT - 8) / net->n_layers;
    (void)fprintf(to, "<svg viewBox=\"0 0 %d %d\" role=img>", WIDTH, HEIGHT);
    for (int k = 0; !isnan(chart->grid(k)) && chart->grid(k) <= chart->high; k++) {
        double y = TOP + plot * (1 - (chart->grid(k) - chart->low) / (chart->high - chart->low));
        (void)fprintf(to, "<line class=grid x1=%d x2=%d y1=%.1f y2=%.1f /><text x=4 y=%.1f>", LEFT,
                      WIDTH - 4, y, y, y + 4);
        put_value(to, chart->grid(k), chart->grid_digits);
        (void)fprintf(to, "%s</text>", chart->unit);
    }
    for (int i = 0; i < net->n_layers; i++) {
        double value = chart->value(&report->layers[i]);
        if (isnan(value)) continue;
        double part = fmin(fmax((value - chart->low) / (chart->high - chart->low), 0), 1);
        bool bad = chart->low_is_bad ? value < chart->bad : value > chart->bad;
        (void)fprintf(to, "<rect class=%s x=%.1f y=%.1f width=%.1f height=%.1f><title>",
                      bad ? "bad" : "bar", LEFT + 4 + i * step, TOP + plot * (1 - part), step * 0.8,
                      plot * part);
        put_text(to, net->layers[i].name);
        (void)fprintf(to, ": %.4g</title></rect>", value);
    }
    (void)fputs("</svg>\n", to);
}

/* ---- table ---------------------------------------------------------------------------------- */

static void put_number(FILE *to, double value, int digits) {
    (void)fputs("<td>", to);
    put_value(to, value, digits);
}

static void put_row(FILE *to, const struct fn_report_page *report, int layer) {
    const struct fn_layer *l = &report->model->network.layers[layer];
    const struct fn_report_page_layer *r = &report->layers[layer];
    bool pool = l->op == FN_OP_POOL, head = l->op == FN_OP_HEAD;
    (void)fputs("<tr><td>", to);
    put_text(to, l->name + sizeof FN_ROOT);
    (void)fprintf(to, "<td>%dx%d/%d", l->kernel_h, l->kernel_w, l->stride);
    put_number(to, pool ? NAN : r->weight_low, -4);
    put_number(to, pool ? NAN : r->weight_high, -4);
    if (pool)
        (void)fputs("<td>&ndash;", to);
    else
        (void)fprintf(to, "<td>%d&hellip;%d", r->frac_low, r->frac_high);
    put_number(to, sqnr(r), 1);
    put_number(to, pool ? NAN : 100 * r->clipped, 3);
    put_number(to, head ? NAN : (double)r->output_frac_bits, 0);
    put_number(to, head ? NAN : r->output_low, -4);
    put_number(to, head ? NAN : r->output_high, -4);
    put_number(to, head || !report->n_pictures ? NAN : (double)r->n_saturated, 0);
    put_number(to, r->cosine, 6);
    (void)fputs("</tr>\n", to);
}

/* Float first: before, then after. */
static void put_accuracies(FILE *to, const struct fn_report_page *report) {
    if (report->n_accuracies == 0) return;
    (void)fputs("<h2>Verification</h2><p>", to);
    put_text(to, report->pairs);
    (void)fputs(", as <code>facenet-model evaluate</code> found.</p><table><tr><th>network"
                "<th>computed in<th>accuracy %<th>standard error %<th>area under the curve</tr>\n",
                to);
    for (size_t i = report->n_accuracies; i-- > 0;) {
        const struct fn_report_page_accuracy *a = &report->accuracies[i];
        (void)fputs("<tr><td>", to);
        put_text(to, a->name);
        (void)fputs("<td>", to);
        put_text(to, a->what);
        put_number(to, 100 * a->mean, 2);
        put_number(to, 100 * a->standard_error, 2);
        put_number(to, a->auc, 6);
        (void)fputs("</tr>\n", to);
    }
    (void)fputs("</table>\n", to);
}

static void put_operating_points(FILE *to, const struct fn_model *model) {
    if (model->n_operating_points == 0) return;
    (void)fputs("<h2>Operating points</h2><div class=scroll><table><tr><th>fitted on<th>crop<th>"
                "metric<th>false-accept rate<th>threshold<th>impostor pairs</tr>\n",
                to);
    for (int i = 0; i < model->n_operating_points; i++) {
        const struct fn_operating_point *p = &model->operating_points[i];
        (void)fputs("<tr><td>", to);
        put_text(to, p->fitted_on);
        (void)fputs("<td>", to);
        put_text(to, p->crop);
        (void)fputs("<td>", to);
        put_text(to, p->metric);
        (void)fprintf(to, "<td>%g<td>%.6g<td>%lld</tr>\n", p->far, p->value, (long long)p->pairs);
    }
    (void)fputs("</table></div>\n", to);
}

static void put_cards(FILE *to, const struct fn_report_page *report) {
    const double *c = report->embedding_cosines;
    double mean = NAN, first = NAN, clipped = 0, saturations = 0, outputs = 0, n = 0;
    if (c) {
        mean = 0;
        for (size_t i = 0; i < report->n_pictures; i++) mean += c[i] / (double)report->n_pictures;
        first = c[report->n_pictures / 100];
    }
    for (int i = 0; i < report->model->network.n_layers; i++) {
        const struct fn_layer *l = &report->model->network.layers[i];
        double weights = (double)l->kernel_h * l->kernel_w * l->in_channels * l->out_channels;
        if (l->op == FN_OP_POOL) continue;
        clipped += report->layers[i].clipped * weights;
        n += weights;
        saturations += (double)report->layers[i].n_saturated;
        outputs += (double)report->layers[i].n_outputs;
    }
    (void)fputs("<div class=cards>\n", to);
    bool few = report->n_pictures < 100;
    put_card(to, "cosine to float, mean", mean, 4, "");
    put_card(to, few ? "cosine to float, worst" : "cosine to float, 1st percentile", first, 4, "");
    put_card(to, report->source[0] ? "weights clipped" : "weights at the end of the range",
             100 * clipped / n, 3, " %");
    put_card(to, "activations saturated", outputs > 0 ? 100 * saturations / outputs : NAN, 3, " %");
    put_card(to, "weights", n, 0, "");
    char about[64] = "pictures";
    if (report->crop) (void)snprintf(about, sizeof about, "pictures, %s", report->crop);
    put_card(to, about, (double)report->n_pictures, 0, "");
    (void)fputs("</div>\n", to);
}

void fn_report_page_write(FILE *to, const struct fn_report_page *report) {
    const struct fn_model *model = report->model;
    (void)fprintf(to,
                  "<!DOCTYPE html>\n<html lang=en><meta charset=utf-8><meta name=viewport "
                  "content=\"width=device-width\"><title>Quantization of %s</title>"
                  "<style>%s</style>\n<h1>Quantization of model %s</h1>\n<p>From ",
                  model->id, style, model->id);
    put_text(to, model->source);
    if (report->source[0]) {
        (void)fputs("; compared with ", to);
        put_text(to, report->source);
    }
    (void)fprintf(to, "; %d numbers out; int8, shifts only.</p>\n", model->network.embedding_size);
    if (model->untrained) (void)fputs("<p><b>Untrained: for tests only.</b></p>\n", to);
    put_cards(to, report);
    for (size_t i = 0; i < sizeof charts / sizeof charts[0]; i++) put_chart(to, report, &charts[i]);
    put_accuracies(to, report);
    put_operating_points(to, model);
    (void)fputs("<h2>Layer by layer</h2><div class=scroll><table><tr><th>layer<th>kernel"
                "<th>weights from<th>to<th>fractional bits<th>SQNR dB<th>clipped %<th>output bits"
                "<th>output from<th>to<th>saturated<th>cosine</tr>\n",
                to);
    for (int i = 0; i < model->network.n_layers; i++) put_row(to, report, i);
    (void)fputs("</table></div></html>\n", to);
}
