/* SPDX-License-Identifier: Apache-2.0
 *
 * nets.c -- see nets.h. The known-answer test goes through the very calls that detection makes,
 * with a level that is no whole number of tiles and pieces that reach beyond the picture. */
#include "engine/detect/nets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/prng.h"

#define TEST_WIDTH      157
#define TEST_HEIGHT     119
#define TEST_CANDIDATES 4096 /* outputs of the first network there: 74 * 55 */
#define TEST_SEED       UINT64_C(0x6d74636e6e)

fn_status fn_nets_open(const struct fn_conv_kernels *kernels,
                       const struct fn_mtcnn_weights *weights, struct fn_nets *ret_nets,
                       struct fn_error *err) {
    struct fn_nets nets = {.kernels = kernels};
    fn_status status = fn_pnet_open(weights, kernels, &nets.pnet, err);
    if (status == FN_OK) status = fn_refiner_open(weights, FN_RNET, kernels, &nets.rnet, err);
    if (status == FN_OK) status = fn_refiner_open(weights, FN_ONET, kernels, &nets.onet, err);
    if (status == FN_OK)
        *ret_nets = nets;
    else
        fn_nets_done(&nets);
    return status;
}

void fn_nets_done(struct fn_nets *nets) {
    fn_net_device_close(nets->device);
    fn_pnet_done(&nets->pnet);
    fn_refiner_done(&nets->rnet);
    fn_refiner_done(&nets->onet);
    *nets = (struct fn_nets){0};
}

const char *fn_nets_label(const struct fn_nets *nets) {
    return nets->device ? fn_net_device_label(nets->device) : nets->kernels->name;
}

fn_status fn_nets_desk_new(struct fn_nets_desk *ret_desk, struct fn_error *err) {
    return fn_refine_maps_new(&ret_desk->maps, err);
}

void fn_nets_desk_done(struct fn_nets_desk *desk) {
    fn_pnet_rows_done(&desk->rows);
    fn_refine_maps_done(&desk->maps);
    fn_device_desk_done(&desk->device);
}

/* ---- running -------------------------------------------------------------------------------- */

fn_status fn_nets_slide(const struct fn_nets *nets, struct fn_nets_desk *desk,
                        const struct fn_picture *picture, double scale, float threshold,
                        struct fn_candidates *candidates, struct fn_error *err) {
    if (nets->device)
        return fn_pnet_run_on(nets->device, picture, scale, threshold, &desk->device, candidates,
                              err);
    return fn_pnet_run(&nets->pnet, picture, scale, threshold, &desk->rows, candidates, err);
}

size_t fn_nets_batch(const struct fn_nets *nets, enum fn_mtcnn_net net) {
    return nets->device ? fn_net_batch(net) : FN_REFINE_BATCH;
}

fn_status fn_nets_look(const struct fn_nets *nets, enum fn_mtcnn_net net, struct fn_nets_desk *desk,
                       const struct fn_picture *picture, const struct fn_rect *pieces, size_t n,
                       const float **ret_out, size_t *ret_pitch, struct fn_error *err) {
    const struct fn_refiner *refiner = net == FN_RNET ? &nets->rnet : &nets->onet;
    fn_status status;
    if (nets->device) {
        status = fn_refiner_run_on(nets->device, net, picture, pieces, n, &desk->device, err);
        *ret_out = desk->device.out;
        *ret_pitch = FN_NET_OUT;
    } else {
        status = fn_refiner_run(refiner, picture, pieces, n, &desk->maps, err);
        *ret_out = desk->maps.out;
        *ret_pitch = (size_t)refiner->head.out_channels;
    }
    return status;
}

/* ---- the known-answer test ------------------------------------------------------------------ */

/* The CPU's answers beside the device's. */
struct test {
    const struct fn_nets *sides[2]; /* without the device, and with it */
    struct fn_nets_desk desk;
    struct fn_picture picture;
    struct fn_candidates candidates[2];
};

static fn_status tell_difference(const struct test *test, const char *network,
                                 struct fn_error *err) {
    return fn_fail(err, FN_DEVICE_FAILED,
                   "%s computes other numbers than the CPU in the face detector's %s: it cannot be "
                   "used to find faces",
                   fn_nets_label(test->sides[1]), network);
}

