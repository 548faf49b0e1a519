/* SPDX-License-Identifier: Apache-2.0
 *
 * report_page.c -- the measurements: weights against the folded trained ones, activations of the
 * reference engine against the float network's on the same pictures. */
#include "model/inspect/report_page.h"

#include <math.h>

#include "engine/fixed.h"
#include "engine/preprocess.h"
#include "engine/reference.h"
#include "model/commands/paths.h"
#include "model/quantize/equalise.h"
#include "model/quantize/float_net.h"

struct measure {
    const struct fn_model *model;
    struct fn_report_page *report;
    const struct fn_equalisation *scales;
    int8_t *tensors[FN_MAX_TENSORS]; /* owned */
    int32_t *accumulators;           /* [embedding_size], owned */
    float *image, *embedding;        /* of the float network, owned */
};

static size_t per_channel(const struct fn_layer *l) {
    return (size_t)l->kernel_h * (size_t)l->kernel_w * (size_t)l->in_channels;
}

/* ---- weights -------------------------------------------------------------------------------- */

/* `folded`: the trained weights, or NULL. */
static void measure_weights(const struct fn_model *model, int layer, const double *folded,
                            struct fn_report_page_layer *ret) {
    const struct fn_layer *l = &model->network.layers[layer];
    const struct fn_params *params = &model->params[layer];
    size_t n = per_channel(l), clipped = 0;
    double signal = 0, noise = 0;
    ret->weight_low = INFINITY;
    ret->weight_high = -INFINITY;
    ret->frac_low = INT8_MAX;
    ret->frac_high = INT8_MIN;
    for (size_t oc = 0; oc < (size_t)l->out_channels; oc++) {
        int f = params->frac_bits[oc];
        if (f < ret->frac_low) ret->frac_low = f;
        if (f > ret->frac_high) ret->frac_high = f;
        for (size_t i = oc * n; i < (oc + 1) * n; i++) {
            double after = ldexp(params->weights[i], -f), before = folded ? folded[i] : after;
            clipped +=
                folded ? fabs(fn_quantize_real(before, f)) > 127 : abs(params->weights[i]) == 127;
            ret->weight_low = fmin(ret->weight_low, before);
            ret->weight_high = fmax(ret->weight_high, before);
            signal += before * before;
            noise += (after - before) * (after - before);
        }
    }
    ret->clipped = (double)clipped / (double)(n * (size_t)l->out_channels);
    ret->weight_sqnr_db = !folded ? NAN : noise > 0 ? 10 * log10(signal / noise) : INFINITY;
}

static fn_status measure_all_weights(const struct fn_model *model, const struct fn_source *source,
                                     const struct fn_equalisation *scales,
                                     struct fn_report_page *report, struct fn_error *err) {
    for (int i = 0; i < model->network.n_layers; i++) {
        const struct fn_layer *l = &model->network.layers[i];
        if (l->op == FN_OP_POOL) continue;
        FN_CLEANUP_FREE double *weights = NULL;
        FN_CLEANUP_FREE double *bias = NULL;
        if (source) {
            weights = calloc(per_channel(l) * (size_t)l->out_channels, sizeof *weights);
            bias = calloc((size_t)l->out_channels, sizeof *bias);
            if (!weights || !bias) return fn_fail(err, FN_NO_MEMORY, "no memory for %s", l->name);
            fn_status status = fn_source_fold(source, l, weights, bias, err);
            if (status != FN_OK) return status;
            fn_equalisation_apply(scales, l, weights, bias);
        }
        measure_weights(model, i, weights, &report->layers[i]);
    }
    return FN_OK;
}

/* ---- activations ---------------------------------------------------------------------------- */

/* One layer's own channels of its output tensor; `real`: the float network's, or NULL. */
static void measure_output(const struct measure *m, int layer, const float *real) {
    const struct fn_layer *l = &m->model->network.layers[layer];
    const struct fn_tensor *t = &m->model->network.tensors[l->output];
    struct fn_report_page_layer *r = &m->report->layers[layer];
    int f = m->model->frac_bits[l->output];
    double dot = 0, square_q = 0, square_x = 0, factors[FN_MAX_CHANNELS] = {0};
    for (int c = 0; c < t->channels; c++)
        factors[c] = fn_equalisation_factor(m->scales->steps[l->output][c]);
    for (int p = 0; p < t->height * t->width; p++)
        for (int c = 0; c < l->out_channels; c++) {
            size_t channel = (size_t)l->output_offset + (size_t)c;
            size_t at = (size_t)p * (size_t)t->channels + channel;
            int q = m->tensors[l->output][at];
            double value = ldexp(q, -f) / factors[channel];
            r->output_low = fmin(r->output_low, value);
            r->output_high = fmax(r->output_high, value);
            r->n_outputs++;
            r->n_saturated += q == 127 || q == -128;
            if (!real) continue;
            dot += value * (double)real[at];
            square_q += value * value;
            square_x += (double)real[at] * (double)real[at];
        }
    if (real) r->cosine += square_q > 0 && square_x > 0 ? dot / sqrt(square_q * square_x) : 1;
}

