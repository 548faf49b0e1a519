/* SPDX-License-Identifier: Apache-2.0
 *
 * ndrange.c -- the kernel families that are NDRanges of independent work-items: one launch a layer
 * (two for the head) on one in-order queue.
 *
 * Everything a run needs is on the device from the start: an arena with all activations
 * (plan.h), the packed weights and one record of numbers a layer (pack.h). A run
 * copies the pictures in, queues the launches and copies the accumulators out. How a launch is
 * split into work-items depends on the batch and the device; the bits do not, as every output value
 * is computed by one work-item from integers whose sums no order can change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/opencl/family.h"
#include "engine/opencl/kernel_text.h"
#include "engine/opencl/pack.h"
#include "engine/opencl/plan.h"

/* Work-items that a launch is split into, for each compute unit: several, so that no core waits
 * long for another's last one. */
#define ITEMS_PER_UNIT 4
/* Input bytes that the tiles of one work-item go over, so that they are still in the core's cache
 * when the next block of output channels reads them. Neither number is critical: 2 to 16 items and
 * 32 KiB to 4 MiB made no difference on one core of a Zen 5. */
#define ITEM_INPUT_SIZE (128 << 10)

enum kernel { CONV, CONV_TAIL, CONV_SIGNED, POOL, HEAD_SUM, HEAD, N_KERNELS };

/* Where each kernel's arguments are; -1: it has none such. */
static const struct {
    const char *name;
    int arena, weights, channels, layers, layer, sums;
} kernel_table[N_KERNELS] = {
    [CONV] = {"conv", 0, 1, 2, 3, 6, -1},
    [CONV_TAIL] = {"conv_tail", 0, 1, 2, 3, 6, -1},
    [CONV_SIGNED] = {"conv_signed", 0, 1, 2, 3, 6, -1},
    [POOL] = {"pool", 0, -1, -1, 1, 2, -1},
    [HEAD_SUM] = {"head_sum", 0, -1, -1, 1, 2, 3},
    [HEAD] = {"head", -1, 0, 1, 2, 3, 4},
};
#define CONV_ONES        4
#define CONV_ALL         5
#define CONV_PICTURES    7
#define CONV_TILES       8
#define HEAD_ACCUMULATOR 5

struct ndrange {
    const struct fn_model *model; /* borrowed */
    struct fn_cl *cl;             /* borrowed */
    struct fn_plan plan;
    int max_batch;
    int tile[N_KERNELS]; /* pixels that a work-item of a convolution computes at once */
    int arena, accumulators;
    int kernels[N_KERNELS];
    int8_t *staging; /* owned: pictures in the arena's pitch */
    int32_t *blocks; /* owned: accumulators as the device has them */
    double *seconds; /* owned: by layer, or NULL when not profiling */
};

static int count_blocks(int channels) {
    return (channels + FN_LANES - 1) / FN_LANES;
}

static void ndrange_close(void *state) {
    struct ndrange *o = state;
    if (!o) return;
    free(o->staging);
    free(o->blocks);
    free(o->seconds);
    free(o);
}
FN_DEFINE_CLEANUP(struct ndrange *, ndrange_close)

/* ---- opening ---- */

static fn_status build_program(struct ndrange *o, const struct fn_engine_options *options,
                               struct fn_error *err) {
    const struct fn_cl_info *info = fn_cl_info(o->cl);
    FN_CLEANUP_FREE char *source = NULL;
    fn_status status = fn_kernel_text(options->kernel_dir, "generic.cl", &source, err);
    if (status != FN_OK) return status;
    /* 8 times 16 sums fit the 32 vector registers of AVX-512, 4 times the 16 of everything before.
     * The tail tiles go into the 9 positions of the last tensors. */
    bool large = info->is_cpu && info->vector_ints >= 16;
    o->tile[CONV] = large ? 8 : 4;
    o->tile[CONV_TAIL] = large ? 9 : 3;
    o->tile[CONV_SIGNED] = 4;
    char flags[128]; /* -w: nobody would read a warning, and some drivers print it */
    (void)snprintf(flags, sizeof flags,
                   "-w -DFN_CONV_TILE=%d -DFN_TAIL_TILE=%d -DFN_SIGNED_TILE=%d%s", o->tile[CONV],
                   o->tile[CONV_TAIL], o->tile[CONV_SIGNED], info->is_cpu ? " -DFN_WIDE" : "");
    return fn_cl_build(o->cl, source, flags, options->cache_dir, err);
}

