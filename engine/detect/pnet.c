/* SPDX-License-Identifier: Apache-2.0
 *
 * pnet.c -- picture rows -> conv1 -> pool -> conv2 -> conv3 -> head, a row at a time.
 *
 *     row of      needs rows of the one before      kept
 *     picture     (the scaler)                      3
 *     conv1       y ... y + 2                       2
 *     pool        2y, 2y + 1 (the last may lack)    3
 *     conv2       y ... y + 2                       3
 *     conv3       y ... y + 2                       1
 *     head        y                                 1 */
#include "engine/detect/pnet.h"

#include <math.h>

#include "engine/buffer.h"

/* The last `n` rows of a layer. */
struct ring {
    float *rows;
    size_t stride; /* floats from row to row */
    size_t n;
    size_t width; /* pixels of a row */
    size_t channels;
    uint32_t *offsets; /* [width]: of the pixels in a row */
};

enum layer { PICTURE, CONV1, POOL, CONV2, CONV3, HEAD, LAYERS };

struct level {
    const struct fn_pnet *pnet;
    struct fn_scaler *scaler;
    struct ring rings[LAYERS];
    double scale;
    float threshold;
};

fn_status fn_pnet_open(const struct fn_mtcnn_weights *weights,
                       const struct fn_conv_kernels *kernels, struct fn_pnet *ret_pnet,
                       struct fn_error *err) {
    struct fn_pnet pnet = {.kernels = kernels};
    int first = fn_mtcnn_first_layer(FN_PNET);
    fn_status status = fn_conv_pack(weights, first, 1, &pnet.conv1, err);
    if (status == FN_OK) status = fn_conv_pack(weights, first + 1, 1, &pnet.conv2, err);
    if (status == FN_OK) status = fn_conv_pack(weights, first + 2, 1, &pnet.conv3, err);
    if (status == FN_OK) status = fn_conv_pack(weights, first + 3, 2, &pnet.head, err);
    if (status == FN_OK)
        *ret_pnet = pnet;
    else
        fn_pnet_done(&pnet);
    return status;
}

void fn_pnet_done(struct fn_pnet *pnet) {
    fn_conv_done(&pnet->conv1);
    fn_conv_done(&pnet->conv2);
    fn_conv_done(&pnet->conv3);
    fn_conv_done(&pnet->head);
}

void fn_pnet_rows_done(struct fn_pnet_rows *rows) {
    fn_scaler_done(&rows->scaler);
    free(rows->floats);
    free(rows->offsets);
    *rows = (struct fn_pnet_rows){0};
}

/* ---- rings ---------------------------------------------------------------------------------- */

static float *ring_row(const struct ring *ring, size_t y) {
    return ring->rows + y % ring->n * ring->stride;
}

/* Cut the rings out of the buffers. */
static fn_status lay_out(struct level *level, size_t width, struct fn_pnet_rows *rows,
                         struct fn_error *err) {
    static const size_t channels[LAYERS] = {3, 10, 10, 16, 32, FN_PNET_OUT};
    static const size_t kept[LAYERS] = {3, 2, 3, 3, 1, 1};
    size_t pooled = (width - 1) / 2;
    const size_t widths[LAYERS] = {width, width - 2, pooled, pooled - 2, pooled - 4, pooled - 4};
    size_t n_floats = 0, n_offsets = 0;
    for (int i = 0; i < LAYERS; i++) {
        n_floats += kept[i] * (widths[i] * channels[i] + FN_CONV_SLACK);
        n_offsets += widths[i];
    }
    if (!fn_buffer_grow(&rows->floats, &rows->floats_size, n_floats) ||
        !fn_buffer_grow(&rows->offsets, &rows->offsets_size, n_offsets))
        return fn_fail(err, FN_NO_MEMORY, "no memory for a level %zu pixels wide", width);
    float *floats = rows->floats;
    uint32_t *offsets = rows->offsets;
    for (int i = 0; i < LAYERS; i++) {
        size_t stride = widths[i] * channels[i] + FN_CONV_SLACK;
        level->rings[i] = (struct ring){floats, stride, kept[i], widths[i], channels[i], offsets};
        for (size_t x = 0; x < widths[i]; x++) offsets[x] = (uint32_t)(x * channels[i]);
        floats += kept[i] * stride;
        offsets += widths[i];
    }
    return FN_OK;
}