static fn_status compare_slides(struct test *test, double scale, struct fn_error *err) {
    struct fn_candidates *cpu = &test->candidates[0], *device = &test->candidates[1];
    for (int i = 0; i < 2; i++) {
        test->candidates[i].n = test->candidates[i].found = 0;
        fn_status status = fn_nets_slide(test->sides[i], &test->desk, &test->picture, scale,
                                         -INFINITY, &test->candidates[i], err);
        if (status != FN_OK) return status;
    }
    if (cpu->n == device->n && memcmp(cpu->items, device->items, cpu->n * sizeof *cpu->items) == 0)
        return FN_OK;
    return tell_difference(test, "first network", err);
}

/* Pieces of many sizes all over the picture, and beyond its edges. */
static struct fn_rect choose_piece(struct fn_prng *prng) {
    int side = 3 + (int)(fn_prng_next(prng) % 90);
    return (struct fn_rect){(int)(fn_prng_next(prng) % TEST_WIDTH) - side / 2,
                            (int)(fn_prng_next(prng) % TEST_HEIGHT) - side / 2, side, side};
}

static fn_status compare_looks(struct test *test, enum fn_mtcnn_net net, struct fn_prng *prng,
                               struct fn_error *err) {
    struct fn_rect pieces[FN_NET_MOST];
    size_t n = fn_net_batch(net), pitch[2];
    const float *out[2] = {NULL, NULL};
    for (size_t i = 0; i < n; i++) pieces[i] = choose_piece(prng);
    fn_status status = fn_nets_look(test->sides[1], net, &test->desk, &test->picture, pieces, n,
                                    &out[1], &pitch[1], err);
    for (size_t first = 0; first < n && status == FN_OK; first += FN_REFINE_BATCH) {
        size_t some = n - first < FN_REFINE_BATCH ? n - first : FN_REFINE_BATCH;
        status = fn_nets_look(test->sides[0], net, &test->desk, &test->picture, pieces + first,
                              some, &out[0], &pitch[0], err);
        for (size_t i = 0; i < some && status == FN_OK; i++)
            if (memcmp(out[0] + i * pitch[0], out[1] + (first + i) * pitch[1],
                       pitch[0] * sizeof(float)) != 0)
                return tell_difference(test, net == FN_RNET ? "second network" : "third network",
                                       err);
    }
    return status;
}

static fn_status run_test(struct test *test, struct fn_error *err) {
    struct fn_prng prng = {TEST_SEED};
    size_t size = (size_t)3 * TEST_WIDTH * TEST_HEIGHT;
    test->picture = (struct fn_picture){.width = TEST_WIDTH,
                                        .height = TEST_HEIGHT,
                                        .full_width = TEST_WIDTH,
                                        .full_height = TEST_HEIGHT,
                                        .rgb = malloc(size)};
    for (int i = 0; i < 2; i++) {
        test->candidates[i].limit = TEST_CANDIDATES;
        test->candidates[i].items =
            calloc((size_t)2 * TEST_CANDIDATES, sizeof *test->candidates[i].items);
    }
    if (!test->picture.rgb || !test->candidates[0].items || !test->candidates[1].items)
        return fn_fail(err, FN_NO_MEMORY, "no memory to test the detector's device");
    fn_prng_fill(&prng, test->picture.rgb, size);
    fn_status status = fn_nets_desk_new(&test->desk, err);
    if (status == FN_OK) status = compare_slides(test, 1, err);
    if (status == FN_OK) status = compare_slides(test, 0.5, err);
    if (status == FN_OK) status = compare_looks(test, FN_RNET, &prng, err);
    if (status == FN_OK) status = compare_looks(test, FN_ONET, &prng, err);
    return status;
}

fn_status fn_nets_move(struct fn_nets *nets, const struct fn_detector_place *place,
                       struct fn_error *err) {
    struct fn_nets moved = *nets;
    fn_status status =
        fn_net_device_open(place, &nets->pnet, &nets->rnet, &nets->onet, &moved.device, err);
    if (status != FN_OK) return status;
    struct test test = {.sides = {nets, &moved}};
    status = run_test(&test, err);
    fn_nets_desk_done(&test.desk);
    free(test.picture.rgb);
    for (int i = 0; i < 2; i++) free(test.candidates[i].items);
    if (status == FN_OK) {
        fn_net_device_keep(moved.device);
        nets->device = moved.device;
    } else {
        fn_net_device_close(moved.device);
    }
    return status;
}