/* Buffers of the whole engine, and those arguments of the kernels that never change. */
struct resident {
    int weights, channels, layers, ones, sums;
};

static fn_status make_buffers(struct ndrange *o, const struct fn_pack *pack, struct resident *r,
                              struct fn_error *err) {
    const struct fn_network *network = &o->model->network;
    size_t head_channels = 1, batch = (size_t)o->max_batch;
    for (int i = 0; i < network->n_layers; i++)
        if (network->layers[i].op == FN_OP_HEAD)
            head_channels = (size_t)network->layers[i].in_channels;
    int16_t ones[2 * FN_LANES];
    for (size_t i = 0; i < sizeof ones / sizeof ones[0]; i++) ones[i] = 1;
    const struct {
        size_t size;
        const void *bytes;
        int *ret_buffer;
    } buffers[] = {
        {(size_t)o->plan.arena_size, NULL, &o->arena},
        {pack->weights_size + 1, pack->weights, &r->weights},
        {(pack->n_channels + 1) * sizeof *pack->channels, pack->channels, &r->channels},
        {sizeof pack->layers, pack->layers, &r->layers},
        {sizeof ones, ones, &r->ones},
        {batch * (head_channels + FN_LANES) * sizeof(int32_t), NULL, &r->sums},
        {batch * ((size_t)network->embedding_size + FN_LANES) * sizeof(int32_t), NULL,
         &o->accumulators},
    };
    fn_status status = FN_OK;
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0] && status == FN_OK; i++)
        status = fn_cl_buffer(o->cl, buffers[i].size, buffers[i].bytes, buffers[i].ret_buffer, err);
    return status;
}

static fn_status set_buffers(struct ndrange *o, int kernel, const struct resident *r,
                             struct fn_error *err) {
    const struct {
        int argument, buffer;
    } arguments[] = {
        {kernel_table[kernel].arena, o->arena},       {kernel_table[kernel].weights, r->weights},
        {kernel_table[kernel].channels, r->channels}, {kernel_table[kernel].layers, r->layers},
        {kernel_table[kernel].sums, r->sums},
    };
    fn_status status = FN_OK;
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0] && status == FN_OK; i++)
        if (arguments[i].argument >= 0)
            status = fn_cl_set_buffer(o->cl, o->kernels[kernel], arguments[i].argument,
                                      arguments[i].buffer, err);
    if (status == FN_OK && kernel == HEAD)
        status = fn_cl_set_buffer(o->cl, o->kernels[HEAD], HEAD_ACCUMULATOR, o->accumulators, err);
    if (kernel > CONV_SIGNED) return status;
    if (status == FN_OK)
        status = fn_cl_set_buffer(o->cl, o->kernels[kernel], CONV_ONES, r->ones, err);
    if (status == FN_OK) status = fn_cl_set_int(o->cl, o->kernels[kernel], CONV_ALL, -1, err);
    return status;
}

static fn_status move_to_device(struct ndrange *o, struct fn_error *err) {
    struct fn_pack *pack = NULL;
    struct resident resident = {0};
    fn_status status = fn_pack_make(o->model, &o->plan, &pack, err);
    if (status != FN_OK) return status;
    status = make_buffers(o, pack, &resident, err);
    fn_pack_free(pack);
    for (int i = 0; i < N_KERNELS && status == FN_OK; i++) {
        status = fn_cl_kernel(o->cl, kernel_table[i].name, &o->kernels[i], err);
        if (status == FN_OK) status = set_buffers(o, i, &resident, err);
    }
    return status;
}

static fn_status allocate(struct ndrange *o, bool profile, struct fn_error *err) {
    const struct fn_network *network = &o->model->network;
    size_t batch = (size_t)o->max_batch;
    o->staging = calloc(batch, (size_t)o->plan.picture[0]);
    o->blocks = calloc(batch, ((size_t)network->embedding_size + FN_LANES) * sizeof *o->blocks);
    if (profile) o->seconds = calloc(FN_MAX_LAYERS, sizeof *o->seconds);
    if (o->staging && o->blocks && (o->seconds || !profile)) return FN_OK;
    return fn_fail(err, FN_NO_MEMORY, "no memory for a batch of %d", o->max_batch);
}

/* ---- running ---- */

/* Which convolution kernel, and how many tiles each of its work-items gets. */
struct split {
    enum kernel kernel;
    int64_t n_tiles, tiles_per_item;
};