/* Row y of `to` from rows y ... of `from`. */
static void convolve(const struct level *level, const struct fn_conv *conv, enum layer from,
                     enum layer to, size_t y) {
    const struct ring *in = &level->rings[from], *out = &level->rings[to];
    ptrdiff_t row_offsets[FN_CONV_MAX_KERNEL];
    for (int ky = 0; ky < conv->kernel_h; ky++)
        row_offsets[ky] = ring_row(in, y + (size_t)ky) - ring_row(in, y);
    level->pnet->kernels->convolve(conv, ring_row(in, y), in->offsets, row_offsets, out->width,
                                   ring_row(out, y));
}

/* Row y of the pool; conv1 has `height` rows. */
static void pool(const struct level *level, size_t height, size_t y) {
    const struct ring *in = &level->rings[CONV1], *out = &level->rings[POOL];
    const float *rows[2] = {ring_row(in, 2 * y), ring_row(in, 2 * y + 1)};
    level->pnet->kernels->pool(rows, 2 * y + 1 < height ? 2 : 1, (int)in->width, (int)in->channels,
                               2, out->width, ring_row(out, y));
}

/* ---- candidates ----------------------------------------------------------------------------- */

void fn_candidates_trim(struct fn_candidates *candidates) {
    fn_candidates_sort(candidates->items, candidates->n);
    if (candidates->n > candidates->limit) candidates->n = candidates->limit;
}

static void add_cell(double scale, size_t x, size_t y, const float *cell,
                     struct fn_candidates *candidates) {
    if (candidates->n == 2 * candidates->limit) fn_candidates_trim(candidates);
    double left = FN_PNET_STRIDE * (double)x, top = FN_PNET_STRIDE * (double)y;
    candidates->items[candidates->n++] = (struct fn_candidate){
        .x1 = trunc((left + 1) / scale),
        .y1 = trunc((top + 1) / scale),
        .x2 = trunc((left + FN_PNET_CELL) / scale),
        .y2 = trunc((top + FN_PNET_CELL) / scale),
        .margin = cell[1] - cell[0],
        .regression = {cell[2], cell[3], cell[4], cell[5]},
        .order = candidates->found++,
    };
}

void fn_pnet_collect(double scale, float threshold, size_t y, const float *cells, size_t n,
                     struct fn_candidates *candidates) {
    for (size_t x = 0; x < n; x++, cells += FN_PNET_OUT)
        if (cells[1] - cells[0] >= threshold) add_cell(scale, x, y, cells, candidates);
}

/* ---- a level -------------------------------------------------------------------------------- */

static void stream(const struct level *level, size_t height, struct fn_candidates *candidates) {
    const struct fn_pnet *pnet = level->pnet;
    size_t conv1_height = height - 2, next_row = 0;
    for (size_t y = 0; 2 * y < conv1_height; y++) {
        for (size_t i = 2 * y; i < 2 * y + 2 && i < conv1_height; i++) {
            for (; next_row < i + 3; next_row++)
                fn_scaler_row(level->scaler, (int)next_row,
                              ring_row(&level->rings[PICTURE], next_row));
            convolve(level, &pnet->conv1, PICTURE, CONV1, i);
        }
        pool(level, conv1_height, y);
        if (y >= 2) convolve(level, &pnet->conv2, POOL, CONV2, y - 2);
        if (y < 4) continue;
        convolve(level, &pnet->conv3, CONV2, CONV3, y - 4);
        convolve(level, &pnet->head, CONV3, HEAD, y - 4);
        const struct ring *head = &level->rings[HEAD];
        fn_pnet_collect(level->scale, level->threshold, y - 4, ring_row(head, y - 4), head->width,
                        candidates);
    }
}

fn_status fn_pnet_run(const struct fn_pnet *pnet, const struct fn_picture *picture, double scale,
                      float threshold, struct fn_pnet_rows *rows, struct fn_candidates *candidates,
                      struct fn_error *err) {
    int width = (int)ceil(picture->width * scale), height = (int)ceil(picture->height * scale);
    struct level level = {
        .pnet = pnet, .scaler = &rows->scaler, .scale = scale, .threshold = threshold};
    const struct fn_rect whole = {0, 0, picture->width, picture->height};
    fn_status status = fn_scaler_begin(&rows->scaler, picture, whole, width, height, true, err);
    if (status == FN_OK) status = lay_out(&level, (size_t)width, rows, err);
    if (status == FN_OK) stream(&level, (size_t)height, candidates);
    return status;
}