static fn_status run_picture(struct measure *m, const uint8_t *crop, struct fn_float_run *run,
                             double *ret_cosine, struct fn_error *err) {
    const struct fn_network *net = &m->model->network;
    fn_preprocess(m->model->preprocessing, crop, FN_CROP_SIZE, m->tensors[0]);
    if (run) {
        fn_float_preprocess(m->model->preprocessing, crop, m->image);
        fn_status status = fn_float_net_run(run, m->image, m->embedding, err);
        if (status != FN_OK) return status;
    }
    for (int i = 0; i < net->n_layers; i++) {
        fn_reference_layer(m->model, i, m->tensors, m->accumulators);
        if (net->layers[i].output >= 0)
            measure_output(m, i, run ? fn_float_run_tensor(run, net->layers[i].output) : NULL);
    }
    if (!run) return FN_OK;
    double dot = 0, square = 0;
    int head = net->n_layers - 1;
    for (int o = 0; o < net->embedding_size; o++) {
        double value = ldexp(m->accumulators[o], -m->model->params[head].frac_bits[o]);
        dot += value * (double)m->embedding[o];
        square += value * value;
    }
    *ret_cosine = square > 0 ? dot / sqrt(square) : 0;
    m->report->layers[head].cosine += *ret_cosine;
    return FN_OK;
}

static int compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static fn_status run_pictures(struct measure *m, const struct fn_source *source,
                              const uint8_t *crops, size_t n, struct fn_error *err) {
    FN_CLEANUP(fn_float_net_free) struct fn_float_net *net = NULL;
    FN_CLEANUP(fn_float_run_free) struct fn_float_run *run = NULL;
    fn_status status = FN_OK;
    if (source) {
        status = fn_float_net_new(&m->model->network, source, &net, err);
        if (status == FN_OK) status = fn_float_run_new(net, &run, err);
    }
    for (size_t i = 0; i < n && status == FN_OK; i++) {
        double cosine = NAN;
        status = run_picture(m, crops + i * FN_CROP_SIZE, run, &cosine, err);
        if (m->report->embedding_cosines) m->report->embedding_cosines[i] = cosine;
    }
    if (status == FN_OK && m->report->embedding_cosines)
        qsort(m->report->embedding_cosines, n, sizeof(double), compare_doubles);
    return status;
}

static fn_status allocate(struct measure *m, struct fn_error *err) {
    const struct fn_network *net = &m->model->network;
    bool failed = false;
    for (int i = 0; i < net->n_tensors; i++) {
        const struct fn_tensor *t = &net->tensors[i];
        m->tensors[i] = calloc((size_t)t->height * (size_t)t->width, (size_t)t->channels);
        failed |= !m->tensors[i];
    }
    m->accumulators = calloc((size_t)net->embedding_size, sizeof *m->accumulators);
    m->embedding = calloc((size_t)net->embedding_size, sizeof *m->embedding);
    m->image = calloc(FN_CROP_SIZE, sizeof *m->image);
    failed |= !m->accumulators || !m->embedding || !m->image;
    return failed ? fn_fail(err, FN_NO_MEMORY, "no memory for the activations") : FN_OK;
}

static void release(struct measure *m) {
    for (int i = 0; i < FN_MAX_TENSORS; i++) free(m->tensors[i]);
    free(m->accumulators);
    free(m->embedding);
    free(m->image);
}

fn_status fn_report_page_measure(const struct fn_model *model, const struct fn_source *source,
                                 const uint8_t *crops, size_t n_crops,
                                 struct fn_report_page *ret_report, struct fn_error *err) {
    struct fn_report_page *r = ret_report;
    *r = (struct fn_report_page){.model = model, .n_pictures = n_crops};
    if (source) (void)snprintf(r->source, sizeof r->source, "%s", fn_path_base(source->path));
    if (source && n_crops) {
        r->embedding_cosines = calloc(n_crops, sizeof(double));
        if (!r->embedding_cosines) return fn_fail(err, FN_NO_MEMORY, "no memory");
    }
    for (int i = 0; i < model->network.n_layers; i++) {
        const struct fn_layer *l = &model->network.layers[i];
        r->layers[i].output_low = n_crops ? INFINITY : NAN;
        r->layers[i].output_high = n_crops ? -INFINITY : NAN;
        r->layers[i].weight_sqnr_db = NAN;
        if (l->output >= 0) r->layers[i].output_frac_bits = model->frac_bits[l->output];
    }
    struct fn_equalisation scales = {0};
    struct measure m = {.model = model, .report = r, .scales = &scales};
    fn_status status = fn_equalisation_of(model, &scales, err);
    if (status == FN_OK) status = measure_all_weights(model, source, &scales, r, err);
    if (status == FN_OK && n_crops) status = allocate(&m, err);
    if (status == FN_OK && n_crops) status = run_pictures(&m, source, crops, n_crops, err);
    release(&m);
    fn_equalisation_done(&scales);
    for (int i = 0; i < model->network.n_layers; i++)
        r->layers[i].cosine = source && n_crops ? r->layers[i].cosine / (double)n_crops : NAN;
    if (status != FN_OK) fn_report_page_done(r);
    return status;
}

void fn_report_page_done(struct fn_report_page *report) {
    free(report->embedding_cosines);
    report->embedding_cosines = NULL;
}
