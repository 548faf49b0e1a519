/* SPDX-License-Identifier: Apache-2.0
 *
 * ndrange.c -- the kernel families that are NDRanges of independent work-items, on one in-order
 * queue: one launch for all steps of a run (kernels/run.cl.h), or one a step.
 *
 * Everything a run needs is on the device from the start: an arena with all activations (plan.h),
 * the packed weights, one record of numbers a layer (pack.h) and one a step (split.h). A batch is a
 * copy of the pictures in, the launches, and a copy of the accumulators out, all queued without
 * waiting; so the next batch may stand behind it in the queue, on the same arena, with host memory
 * of its own. How a step is split into work-items depends on the batch and the device; the bits do
 * not, as every output value is computed by one work-item from integers whose sums no order can
 * change. */
#include "engine/opencl/ndrange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/opencl/builder.h"
#include "engine/opencl/compiler_pages.h"
#include "engine/opencl/kernel_text.h"
#include "engine/opencl/pack.h"
#include "engine/opencl/plan.h"
#include "engine/opencl/split.h"
#include "engine/opencl/winograd.h"

/* Of a launch a step, by its kind; Winograd's is for one launch alone. */
static const char *const step_kernels[FN_STEP_KINDS] = {
    [FN_STEP_CONV] = "conv",
    [FN_STEP_CONV_TAIL] = "conv_tail",
    [FN_STEP_CONV_NARROW] = "conv_narrow",
    [FN_STEP_CONV_SIGNED] = "conv_signed",
    [FN_STEP_CONV_SIGNED_NARROW] = "conv_signed_narrow",
    [FN_STEP_POOL] = "pool",
    [FN_STEP_HEAD_SUM] = "head_sum",
    [FN_STEP_HEAD] = "head",
};

/* Arguments of every kernel (FN_ARGUMENTS in generic.cl), and more of `run`. */
enum argument {
    ARENA,
    WEIGHTS,
    CHANNELS,
    LAYERS,
    ORDER,
    ONES,
    SUMS,
    ACCUMULATORS,
    STEPS,
    N_BUFFERS,
    ALL = N_BUFFERS,
    STEP,
    END,
    PROGRESS,
    RUN_STEPS,
    RUN_SHARES
};

struct ndrange {
    const struct fn_model *model; /* borrowed */
    struct fn_cl *cl;             /* borrowed */
    struct fn_ndrange_form form;
    struct fn_schedule schedule;
    struct fn_plan plan;
    struct fn_packing packing;
    int max_batch, max_shares, n_slots;
    int tile[FN_STEP_KINDS];  /* pixels that a work-item of a convolution computes at once */
    int kinds[FN_MAX_LAYERS]; /* FN_STEP_CONV, _NARROW, ... or FN_STEP_WINOGRAD, by layer */
    int buffers[N_BUFFERS], progress;
    int kernels[FN_STEP_KINDS];
    /* Of the batch that was submitted last: its pictures (0: the device's table is of none), the
     * shares they are divided into, the steps of each. */
    int n_pictures, n_shares, n_steps;
    size_t staging_size; /* of a share */
    /* By slot, the device's: pictures in the arena's pitch, [max_shares]; accumulators as the
     * device has them; steps, [n_shares][n_steps]. */
    int8_t *staging[FN_MAX_SLOTS];
    int32_t *blocks[FN_MAX_SLOTS];
    struct fn_step_params *steps[FN_MAX_SLOTS];
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

/* Shares of the largest batch: one a core. */
static int count_shares(const struct ndrange *o) {
    int shares = fn_cl_info(o->cl)->compute_units;
    if (shares > o->max_batch) shares = o->max_batch;
    return shares < FN_MAX_SHARES ? shares : FN_MAX_SHARES;
}

/* Pictures of the largest share. */
static int share_pictures(const struct ndrange *o) {
    return fn_divide_up(o->max_batch, o->max_shares);
}

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
        bool narrow = is_narrow(o, layer);
        if (network->tensors[layer->input].is_signed)
            o->kinds[i] = narrow ? FN_STEP_CONV_SIGNED_NARROW : FN_STEP_CONV_SIGNED;
        else
            o->kinds[i] = narrow ? FN_STEP_CONV_NARROW : FN_STEP_CONV;
        o->packing.winograd[i] = o->form.winograd && fn_winograd_suits(network, layer);
        if (o->packing.winograd[i]) o->kinds[i] = FN_STEP_WINOGRAD;
        bool one = o->packing.winograd[i] || narrow || layer->op == FN_OP_HEAD;
        o->packing.blocks[i] = one ? 1 : o->form.blocks;
    }
}

