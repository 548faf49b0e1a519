/* SPDX-License-Identifier: Apache-2.0
 *
 * calibrate.c -- two passes over the pictures. The first finds each tensor's range, hence the
 * finest grid that holds all of it; below that the error cannot fall. The second sums the errors of
 * that grid and the WINDOW - 1 next finer ones, which clip; should the last one win, the window
 * moves up and the pass is repeated. */
#include "model/quantize/calibrate.h"

#include <math.h>
#include <string.h>

#include "engine/fixed.h"
#include "engine/preprocess.h"
#include "model/parallel.h"

#define WINDOW 6

double fn_calibrate_error(const float *x, size_t n, int f, bool is_signed) {
    const double scale = ldexp(1, f), low = is_signed ? -128 : 0;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double t = x[i] * scale;
        double inside = t < low ? low : t > 127 ? 127 : t;
        /* floor(inside + 1/2) by a truncation of what is never negative */
        double q = (int)(inside + 128.5) - 128;
        sum += (t - q) * (t - q);
    }
    return ldexp(sum, -2 * f);
}

int fn_calibrate_widest(double low, double high, bool is_signed) {
    int f = FN_FRAC_X_MAX;
    for (; f > FN_FRAC_X_MIN; f--)
        if (fn_quantize_real(high, f) <= 127 && (!is_signed || fn_quantize_real(low, f) >= -128))
            break;
    return f;
}

struct range {
    float low, high;
};

struct job {
    const struct fn_network *network;
    enum fn_preprocessing preprocessing;
    const uint8_t *crops;
    float *images;              /* [workers][160][160][3] */
    struct fn_float_run **runs; /* [workers] */
    struct range *ranges;       /* [n][tensors], first pass */
    const int *bases;           /* [tensors]: first candidate, second pass */
    double (*errors)[WINDOW];   /* [n][tensors], second pass */
    float *embeddings;          /* [n][embedding_size], first pass */
};

static fn_status forward(struct job *job, size_t picture, int worker, float *ret_embedding,
                         struct fn_error *err) {
    float *image = job->images + (size_t)worker * FN_CROP_SIZE;
    fn_float_preprocess(job->preprocessing, job->crops + picture * FN_CROP_SIZE, image);
    return fn_float_net_run(job->runs[worker], image, ret_embedding, err);
}

static fn_status find_ranges(void *context, size_t picture, int worker, struct fn_error *err) {
    struct job *job = context;
    size_t size = (size_t)job->network->embedding_size;
    fn_status status = forward(job, picture, worker, job->embeddings + picture * size, err);
    if (status != FN_OK) return status;
    for (int t = 0; t < job->network->n_tensors; t++) {
        const float *x = fn_float_run_tensor(job->runs[worker], t);
        struct range range = {0, 0};
        for (size_t i = 0, n = fn_tensor_size(&job->network->tensors[t]); i < n; i++) {
            if (!isfinite(x[i]))
                return fn_fail(err, FN_BAD_SOURCE, "%s: an activation that is not finite",
                               job->network->tensors[t].name);
            if (x[i] < range.low) range.low = x[i];
            if (x[i] > range.high) range.high = x[i];
        }
        job->ranges[picture * (size_t)job->network->n_tensors + (size_t)t] = range;
    }
    return FN_OK;
}

static fn_status find_errors(void *context, size_t picture, int worker, struct fn_error *err) {
    struct job *job = context;
    fn_status status = forward(job, picture, worker, NULL, err);
    if (status != FN_OK) return status;
    for (int t = 0; t < job->network->n_tensors; t++) {
        const struct fn_tensor *tensor = &job->network->tensors[t];
        double *errors = job->errors[picture * (size_t)job->network->n_tensors + (size_t)t];
        for (int k = 0; k < WINDOW; k++)
            errors[k] =
                fn_calibrate_error(fn_float_run_tensor(job->runs[worker], t),
                                   fn_tensor_size(tensor), job->bases[t] + k, tensor->is_signed);
    }
    return FN_OK;
}

/* First candidate of every tensor, from the ranges of all pictures. */
static void choose_bases(const struct job *job, size_t n, int *ret_bases) {
    for (int t = 0; t < job->network->n_tensors; t++) {
        struct range all = {0, 0};
        for (size_t p = 0; p < n; p++) {
            struct range r = job->ranges[p * (size_t)job->network->n_tensors + (size_t)t];
            if (r.low < all.low) all.low = r.low;
            if (r.high > all.high) all.high = r.high;
        }
        bool is_signed = job->network->tensors[t].is_signed;
        bool silent = all.high <= 0 && (!is_signed || all.low >= 0);
        ret_bases[t] = silent ? FN_FRAC_SILENT : fn_calibrate_widest(all.low, all.high, is_signed);
    }
}

