/* SPDX-License-Identifier: Apache-2.0
 *
 * scale.c -- along y first, every sample of the rows that count; then along x.
 *
 * The loop along y is compiled twice, for any CPU and for AVX2; sums of integers are the same. */
#include "engine/detect/scale.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/buffer.h"

/* Pixels first...last of the source; `last` == `first`: that pixel alone, weight `w_first`. */
struct fn_scale_tap {
    int first, last;
    float w_first, w_between, w_last;
};

/* Source pixel i covers [to * i, to * (i + 1)), output j covers [from * j, from * (j + 1)). */
static void plan_axis(int from, int to, struct fn_scale_tap *ret_taps) {
    for (int64_t j = 0; j < to; j++) {
        int64_t begin = (int64_t)from * j, end = (int64_t)from * (j + 1);
        int64_t first = begin / to, last = (end - 1) / to;
        int64_t w_first = (last == first ? end : to * (first + 1)) - begin;
        int64_t w_last = last == first ? 0 : end - to * last;
        ret_taps[j] =
            (struct fn_scale_tap){(int)first, (int)last, (float)w_first, (float)to, (float)w_last};
    }
}

fn_status fn_scaler_begin(struct fn_scaler *scaler, const struct fn_picture *picture,
                          struct fn_rect rect, int width, int height, bool rounded,
                          struct fn_error *err) {
    if (!fn_buffer_grow(&scaler->taps_x, &scaler->taps_x_size, (size_t)width) ||
        !fn_buffer_grow(&scaler->taps_y, &scaler->taps_y_size, (size_t)height) ||
        !fn_buffer_grow(&scaler->sums, &scaler->sums_size, 3 * (size_t)rect.width)) {
        fn_scaler_done(scaler);
        return fn_fail(err, FN_NO_MEMORY, "no memory to stretch %d x %d pixels for the detector",
                       rect.width, rect.height);
    }
    scaler->picture = picture;
    scaler->rect = rect;
    scaler->width = width;
    scaler->height = height;
    scaler->rounded = rounded;
    plan_axis(rect.width, width, scaler->taps_x);
    plan_axis(rect.height, height, scaler->taps_y);
    int64_t divisor = (int64_t)rect.width * rect.height, half = divisor / 2;
    scaler->divisor = (double)divisor;
    scaler->half = (double)half;
    return FN_OK;
}

/* ---- along y -------------------------------------------------------------------------------- */

#define INLINE static inline __attribute__((always_inline))

INLINE void add_weighted(const uint8_t *restrict row, float weight, size_t n,
                         float *restrict sums) {
    for (size_t i = 0; i < n; i++) sums[i] += weight * (float)row[i];
}

static void add_weighted_plain(const uint8_t *row, float weight, size_t n, float *sums) {
    add_weighted(row, weight, n, sums);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void add_weighted_avx2(const uint8_t *row, float weight,
                                                              size_t n, float *sums) {
    add_weighted(row, weight, n, sums);
}
#endif

static void add_row(const struct fn_scaler *scaler, int y, float weight) {
    const struct fn_picture *picture = scaler->picture;
    const struct fn_rect *rect = &scaler->rect;
    int left = rect->x < 0 ? 0 : rect->x;
    int right = rect->x + rect->width < picture->width ? rect->x + rect->width : picture->width;
    y += rect->y;
    if (y < 0 || y >= picture->height || left >= right) return;
    const uint8_t *row = picture->rgb + 3 * ((size_t)y * (size_t)picture->width + (size_t)left);
    float *sums = scaler->sums + 3 * (size_t)(left - rect->x);
    size_t n = 3 * (size_t)(right - left);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        add_weighted_avx2(row, weight, n, sums);
        return;
    }
#endif
    add_weighted_plain(row, weight, n, sums);
}

static void sum_rows(const struct fn_scaler *scaler, const struct fn_scale_tap *tap) {
    memset(scaler->sums, 0, 3 * (size_t)scaler->rect.width * sizeof *scaler->sums);
    add_row(scaler, tap->first, tap->w_first);
    for (int y = tap->first + 1; y < tap->last; y++) add_row(scaler, y, tap->w_between);
    if (tap->last > tap->first) add_row(scaler, tap->last, tap->w_last);
}

/* ---- along x -------------------------------------------------------------------------------- */

void fn_scaler_row(struct fn_scaler *scaler, int y, float *ret_row) {
    sum_rows(scaler, &scaler->taps_y[y]);
    for (int j = 0; j < scaler->width; j++) {
        const struct fn_scale_tap *tap = &scaler->taps_x[j];
        const float *first = scaler->sums + 3 * (size_t)tap->first;
        const float *last = scaler->sums + 3 * (size_t)tap->last;
        double between[3] = {0};
        for (const float *p = first + 3; p < last; p += 3)
            for (int c = 0; c < 3; c++) between[c] += (double)p[c];
        for (int c = 0; c < 3; c++) {
            double total = (double)first[c] * (double)tap->w_first +
                           between[c] * (double)tap->w_between +
                           (double)last[c] * (double)tap->w_last;
            double value = scaler->rounded ? trunc((total + scaler->half) / scaler->divisor)
                                           : total / scaler->divisor;
            ret_row[3 * j + c] = (float)((value - 127.5) * 0.0078125);
        }
    }
}

void fn_scaler_done(struct fn_scaler *scaler) {
    free(scaler->taps_x);
    free(scaler->taps_y);
    free(scaler->sums);
    *scaler = (struct fn_scaler){0};
}
