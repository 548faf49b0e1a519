/* SPDX-License-Identifier: Apache-2.0
 *
 * device.c -- see device.h. All numbers of all layers lie in one buffer, in the layout in which
 * conv.h packs them; the maps of a batch go to and fro between two. Everything that calls OpenCL is
 * in the errand's thread, on copies of its own. */
#include "engine/detect/device.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/clock.h"
#include "engine/errand.h"
#include "engine/opencl/builder.h"
#include "engine/opencl/cl.h"
#include "engine/opencl/kernel_text.h"
#include "kernels/detect_params.h"

#define MAX_LAYERS (FN_MTCNN_NETS * (FN_REFINE_MAX_CONVS + 2))
#define TILE_MAP   (FN_NET_TILE_SIDE - 2) /* the first map of a tile, and the pooled one */
#define TILE_POOL  (TILE_MAP / 2)

/* The largest map of any batch is a few megabytes. */
static const struct {
    size_t side, batch, outputs;
} nets[FN_MTCNN_NETS] = {
    [FN_PNET] = {FN_NET_TILE_SIDE, FN_NET_TILES, (size_t)FN_NET_TILE_CELLS *FN_NET_TILE_CELLS},
    [FN_RNET] = {24, FN_NET_MOST, 1},
    [FN_ONET] = {48, 16, 1},
};

enum kernel { CONVOLVE, POOL, N_KERNELS };
enum buffer { NUMBERS, LAYERS, LIMITS, PIECES, MAP_A, MAP_B, N_BUFFERS };

enum job { OPEN = 1, RUN, KEEP, CLOSE };

#define OPEN_PATIENCE_NS  (300 * FN_NS_PER_S) /* compilers of kernels take minutes */
#define CLOSE_PATIENCE_NS (10 * FN_NS_PER_S)

/* The thread's while a job is in work. */
struct work {
    struct fn_cl *cl;                                     /* owned */
    char *device_name, *kernel_dir, *cache_dir, *builder; /* owned; of the place */
    float *numbers; /* [n_vectors][FN_DETECT_LANES], owned, for the device */
    size_t n_vectors;
    int kernels[N_KERNELS], buffers[N_BUFFERS];
    int first[FN_MTCNN_NETS + 1]; /* layer of each network */
    struct fn_detect_layer layers[MAX_LAYERS];
    char label[300];
    /* What is to be computed, and the outputs: room for the largest batch. */
    enum fn_mtcnn_net net;
    size_t n;
    float *pieces, *out; /* owned */
    struct fn_net_limit limits[FN_NET_MOST];
};

struct fn_net_device {
    pthread_mutex_t lock; /* guards everything below after opening */
    struct fn_errand *errand;
    struct work *work; /* the errand's */
    int64_t patience_ns, later_patience_ns;
    char label[300];
};

FN_DEFINE_CLEANUP(struct fn_net_device *, fn_net_device_close)

/* ---- layers --------------------------------------------------------------------------------- */

/* A network's layers, one after the other. */
struct plan {
    struct work *work;
    const struct fn_conv *convs[MAX_LAYERS]; /* borrowed */
    int n;                                   /* layers so far, of all networks */
    int pitch;                               /* of the map that the next layer reads */
    int vectors;                             /* of numbers so far */
};

static void add_layer(struct plan *plan, const struct fn_conv *conv, struct fn_detect_layer shape) {
    shape.window = conv->kernel_h;
    shape.in_channels = conv->run / conv->kernel_h;
    shape.in_pitch = plan->pitch;
    shape.blocks = conv->n_blocks;
    shape.numbers = plan->vectors;
    plan->convs[plan->n] = conv;
    plan->work->layers[plan->n++] = shape;
    plan->pitch = shape.blocks * FN_DETECT_LANES;
    plan->vectors += shape.blocks * (conv->kernel_h * conv->run + 2);
}

static void begin_net(struct plan *plan, enum fn_mtcnn_net net) {
    plan->work->first[net] = plan->n;
    plan->pitch = 3;
}

