/* SPDX-License-Identifier: Apache-2.0
 *
 * device.c -- see device.h. All numbers of all layers lie in one buffer, in the layout in which
 * conv.h packs them; the maps of a batch go to and fro between two. */
#include "engine/detect/device.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
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

struct fn_net_device {
    pthread_mutex_t lock; /* guards everything below after opening */
    struct fn_cl *cl;     /* owned */
    int kernels[N_KERNELS], buffers[N_BUFFERS];
    int first[FN_MTCNN_NETS + 1]; /* layer of each network */
    struct fn_detect_layer layers[MAX_LAYERS];
    const struct fn_conv *convs[MAX_LAYERS]; /* borrowed while opening */
    char label[300];
};

FN_DEFINE_CLEANUP(struct fn_net_device *, fn_net_device_close)

/* ---- layers --------------------------------------------------------------------------------- */

/* A network's layers, one after the other. */
struct plan {
    struct fn_net_device *device;
    int n;       /* layers so far, of all networks */
    int pitch;   /* of the map that the next layer reads */
    int vectors; /* of numbers so far */
};

static void add_layer(struct plan *plan, const struct fn_conv *conv, struct fn_detect_layer shape) {
    shape.window = conv->kernel_h;
    shape.in_channels = conv->run / conv->kernel_h;
    shape.in_pitch = plan->pitch;
    shape.blocks = conv->n_blocks;
    shape.numbers = plan->vectors;
    plan->device->convs[plan->n] = conv;
    plan->device->layers[plan->n++] = shape;
    plan->pitch = shape.blocks * FN_DETECT_LANES;
    plan->vectors += shape.blocks * (conv->kernel_h * conv->run + 2);
}

