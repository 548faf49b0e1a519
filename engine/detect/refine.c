/* SPDX-License-Identifier: Apache-2.0
 *
 * refine.c -- see refine.h. The layers of both networks are two rows of a table. */
#include "engine/detect/refine.h"

#include <stdlib.h>

/* A pool is SAME where the table gives it ceil(side / 2), VALID where it gives less. */
static const struct shape {
    int side, n_stages;
    struct {
        int out_side, pool_window, pooled_side;
    } stages[FN_REFINE_MAX_CONVS];
    int n_heads; /* layers that read the fully-connected one */
} shapes[FN_MTCNN_NETS] = {
    [FN_RNET] = {24, 3, {{22, 3, 11}, {9, 3, 4}, {3, 0, 3}}, 2},
    [FN_ONET] = {48, 4, {{46, 3, 23}, {21, 3, 10}, {8, 2, 4}, {3, 0, 3}}, 3},
};

#define MAX_MAP      (46 * 46 * 32) /* floats: O-Net's first layer */
#define MAX_FEATURES (3 * 3 * 128)
#define MAX_HIDDEN   256

static fn_status open_stage(const struct fn_mtcnn_weights *weights, int layer, int in_side,
                            struct fn_refine_stage *stage, struct fn_error *err) {
    fn_status status = fn_conv_pack(weights, layer, 1, &stage->conv, err);
    if (status != FN_OK) return status;
    size_t side = (size_t)stage->out_side;
    size_t channels = (size_t)fn_mtcnn_layers[layer].in_channels;
    stage->in_side = in_side;
    stage->offsets = calloc(side * side, sizeof *stage->offsets);
    if (!stage->offsets)
        return fn_fail(err, FN_NO_MEMORY, "no memory for the detector's layer %s",
                       fn_mtcnn_layers[layer].name);
    for (size_t y = 0; y < side; y++)
        for (size_t x = 0; x < side; x++)
            stage->offsets[y * side + x] = (uint32_t)((y * (size_t)in_side + x) * channels);
    for (int ky = 0; ky < stage->conv.kernel_h; ky++)
        stage->row_offsets[ky] = (ptrdiff_t)((size_t)ky * (size_t)in_side * channels);
    return FN_OK;
}

static fn_status open_layers(const struct fn_mtcnn_weights *weights, enum fn_mtcnn_net net,
                             struct fn_refiner *refiner, struct fn_error *err) {
    const struct shape *shape = &shapes[net];
    int layer = fn_mtcnn_first_layer(net), side = shape->side;
    for (int i = 0; i < shape->n_stages; i++) {
        struct fn_refine_stage *stage = &refiner->stages[i];
        stage->out_side = shape->stages[i].out_side;
        stage->pool_window = shape->stages[i].pool_window;
        stage->pooled_side = shape->stages[i].pooled_side;
        refiner->n_stages = i + 1;
        fn_status status = open_stage(weights, layer++, side, stage, err);
        if (status != FN_OK) return status;
        side = stage->pooled_side;
    }
    fn_status status = fn_conv_pack(weights, layer, 1, &refiner->full, err);
    if (status == FN_OK)
        status = fn_conv_pack(weights, layer + 1, shape->n_heads, &refiner->head, err);
    return status;
}

fn_status fn_refiner_open(const struct fn_mtcnn_weights *weights, enum fn_mtcnn_net net,
                          const struct fn_conv_kernels *kernels, struct fn_refiner *ret_refiner,
                          struct fn_error *err) {
    struct fn_refiner refiner = {.kernels = kernels, .side = shapes[net].side};
    fn_status status = open_layers(weights, net, &refiner, err);
    if (status != FN_OK) {
        fn_refiner_done(&refiner);
        return status;
    }
    refiner.n_features = refiner.full.kernel_h * refiner.full.run;
    for (int i = 0; i < FN_REFINE_BATCH; i++) {
        refiner.full_offsets[i] = (uint32_t)(i * refiner.n_features);
        refiner.head_offsets[i] = (uint32_t)(i * refiner.full.out_channels);
    }
    for (int ky = 0; ky < refiner.full.kernel_h; ky++)
        refiner.full_row_offsets[ky] = (ptrdiff_t)ky * refiner.full.run;
    *ret_refiner = refiner;
    return FN_OK;
}