static void add_pnet(struct plan *plan, const struct fn_pnet *pnet) {
    begin_net(plan, FN_PNET);
    add_layer(plan, &pnet->conv1,
              (struct fn_detect_layer){.in_side = FN_NET_TILE_SIDE,
                                       .out_side = TILE_MAP,
                                       .pool_window = 2,
                                       .pooled_side = TILE_POOL});
    add_layer(plan, &pnet->conv2,
              (struct fn_detect_layer){.in_side = TILE_POOL, .out_side = TILE_POOL - 2});
    add_layer(plan, &pnet->conv3,
              (struct fn_detect_layer){.in_side = TILE_POOL - 2, .out_side = FN_NET_TILE_CELLS});
    add_layer(
        plan, &pnet->head,
        (struct fn_detect_layer){.in_side = FN_NET_TILE_CELLS, .out_side = FN_NET_TILE_CELLS});
}

static void add_refiner(struct plan *plan, enum fn_mtcnn_net net,
                        const struct fn_refiner *refiner) {
    int side = refiner->side;
    begin_net(plan, net);
    for (int i = 0; i < refiner->n_stages; i++) {
        const struct fn_refine_stage *stage = &refiner->stages[i];
        side = stage->pool_window > 0 ? stage->pooled_side : stage->out_side;
        add_layer(plan, &stage->conv,
                  (struct fn_detect_layer){.in_side = stage->in_side,
                                           .out_side = stage->out_side,
                                           .pool_window = stage->pool_window,
                                           .pooled_side = stage->pooled_side});
    }
    add_layer(plan, &refiner->full, (struct fn_detect_layer){.in_side = side, .out_side = 1});
    add_layer(plan, &refiner->head, (struct fn_detect_layer){.in_side = 1, .out_side = 1});
}

static size_t count_vectors(const struct fn_detect_layer *l) {
    return (size_t)l->blocks * ((size_t)(l->window * l->window * l->in_channels) + 2);
}

/* Floats of the largest map of a full batch. */
static size_t measure_maps(const struct work *work) {
    size_t most = 0;
    for (int net = 0; net < FN_MTCNN_NETS; net++)
        for (int i = work->first[net]; i < work->first[net + 1]; i++) {
            const struct fn_detect_layer *l = &work->layers[i];
            size_t pixels = (size_t)l->out_side * (size_t)l->out_side;
            size_t floats = nets[net].batch * pixels * (size_t)l->blocks * FN_DETECT_LANES;
            if (floats > most) most = floats;
        }
    return most;
}

static size_t piece_floats(enum fn_mtcnn_net net) {
    return 3 * nets[net].side * nets[net].side;
}

static size_t out_floats(enum fn_mtcnn_net net) {
    return nets[net].outputs * FN_NET_OUT;
}

/* Of the largest batch of any network. */
static size_t most_floats(size_t (*of_one)(enum fn_mtcnn_net)) {
    size_t most = 1;
    for (int net = 0; net < FN_MTCNN_NETS; net++) {
        size_t floats = nets[net].batch * of_one((enum fn_mtcnn_net)net);
        if (floats > most) most = floats;
    }
    return most;
}

/* The networks as the device will have them. False without memory. */
static bool plan_layers(struct work *work, const struct fn_pnet *pnet,
                        const struct fn_refiner *rnet, const struct fn_refiner *onet) {
    struct plan plan = {.work = work};
    add_pnet(&plan, pnet);
    add_refiner(&plan, FN_RNET, rnet);
    add_refiner(&plan, FN_ONET, onet);
    work->first[FN_MTCNN_NETS] = plan.n;
    work->n_vectors = (size_t)plan.vectors;
    work->numbers = calloc(work->n_vectors, FN_DETECT_LANES * sizeof *work->numbers);
    if (!work->numbers) return false;
    for (int i = 0; i < plan.n; i++) {
        const struct fn_detect_layer *l = &work->layers[i];
        /* weights, bias and alpha are one allocation of a fn_conv */
        memcpy(work->numbers + (size_t)l->numbers * FN_DETECT_LANES, plan.convs[i]->weights,
               count_vectors(l) * FN_DETECT_LANES * sizeof *work->numbers);
    }
    return true;
}