static fn_status build_program(const struct fn_ndrange_form *form, const char *family,
                               const struct fn_engine_options *options, struct fn_cl *cl,
                               struct fn_error *err) {
    FN_CLEANUP_FREE char *source = NULL;
    fn_status status = fn_kernel_text(options->kernel_dir, "generic.cl", &source, err);
    if (status != FN_OK) return status;
    char flags[200]; /* -w: nobody would read a warning, and some drivers print it */
    (void)snprintf(flags, sizeof flags,
                   "-w %s -DFN_CONV_BLOCKS=%d -DFN_CONV_TILE=%d -DFN_TAIL_TILE=%d "
                   "-DFN_NARROW_TILE=%d -DFN_SIGNED_TILE=%d",
                   form->flags, form->blocks, form->tile, form->tail_tile, form->narrow_tile,
                   form->signed_tile);
    return fn_builder_build(options, family, cl, source, flags, err);
}

/* Room for the steps of all shares. */
static size_t count_steps(const struct ndrange *o) {
    return (size_t)o->max_shares * FN_MAX_STEPS;
}

static fn_status make_buffers(struct ndrange *o, const struct fn_pack *pack, struct fn_error *err) {
    const struct fn_network *network = &o->model->network;
    size_t head_channels = 1, batch = (size_t)o->max_batch;
    size_t steps = count_steps(o);
    for (int i = 0; i < network->n_layers; i++)
        if (network->layers[i].op == FN_OP_HEAD)
            head_channels = (size_t)network->layers[i].in_channels;
    int16_t ones[2 * FN_LANES];
    for (size_t i = 0; i < sizeof ones / sizeof ones[0]; i++) ones[i] = 1;
    const struct {
        size_t size;
        const void *bytes;
    } buffers[N_BUFFERS] = {
        [ARENA] = {(size_t)o->max_shares * (size_t)o->plan.arena_size, NULL},
        [WEIGHTS] = {pack->weights_size + 1, pack->weights},
        [CHANNELS] = {(pack->n_channels + 1) * sizeof *pack->channels, pack->channels},
        [LAYERS] = {sizeof pack->layers, pack->layers},
        [ORDER] = {(pack->n_order + 1) * sizeof *pack->order, pack->order},
        [ONES] = {sizeof ones, ones},
        [SUMS] = {batch * (head_channels + FN_LANES) * sizeof(int32_t), NULL},
        [ACCUMULATORS] = {batch * ((size_t)network->embedding_size + FN_LANES) * sizeof(int32_t),
                          NULL},
        [STEPS] = {steps * sizeof **o->steps, NULL},
    };
    fn_status status = FN_OK;
    for (int i = 0; i < N_BUFFERS && status == FN_OK; i++)
        status = fn_cl_buffer(o->cl, buffers[i].size, buffers[i].bytes, &o->buffers[i], err);
    if (status != FN_OK || !o->form.one_launch) return status;
    return fn_cl_buffer(o->cl, steps * sizeof(struct fn_progress), NULL, &o->progress, err);
}