static int64_t divide_up(int64_t value, int64_t by) {
    return (value + by - 1) / by;
}

static enum kernel choose_conv(const struct ndrange *o, const struct fn_layer *layer,
                               int64_t pixels) {
    if (o->model->network.tensors[layer->input].is_signed) return CONV_SIGNED;
    int64_t conv = divide_up(pixels, o->tile[CONV]) * o->tile[CONV];
    int64_t tail = divide_up(pixels, o->tile[CONV_TAIL]) * o->tile[CONV_TAIL];
    return 8 * tail < 7 * conv ? CONV_TAIL : CONV; /* a reason to leave CONV, not just a tie */
}

static struct split split_conv(const struct ndrange *o, const struct fn_layer *layer, int n) {
    const struct fn_tensor *out = &o->model->network.tensors[layer->output];
    int64_t pixels = (int64_t)n * out->height * out->width;
    struct split split = {.kernel = choose_conv(o, layer, pixels)};
    int64_t tile = o->tile[split.kernel];
    split.n_tiles = divide_up(pixels, tile);
    int64_t items = (int64_t)ITEMS_PER_UNIT * fn_cl_info(o->cl)->compute_units;
    int64_t spans = divide_up(items, count_blocks(layer->out_channels));
    int64_t fits =
        ITEM_INPUT_SIZE / (tile * layer->stride * layer->stride * o->plan.pitch[layer->input]);
    int64_t most = split.n_tiles / spans;
    if (most > fits) most = fits;
    split.tiles_per_item = most < 1 ? 1 : most;
    return split;
}

static fn_status launch(struct ndrange *o, enum kernel kernel, int index, size_t width,
                        size_t height, struct fn_error *err) {
    const size_t global[2] = {width, height};
    fn_status status =
        fn_cl_set_int(o->cl, o->kernels[kernel], kernel_table[kernel].layer, index, err);
    return status == FN_OK ? fn_cl_launch(o->cl, o->kernels[kernel], global,
                                          o->seconds ? &o->seconds[index] : NULL, err)
                           : status;
}

static fn_status launch_conv(struct ndrange *o, int index, int n, struct fn_error *err) {
    const struct fn_layer *layer = &o->model->network.layers[index];
    struct split split = split_conv(o, layer, n);
    int kernel = o->kernels[split.kernel];
    fn_status status = fn_cl_set_int(o->cl, kernel, CONV_PICTURES, n, err);
    if (status == FN_OK)
        status = fn_cl_set_int(o->cl, kernel, CONV_TILES, (int)split.tiles_per_item, err);
    if (status != FN_OK) return status;
    return launch(o, split.kernel, index, (size_t)count_blocks(layer->out_channels),
                  (size_t)divide_up(split.n_tiles, split.tiles_per_item), err);
}

static fn_status launch_layer(struct ndrange *o, int index, int n, struct fn_error *err) {
    const struct fn_layer *layer = &o->model->network.layers[index];
    const struct fn_tensor *tensors = o->model->network.tensors;
    size_t pictures = (size_t)n;
    size_t in_blocks = (size_t)count_blocks(tensors[layer->input].channels);
    fn_status status;
    switch (layer->op) {
    case FN_OP_CONV:
        return launch_conv(o, index, n, err);
    case FN_OP_POOL:
        return launch(o, POOL, index, pictures * (size_t)tensors[layer->output].height, in_blocks,
                      err);
    case FN_OP_HEAD:
        status = launch(o, HEAD_SUM, index, pictures, in_blocks, err);
        if (status != FN_OK) return status;
        return launch(o, HEAD, index, pictures, (size_t)count_blocks(layer->out_channels), err);
    }
    return fn_fail(err, FN_INTERNAL, "layer '%s' is of no known kind", layer->name);
}

/* Pixels of tensor 0 from their channels to the arena's pitch; the bytes between stay zero. */
static fn_status write_input(struct ndrange *o, const int8_t *input, int n, struct fn_error *err) {
    size_t channels = (size_t)o->model->network.tensors[0].channels;
    size_t pitch = (size_t)o->plan.pitch[0], size = (size_t)n * (size_t)o->plan.picture[0];
    for (size_t from = 0, to = 0; to < size; from += channels, to += pitch)
        for (size_t c = 0; c < channels; c++) o->staging[to + c] = input[from + c];
    return fn_cl_write(o->cl, o->arena, (size_t)o->plan.offset[0], o->staging, size, err);
}

