/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga.c -- the kernel families of kernels/fpga.cl: `fpga`, kernels that run at the same time
 * joined by FIFOs, on FPGA boards and on Intel's FPGA emulator; `fused-fpga`, the same stages in
 * one kernel, for devices that have no FIFOs, only when asked for: to test with.
 *
 * The program says what it was compiled for and everything is packed for that. Programming happens
 * once, at open. A picture is uploaded while the next one is laid out, and a batch's pictures while
 * the batch before it is computed. */
#include "engine/opencl/fpga_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/opencl/family.h"
#include "engine/opencl/fpga_pack.h"

#define DEFAULT_TIMEOUT_MS 60000

enum argument {
    NONE,
    ARENA, /* buffers first */
    LAYERS,
    WEIGHTS,
    NUMBERS,
    ACCUMULATORS,
    VECTOR_FIFO,
    SUM_FIFO,
    BYTE_FIFO,
    N_BUFFERS,
    PITCH = N_BUFFERS,
    PICTURES,
    FIRST,
    LAST,
    FIRST_BURST,
    END_BURST
};
#define MAX_ARGUMENTS 12

enum kernel { FETCH, WEIGH, ARRAY, FINISH, WRITE, N_KERNELS };

/* A kernel's arguments in their order. */
struct kernel_form {
    const char *name;
    enum argument arguments[MAX_ARGUMENTS];
};

static const struct kernel_form pipeline[N_KERNELS] = {
    [FETCH] = {"fn_fetch", {ARENA, LAYERS, PICTURES, FIRST, LAST}},
    [WEIGH] = {"fn_weigh", {WEIGHTS, FIRST_BURST, END_BURST}},
    [ARRAY] = {"fn_array", {LAYERS, PICTURES, FIRST, LAST}},
    [FINISH] = {"fn_finish", {ARENA, LAYERS, NUMBERS, ACCUMULATORS, PITCH, PICTURES, FIRST, LAST}},
    [WRITE] = {"fn_write", {ARENA, LAYERS, PICTURES, FIRST, LAST}},
};
static const struct kernel_form fused[1] = {
    {"fn_fused",
     {ARENA, LAYERS, WEIGHTS, NUMBERS, ACCUMULATORS, VECTOR_FIFO, SUM_FIFO, BYTE_FIFO, PITCH,
      PICTURES, FIRST, LAST}},
};

struct fpga {
    const struct fn_model *model; /* borrowed */
    struct fn_cl *cl;             /* borrowed */
    struct fn_fpga_sizes sizes;
    struct fn_fpga_layout *layout; /* owned */
    int max_batch, timeout_ms;
    int32_t accumulators_pitch;
    int32_t bursts[FN_MAX_LAYERS + 1]; /* of weights, before each layer */
    const struct kernel_form *forms;   /* static, [n_kernels] */
    int n_kernels;
    int kernels[N_KERNELS], queues[N_KERNELS];
    int buffers[N_BUFFERS]; /* those of slot 0 */
    int reads;              /* queue of the accumulators' copies */
    int n_slots;
    /* By slot. A batch's pictures are copied into an arena of its own while the batch before it is
     * computed in the other. */
    int arenas[FN_MAX_SLOTS], accumulators[FN_MAX_SLOTS];
    int8_t *staging[FN_MAX_SLOTS]; /* the device's: [max_batch] pictures as the device has them */
    int32_t *blocks[FN_MAX_SLOTS]; /* the device's: accumulators as the device has them */
};

static void fpga_close(void *state) {
    struct fpga *f = state;
    if (!f) return;
    /* Kernels in flight may wait for each other for ever: fn_cl_close() is to know. */
    fn_status unused = FN_OK;
    for (int i = 0; i < f->n_slots; i++) unused = fn_cl_wait(f->cl, i, f->timeout_ms, NULL);
    (void)unused;
    fn_fpga_layout_free(f->layout);
    free(f);
}
FN_DEFINE_CLEANUP(struct fpga *, fpga_close)