static void begin_net(struct plan *plan, enum fn_mtcnn_net net) {
    plan->device->first[net] = plan->n;
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
static size_t measure_maps(const struct fn_net_device *device) {
    size_t most = 0;
    for (int net = 0; net < FN_MTCNN_NETS; net++)
        for (int i = device->first[net]; i < device->first[net + 1]; i++) {
            const struct fn_detect_layer *l = &device->layers[i];
            size_t pixels = (size_t)l->out_side * (size_t)l->out_side;
            size_t floats = nets[net].batch * pixels * (size_t)l->blocks * FN_DETECT_LANES;
            if (floats > most) most = floats;
        }
    return most;
}

/* ---- opening -------------------------------------------------------------------------------- */

static fn_status write_numbers(struct fn_net_device *device, struct fn_error *err) {
    const struct fn_detect_layer *last = &device->layers[device->first[FN_MTCNN_NETS] - 1];
    size_t vector = FN_DETECT_LANES * sizeof(float);
    size_t size = ((size_t)last->numbers + count_vectors(last)) * vector;
    fn_status status = fn_cl_buffer(device->cl, size, NULL, &device->buffers[NUMBERS], err);
    for (int i = 0; i < device->first[FN_MTCNN_NETS] && status == FN_OK; i++) {
        const struct fn_detect_layer *l = &device->layers[i];
        /* weights, bias and alpha are one allocation of a fn_conv */
        status = fn_cl_write(device->cl, device->buffers[NUMBERS], (size_t)l->numbers * vector,
                             device->convs[i]->weights, count_vectors(l) * vector, err);
    }
    return status;
}

static fn_status make_buffers(struct fn_net_device *device, struct fn_error *err) {
    size_t pieces = 0, map = measure_maps(device) * sizeof(float);
    int *buffers = device->buffers;
    for (int net = 0; net < FN_MTCNN_NETS; net++) {
        size_t floats = 3 * nets[net].batch * nets[net].side * nets[net].side;
        if (floats > pieces) pieces = floats;
    }
    size_t n_layers = (size_t)device->first[FN_MTCNN_NETS];
    fn_status status = write_numbers(device, err);
    if (status == FN_OK)
        status = fn_cl_buffer(device->cl, n_layers * sizeof device->layers[0], device->layers,
                              &buffers[LAYERS], err);
    if (status == FN_OK)
        status = fn_cl_buffer(device->cl, FN_NET_MOST * sizeof(struct fn_net_limit), NULL,
                              &buffers[LIMITS], err);
    if (status == FN_OK)
        status = fn_cl_buffer(device->cl, pieces * sizeof(float), NULL, &buffers[PIECES], err);
    if (status == FN_OK) status = fn_cl_buffer(device->cl, map, NULL, &buffers[MAP_A], err);
    if (status == FN_OK) status = fn_cl_buffer(device->cl, map, NULL, &buffers[MAP_B], err);
    return status;
}

static fn_status build(struct fn_net_device *device, const struct fn_detector_place *place,
                       struct fn_error *err) {
    FN_CLEANUP_FREE char *source = NULL;
    char flags[80];
    /* 8 times 16 sums are a quarter of AVX-512's registers, 4 times 16 a half of AVX2's. */
    (void)snprintf(flags, sizeof flags, "-w -DFN_DETECT_TILE=%d",
                   fn_cl_info(device->cl)->vector_ints >= 16 ? 8 : 4);
    fn_status status = fn_kernel_text(place->kernel_dir, "detect.cl", &source, err);
    if (status == FN_OK) status = fn_cl_build(device->cl, source, flags, place->cache_dir, err);
    if (status == FN_OK)
        status = fn_cl_kernel(device->cl, "convolve", &device->kernels[CONVOLVE], err);
    if (status == FN_OK) status = fn_cl_kernel(device->cl, "pool", &device->kernels[POOL], err);
    return status;
}

fn_status fn_net_device_open(const struct fn_detector_place *place, const struct fn_pnet *pnet,
                             const struct fn_refiner *rnet, const struct fn_refiner *onet,
                             struct fn_net_device **ret_device, struct fn_error *err) {
    FN_CLEANUP(fn_net_device_close) struct fn_net_device *device = calloc(1, sizeof *device);
    if (!device) return fn_fail(err, FN_NO_MEMORY, "no memory for the detector's device");
    (void)pthread_mutex_init(&device->lock, NULL);
    struct plan plan = {.device = device};
    add_pnet(&plan, pnet);
    add_refiner(&plan, FN_RNET, rnet);
    add_refiner(&plan, FN_ONET, onet);
    device->first[FN_MTCNN_NETS] = plan.n;
    fn_status status = fn_cl_open(place->device, false, &device->cl, err);
    if (status != FN_OK) return status;
    const struct fn_cl_info *info = fn_cl_info(device->cl);
    if (!info->is_ieee754)
        return fn_fail(err, FN_NO_DEVICE,
                       "%s rounds or flushes floats otherwise than the CPU: it would find other "
                       "faces",
                       info->device);
    (void)snprintf(device->label, sizeof device->label, "opencl:%s", info->device);
    status = build(device, place, err);
    if (status == FN_OK) status = make_buffers(device, err);
    if (status == FN_OK) *ret_device = FN_TAKE(device);
    return status;
}

void fn_net_device_close(struct fn_net_device *device) {
    if (!device) return;
    fn_cl_close(device->cl);
    pthread_mutex_destroy(&device->lock);
    free(device);
}

void fn_net_device_keep(struct fn_net_device *device, const char *cache_dir) {
    fn_cl_store_program(device->cl, cache_dir);
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

/* ---- running -------------------------------------------------------------------------------- */

struct argument {
    bool is_buffer;
    int value; /* a buffer's handle, or the number itself */
};

static fn_status launch(struct fn_net_device *device, enum kernel kernel,
                        const struct argument *arguments, int n_arguments, size_t n_items,
                        struct fn_error *err) {
    int handle = device->kernels[kernel];
    fn_status status = FN_OK;
    for (int i = 0; i < n_arguments && status == FN_OK; i++)
        status = arguments[i].is_buffer
                     ? fn_cl_set_buffer(device->cl, handle, i, arguments[i].value, err)
                     : fn_cl_set_int(device->cl, handle, i, arguments[i].value, err);
    return status == FN_OK ? fn_cl_launch(device->cl, handle, n_items, NULL, err) : status;
}

/* *map: the buffer that the layer reads, and then the one that it wrote. */
static fn_status run_layer(struct fn_net_device *device, int layer, size_t n, int *map,
                           struct fn_error *err) {
    const struct fn_detect_layer *l = &device->layers[layer];
    const int *buffers = device->buffers;
    int to = *map == buffers[MAP_A] ? buffers[MAP_B] : buffers[MAP_A];
    size_t outputs = n * (size_t)l->out_side * (size_t)l->out_side;
    const struct argument convolve[] = {{true, buffers[NUMBERS]},
                                        {true, buffers[LAYERS]},
                                        {false, layer},
                                        {false, (int)n},
                                        {true, *map},
                                        {true, to}};
    fn_status status =
        launch(device, CONVOLVE, convolve, 6,
               (outputs + FN_DETECT_CHUNK - 1) / FN_DETECT_CHUNK * (size_t)l->blocks, err);
    *map = to;
    if (status != FN_OK || l->pool_window == 0) return status;
    to = *map == buffers[MAP_A] ? buffers[MAP_B] : buffers[MAP_A];
    const struct argument pool[] = {
        {true, buffers[LAYERS]}, {false, layer}, {true, buffers[LIMITS]}, {true, *map}, {true, to}};
    *map = to;
    return launch(device, POOL, pool, 5, n * (size_t)l->pooled_side * (size_t)l->blocks, err);
}

static fn_status write_limits(struct fn_net_device *device, const struct fn_net_limit *limits,
                              size_t n, struct fn_error *err) {
    struct fn_net_limit whole[FN_NET_MOST];
    for (size_t i = 0; i < n; i++) whole[i] = (struct fn_net_limit){INT32_MAX, INT32_MAX};
    return fn_cl_write(device->cl, device->buffers[LIMITS], 0, limits ? limits : whole,
                       n * sizeof whole[0], err);
}

fn_status fn_net_device_run(struct fn_net_device *device, enum fn_mtcnn_net net,
                            const float *pieces, const struct fn_net_limit *limits, size_t n,
                            float *ret_out, struct fn_error *err) {
    size_t size = 3 * n * nets[net].side * nets[net].side * sizeof *pieces;
    int map = device->buffers[PIECES];
    pthread_mutex_lock(&device->lock);
    fn_status status = write_limits(device, limits, n, err);
    if (status == FN_OK) status = fn_cl_write(device->cl, map, 0, pieces, size, err);
    for (int i = device->first[net]; i < device->first[net + 1] && status == FN_OK; i++)
        status = run_layer(device, i, n, &map, err);
    if (status == FN_OK)
        status = fn_cl_read(device->cl, map, 0, ret_out,
                            n * nets[net].outputs * FN_NET_OUT * sizeof *ret_out, err);
    pthread_mutex_unlock(&device->lock);
    return status;
}
