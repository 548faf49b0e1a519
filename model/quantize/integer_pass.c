/* SPDX-License-Identifier: Apache-2.0
 *
 * integer_pass.c -- see integer_pass.h. Pictures are independent, so threads share them. */
#include "model/quantize/integer_pass.h"

#include <string.h>

#include "engine/fixed.h"
#include "engine/preprocess.h"
#include "engine/reference.h"
#include "model/parallel.h"
#include "model/quantize/blas.h"
#include "model/quantize/integer_pass_tensors.h"
#include "model/quantize/windows.h"

/* 1024 products of at most 128 * 127 stay below 2^24, up to which float32 holds every integer. */
#define EXACT_DEPTH 1024
_Static_assert(EXACT_DEPTH * 128 * 127 < 1 << 24, "sums must be exact in float32");

static size_t positions_of(const struct fn_network *network, const struct fn_layer *layer) {
    const struct fn_tensor *at =
        &network->tensors[layer->output < 0 ? layer->input : layer->output];
    return (size_t)at->height * (size_t)at->width;
}

fn_status fn_integer_pass_new(const struct fn_network *network, enum fn_preprocessing preprocessing,
                              const uint8_t *crops, size_t n, int n_threads,
                              struct fn_integer_pass **ret_pass, struct fn_error *err) {
    fn_blas_single_thread();
    FN_CLEANUP(fn_integer_pass_free) struct fn_integer_pass *pass = calloc(1, sizeof *pass);
    if (!pass) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu pictures", n);
    *pass = (struct fn_integer_pass){.network = network, .n = n, .n_threads = n_threads};
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        pass->last_reader[layer->input] = i;
        if (layer->residual >= 0) pass->last_reader[layer->residual] = i;
        if (layer->residual_remainder) pass->last_reader[layer->residual_remainder] = i;
    }
    pass->tensors[0] = malloc(n * FN_CROP_SIZE + 1);
    if (!pass->tensors[0]) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu pictures", n);
    for (size_t i = 0; i < n; i++)
        fn_preprocess(preprocessing, crops + i * FN_CROP_SIZE, FN_CROP_SIZE,
                      pass->tensors[0] + i * FN_CROP_SIZE);
    *ret_pass = FN_TAKE(pass);
    return FN_OK;
}

void fn_integer_pass_free(struct fn_integer_pass *pass) {
    if (!pass) return;
    for (int t = 0; t < FN_MAX_TENSORS; t++) free(pass->tensors[t]);
    free(pass);
}

const int8_t *fn_integer_pass_tensor(const struct fn_integer_pass *pass, int tensor,
                                     size_t picture) {
    if (!pass->tensors[tensor]) return NULL;
    return pass->tensors[tensor] + picture * fn_tensor_size(&pass->network->tensors[tensor]);
}

/* One layer over all pictures. */
struct job {
    const struct fn_integer_pass *pass;
    const struct fn_model *model;
    const struct fn_layer *layer;
    int index;
    size_t positions, channels, kernel;
    bool writes; /* the output tensor; otherwise sums */
    float *weights;
    /* by worker: input, windows, pieces of products; accumulators; their sums by channel */
    float *rooms;
    size_t room, windows_at, products_at;
    int32_t *accumulators;
    int64_t *sums;
};

static fn_status job_new(struct job *job, struct fn_error *err) {
    const struct fn_network *network = job->pass->network;
    job->layer = &network->layers[job->index];
    job->positions = positions_of(network, job->layer);
    job->channels = (size_t)job->layer->out_channels;
    job->kernel = fn_layer_kernel_size(job->layer);
    size_t workers = (size_t)job->pass->n_threads, count = job->channels * job->kernel;
    size_t values = job->positions * job->channels;
    job->windows_at = fn_tensor_size(&network->tensors[job->layer->input]);
    job->products_at = job->windows_at;
    if (!fn_windows_are_dense(job->layer)) job->products_at += job->positions * job->kernel;
    job->room = job->products_at + values;
    job->weights = malloc(count * sizeof *job->weights);
    job->rooms = malloc(workers * job->room * sizeof *job->rooms);
    job->accumulators = malloc(workers * values * sizeof *job->accumulators);
    job->sums = calloc(workers * job->channels, sizeof *job->sums);
    if (!job->weights || !job->rooms || !job->accumulators || !job->sums)
        return fn_fail(err, FN_NO_MEMORY, "%s: no memory to run it", job->layer->name);
    const int8_t *weights = job->model->params[job->index].weights;
    for (size_t i = 0; i < count; i++) job->weights[i] = (float)weights[i];
    return FN_OK;
}