static size_t picture_size(const struct fpga *f, int tensor) {
    return (size_t)f->layout->picture[tensor] * FN_FPGA_BURST;
}

/* ---- opening ---- */

static fn_status make_buffers(struct fpga *f, const struct fn_fpga_pack *pack,
                              struct fn_error *err) {
    size_t fifo =
        f->sizes.form == FN_FPGA_FUSED ? 1 : 0; /* where there are FIFOs, none is needed */
    size_t lanes = (size_t)f->sizes.lane, batch = (size_t)f->max_batch;
    const struct {
        size_t size;
        const void *bytes;
    } buffers[N_BUFFERS] = {
        [ARENA] = {(size_t)f->layout->arena_size * FN_FPGA_BURST, NULL},
        [LAYERS] = {sizeof pack->layers, pack->layers},
        [WEIGHTS] = {pack->weights_size, pack->weights},
        [NUMBERS] = {pack->n_numbers * sizeof *pack->numbers, pack->numbers},
        [ACCUMULATORS] = {batch * (size_t)pack->accumulators_pitch * sizeof(int32_t), NULL},
        [VECTOR_FIFO] = {fifo * pack->max_vectors * (size_t)f->sizes.vec, NULL},
        [SUM_FIFO] = {fifo * pack->max_sums * lanes * sizeof(int32_t), NULL},
        [BYTE_FIFO] = {fifo * pack->max_sums * lanes, NULL},
    };
    fn_status status = FN_OK;
    for (int i = ARENA; i < N_BUFFERS && status == FN_OK; i++)
        if (buffers[i].size > 0)
            status = fn_cl_buffer(f->cl, buffers[i].size, buffers[i].bytes, &f->buffers[i], err);
    f->arenas[0] = f->buffers[ARENA];
    f->accumulators[0] = f->buffers[ACCUMULATORS];
    for (int i = 1; i < f->n_slots && status == FN_OK; i++) {
        status = fn_cl_buffer(f->cl, buffers[ARENA].size, NULL, &f->arenas[i], err);
        if (status == FN_OK)
            status =
                fn_cl_buffer(f->cl, buffers[ACCUMULATORS].size, NULL, &f->accumulators[i], err);
    }
    return status;
}

static int find_argument(const struct kernel_form *form, enum argument argument) {
    for (int i = 0; i < MAX_ARGUMENTS; i++)
        if (form->arguments[i] == argument) return i;
    return -1;
}

/* Set an int argument of a kernel, if it has such. */
static fn_status set_int(struct fpga *f, int kernel, enum argument argument, int value,
                         struct fn_error *err) {
    int index = find_argument(&f->forms[kernel], argument);
    return index < 0 ? FN_OK : fn_cl_set_int(f->cl, f->kernels[kernel], index, value, err);
}

static fn_status make_kernels(struct fpga *f, struct fn_error *err) {
    fn_status status = FN_OK;
    for (int i = 0; i < f->n_kernels && status == FN_OK; i++) {
        status = fn_cl_kernel(f->cl, f->forms[i].name, &f->kernels[i], err);
        if (status == FN_OK) status = fn_cl_add_queue(f->cl, &f->queues[i], err);
        for (int k = ARENA; k < N_BUFFERS && status == FN_OK; k++) {
            int index = find_argument(&f->forms[i], (enum argument)k);
            if (index >= 0)
                status = fn_cl_set_buffer(f->cl, f->kernels[i], index, f->buffers[k], err);
        }
        if (status == FN_OK) status = set_int(f, i, PITCH, f->accumulators_pitch, err);
    }
    return status;
}