static fn_status make_kernel(struct ndrange *o, const char *name, int *ret_kernel,
                             struct fn_error *err) {
    int kernel = -1;
    fn_status status = fn_cl_kernel(o->cl, name, &kernel, err);
    for (int i = 0; i < N_BUFFERS && status == FN_OK; i++)
        status = fn_cl_set_buffer(o->cl, kernel, i, o->buffers[i], err);
    if (status == FN_OK) status = fn_cl_set_int(o->cl, kernel, ALL, -1, err);
    if (status == FN_OK && o->form.one_launch)
        status = fn_cl_set_buffer(o->cl, kernel, PROGRESS, o->progress, err);
    if (status == FN_OK) *ret_kernel = kernel;
    return status;
}

static fn_status move_to_device(struct ndrange *o, struct fn_error *err) {
    struct fn_pack *pack = NULL;
    fn_status status = fn_pack_make(o->model, &o->plan, &o->packing, &pack, err);
    if (status != FN_OK) return status;
    status = make_buffers(o, pack, err);
    fn_pack_free(pack);
    if (status != FN_OK) return status;
    if (o->form.one_launch) return make_kernel(o, "run", &o->kernels[0], err);
    for (int i = 0; i < FN_STEP_KINDS && status == FN_OK; i++)
        if (step_kernels[i]) status = make_kernel(o, step_kernels[i], &o->kernels[i], err);
    return status;
}

static fn_status allocate(struct ndrange *o, bool profile, struct fn_error *err) {
    size_t batch = (size_t)o->max_batch;
    size_t sums = batch * ((size_t)o->model->network.embedding_size + FN_LANES) * sizeof(int32_t);
    o->staging_size = (size_t)share_pictures(o) * (size_t)o->plan.picture[0] +
                      (size_t)o->plan.gap[0] * (size_t)o->plan.pitch[0] + 1;
    fn_status status = FN_OK;
    for (int i = 0; i < o->n_slots && status == FN_OK; i++) {
        void *staging, *blocks, *steps;
        status = fn_cl_host_memory(o->cl, (size_t)o->max_shares * o->staging_size, &staging, err);
        if (status == FN_OK) status = fn_cl_host_memory(o->cl, sums, &blocks, err);
        if (status == FN_OK)
            status = fn_cl_host_memory(o->cl, count_steps(o) * sizeof **o->steps, &steps, err);
        if (status != FN_OK) break;
        o->staging[i] = staging;
        o->blocks[i] = blocks;
        o->steps[i] = steps;
    }
    if (profile) o->seconds = calloc(FN_MAX_LAYERS, sizeof *o->seconds);
    if (status != FN_OK || o->seconds || !profile) return status;
    return fn_fail(err, FN_NO_MEMORY, "no memory for a profile");
}

/* ---- running ---- */

/* Make the table of steps for a batch of n pictures. */
static void make_steps(struct ndrange *o, int slot, int n) {
    const struct fn_split_facts facts = {.network = &o->model->network,
                                         .schedule = &o->schedule,
                                         .plan = &o->plan,
                                         .packing = &o->packing,
                                         .kinds = o->kinds,
                                         .tile = o->tile,
                                         .compute_units = fn_cl_info(o->cl)->compute_units,
                                         .n_shares = n < o->max_shares ? n : o->max_shares};
    o->n_shares = facts.n_shares;
    o->n_steps = fn_split_make(&facts, n, o->steps[slot]);
}

static fn_status send_steps(struct ndrange *o, int slot, struct fn_error *err) {
    int task;
    return fn_cl_task_write(o->cl, FN_CL_FIRST_QUEUE, o->buffers[STEPS], 0, o->steps[slot],
                            (size_t)o->n_shares * (size_t)o->n_steps * sizeof **o->steps, &task,
                            err);
}

/* A step's time goes to its first layer; share_profile() divides it. */
static double *time_of(const struct ndrange *o, const struct fn_step_params *step) {
    return o->seconds ? &o->seconds[step->members[0]] : NULL;
}