static fn_status read_accumulators(struct ndrange *o, int n, int32_t *ret_accumulators,
                                   struct fn_error *err) {
    size_t size = (size_t)o->model->network.embedding_size;
    size_t pitch = (size_t)count_blocks((int)size) * FN_LANES;
    fn_status status = fn_cl_read(o->cl, o->accumulators, 0, o->blocks,
                                  (size_t)n * pitch * sizeof *o->blocks, err);
    for (size_t i = 0; i < (size_t)n && status == FN_OK; i++)
        memcpy(ret_accumulators + i * size, o->blocks + i * pitch, size * sizeof *o->blocks);
    return status;
}

static fn_status ndrange_run(void *state, const int8_t *input, int n, int32_t *ret_accumulators,
                             struct fn_error *err) {
    struct ndrange *o = state;
    if (o->seconds) memset(o->seconds, 0, FN_MAX_LAYERS * sizeof *o->seconds);
    fn_status status = write_input(o, input, n, err);
    for (int i = 0; i < o->model->network.n_layers && status == FN_OK; i++)
        status = launch_layer(o, i, n, err);
    if (status == FN_OK && ret_accumulators && o->model->network.embedding_size > 0)
        return read_accumulators(o, n, ret_accumulators, err);
    return status == FN_OK ? fn_cl_finish(o->cl, err) : status;
}

/* One run of an empty picture: compilers that finish their work at the first launch do it now, and
 * a device that cannot run the kernels fails here and not at the first request. */
static fn_status warm_up(struct ndrange *o, struct fn_error *err) {
    FN_CLEANUP_FREE int8_t *input = calloc(fn_tensor_size(&o->model->network.tensors[0]), 1);
    if (!input) return fn_fail(err, FN_NO_MEMORY, "no memory for a first run");
    return ndrange_run(o, input, 1, NULL, err);
}

static const char *refuse_nothing(const struct fn_cl_info *info) {
    (void)info;
    return NULL;
}

static fn_status ndrange_open(const struct fn_family *family, const struct fn_model *model,
                              const struct fn_engine_options *options, struct fn_cl *cl,
                              void **ret_state, struct fn_error *err) {
    (void)family;
    FN_CLEANUP(ndrange_close) struct ndrange *o = calloc(1, sizeof *o);
    if (!o) return fn_fail(err, FN_NO_MEMORY, "no memory for the OpenCL engine");
    o->model = model;
    o->cl = cl;
    o->max_batch = options->max_batch;
    fn_status status =
        fn_plan_make(&model->network, options->max_batch, options->keep_tensors, &o->plan, err);
    if (status == FN_OK) status = allocate(o, options->profile, err);
    if (status == FN_OK) status = build_program(o, options, err);
    if (status == FN_OK) status = move_to_device(o, err);
    if (status == FN_OK) status = warm_up(o, err);
    if (status != FN_OK) return status;
    fn_cl_store_program(o->cl, options->cache_dir);
    *ret_state = FN_TAKE(o);
    return FN_OK;
}

static fn_status ndrange_read_tensor(void *state, int tensor, int picture, int8_t *ret_values,
                                     struct fn_error *err) {
    struct ndrange *o = state;
    size_t channels = (size_t)o->model->network.tensors[tensor].channels;
    size_t pitch = (size_t)o->plan.pitch[tensor], size = (size_t)o->plan.picture[tensor];
    FN_CLEANUP_FREE int8_t *padded = malloc(size);
    if (!padded) return fn_fail(err, FN_NO_MEMORY, "no memory to read a tensor");
    fn_status status =
        fn_cl_read(o->cl, o->arena, (size_t)o->plan.offset[tensor] + (size_t)picture * size, padded,
                   size, err);
    for (size_t from = 0, to = 0; from < size && status == FN_OK; from += pitch, to += channels)
        memcpy(ret_values + to, padded + from, channels);
    return status;
}

static const double *ndrange_profile(const void *state) {
    const struct ndrange *o = state;
    return o->seconds;
}

const struct fn_family fn_family_generic = {
    .name = "generic",
    .refuse = refuse_nothing,
    .open = ndrange_open,
    .run = ndrange_run,
    .read_tensor = ndrange_read_tensor,
    .profile = ndrange_profile,
    .close = ndrange_close,
};