static fn_status move_to_device(struct fpga *f, struct fn_error *err) {
    struct fn_fpga_pack *pack = NULL;
    fn_status status = fn_fpga_pack_make(f->model, f->layout, &f->sizes, f->max_batch, &pack, err);
    if (status != FN_OK) return status;
    f->accumulators_pitch = pack->accumulators_pitch;
    for (int i = 0; i < f->model->network.n_layers; i++) f->bursts[i] = pack->layers[i].weights;
    f->bursts[f->model->network.n_layers] = (int32_t)(pack->used_weights / FN_FPGA_BURST);
    status = make_buffers(f, pack, err);
    fn_fpga_pack_free(pack);
    if (status == FN_OK) status = make_kernels(f, err);
    if (status == FN_OK) status = fn_cl_add_queue(f->cl, &f->reads, err);
    if (status != FN_OK) return status;
    size_t batch = (size_t)f->max_batch, pitch = (size_t)f->accumulators_pitch;
    for (int i = 0; i < f->n_slots && status == FN_OK; i++) {
        void *staging, *blocks;
        status = fn_cl_host_memory(f->cl, batch * picture_size(f, 0), &staging, err);
        if (status == FN_OK)
            status = fn_cl_host_memory(f->cl, batch * pitch * sizeof **f->blocks, &blocks, err);
        if (status != FN_OK) break;
        f->staging[i] = staging;
        f->blocks[i] = blocks;
    }
    return status;
}

/* ---- running ---- */

/* Lay a picture out in its planes; the bytes between its channels stay zero. */
static void stage_picture(const struct fpga *f, const int8_t *input, int8_t *staging) {
    const struct fn_tensor *t = &f->model->network.tensors[0];
    for (int y = 0; y < t->height; y++)
        for (int x = 0; x < t->width; x++)
            for (int c = 0; c < t->channels; c++)
                staging[fn_fpga_byte(f->layout, &f->sizes, 0, y, x, c)] = *input++;
}

/* Queue each picture's upload as soon as it is laid out. */
static fn_status upload(struct fpga *f, int slot, const int8_t *input, int n, int *ret_task,
                        struct fn_error *err) {
    int8_t *staging = f->staging[slot];
    size_t from = fn_tensor_size(&f->model->network.tensors[0]), to = picture_size(f, 0);
    fn_status status = FN_OK;
    for (size_t i = 0; i < (size_t)n && status == FN_OK; i++) {
        stage_picture(f, input + i * from, staging + i * to);
        status = fn_cl_task_write(f->cl, FN_CL_FIRST_QUEUE, f->arenas[slot],
                                  (size_t)f->layout->offset[0] * FN_FPGA_BURST + i * to,
                                  staging + i * to, to, ret_task, err);
        if (status == FN_OK) status = fn_cl_flush(f->cl, err);
    }
    return status;
}

/* Queue kernel `i` for layers first...last - 1. */
static fn_status launch_one(struct fpga *f, int i, int n, int first, int last, const int *after,
                            int n_after, int *ret_task, struct fn_error *err) {
    fn_status status = set_int(f, i, PICTURES, n, err);
    if (status == FN_OK) status = set_int(f, i, FIRST, first, err);
    if (status == FN_OK) status = set_int(f, i, LAST, last, err);
    if (status == FN_OK) status = set_int(f, i, FIRST_BURST, f->bursts[first], err);
    if (status == FN_OK) status = set_int(f, i, END_BURST, f->bursts[last], err);
    return status == FN_OK
               ? fn_cl_task(f->cl, f->queues[i], f->kernels[i], after, n_after, ret_task, err)
               : status;
}

/* Queue all kernels for layers first...last - 1, after the tasks of `before` (those of the layer
 * before, or of the upload); leaves the tasks that the next launch must wait for there.
 *
 * Kernels that read no activations wait too. What was written through the first queue is certain to
 * be seen in another one only after an event of that queue: on Intel's emulator fn_array and
 * fn_write, begun without one, ran as for a layer table of zeros in about one of 600 first batches:
 * they ended, took no token, and the other kernels waited for ever. */
static fn_status launch(struct fpga *f, int n, int first, int last, int *before, int *n_before,
                        struct fn_error *err) {
    int tasks[N_KERNELS] = {0};
    fn_status status = FN_OK;
    for (int i = 0; i < f->n_kernels && status == FN_OK; i++)
        status = launch_one(f, i, n, first, last, before, *n_before, &tasks[i], err);
    memcpy(before, tasks, sizeof tasks);
    *n_before = f->n_kernels;
    return status;
}