static void job_done(struct job *job) {
    free(job->weights);
    free(job->rooms);
    free(job->accumulators);
    free(job->sums);
}

/* Bias and what is added, for every position. */
static void begin(const struct job *job, size_t picture, int32_t *acc) {
    bool adds = job->layer->op == FN_OP_CONV && job->layer->residual >= 0;
    const int8_t *added =
        adds ? fn_integer_pass_tensor(job->pass, job->layer->residual, picture) : NULL;
    int remainder = job->layer->residual_remainder;
    const int8_t *low = remainder ? fn_integer_pass_tensor(job->pass, remainder, picture) : NULL;
    int low_bits = fn_remainder_bits(job->model->frac_bits, job->layer->residual, remainder);
    const int32_t *bias = job->model->params[job->index].bias;
    for (size_t c = 0; c < job->channels; c++) {
        int r = added ? fn_model_residual_shift(job->model, job->index, (int)c) : 0;
        for (size_t p = 0; p < job->positions; p++) {
            size_t at = p * job->channels + c;
            /* an up-projection is as wide as what it is added to, so `at` is the same in both */
            acc[at] = added ? added[at] * (INT32_C(1) << r) : 0;
            if (low) acc[at] += low[at] * (INT32_C(1) << (r - low_bits));
            if (p == 0 || job->layer->op == FN_OP_CONV) acc[at] += bias[c]; /* the head's is once */
        }
    }
}

static void accumulate(const struct job *job, size_t picture, float *room, int32_t *acc) {
    const struct fn_network *network = job->pass->network;
    const struct fn_tensor *in = &network->tensors[job->layer->input];
    const int8_t *input = fn_integer_pass_tensor(job->pass, job->layer->input, picture);
    for (size_t i = 0; i < fn_tensor_size(in); i++) room[i] = (float)input[i];
    const float *windows = room;
    float *products = room + job->products_at;
    if (!fn_windows_are_dense(job->layer)) {
        windows = room + job->windows_at;
        fn_windows_fill(job->layer, in, &network->tensors[job->layer->output], room,
                        room + job->windows_at);
    }
    for (size_t k = 0; k < job->kernel; k += EXACT_DEPTH) {
        size_t depth = job->kernel - k < EXACT_DEPTH ? job->kernel - k : EXACT_DEPTH;
        fn_blas_product(job->positions, job->channels, depth, windows + k, job->kernel,
                        job->weights + k, job->kernel, products, job->channels);
        for (size_t i = 0; i < job->positions * job->channels; i++) acc[i] += (int32_t)products[i];
    }
}

static void write_output(const struct job *job, size_t picture, const int32_t *acc) {
    const struct fn_tensor *out = &job->pass->network->tensors[job->layer->output];
    int8_t *output = job->pass->tensors[job->layer->output] + picture * fn_tensor_size(out) +
                     job->layer->output_offset;
    int remainder = job->layer->remainder;
    int8_t *low = remainder ? job->pass->tensors[remainder] + picture * fn_tensor_size(out) : NULL;
    int d = fn_remainder_bits(job->model->frac_bits, job->layer->output, remainder);
    for (size_t c = 0; c < job->channels; c++) {
        int s = fn_model_shift(job->model, job->index, (int)c);
        for (size_t p = 0; p < job->positions; p++) {
            int32_t sum = acc[p * job->channels + c];
            size_t at = p * (size_t)out->channels + c;
            if (low)
                output[at] = fn_requantize_wide(sum, s, d, job->layer->relu, &low[at]);
            else
                output[at] = fn_requantize(sum, s, job->layer->relu);
        }
    }
}

