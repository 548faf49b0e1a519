/* SPDX-License-Identifier: Apache-2.0
 *
 * ndrange.c -- the kernel families that are NDRanges of independent work-items: one launch a step
 * (schedule.h; two for the head) on one in-order queue.
 *
 * Everything a run needs is on the device from the start: an arena with all activations
 * (plan.h), the packed weights and one record of numbers a layer (pack.h). A batch is a copy of the
 * pictures in, the launches, and a copy of the accumulators out, all queued without waiting; so the
 * next batch may stand behind it in the queue, on the same arena, with host memory of its own. How
 * a launch is split into work-items depends on the batch and the device; the bits do not, as every
 * output value is computed by one work-item from integers whose sums no order can change. */
#include "engine/opencl/ndrange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/opencl/kernel_text.h"
#include "engine/opencl/pack.h"
#include "engine/opencl/plan.h"
#include "engine/opencl/split.h"

enum kernel { CONV, CONV_TAIL, CONV_NARROW, CONV_SIGNED, POOL, HEAD_SUM, HEAD, N_KERNELS };

/* Where each kernel's arguments are; -1: it has none such. */
static const struct {
    const char *name;
    int arena, weights, channels, layers, layer, sums;
} kernel_table[N_KERNELS] = {
    [CONV] = {"conv", 0, 1, 2, 3, -1, -1},
    [CONV_TAIL] = {"conv_tail", 0, 1, 2, 3, -1, -1},
    [CONV_NARROW] = {"conv_narrow", 0, 1, 2, 3, -1, -1},
    [CONV_SIGNED] = {"conv_signed", 0, 1, 2, 3, -1, -1},
    [POOL] = {"pool", 0, -1, -1, 1, 2, -1},
    [HEAD_SUM] = {"head_sum", 0, -1, -1, 1, 2, 3},
    [HEAD] = {"head", -1, 0, 1, 2, 3, 4},
};
#define CONV_ONES        4
#define CONV_ALL         5
#define CONV_MEMBERS     6
#define CONV_ENDS        7
#define CONV_SPANS       8
#define CONV_CHUNKS      9
#define CONV_PICTURES    10
#define CONV_ORDER       11
#define HEAD_ACCUMULATOR 5

struct ndrange {
    const struct fn_model *model; /* borrowed */
    struct fn_cl *cl;             /* borrowed */
    struct fn_ndrange_form form;
    struct fn_schedule schedule;
    struct fn_plan plan;
    struct fn_packing packing;
    int max_batch, n_slots;
    int tile[N_KERNELS];      /* pixels that a work-item of a convolution computes at once */
    int kinds[FN_MAX_LAYERS]; /* CONV, CONV_NARROW or CONV_SIGNED, by layer */
    int arena, accumulators;
    int kernels[N_KERNELS];
    /* By slot, the device's: pictures in the arena's pitch, accumulators as the device has them. */
    int8_t *staging[FN_MAX_SLOTS];
    int32_t *blocks[FN_MAX_SLOTS];
    double *seconds; /* owned: by layer, or NULL when not profiling */
};

void fn_ndrange_close(void *state) {
    struct ndrange *o = state;
    if (!o) return;
    free(o->seconds);
    free(o);
}
FN_DEFINE_CLEANUP(struct ndrange *, fn_ndrange_close)

/* ---- opening ---- */

/* Blocks of one work-item leave lanes idle where the channels are not a multiple of theirs. With
 * one block, each input is loaded for half the work, which costs a sixth of the speed. */
static bool is_narrow(const struct ndrange *o, const struct fn_layer *layer) {
    int wide = fn_divide_up(layer->out_channels, o->form.blocks * FN_LANES) * o->form.blocks;
    return 6 * wide > 7 * fn_divide_up(layer->out_channels, FN_LANES);
}

static void choose_kinds(struct ndrange *o) {
    const struct fn_network *network = &o->model->network;
    o->packing.ordered = o->form.ordered;
    o->packing.unsigned_inputs = o->form.unsigned_inputs;
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        o->kinds[i] = network->tensors[layer->input].is_signed ? CONV_SIGNED
                      : is_narrow(o, layer)                    ? CONV_NARROW
                                                               : CONV;
        bool one = o->kinds[i] == CONV_NARROW || layer->op == FN_OP_HEAD;
        o->packing.blocks[i] = one ? 1 : o->form.blocks;
    }
}