static fn_status launch_step(struct ndrange *o, const struct fn_step_params *steps, int step,
                             struct fn_error *err) {
    int kernel = o->kernels[steps[step].kind];
    fn_status status = fn_cl_set_int(o->cl, kernel, STEP, step, err);
    return status == FN_OK ? fn_cl_launch(o->cl, kernel, (size_t)steps[step].n_items,
                                          time_of(o, &steps[step]), err)
                           : status;
}

/* Steps from `step` up to `end`, shared out among the compute units. */
static fn_status launch_run(struct ndrange *o, int step, int end, double *add_seconds,
                            struct fn_error *err) {
    const struct {
        int argument, value;
    } arguments[] = {{STEP, step}, {END, end}, {RUN_STEPS, o->n_steps}, {RUN_SHARES, o->n_shares}};
    fn_status status = FN_OK;
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0] && status == FN_OK; i++)
        status =
            fn_cl_set_int(o->cl, o->kernels[0], arguments[i].argument, arguments[i].value, err);
    if (status != FN_OK) return status;
    return fn_cl_launch(o->cl, o->kernels[0], (size_t)fn_cl_info(o->cl)->compute_units, add_seconds,
                        err);
}

static fn_status launch_all(struct ndrange *o, const struct fn_step_params *steps,
                            struct fn_error *err) {
    fn_status status = FN_OK;
    size_t n_progress = (size_t)o->n_shares * (size_t)o->n_steps;
    if (o->form.one_launch)
        status = fn_cl_clear(o->cl, o->progress, n_progress * sizeof(struct fn_progress), err);
    if (o->form.one_launch && !o->seconds)
        return status == FN_OK ? launch_run(o, 0, o->n_steps, NULL, err) : status;
    for (int i = 0; i < o->n_steps && status == FN_OK; i++)
        status = o->form.one_launch ? launch_run(o, i, i + 1, time_of(o, &steps[i]), err)
                                    : launch_step(o, steps, i, err);
    return status;
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

/* One row of pixels from their channels to the arena's pitch. What fills a quad up may be anything,
 * so pixels of three channels, but for the last one, go four bytes at a time. */
static void stage_row(const int8_t *from, size_t channels, size_t width, size_t pitch,
                      int8_t *ret_row) {
    size_t x = 0;
    for (; channels == 3 && pitch == FN_QUAD && x + 1 < width; x++)
        memcpy(ret_row + FN_QUAD * x, from + 3 * x, FN_QUAD);
    for (; x < width; x++)
        for (size_t c = 0; c < channels; c++) ret_row[x * pitch + c] = from[x * channels + c];
}

/* Pixels of tensor 0 from their channels to the arena's pitch; gaps stay
 * zero, of which the first stands before the tensor. Returns where the next share's begin in
 * *input. */
static fn_status write_share(struct ndrange *o, int slot, int share, const int8_t **input,
                             struct fn_error *err) {
    int task;
    const struct fn_tensor *t = &o->model->network.tensors[0];
    size_t channels = (size_t)t->channels, width = (size_t)t->width,
           pitch = (size_t)o->plan.pitch[0];
    size_t n = (size_t)fn_split_pictures(o->n_pictures, o->n_shares, share);
    size_t row = (size_t)o->plan.row[0], rows = n * (size_t)t->height;
    size_t lead = (size_t)o->plan.gap[0] * pitch;
    int8_t *staging = o->staging[slot] + (size_t)share * o->staging_size;
    const int8_t *from = *input;
    for (size_t y = 0; y < rows; y++, from += width * channels)
        stage_row(from, channels, width, pitch, staging + lead + y * row);
    *input = from;
    size_t offset = (size_t)share * (size_t)o->plan.arena_size + (size_t)o->plan.offset[0] - lead;
    return fn_cl_task_write(o->cl, FN_CL_FIRST_QUEUE, o->buffers[ARENA], offset, staging,
                            lead + rows * row, &task, err);
}

static size_t accumulators_pitch(const struct ndrange *o) {
    return (size_t)fn_divide_up(o->model->network.embedding_size, FN_LANES) * FN_LANES;
}

static fn_status queue_batch(struct ndrange *o, int slot, const int8_t *input, int n,
                             struct fn_error *err) {
    size_t size = (size_t)n * accumulators_pitch(o) * sizeof **o->blocks;
    int task;
    bool table_stands = n == o->n_pictures;
    fn_cl_begin(o->cl, slot);
    make_steps(o, slot, n);
    o->n_pictures = n;
    fn_status status = FN_OK;
    for (int share = 0; share < o->n_shares && status == FN_OK; share++)
        status = write_share(o, slot, share, &input, err);
    if (status == FN_OK && !table_stands) status = send_steps(o, slot, err);
    if (status == FN_OK) status = launch_all(o, o->steps[slot], err);
    /* Of a network without a head too: to have something to wait for. */
    if (status == FN_OK)
        status = fn_cl_task_read(o->cl, FN_CL_FIRST_QUEUE, o->buffers[ACCUMULATORS], 0,
                                 o->blocks[slot], size ? size : 1, NULL, 0, &task, err);
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
    o->n_pictures = 0;
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

fn_status fn_ndrange_build(const struct fn_family *family, const struct fn_engine_options *options,
                           struct fn_cl *cl, struct fn_error *err) {
    const struct fn_ndrange_form *its = family->form;
    struct fn_ndrange_form form = its ? *its : fn_generic_form(fn_cl_info(cl));
    fn_status status = build_program(&form, family->name, options, cl, err);
    if (status == FN_OK) fn_cl_store_program(cl, options->cache_dir);
    return status;
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
    o->form = form ? *form : fn_generic_form(fn_cl_info(cl));
    o->max_shares = o->form.one_launch ? count_shares(o) : 1;
    o->tile[FN_STEP_CONV] = o->form.tile;
    o->tile[FN_STEP_CONV_TAIL] = o->form.tail_tile;
    o->tile[FN_STEP_CONV_NARROW] = o->form.narrow_tile;
    o->tile[FN_STEP_CONV_SIGNED] = o->form.signed_tile;
    o->tile[FN_STEP_CONV_SIGNED_NARROW] = o->form.narrow_tile;
    o->tile[FN_STEP_WINOGRAD] = FN_WINOGRAD_TILES;
    choose_kinds(o);
    fn_schedule_make(&model->network, o->kinds, &o->schedule);
    fn_status status =
        fn_plan_make(&model->network, &o->schedule, fn_divide_up(o->max_batch, o->max_shares),
                     options->keep_tensors, &o->plan, err);
    if (status == FN_OK && o->plan.arena_size > INT32_MAX / o->max_shares)
        status =
            fn_fail(err, FN_USAGE, "the activations of %d pictures exceed 2 GiB", o->max_batch);
    if (status == FN_OK) status = allocate(o, options->profile, err);
    if (status == FN_OK) status = build_program(&o->form, family->name, options, cl, err);
    if (status == FN_OK) status = move_to_device(o, err);
    if (status == FN_OK) status = warm_up(o, err);
    if (status != FN_OK) return status;
    fn_cl_store_program(o->cl, options->cache_dir);
    fn_compiler_pages_release();
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
    int share = 0;
    for (int n; picture >= (n = fn_split_pictures(o->n_pictures, o->n_shares, share)); share++)
        picture -= n;
    size_t offset = (size_t)share * (size_t)o->plan.arena_size + (size_t)o->plan.offset[tensor];
    fn_status status =
        fn_cl_read(o->cl, o->buffers[ARENA], offset + (size_t)picture * size, padded, size, err);
    for (size_t y = 0; y < (size_t)t->height && status == FN_OK; y++)
        for (size_t x = 0; x < (size_t)t->width; x++, ret_values += channels)
            memcpy(ret_values, padded + y * row + x * pitch, channels);
    return status;
}

const double *fn_ndrange_profile(const void *state) {
    const struct ndrange *o = state;
    return o->seconds;
}