/* ---- opening, in the thread ----------------------------------------------------------------- */

static fn_status make_buffers(struct work *work, struct fn_error *err) {
    size_t map = measure_maps(work) * sizeof(float);
    size_t numbers = work->n_vectors * FN_DETECT_LANES * sizeof(float);
    size_t layers = (size_t)work->first[FN_MTCNN_NETS] * sizeof work->layers[0];
    const struct {
        enum buffer buffer;
        size_t size;
        const void *bytes;
    } wanted[] = {
        {NUMBERS, numbers, work->numbers},
        {LAYERS, layers, work->layers},
        {LIMITS, sizeof work->limits, NULL},
        {PIECES, most_floats(piece_floats) * sizeof(float), NULL},
        {MAP_A, map, NULL},
        {MAP_B, map, NULL},
    };
    fn_status status = FN_OK;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0] && status == FN_OK; i++)
        status = fn_cl_buffer(work->cl, wanted[i].size, wanted[i].bytes,
                              &work->buffers[wanted[i].buffer], err);
    free(FN_TAKE(work->numbers));
    return status;
}

static fn_status build_program(const struct fn_detector_place *place, struct fn_cl *cl,
                               struct fn_error *err) {
    FN_CLEANUP_FREE char *source = NULL;
    char flags[80];
    const struct fn_engine_options options = {.device = place->device,
                                              .kernel_dir = place->kernel_dir,
                                              .cache_dir = place->cache_dir,
                                              .builder = place->builder};
    /* 8 times 16 sums are a quarter of AVX-512's registers, 4 times 16 a half of AVX2's. */
    (void)snprintf(flags, sizeof flags, "-w -DFN_DETECT_TILE=%d",
                   fn_cl_info(cl)->vector_ints >= 16 ? 8 : 4);
    fn_status status = fn_kernel_text(place->kernel_dir, "detect.cl", &source, err);
    if (status != FN_OK) return status;
    return fn_builder_build(&options, FN_DETECTOR_FAMILY, cl, source, flags, err);
}

fn_status fn_detector_build_kernels(const struct fn_detector_place *place, struct fn_error *err) {
    struct fn_cl *cl = NULL;
    fn_status status = fn_cl_open(place->device, false, &cl, err);
    if (status == FN_OK) status = build_program(place, cl, err);
    if (status == FN_OK) fn_cl_store_program(cl, place->cache_dir);
    fn_cl_close(cl);
    return status;
}

static fn_status build(struct work *work, struct fn_error *err) {
    const struct fn_detector_place place = {.device = work->device_name,
                                            .kernel_dir = work->kernel_dir,
                                            .cache_dir = work->cache_dir,
                                            .builder = work->builder};
    fn_status status = build_program(&place, work->cl, err);
    if (status == FN_OK) status = fn_cl_kernel(work->cl, "convolve", &work->kernels[CONVOLVE], err);
    if (status == FN_OK) status = fn_cl_kernel(work->cl, "pool", &work->kernels[POOL], err);
    return status;
}

static fn_status open_work(struct work *work, struct fn_error *err) {
    fn_status status = fn_cl_open(work->device_name, false, &work->cl, err);
    if (status != FN_OK) return status;
    const struct fn_cl_info *info = fn_cl_info(work->cl);
    if (!info->is_ieee754)
        return fn_fail(err, FN_NO_DEVICE,
                       "%s rounds or flushes floats otherwise than the CPU: it would find other "
                       "faces",
                       info->device);
    (void)snprintf(work->label, sizeof work->label, "opencl:%s", info->device);
    status = build(work, err);
    return status == FN_OK ? make_buffers(work, err) : status;
}

/* ---- running, in the thread ------------------------------------------------------------------ */