static fn_status build_program(struct ndrange *o, const struct fn_engine_options *options,
                               struct fn_error *err) {
    FN_CLEANUP_FREE char *source = NULL;
    fn_status status = fn_kernel_text(options->kernel_dir, "generic.cl", &source, err);
    if (status != FN_OK) return status;
    o->tile[CONV] = o->form.tile;
    o->tile[CONV_TAIL] = o->form.tail_tile;
    o->tile[CONV_NARROW] = o->form.narrow_tile;
    o->tile[CONV_SIGNED] = o->form.signed_tile;
    char flags[200]; /* -w: nobody would read a warning, and some drivers print it */
    (void)snprintf(flags, sizeof flags,
                   "-w %s -DFN_CONV_BLOCKS=%d -DFN_CONV_TILE=%d -DFN_TAIL_TILE=%d "
                   "-DFN_NARROW_TILE=%d -DFN_SIGNED_TILE=%d",
                   o->form.flags, o->form.blocks, o->form.tile, o->form.tail_tile,
                   o->form.narrow_tile, o->form.signed_tile);
    return fn_cl_build(o->cl, source, flags, options->cache_dir, err);
}

/* Buffers of the whole engine, and those arguments of the kernels that never change. */
struct resident {
    int weights, channels, layers, ones, order, sums;
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
        {(pack->n_order + 1) * sizeof *pack->order, pack->order, &r->order},
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
    if (status == FN_OK)
        status = fn_cl_set_buffer(o->cl, o->kernels[kernel], CONV_ORDER, r->order, err);
    if (status == FN_OK) status = fn_cl_set_int(o->cl, o->kernels[kernel], CONV_ALL, -1, err);
    return status;
}

static fn_status move_to_device(struct ndrange *o, struct fn_error *err) {
    struct fn_pack *pack = NULL;
    struct resident resident = {0};
    fn_status status = fn_pack_make(o->model, &o->plan, &o->packing, &pack, err);
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
    size_t batch = (size_t)o->max_batch, lead = (size_t)o->plan.gap[0] * (size_t)o->plan.pitch[0];
    size_t pictures = batch * (size_t)o->plan.picture[0] + lead + 1;
    size_t sums = batch * ((size_t)o->model->network.embedding_size + FN_LANES) * sizeof(int32_t);
    fn_status status = FN_OK;
    for (int i = 0; i < o->n_slots && status == FN_OK; i++) {
        void *staging, *blocks;
        status = fn_cl_host_memory(o->cl, pictures, &staging, err);
        if (status == FN_OK) status = fn_cl_host_memory(o->cl, sums, &blocks, err);
        if (status != FN_OK) break;
        o->staging[i] = staging;
        o->blocks[i] = blocks;
    }
    if (profile) o->seconds = calloc(FN_MAX_LAYERS, sizeof *o->seconds);
    if (status != FN_OK || o->seconds || !profile) return status;
    return fn_fail(err, FN_NO_MEMORY, "no memory for a profile");
}

/* ---- running ---- */