static fn_status run_picture(void *context, size_t picture, int worker, struct fn_error *err) {
    (void)err;
    const struct job *job = context;
    float *room = job->rooms + (size_t)worker * job->room;
    int32_t *acc = job->accumulators + (size_t)worker * job->positions * job->channels;
    int64_t *sums = job->sums + (size_t)worker * job->channels;
    begin(job, picture, acc);
    accumulate(job, picture, room, acc);
    if (job->writes)
        write_output(job, picture, acc);
    else
        for (size_t i = 0; i < job->positions * job->channels; i++)
            sums[i % job->channels] += acc[i];
    return FN_OK;
}

fn_status fn_integer_pass_means(const struct fn_integer_pass *pass, const struct fn_model *model,
                                int layer, double *ret, struct fn_error *err) {
    struct job job = {.pass = pass, .model = model, .index = layer};
    fn_status status = job_new(&job, err);
    if (status == FN_OK)
        status = fn_parallel_run(pass->n, pass->n_threads, run_picture, &job, NULL, err);
    for (size_t c = 0; c < job.channels && status == FN_OK; c++) {
        int64_t sum = 0;
        for (size_t worker = 0; worker < (size_t)pass->n_threads; worker++)
            sum += job.sums[worker * job.channels + c];
        ret[c] = (double)sum / (double)(pass->n * job.positions);
    }
    job_done(&job);
    return status;
}

static void run_pool(const struct fn_integer_pass *pass, const struct fn_model *model, int index) {
    const struct fn_layer *layer = &pass->network->layers[index];
    size_t in = fn_tensor_size(&pass->network->tensors[layer->input]);
    size_t out = fn_tensor_size(&pass->network->tensors[layer->output]);
    for (size_t picture = 0; picture < pass->n; picture++) {
        int8_t *tensors[FN_MAX_TENSORS] = {0};
        tensors[layer->input] = pass->tensors[layer->input] + picture * in;
        tensors[layer->output] = pass->tensors[layer->output] + picture * out;
        fn_reference_layer(model, index, tensors, NULL);
    }
}

static fn_status make_room(struct fn_integer_pass *pass, const struct fn_layer *layer, int tensor,
                           struct fn_error *err) {
    if (pass->tensors[tensor]) return FN_OK;
    pass->tensors[tensor] = malloc(pass->n * fn_tensor_size(&pass->network->tensors[tensor]) + 1);
    return pass->tensors[tensor] ? FN_OK
                                 : fn_fail(err, FN_NO_MEMORY, "no memory for %s of %zu pictures",
                                           layer->name, pass->n);
}

fn_status fn_integer_pass_run(struct fn_integer_pass *pass, const struct fn_model *model, int layer,
                              struct fn_error *err) {
    const struct fn_layer *l = &pass->network->layers[layer];
    fn_status status = FN_OK;
    if (l->op != FN_OP_HEAD) status = make_room(pass, l, l->output, err);
    if (l->remainder && status == FN_OK) status = make_room(pass, l, l->remainder, err);
    if (status != FN_OK) return status;
    if (l->op == FN_OP_POOL) run_pool(pass, model, layer);
    if (l->op == FN_OP_CONV) {
        struct job job = {.pass = pass, .model = model, .index = layer, .writes = true};
        status = job_new(&job, err);
        if (status == FN_OK)
            status = fn_parallel_run(pass->n, pass->n_threads, run_picture, &job, NULL, err);
        job_done(&job);
    }
    for (int t = 0; t < pass->network->n_tensors; t++)
        if (pass->last_reader[t] == layer) {
            free(pass->tensors[t]);
            pass->tensors[t] = NULL;
        }
    return status;
}
