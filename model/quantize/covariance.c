/* SPDX-License-Identifier: Apache-2.0
 *
 * covariance.c -- fn_integer_pass_covariance(): the windows as the rows of a matrix, in chunks
 * that are short enough for exact sums, times itself. */
#include <string.h>

#include "model/parallel.h"
#include "model/quantize/blas.h"
#include "model/quantize/integer_pass_tensors.h"

#define MAX_WINDOWS 8192 /* of a layer, when there are no more pictures than this */
#define CHUNK       1024 /* windows: 1024 * 128 * 128 is 2^24, which float32 still holds */
#define BAND        64   /* rows of the result that one task computes */

struct job {
    const struct fn_integer_pass *pass;
    const struct fn_layer *layer;
    const struct fn_tensor *in;
    size_t kernel, positions, per_picture, n_windows, width;
    float *chunks; /* [chunks][kernel][CHUNK] */
    double *means; /* [kernel] */
    float *pieces; /* [workers][BAND][kernel] */
    double *sums;  /* [workers][BAND][kernel] */
    float *result; /* [kernel][kernel] */
};

/* Window number i: spread over a picture's positions, other ones in each picture. */
static void take_window(const struct job *job, size_t i, float *column) {
    const struct fn_layer *layer = job->layer;
    size_t picture = i / job->per_picture;
    size_t at =
        ((i % job->per_picture) * job->positions / job->per_picture + picture) % job->positions;
    int y = (int)(at / job->width) * layer->stride - layer->pad_h;
    int x = (int)(at % job->width) * layer->stride - layer->pad_w;
    const int8_t *input = fn_integer_pass_tensor(job->pass, layer->input, picture);
    size_t channels = (size_t)job->in->channels;
    for (int ky = y; ky < y + layer->kernel_h; ky++)
        for (int kx = x; kx < x + layer->kernel_w; kx++, column += channels * CHUNK) {
            bool inside = ky >= 0 && ky < job->in->height && kx >= 0 && kx < job->in->width;
            const int8_t *from = input + ((size_t)(inside ? ky : 0) * (size_t)job->in->width +
                                          (size_t)(inside ? kx : 0)) *
                                             channels;
            for (size_t c = 0; c < channels; c++) column[c * CHUNK] = inside ? (float)from[c] : 0;
        }
}

static fn_status fill_chunk(void *context, size_t chunk, int worker, struct fn_error *err) {
    (void)worker, (void)err;
    const struct job *job = context;
    float *to = job->chunks + chunk * job->kernel * CHUNK;
    for (size_t i = 0; i < CHUNK && chunk * CHUNK + i < job->n_windows; i++)
        take_window(job, chunk * CHUNK + i, to + i);
    return FN_OK;
}

static size_t n_chunks(const struct job *job) {
    return (job->n_windows + CHUNK - 1) / CHUNK;
}

static void find_means(const struct job *job) {
    for (size_t k = 0; k < job->kernel; k++) {
        double sum = 0;
        for (size_t chunk = 0; chunk < n_chunks(job); chunk++)
            for (size_t i = 0; i < CHUNK; i++)
                sum += job->chunks[(chunk * job->kernel + k) * CHUNK + i];
        job->means[k] = sum / (double)job->n_windows;
    }
}

/* Some rows of the result, from the diagonal on, and the columns that mirror them. */
static fn_status fill_band(void *context, size_t band, int worker, struct fn_error *err) {
    (void)err;
    const struct job *job = context;
    size_t first = band * BAND, n = job->kernel - first, rows = n < BAND ? n : BAND;
    float *piece = job->pieces + (size_t)worker * BAND * job->kernel;
    double *sums = job->sums + (size_t)worker * BAND * job->kernel;
    memset(sums, 0, rows * n * sizeof *sums);
    for (size_t chunk = 0; chunk < n_chunks(job); chunk++) {
        const float *from = job->chunks + (chunk * job->kernel + first) * CHUNK;
        fn_blas_product(rows, n, CHUNK, from, CHUNK, from, CHUNK, piece, n);
        for (size_t i = 0; i < rows * n; i++) sums[i] += (double)piece[i];
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = i; j < n; j++) {
            double mean = sums[i * n + j] / (double)job->n_windows;
            float value = (float)(mean - job->means[first + i] * job->means[first + j]);
            job->result[(first + i) * job->kernel + first + j] = value;
            job->result[(first + j) * job->kernel + first + i] = value;
        }
    return FN_OK;
}

static fn_status multiply(struct job *job, struct fn_error *err) {
    if (job->n_windows == 0)
        return fn_fail(err, FN_INTERNAL, "%s: no windows to measure a covariance on",
                       job->layer->name);
    size_t workers = (size_t)job->pass->n_threads, band = workers * BAND * job->kernel;
    FN_CLEANUP_FREE float *chunks = calloc(n_chunks(job) * job->kernel * CHUNK, sizeof *chunks);
    FN_CLEANUP_FREE double *means = malloc(job->kernel * sizeof *means);
    FN_CLEANUP_FREE float *pieces = malloc(band * sizeof *pieces);
    FN_CLEANUP_FREE double *sums = malloc(band * sizeof *sums);
    if (!chunks || !means || !pieces || !sums)
        return fn_fail(err, FN_NO_MEMORY, "%s: no memory for its covariance", job->layer->name);
    job->chunks = chunks;
    job->means = means;
    job->pieces = pieces;
    job->sums = sums;
    int n_threads = job->pass->n_threads;
    fn_status status = fn_parallel_run(n_chunks(job), n_threads, fill_chunk, job, NULL, err);
    if (status != FN_OK) return status;
    find_means(job);
    return fn_parallel_run((job->kernel + BAND - 1) / BAND, n_threads, fill_band, job, NULL, err);
}

fn_status fn_integer_pass_covariance(const struct fn_integer_pass *pass, int layer, float *ret,
                                     struct fn_error *err) {
    const struct fn_layer *l = &pass->network->layers[layer];
    const struct fn_tensor *at = &pass->network->tensors[l->output < 0 ? l->input : l->output];
    struct job job = {.pass = pass,
                      .layer = l,
                      .in = &pass->network->tensors[l->input],
                      .kernel = fn_layer_kernel_size(l),
                      .positions = (size_t)at->height * (size_t)at->width,
                      .width = (size_t)at->width};
    job.result = ret;
    size_t most = pass->n < MAX_WINDOWS ? MAX_WINDOWS / pass->n : 1;
    job.per_picture = job.positions < most ? job.positions : most;
    job.n_windows = pass->n * job.per_picture;
    return multiply(&job, err);
}