struct argument {
    bool is_buffer;
    int value; /* a buffer's handle, or the number itself */
};

static fn_status launch(struct work *work, enum kernel kernel, const struct argument *arguments,
                        int n_arguments, size_t n_items, struct fn_error *err) {
    int handle = work->kernels[kernel];
    fn_status status = FN_OK;
    for (int i = 0; i < n_arguments && status == FN_OK; i++)
        status = arguments[i].is_buffer
                     ? fn_cl_set_buffer(work->cl, handle, i, arguments[i].value, err)
                     : fn_cl_set_int(work->cl, handle, i, arguments[i].value, err);
    return status == FN_OK ? fn_cl_launch(work->cl, handle, n_items, NULL, err) : status;
}

/* *map: the buffer that the layer reads, and then the one that it wrote. */
static fn_status run_layer(struct work *work, int layer, size_t n, int *map, struct fn_error *err) {
    const struct fn_detect_layer *l = &work->layers[layer];
    const int *buffers = work->buffers;
    int to = *map == buffers[MAP_A] ? buffers[MAP_B] : buffers[MAP_A];
    size_t outputs = n * (size_t)l->out_side * (size_t)l->out_side;
    const struct argument convolve[] = {{true, buffers[NUMBERS]},
                                        {true, buffers[LAYERS]},
                                        {false, layer},
                                        {false, (int)n},
                                        {true, *map},
                                        {true, to}};
    fn_status status =
        launch(work, CONVOLVE, convolve, 6,
               (outputs + FN_DETECT_CHUNK - 1) / FN_DETECT_CHUNK * (size_t)l->blocks, err);
    *map = to;
    if (status != FN_OK || l->pool_window == 0) return status;
    to = *map == buffers[MAP_A] ? buffers[MAP_B] : buffers[MAP_A];
    const struct argument pool[] = {
        {true, buffers[LAYERS]}, {false, layer}, {true, buffers[LIMITS]}, {true, *map}, {true, to}};
    *map = to;
    return launch(work, POOL, pool, 5, n * (size_t)l->pooled_side * (size_t)l->blocks, err);
}

static fn_status run_net(struct work *work, struct fn_error *err) {
    size_t n = work->n, size = n * piece_floats(work->net) * sizeof(float);
    int map = work->buffers[PIECES];
    fn_status status = fn_cl_write(work->cl, work->buffers[LIMITS], 0, work->limits,
                                   n * sizeof work->limits[0], err);
    if (status == FN_OK) status = fn_cl_write(work->cl, map, 0, work->pieces, size, err);
    for (int i = work->first[work->net]; i < work->first[work->net + 1] && status == FN_OK; i++)
        status = run_layer(work, i, n, &map, err);
    if (status == FN_OK)
        status =
            fn_cl_read(work->cl, map, 0, work->out, n * out_floats(work->net) * sizeof(float), err);
    return status;
}

static fn_status do_job(void *context, int job, struct fn_error *err) {
    struct work *work = context;
    switch ((enum job)job) {
    case OPEN:
        return open_work(work, err);
    case RUN:
        return run_net(work, err);
    case KEEP:
        fn_cl_store_program(work->cl, work->cache_dir);
        return FN_OK;
    case CLOSE:
        fn_cl_close(FN_TAKE(work->cl));
        return FN_OK;
    }
    return fn_fail(err, FN_INTERNAL, "no such job");
}

static void free_work(void *context) {
    struct work *work = context;
    fn_cl_close(work->cl);
    free(work->device_name);
    free(work->kernel_dir);
    free(work->cache_dir);
    free(work->builder);
    free(work->numbers);
    free(work->pieces);
    free(work->out);
    free(work);
}

/* ---- for those who ask ---------------------------------------------------------------------- */

static bool copy_string(const char *string, char **ret_copy) {
    *ret_copy = string ? strdup(string) : NULL;
    return !string || *ret_copy;
}

