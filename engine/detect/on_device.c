/* SPDX-License-Identifier: Apache-2.0
 *
 * on_device.c -- see on_device.h. A level is cut into tiles of one size, so that the first network
 * too is a batch of pieces: what an output sees does not depend on its tile, so the overlap costs
 * time and changes nothing. */
#include "engine/detect/on_device.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/buffer.h"

#define CELLS ((size_t)FN_NET_TILE_CELLS)
#define SIDE  ((size_t)FN_NET_TILE_SIDE)
#define STEP  (FN_PNET_STRIDE * CELLS) /* pixels from tile to tile */

/* A level and the tiles of it that wait to be computed together. */
struct tiling {
    struct fn_net_device *device;
    struct fn_device_desk *desk;
    size_t width, height;                       /* pixels */
    size_t columns, rows;                       /* outputs */
    size_t n, x[FN_NET_TILES], y[FN_NET_TILES]; /* of waiting tiles: their first output */
    struct fn_net_limit limits[FN_NET_TILES];
};

static fn_status grow_batch(struct fn_device_desk *desk, enum fn_mtcnn_net net,
                            struct fn_error *err) {
    size_t n = fn_net_batch(net), side = fn_net_side(net);
    if (!fn_buffer_grow(&desk->pieces, &desk->pieces_size, n * side * side * 3) ||
        !fn_buffer_grow(&desk->out, &desk->out_size, n * fn_net_outputs(net) * FN_NET_OUT))
        return fn_fail(err, FN_NO_MEMORY, "no memory for %zu pieces of %zu pixels a side", n, side);
    return FN_OK;
}

/* ---- tiles ---------------------------------------------------------------------------------- */

/* Outputs of a tile to their places in the level; what lies beyond it goes. */
static void place(const struct tiling *t, size_t tile) {
    size_t n_rows = t->rows - t->y[tile] < CELLS ? t->rows - t->y[tile] : CELLS;
    size_t n_columns = t->columns - t->x[tile] < CELLS ? t->columns - t->x[tile] : CELLS;
    for (size_t y = 0; y < n_rows; y++) {
        const float *from = t->desk->out + (tile * CELLS + y) * CELLS * FN_NET_OUT;
        float *to = t->desk->cells + ((t->y[tile] + y) * t->columns + t->x[tile]) * FN_PNET_OUT;
        for (size_t x = 0; x < n_columns; x++, from += FN_NET_OUT, to += FN_PNET_OUT)
            memcpy(to, from, FN_PNET_OUT * sizeof *to);
    }
}

static fn_status flush(struct tiling *t, struct fn_error *err) {
    if (t->n == 0) return FN_OK;
    fn_status status =
        fn_net_device_run(t->device, FN_PNET, t->desk->pieces, t->limits, t->n, t->desk->out, err);
    for (size_t i = 0; i < t->n && status == FN_OK; i++) place(t, i);
    t->n = 0;
    return status;
}

/* The tile whose first output is (x, y), out of the band, with zeros beyond the level. */
static void add_tile(struct tiling *t, size_t x, size_t y) {
    size_t left = FN_PNET_STRIDE * x, top = FN_PNET_STRIDE * y, size = SIDE * 3;
    size_t n_rows = t->height - top < SIDE ? t->height - top : SIDE;
    size_t n_columns = t->width - left < SIDE ? t->width - left : SIDE;
    float *to = t->desk->pieces + t->n * SIDE * size;
    memset(to, 0, SIDE * size * sizeof *to);
    for (size_t row = 0; row < n_rows; row++)
        memcpy(to + row * size, t->desk->band + (row * t->width + left) * 3,
               n_columns * 3 * sizeof *to);
    t->x[t->n] = x;
    t->y[t->n] = y;
    t->limits[t->n++] =
        (struct fn_net_limit){(int32_t)(t->width - 2 - left), (int32_t)(t->height - 2 - top)};
}

/* One row of tiles, the first output of which is in row y. The band's last rows are the next one's
 * first. */
static fn_status add_tiles(struct tiling *t, size_t y, struct fn_error *err) {
    size_t row_size = t->width * 3, top = FN_PNET_STRIDE * y, kept = y == 0 ? 0 : SIDE - STEP;
    float *band = t->desk->band;
    memmove(band, band + STEP * row_size, kept * row_size * sizeof *band);
    for (size_t row = kept; row < SIDE && top + row < t->height; row++)
        fn_scaler_row(&t->desk->scaler, (int)(top + row), band + row * row_size);
    fn_status status = FN_OK;
    for (size_t x = 0; x < t->columns && status == FN_OK; x += CELLS) {
        add_tile(t, x, y);
        if (t->n == FN_NET_TILES) status = flush(t, err);
    }
    return status;
}

fn_status fn_pnet_run_on(struct fn_net_device *device, const struct fn_picture *picture,
                         double scale, float threshold, struct fn_device_desk *desk,
                         struct fn_candidates *candidates, struct fn_error *err) {
    int width = (int)ceil(picture->width * scale), height = (int)ceil(picture->height * scale);
    struct tiling t = {.device = device,
                       .desk = desk,
                       .width = (size_t)width,
                       .height = (size_t)height,
                       .columns = (size_t)(width - 1) / 2 - 4,
                       .rows = (size_t)(height - 1) / 2 - 4};
    const struct fn_rect whole = {0, 0, picture->width, picture->height};
    fn_status status = fn_scaler_begin(&desk->scaler, picture, whole, width, height, true, err);
    if (status == FN_OK) status = grow_batch(desk, FN_PNET, err);
    if (status != FN_OK) return status;
    if (!fn_buffer_grow(&desk->band, &desk->band_size, SIDE * t.width * 3) ||
        !fn_buffer_grow(&desk->cells, &desk->cells_size, t.rows * t.columns * FN_PNET_OUT))
        return fn_fail(err, FN_NO_MEMORY, "no memory for a level of %d x %d pixels", width, height);
    for (size_t y = 0; y < t.rows && status == FN_OK; y += CELLS) status = add_tiles(&t, y, err);
    if (status == FN_OK) status = flush(&t, err);
    for (size_t y = 0; y < t.rows && status == FN_OK; y++)
        fn_pnet_collect(scale, threshold, y, desk->cells + y * t.columns * FN_PNET_OUT, t.columns,
                        candidates);
    return status;
}

/* ---- pieces --------------------------------------------------------------------------------- */

fn_status fn_refiner_run_on(struct fn_net_device *device, enum fn_mtcnn_net net,
                            const struct fn_picture *picture, const struct fn_rect *pieces,
                            size_t n, struct fn_device_desk *desk, struct fn_error *err) {
    int side = (int)fn_net_side(net);
    fn_status status = grow_batch(desk, net, err);
    float *row = desk->pieces;
    for (size_t i = 0; i < n && status == FN_OK; i++) {
        status = fn_scaler_begin(&desk->scaler, picture, pieces[i], side, side, false, err);
        for (int y = 0; y < side && status == FN_OK; y++, row += (ptrdiff_t)3 * side)
            fn_scaler_row(&desk->scaler, y, row);
    }
    if (status != FN_OK) return status;
    return fn_net_device_run(device, net, desk->pieces, NULL, n, desk->out, err);
}

void fn_device_desk_done(struct fn_device_desk *desk) {
    fn_scaler_done(&desk->scaler);
    free(desk->pieces);
    free(desk->out);
    free(desk->band);
    free(desk->cells);
    *desk = (struct fn_device_desk){0};
}