void fn_refiner_done(struct fn_refiner *refiner) {
    for (int i = 0; i < refiner->n_stages; i++) {
        fn_conv_done(&refiner->stages[i].conv);
        free(refiner->stages[i].offsets);
    }
    fn_conv_done(&refiner->full);
    fn_conv_done(&refiner->head);
    *refiner = (struct fn_refiner){0};
}

fn_status fn_refine_maps_new(struct fn_refine_maps *ret_maps, struct fn_error *err) {
    struct fn_refine_maps maps = {
        .a = malloc((MAX_MAP + FN_CONV_SLACK) * sizeof(float)),
        .b = malloc((MAX_MAP + FN_CONV_SLACK) * sizeof(float)),
        .features = malloc((FN_REFINE_BATCH * MAX_FEATURES + FN_CONV_SLACK) * sizeof(float)),
        .hidden = malloc((FN_REFINE_BATCH * MAX_HIDDEN + FN_CONV_SLACK) * sizeof(float)),
        .out = malloc((FN_REFINE_BATCH * FN_REFINE_MAX_OUT + FN_CONV_SLACK) * sizeof(float)),
    };
    if (!maps.a || !maps.b || !maps.features || !maps.hidden || !maps.out) {
        fn_refine_maps_done(&maps);
        return fn_fail(err, FN_NO_MEMORY, "no memory for the detector's maps");
    }
    *ret_maps = maps;
    return FN_OK;
}

void fn_refine_maps_done(struct fn_refine_maps *maps) {
    fn_scaler_done(&maps->scaler);
    free(maps->a);
    free(maps->b);
    free(maps->features);
    free(maps->hidden);
    free(maps->out);
    *maps = (struct fn_refine_maps){0};
}

static void pool(const struct fn_refiner *refiner, const struct fn_refine_stage *stage,
                 const float *in, float *out) {
    size_t channels = (size_t)stage->conv.out_channels, side = (size_t)stage->out_side;
    for (size_t y = 0; y < (size_t)stage->pooled_side; y++) {
        const float *rows[3];
        int n = 0;
        for (size_t i = 2 * y; i < 2 * y + (size_t)stage->pool_window && i < side; i++)
            rows[n++] = in + i * side * channels;
        refiner->kernels->pool(rows, n, stage->out_side, (int)channels, stage->pool_window,
                               (size_t)stage->pooled_side,
                               out + y * (size_t)stage->pooled_side * channels);
    }
}

/* From maps->a, the piece, to `features`. */
static void run_stages(const struct fn_refiner *refiner, struct fn_refine_maps *maps,
                       float *features) {
    for (int i = 0; i < refiner->n_stages; i++) {
        const struct fn_refine_stage *stage = &refiner->stages[i];
        float *to = i == refiner->n_stages - 1 ? features : maps->b;
        refiner->kernels->convolve(&stage->conv, maps->a, stage->offsets, stage->row_offsets,
                                   (size_t)stage->out_side * (size_t)stage->out_side, to);
        if (stage->pool_window > 0) pool(refiner, stage, maps->b, maps->a);
    }
}

fn_status fn_refiner_run(const struct fn_refiner *refiner, const struct fn_picture *picture,
                         const struct fn_rect *pieces, size_t n, struct fn_refine_maps *maps,
                         struct fn_error *err) {
    static const ptrdiff_t no_offset[1] = {0};
    for (size_t i = 0; i < n; i++) {
        fn_status status = fn_scaler_begin(&maps->scaler, picture, pieces[i], refiner->side,
                                           refiner->side, false, err);
        if (status != FN_OK) return status;
        for (int y = 0; y < refiner->side; y++)
            fn_scaler_row(&maps->scaler, y, maps->a + (ptrdiff_t)3 * y * refiner->side);
        run_stages(refiner, maps, maps->features + i * (size_t)refiner->n_features);
    }
    refiner->kernels->convolve(&refiner->full, maps->features, refiner->full_offsets,
                               refiner->full_row_offsets, n, maps->hidden);
    refiner->kernels->convolve(&refiner->head, maps->hidden, refiner->head_offsets, no_offset, n,
                               maps->out);
    return FN_OK;
}