/* Have every kernel work in a slot's arena. */
static fn_status choose_slot(struct fpga *f, int slot, struct fn_error *err) {
    fn_status status = FN_OK;
    for (int i = 0; i < f->n_kernels && f->n_slots > 1 && status == FN_OK; i++) {
        int arena = find_argument(&f->forms[i], ARENA);
        int accumulators = find_argument(&f->forms[i], ACCUMULATORS);
        if (arena >= 0)
            status = fn_cl_set_buffer(f->cl, f->kernels[i], arena, f->arenas[slot], err);
        if (accumulators >= 0 && status == FN_OK)
            status =
                fn_cl_set_buffer(f->cl, f->kernels[i], accumulators, f->accumulators[slot], err);
    }
    return status;
}

static fn_status queue_batch(struct fpga *f, int slot, const int8_t *input, int n,
                             struct fn_error *err) {
    int n_layers = f->model->network.n_layers;
    int step = f->sizes.form == FN_FPGA_PER_LAYER ? 1 : n_layers;
    int before[N_KERNELS] = {0}, n_before = 1, task;
    fn_status status = choose_slot(f, slot, err);
    if (status == FN_OK) status = upload(f, slot, input, n, &before[0], err);
    for (int i = 0; i < n_layers && status == FN_OK; i += step)
        status = launch(f, n, i, i + step, before, &n_before, err);
    if (status != FN_OK) return status;
    return fn_cl_task_read(f->cl, f->reads, f->accumulators[slot], 0, f->blocks[slot],
                           (size_t)n * (size_t)f->accumulators_pitch * sizeof **f->blocks, before,
                           n_before, &task, err);
}

static int fpga_slots(const void *state) {
    const struct fpga *f = state;
    return f->n_slots;
}

static fn_status fpga_submit(void *state, int slot, const int8_t *input, int n,
                             struct fn_error *err) {
    struct fpga *f = state;
    fn_cl_begin(f->cl, slot);
    fn_status status = queue_batch(f, slot, input, n, err);
    if (status == FN_OK) status = fn_cl_flush(f->cl, err);
    if (status == FN_OK) return FN_OK;
    /* What is left of a batch that could not be queued whole: its kernels wait for each other, so
     * the wait finds the device lost. */
    fn_status unused = fn_cl_wait(f->cl, slot, f->timeout_ms, NULL);
    (void)unused;
    return status;
}

static fn_status fpga_collect(void *state, int slot, int n, int32_t *ret_accumulators,
                              struct fn_error *err) {
    struct fpga *f = state;
    size_t size = (size_t)f->model->network.embedding_size;
    fn_status status = fn_cl_wait(f->cl, slot, f->timeout_ms, err);
    for (size_t i = 0; i < (size_t)n && ret_accumulators && status == FN_OK; i++)
        memcpy(ret_accumulators + i * size, f->blocks[slot] + i * (size_t)f->accumulators_pitch,
               size * sizeof **f->blocks);
    return status;
}

/* Each kernel alone, for no layer: whatever a runtime does at a kernel's first launch is done
 * before kernels run side by side. */
static fn_status touch_kernels(struct fpga *f, struct fn_error *err) {
    fn_status status = FN_OK;
    for (int i = 0, task; i < f->n_kernels && status == FN_OK; i++) {
        status = launch_one(f, i, 1, 0, 0, NULL, 0, &task, err);
        if (status == FN_OK) status = fn_cl_wait(f->cl, 0, f->timeout_ms, err);
    }
    return status;
}

/* One run of an empty picture: a device that cannot run the kernels fails here and not at the first
 * request. */