/* CONV_TAIL in place of CONV where that computes fewer pixels in vain, and not just as few. */
static enum kernel choose_conv(const struct ndrange *o, const struct fn_step *step, int n) {
    enum kernel kind = (enum kernel)o->kinds[step->layers[0]];
    int64_t conv = 0, tail = 0;
    for (int i = 0; i < step->n; i++) {
        conv += fn_split_tiles(&o->model->network, step->layers[i], o->tile[CONV], n);
        tail += fn_split_tiles(&o->model->network, step->layers[i], o->tile[CONV_TAIL], n);
    }
    return kind == CONV && 8 * tail * o->tile[CONV_TAIL] < 7 * conv * o->tile[CONV] ? CONV_TAIL
                                                                                    : kind;
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

/* A step's time goes to its first layer; share_profile() divides it. */
static fn_status launch_convs(struct ndrange *o, const struct fn_step *step, int n,
                              struct fn_error *err) {
    enum kernel chosen = choose_conv(o, step, n);
    const struct fn_split_facts facts = {.network = &o->model->network,
                                         .plan = &o->plan,
                                         .packing = &o->packing,
                                         .compute_units = fn_cl_info(o->cl)->compute_units};
    struct fn_split split;
    fn_split_step(&facts, step, o->tile[chosen], n, &split);
    int kernel = o->kernels[chosen];
    const size_t global[2] = {(size_t)split.n_items, 1};
    fn_status status = fn_cl_set_int4(o->cl, kernel, CONV_MEMBERS, split.members, err);
    if (status == FN_OK) status = fn_cl_set_int4(o->cl, kernel, CONV_ENDS, split.ends, err);
    if (status == FN_OK) status = fn_cl_set_int4(o->cl, kernel, CONV_SPANS, split.spans, err);
    if (status == FN_OK) status = fn_cl_set_int4(o->cl, kernel, CONV_CHUNKS, split.chunks, err);
    if (status == FN_OK) status = fn_cl_set_int(o->cl, kernel, CONV_PICTURES, n, err);
    if (status != FN_OK) return status;
    return fn_cl_launch(o->cl, kernel, global, o->seconds ? &o->seconds[step->layers[0]] : NULL,
                        err);
}

static fn_status launch_step(struct ndrange *o, const struct fn_step *step, int n,
                             struct fn_error *err) {
    int index = step->layers[0];
    const struct fn_layer *layer = &o->model->network.layers[index];
    const struct fn_tensor *tensors = o->model->network.tensors;
    size_t pictures = (size_t)n;
    size_t in_blocks = (size_t)fn_divide_up(tensors[layer->input].channels, FN_LANES);
    fn_status status;
    switch (layer->op) {
    case FN_OP_CONV:
        return launch_convs(o, step, n, err);
    case FN_OP_POOL:
        return launch(o, POOL, index, pictures * (size_t)tensors[layer->output].height, in_blocks,
                      err);
    case FN_OP_HEAD:
        status = launch(o, HEAD_SUM, index, pictures, in_blocks, err);
        if (status != FN_OK) return status;
        return launch(o, HEAD, index, pictures, (size_t)fn_divide_up(layer->out_channels, FN_LANES),
                      err);
    }
    return fn_fail(err, FN_INTERNAL, "layer '%s' is of no known kind", layer->name);
}

/* Layers that were launched together share the time by their arithmetic. */
static void share_profile(struct ndrange *o) {
    const struct fn_network *network = &o->model->network;
    for (int s = 0; s < o->schedule.n_steps; s++) {
        const struct fn_step *step = &o->schedule.steps[s];
        double seconds = o->seconds[step->layers[0]], macs = 0;
        for (int i = 0; i < step->n && step->n > 1; i++)
            macs += (double)fn_layer_macs(network, &network->layers[step->layers[i]]);
        for (int i = 0; i < step->n && step->n > 1; i++)
            o->seconds[step->layers[i]] =
                seconds * (double)fn_layer_macs(network, &network->layers[step->layers[i]]) / macs;
    }
}

/* Pixels of tensor 0 from their channels to the arena's pitch; the bytes between stay zero, and so
 * do the gaps, of which the first stands before the tensor. */
static fn_status write_input(struct ndrange *o, int slot, const int8_t *input, int n,
                             struct fn_error *err) {
    const struct fn_tensor *t = &o->model->network.tensors[0];
    size_t channels = (size_t)t->channels, width = (size_t)t->width,
           pitch = (size_t)o->plan.pitch[0];
    size_t row = (size_t)o->plan.row[0], rows = (size_t)n * (size_t)t->height;
    size_t lead = (size_t)o->plan.gap[0] * pitch;
    int task;
    for (size_t y = 0; y < rows; y++) {
        int8_t *to = o->staging[slot] + lead + y * row;
        for (size_t x = 0; x < width; x++, to += pitch, input += channels)
            for (size_t c = 0; c < channels; c++) to[c] = input[c];
    }
    return fn_cl_task_write(o->cl, FN_CL_FIRST_QUEUE, o->arena, (size_t)o->plan.offset[0] - lead,
                            o->staging[slot], lead + rows * row, &task, err);
}

static size_t accumulators_pitch(const struct ndrange *o) {
    return (size_t)fn_divide_up(o->model->network.embedding_size, FN_LANES) * FN_LANES;
}

static fn_status queue_batch(struct ndrange *o, int slot, const int8_t *input, int n,
                             struct fn_error *err) {
    size_t size = (size_t)n * accumulators_pitch(o) * sizeof **o->blocks;
    int task;
    fn_cl_begin(o->cl, slot);
    fn_status status = write_input(o, slot, input, n, err);
    for (int i = 0; i < o->schedule.n_steps && status == FN_OK; i++)
        status = launch_step(o, &o->schedule.steps[i], n, err);
    /* Of a network without a head too: to have something to wait for. */
    if (status == FN_OK)
        status = fn_cl_task_read(o->cl, FN_CL_FIRST_QUEUE, o->accumulators, 0, o->blocks[slot],
                                 size ? size : 1, NULL, 0, &task, err);
    return status == FN_OK ? fn_cl_flush(o->cl, err) : status;
}

int fn_ndrange_slots(const void *state) {
    const struct ndrange *o = state;
    return o->n_slots;
}

fn_status fn_ndrange_submit(void *state, int slot, const int8_t *input, int n,
                            struct fn_error *err) {
    struct ndrange *o = state;
    if (o->seconds) memset(o->seconds, 0, FN_MAX_LAYERS * sizeof *o->seconds);
    fn_status status = queue_batch(o, slot, input, n, err);
    if (o->seconds) share_profile(o);
    if (status == FN_OK) return FN_OK;
    fn_status unused =
        fn_cl_wait(o->cl, slot, 0, NULL); /* for what was queued before the failure */
    (void)unused;
    return status;
}

fn_status fn_ndrange_collect(void *state, int slot, int n, int32_t *ret_accumulators,
                             struct fn_error *err) {
    struct ndrange *o = state;
    size_t size = (size_t)o->model->network.embedding_size, pitch = accumulators_pitch(o);
    fn_status status = fn_cl_wait(o->cl, slot, 0, err);
    for (size_t i = 0; i < (size_t)n && ret_accumulators && status == FN_OK; i++)
        memcpy(ret_accumulators + i * size, o->blocks[slot] + i * pitch, size * sizeof **o->blocks);
    return status;
}

/* One run of an empty picture: compilers that finish their work at the first launch do it now, and
 * a device that cannot run the kernels fails here and not at the first request. */
static fn_status warm_up(struct ndrange *o, struct fn_error *err) {
    FN_CLEANUP_FREE int8_t *input = calloc(fn_tensor_size(&o->model->network.tensors[0]), 1);
    if (!input) return fn_fail(err, FN_NO_MEMORY, "no memory for a first run");
    fn_status status = fn_ndrange_submit(o, 0, input, 1, err);
    return status == FN_OK ? fn_ndrange_collect(o, 0, 1, NULL, err) : status;
}

/* 8 times 16 sums fit the 32 vector registers of AVX-512, 4 times the 16 of everything before. The
 * tail tiles go into the 9 positions of the last tensors. */
static struct fn_ndrange_form choose_form(const struct fn_cl_info *info) {
    bool large = info->is_cpu && info->vector_ints >= 16;
    return (struct fn_ndrange_form){.flags = info->is_cpu ? "-DFN_WIDE" : "",
                                    .blocks = 1,
                                    .tile = large ? 8 : 4,
                                    .tail_tile = large ? 9 : 3,
                                    .narrow_tile = 4,
                                    .signed_tile = 4};
}

static const char *refuse_nothing(const struct fn_cl_info *info) {
    (void)info;
    return NULL;
}

fn_status fn_ndrange_open(const struct fn_family *family, const struct fn_model *model,
                          const struct fn_engine_options *options, struct fn_cl *cl,
                          void **ret_state, struct fn_error *err) {
    const struct fn_ndrange_form *form = family->form;
    FN_CLEANUP(fn_ndrange_close) struct ndrange *o = calloc(1, sizeof *o);
    if (!o) return fn_fail(err, FN_NO_MEMORY, "no memory for the OpenCL engine");
    o->model = model;
    o->cl = cl;
    o->max_batch = options->max_batch;
    o->n_slots = options->slots;
    o->form = form ? *form : choose_form(fn_cl_info(cl));
    choose_kinds(o);
    fn_schedule_make(&model->network, o->kinds, &o->schedule);
    fn_status status = fn_plan_make(&model->network, &o->schedule, options->max_batch,
                                    options->keep_tensors, &o->plan, err);
    if (status == FN_OK) status = allocate(o, options->profile, err);
    if (status == FN_OK) status = build_program(o, options, err);
    if (status == FN_OK) status = move_to_device(o, err);
    if (status == FN_OK) status = warm_up(o, err);
    if (status != FN_OK) return status;
    fn_cl_store_program(o->cl, options->cache_dir);
    *ret_state = FN_TAKE(o);
    return FN_OK;
}

fn_status fn_ndrange_read_tensor(void *state, int tensor, int picture, int8_t *ret_values,
                                 struct fn_error *err) {
    struct ndrange *o = state;
    const struct fn_tensor *t = &o->model->network.tensors[tensor];
    size_t channels = (size_t)t->channels, row = (size_t)o->plan.row[tensor];
    size_t pitch = (size_t)o->plan.pitch[tensor], size = (size_t)o->plan.picture[tensor];
    FN_CLEANUP_FREE int8_t *padded = malloc(size);
    if (!padded) return fn_fail(err, FN_NO_MEMORY, "no memory to read a tensor");
    fn_status status =
        fn_cl_read(o->cl, o->arena, (size_t)o->plan.offset[tensor] + (size_t)picture * size, padded,
                   size, err);
    for (size_t y = 0; y < (size_t)t->height && status == FN_OK; y++)
        for (size_t x = 0; x < (size_t)t->width; x++, ret_values += channels)
            memcpy(ret_values, padded + y * row + x * pitch, channels);
    return status;
}

const double *fn_ndrange_profile(const void *state) {
    const struct ndrange *o = state;
    return o->seconds;
}

const struct fn_family fn_family_generic = {
    .name = "generic",
    .refuse = refuse_nothing,
    .open = fn_ndrange_open,
    .slots = fn_ndrange_slots,
    .submit = fn_ndrange_submit,
    .collect = fn_ndrange_collect,
    .read_tensor = fn_ndrange_read_tensor,
    .profile = fn_ndrange_profile,
    .close = fn_ndrange_close,
};