static struct work *make_work(const struct fn_detector_place *place, const struct fn_pnet *pnet,
                              const struct fn_refiner *rnet, const struct fn_refiner *onet) {
    struct work *work = calloc(1, sizeof *work);
    if (!work) return NULL;
    work->pieces = calloc(most_floats(piece_floats), sizeof *work->pieces);
    work->out = calloc(most_floats(out_floats), sizeof *work->out);
    if (work->pieces && work->out && copy_string(place->device, &work->device_name) &&
        copy_string(place->kernel_dir, &work->kernel_dir) &&
        copy_string(place->cache_dir, &work->cache_dir) &&
        copy_string(place->builder, &work->builder) && plan_layers(work, pnet, rnet, onet))
        return work;
    free_work(work);
    return NULL;
}

fn_status fn_net_device_open(const struct fn_detector_place *place, const struct fn_pnet *pnet,
                             const struct fn_refiner *rnet, const struct fn_refiner *onet,
                             struct fn_net_device **ret_device, struct fn_error *err) {
    FN_CLEANUP(fn_net_device_close) struct fn_net_device *device = calloc(1, sizeof *device);
    if (!device) return fn_fail(err, FN_NO_MEMORY, "no memory for the detector's device");
    (void)pthread_mutex_init(&device->lock, NULL);
    device->patience_ns = place->patience_ms ? OPEN_PATIENCE_NS : FN_ERRAND_FOREVER;
    device->later_patience_ns =
        place->patience_ms ? place->patience_ms * FN_NS_PER_MS : FN_ERRAND_FOREVER;
    struct work *work = make_work(place, pnet, rnet, onet);
    if (!work) return fn_fail(err, FN_NO_MEMORY, "no memory for the detector's device");
    fn_status status = fn_errand_new(work, do_job, free_work, NULL, &device->errand, err);
    if (status != FN_OK) {
        free_work(work);
        return status;
    }
    device->work = work;
    status = fn_errand_ask(device->errand, OPEN, device->patience_ns, err);
    if (status != FN_OK) return status;
    (void)snprintf(device->label, sizeof device->label, "%s", work->label);
    *ret_device = FN_TAKE(device);
    return FN_OK;
}

void fn_net_device_close(struct fn_net_device *device) {
    if (!device) return;
    (void)fn_errand_close(device->errand, CLOSE, CLOSE_PATIENCE_NS);
    pthread_mutex_destroy(&device->lock);
    free(device);
}

void fn_net_device_keep(struct fn_net_device *device) {
    struct fn_error unused; /* whoever asks a device that hangs now will hear of it */
    if (fn_errand_ask(device->errand, KEEP, device->patience_ns, &unused) == FN_OK)
        device->patience_ns = device->later_patience_ns;
}

const char *fn_net_device_label(const struct fn_net_device *device) {
    return device->label;
}

size_t fn_net_side(enum fn_mtcnn_net net) {
    return nets[net].side;
}

size_t fn_net_batch(enum fn_mtcnn_net net) {
    return nets[net].batch;
}

size_t fn_net_outputs(enum fn_mtcnn_net net) {
    return nets[net].outputs;
}

fn_status fn_net_device_run(struct fn_net_device *device, enum fn_mtcnn_net net,
                            const float *pieces, const struct fn_net_limit *limits, size_t n,
                            float *ret_out, struct fn_error *err) {
    struct work *work = device->work;
    pthread_mutex_lock(&device->lock);
    if (!fn_errand_is_stuck(device->errand)) {
        work->net = net;
        work->n = n;
        memcpy(work->pieces, pieces, n * piece_floats(net) * sizeof *pieces);
        for (size_t i = 0; i < n; i++)
            work->limits[i] = limits ? limits[i] : (struct fn_net_limit){INT32_MAX, INT32_MAX};
    }
    fn_status status = fn_errand_ask(device->errand, RUN, device->patience_ns, err);
    if (status == FN_OK) memcpy(ret_out, work->out, n * out_floats(net) * sizeof *ret_out);
    pthread_mutex_unlock(&device->lock);
    return status;
}