static fn_status warm_up(struct fpga *f, struct fn_error *err) {
    FN_CLEANUP_FREE int8_t *input = calloc(fn_tensor_size(&f->model->network.tensors[0]), 1);
    if (!input) return fn_fail(err, FN_NO_MEMORY, "no memory for a first run");
    fn_status status = fpga_submit(f, 0, input, 1, err);
    return status == FN_OK ? fpga_collect(f, 0, 1, NULL, err) : status;
}

static fn_status fpga_open(const struct fn_family *family, const struct fn_model *model,
                           const struct fn_engine_options *options, struct fn_cl *cl,
                           void **ret_state, struct fn_error *err) {
    FN_CLEANUP(fpga_close) struct fpga *f = calloc(1, sizeof *f);
    if (!f) return fn_fail(err, FN_NO_MEMORY, "no memory for the family %s", family->name);
    f->model = model;
    f->cl = cl;
    f->max_batch = options->max_batch;
    f->n_slots = options->slots;
    f->timeout_ms = options->device_timeout_ms ? options->device_timeout_ms : DEFAULT_TIMEOUT_MS;
    bool is_fused = family == &fn_family_fpga_fused;
    fn_status status = fn_fpga_program_open(cl, options, is_fused, f->timeout_ms, &f->sizes, err);
    if (status != FN_OK) return status;
    f->forms = is_fused ? fused : pipeline;
    f->n_kernels = is_fused ? 1 : N_KERNELS;
    status = fn_fpga_layout_make(&model->network, &f->sizes, options->max_batch,
                                 options->keep_tensors, &f->layout, err);
    if (status == FN_OK) status = move_to_device(f, err);
    if (status == FN_OK) status = touch_kernels(f, err);
    if (status == FN_OK) status = warm_up(f, err);
    if (status != FN_OK) return status;
    fn_cl_store_program(cl, options->cache_dir);
    *ret_state = FN_TAKE(f);
    return FN_OK;
}

static fn_status fpga_read_tensor(void *state, int tensor, int picture, int8_t *ret_values,
                                  struct fn_error *err) {
    struct fpga *f = state;
    const struct fn_tensor *t = &f->model->network.tensors[tensor];
    size_t size = picture_size(f, tensor);
    FN_CLEANUP_FREE int8_t *planes = malloc(size);
    if (!planes) return fn_fail(err, FN_NO_MEMORY, "no memory to read a tensor");
    fn_status status =
        fn_cl_read(f->cl, f->arenas[0], /* with keep_tensors there is one slot */
                   (size_t)f->layout->offset[tensor] * FN_FPGA_BURST + (size_t)picture * size,
                   planes, size, err);
    for (int y = 0; y < t->height && status == FN_OK; y++)
        for (int x = 0; x < t->width; x++)
            for (int c = 0; c < t->channels; c++)
                *ret_values++ = planes[fn_fpga_byte(f->layout, &f->sizes, tensor, y, x, c)];
    return status;
}

/* Layers overlap on the device: no layer has a time of its own. */
static const double *fpga_profile(const void *state) {
    (void)state;
    return NULL;
}

static const char *refuse_other_platforms(const struct fn_cl_info *info) {
    return fn_fpga_platform(info) == FN_FPGA_NOT_ONE ? "its platform is no FPGA platform" : NULL;
}

static const char *refuse_nothing(const struct fn_cl_info *info) {
    (void)info;
    return NULL;
}

const struct fn_family fn_family_fpga = {
    .name = "fpga",
    .is_final = true,
    .refuse = refuse_other_platforms,
    .open = fpga_open,
    .slots = fpga_slots,
    .submit = fpga_submit,
    .collect = fpga_collect,
    .read_tensor = fpga_read_tensor,
    .profile = fpga_profile,
    .close = fpga_close,
};

const struct fn_family fn_family_fpga_fused = {
    .name = "fused-fpga",
    .asked_only = true,
    .refuse = refuse_nothing,
    .open = fpga_open,
    .slots = fpga_slots,
    .submit = fpga_submit,
    .collect = fpga_collect,
    .read_tensor = fpga_read_tensor,
    .profile = fpga_profile,
    .close = fpga_close,
};
