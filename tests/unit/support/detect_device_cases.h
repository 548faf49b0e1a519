/* SPDX-License-Identifier: Apache-2.0
 *
 * detect_device_cases.h -- the detector's networks on an OpenCL device, held against the CPU's to
 * the bit. A test of another device than the machine's first names it in TEST_DEVICE before. */
#ifndef FN_TESTS_DETECT_DEVICE_CASES_H
#define FN_TESTS_DETECT_DEVICE_CASES_H

#include <stdlib.h>
#include <string.h>

#include "engine/detect/nets.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/detector_weights.h"

#ifndef TEST_DEVICE
#define TEST_DEVICE "auto"
#endif

/* Random weights, or the published ones; skipped without those, or without the device. */
static inline struct fn_model_draft *draft_for_device(bool published) {
    struct fn_model_draft *draft = detector_draft(published);
    if (!draft) skip();
    return draft;
}

/* The device of the test; without it the test is skipped, and the caller's draft freed. */
static inline void open_nets(struct fn_model_draft *draft, struct fn_nets *ret_nets,
                             struct fn_net_device **ret_device) {
    const struct fn_detector_place place = {.device = TEST_DEVICE};
    struct fn_error err = {0};
    assert_ok(fn_nets_open(fn_conv_kernels_choose(), &draft->detector, ret_nets, &err), err);
    fn_status status = fn_net_device_open(&place, &ret_nets->pnet, &ret_nets->rnet, &ret_nets->onet,
                                          ret_device, &err);
    if (status == FN_NO_DEVICE) {
        fn_nets_done(ret_nets);
        fn_model_draft_free(draft);
        skip();
    }
    assert_ok(status, err);
}

/* Noise, upright. */
static inline struct fn_picture noise(int width, int height) {
    size_t size = (size_t)3 * (size_t)width * (size_t)height;
    struct fn_picture picture = {.width = width,
                                 .height = height,
                                 .full_width = width,
                                 .full_height = height,
                                 .rgb = malloc(size)};
    assert_non_null(picture.rgb);
    fn_prng_fill(&random_numbers, picture.rgb, size);
    return picture;
}

/* Every output of the first network over a picture of this size. */
static inline void compare_level(const struct fn_nets *nets, struct fn_net_device *device,
                                 int width, int height) {
    struct fn_picture picture = noise(width, height);
    struct fn_candidates candidates[2] = {{.limit = 4096}, {.limit = 4096}};
    struct fn_pnet_rows rows = {0};
    struct fn_device_desk desk = {0};
    struct fn_error err = {0};
    for (int i = 0; i < 2; i++)
        candidates[i].items = calloc(2 * candidates[i].limit, sizeof *candidates[i].items);
    assert_ok(fn_pnet_run(&nets->pnet, &picture, 1, -INFINITY, &rows, &candidates[0], &err), err);
    assert_ok(fn_pnet_run_on(device, &picture, 1, -INFINITY, &desk, &candidates[1], &err), err);
    assert_true(candidates[0].found > 0);
    assert_int_equal(candidates[0].found, candidates[1].found);
    assert_int_equal(candidates[0].n, candidates[1].n);
    assert_memory_equal(candidates[0].items, candidates[1].items,
                        candidates[0].n * sizeof *candidates[0].items);
    for (int i = 0; i < 2; i++) free(candidates[i].items);
    fn_pnet_rows_done(&rows);
    fn_device_desk_done(&desk);
    free(picture.rgb);
}

/* n pieces by the second or third network; some reach beyond the picture. */
static inline void compare_pieces(const struct fn_nets *nets, struct fn_net_device *device,
                                  enum fn_mtcnn_net net, size_t n) {
    const struct fn_refiner *refiner = net == FN_RNET ? &nets->rnet : &nets->onet;
    size_t width = (size_t)refiner->head.out_channels;
    struct fn_picture picture = noise(70, 50);
    struct fn_rect pieces[FN_REFINE_BATCH];
    struct fn_refine_maps maps;
    struct fn_device_desk desk = {0};
    struct fn_error err = {0};
    for (size_t i = 0; i < n; i++) {
        int side = 1 + random_below(60);
        pieces[i] =
            (struct fn_rect){random_below(70) - side / 2, random_below(50) - side / 2, side, side};
    }
    assert_ok(fn_refine_maps_new(&maps, &err), err);
    assert_ok(fn_refiner_run(refiner, &picture, pieces, n, &maps, &err), err);
    assert_ok(fn_refiner_run_on(device, net, &picture, pieces, n, &desk, &err), err);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(maps.out + i * width, desk.out + i * FN_NET_OUT,
                            width * sizeof *maps.out);
    fn_refine_maps_done(&maps);
    fn_device_desk_done(&desk);
    free(picture.rgb);
}

/* One tile and one piece of each network: small enough for an interpreter. */
static inline void every_network_computes_the_cpus_bits(void **state) {
    (void)state;
    struct fn_model_draft *draft = draft_for_device(false);
    struct fn_net_device *device = NULL;
    struct fn_nets nets;
    open_nets(draft, &nets, &device);
    compare_level(&nets, device, 19, 16);
    compare_pieces(&nets, device, FN_RNET, 2);
    compare_pieces(&nets, device, FN_ONET, 1);
    fn_net_device_close(device);
    fn_nets_done(&nets);
    fn_model_draft_free(draft);
}

#endif