/* Best candidate of every tensor (the smallest on a tie); a tensor whose window was too low gets a
 * higher one. Returns whether any did. */
static bool choose_best(const struct job *job, size_t n, int *bases, int8_t *ret_frac_bits) {
    bool moved = false;
    for (int t = 0; t < job->network->n_tensors; t++) {
        int best = 0;
        double least = INFINITY;
        for (int k = 0; k < WINDOW && bases[t] + k <= FN_FRAC_X_MAX; k++) {
            double sum = 0;
            for (size_t p = 0; p < n; p++)
                sum += job->errors[p * (size_t)job->network->n_tensors + (size_t)t][k];
            if (!(sum < least)) continue;
            least = sum;
            best = k;
        }
        ret_frac_bits[t] = (int8_t)(bases[t] + best);
        if (best < WINDOW - 1 || bases[t] + best >= FN_FRAC_X_MAX) continue;
        bases[t] += best;
        moved = true;
    }
    return moved;
}

/* A pool that fills its tensor alone only compares: no reason for another f. */
static void follow_pools(const struct fn_network *network, int8_t *frac_bits) {
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (layer->op == FN_OP_POOL &&
            layer->out_channels == network->tensors[layer->output].channels)
            frac_bits[layer->output] = frac_bits[layer->input];
    }
}

static fn_status run_passes(struct job *job, size_t n, int n_threads, int8_t *ret_frac_bits,
                            struct fn_error *err) {
    int bases[FN_MAX_TENSORS] = {0};
    struct fn_progress progress;
    fn_progress_start(&progress, "ranges", n);
    fn_status status = fn_parallel_run(n, n_threads, find_ranges, job, &progress, err);
    fn_progress_end(&progress);
    if (status != FN_OK) return status;
    choose_bases(job, n, bases);
    job->bases = bases;
    do {
        fn_progress_start(&progress, "calibrating", n);
        status = fn_parallel_run(n, n_threads, find_errors, job, &progress, err);
        fn_progress_end(&progress);
    } while (status == FN_OK && choose_best(job, n, bases, ret_frac_bits));
    return status;
}

static fn_status open_runs(const struct fn_float_net *net, int n_threads,
                           struct fn_float_run **ret_runs, struct fn_error *err) {
    fn_status status = FN_OK;
    for (int i = 0; i < n_threads && status == FN_OK; i++)
        status = fn_float_run_new(net, &ret_runs[i], err);
    return status;
}

fn_status fn_calibrate(const struct fn_network *network, const struct fn_float_net *net,
                       enum fn_preprocessing preprocessing, const uint8_t *crops, size_t n,
                       int n_threads, struct fn_calibration *ret_calibration,
                       struct fn_error *err) {
    size_t cells = n * (size_t)network->n_tensors;
    struct fn_float_run *runs[FN_MAX_THREADS] = {0};
    FN_CLEANUP_FREE float *images = calloc((size_t)n_threads * FN_CROP_SIZE, sizeof *images);
    FN_CLEANUP_FREE struct range *ranges = calloc(cells + 1, sizeof *ranges);
    FN_CLEANUP_FREE void *errors = calloc(cells + 1, WINDOW * sizeof(double));
    FN_CLEANUP_FREE float *embeddings =
        calloc(n + 1, (size_t)network->embedding_size * sizeof *embeddings);
    if (!images || !ranges || !errors || !embeddings)
        return fn_fail(err, FN_NO_MEMORY, "no memory to calibrate on %zu pictures", n);
    struct job job = {.network = network,
                      .preprocessing = preprocessing,
                      .crops = crops,
                      .images = images,
                      .runs = runs,
                      .ranges = ranges,
                      .errors = errors,
                      .embeddings = embeddings};
    struct fn_calibration calibration = {0};
    fn_status status = open_runs(net, n_threads, runs, err);
    if (status == FN_OK) status = run_passes(&job, n, n_threads, calibration.frac_bits, err);
    for (int i = 0; i < FN_MAX_THREADS; i++) fn_float_run_free(runs[i]);
    if (status != FN_OK) return status;
    follow_pools(network, calibration.frac_bits);
    calibration.frac_bits[0] = (int8_t)fn_preprocessing_frac_bits(preprocessing);
    calibration.embeddings = FN_TAKE(embeddings);
    *ret_calibration = calibration;
    return FN_OK;
}
