/* SPDX-License-Identifier: Apache-2.0
 *
 * scale.c -- along y first, every sample of the rows that count; then along x.
 *
 * All is written twice, for any CPU and for AVX2. Sums are of integers and exact, so their order is
 * free. */
#include "engine/detect/scale.h"

#include <stdlib.h>
#include <string.h>

#include "engine/buffer.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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
        !fn_buffer_grow(&scaler->sums, &scaler->sums_size, 3 * (size_t)rect.width + 1)) {
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
    int64_t divisor = (int64_t)rect.width * rect.height, half = rounded ? divisor / 2 : 0;
    scaler->divisor = (double)divisor;
    scaler->half = (double)half;
    scaler->sums[3 * (size_t)rect.width] = 0; /* read, not used */
    return FN_OK;
}

/* ---- along y -------------------------------------------------------------------------------- */

#define INLINE static inline __attribute__((always_inline))

/* The rows that one output row takes its pixels from, inside the picture. */
struct band {
    const uint8_t *first, *between, *last; /* where their samples begin */
    float w_first, w_between, w_last;      /* 0: there is no such row, the pointer is another's */
    size_t stride, n_between;              /* of the rows between */
};

/* Two or four rows at a time: their bytes are added before they become floats. All sums are
 * integers, exact either way. */
INLINE void weigh(const struct band *band, size_t n, float *restrict sums) {
    const uint8_t *restrict first = band->first, *restrict last = band->last;
    const uint8_t *restrict row = band->between;
    const float w_first = band->w_first, w_last = band->w_last, w = band->w_between;
    const size_t stride = band->stride;
    size_t rest = band->n_between;
    for (size_t i = 0; i < n; i++) sums[i] = w_first * (float)first[i] + w_last * (float)last[i];
    for (; rest >= 4; rest -= 4, row += 4 * stride) {
        const uint8_t *restrict b = row + stride, *restrict c = b + stride;
        const uint8_t *restrict d = c + stride;
        for (size_t i = 0; i < n; i++) sums[i] += w * (float)(row[i] + b[i] + c[i] + d[i]);
    }
    if (rest & 2) {
        const uint8_t *restrict b = row + stride;
        for (size_t i = 0; i < n; i++) sums[i] += w * (float)(row[i] + b[i]);
        row += 2 * stride;
    }
    if (rest & 1)
        for (size_t i = 0; i < n; i++) sums[i] += w * (float)row[i];
}

static void weigh_plain(const struct band *band, size_t n, float *sums) {
    weigh(band, n, sums);
}

#if defined(__x86_64__)

#define AVX2 __attribute__((target("avx2")))

AVX2 static void weigh_avx2(const struct band *band, size_t n, float *sums) {
    weigh(band, n, sums);
}

#endif

/* What of the rows of `tap` lies in the picture, columns from `left` on. */
static struct band find_band(const struct fn_scaler *scaler, const struct fn_scale_tap *tap,
                             int left) {
    const struct fn_picture *picture = scaler->picture;
    int above = scaler->rect.y, height = picture->height;
    size_t stride = 3 * (size_t)picture->width;
    const uint8_t *column = picture->rgb + 3 * (size_t)left;
    struct band band = {.first = column, .between = column, .last = column, .stride = stride};
    int first = tap->first + above, last = tap->last + above;
    int from = first + 1 > 0 ? first + 1 : 0, to = last < height ? last : height;
    if (first >= 0 && first < height) {
        band.first = column + stride * (size_t)first;
        band.w_first = tap->w_first;
    }
    if (last > first && last >= 0 && last < height) {
        band.last = column + stride * (size_t)last;
        band.w_last = tap->w_last;
    }
    if (from < to) {
        band.between = column + stride * (size_t)from;
        band.n_between = (size_t)(to - from);
        band.w_between = tap->w_between;
    }
    return band;
}

/* Beyond the picture all is black. */
static void sum_rows(const struct fn_scaler *scaler, const struct fn_scale_tap *tap) {
    const struct fn_rect *rect = &scaler->rect;
    int width = scaler->picture->width;
    int left = rect->x < 0 ? 0 : rect->x;
    int right = rect->x + rect->width < width ? rect->x + rect->width : width;
    if (left >= right) {
        memset(scaler->sums, 0, 3 * (size_t)rect->width * sizeof *scaler->sums);
        return;
    }
    size_t before = 3 * (size_t)(left - rect->x), n = 3 * (size_t)(right - left);
    size_t behind = 3 * (size_t)rect->width - before - n;
    float *sums = scaler->sums + before;
    memset(scaler->sums, 0, before * sizeof *sums);
    memset(sums + n, 0, behind * sizeof *sums);
    const struct band band = find_band(scaler, tap, left);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        weigh_avx2(&band, n, sums);
        return;
    }
#endif
    weigh_plain(&band, n, sums);
}

/* ---- along x -------------------------------------------------------------------------------- */

static void shrink_plain(const struct fn_scaler *scaler, float *ret_row) {
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
            double quotient = (total + scaler->half) / scaler->divisor;
            double value = scaler->rounded ? (double)(int)quotient : quotient;
            ret_row[3 * j + c] = (float)((value - 127.5) * 0.0078125);
        }
    }
}

#if defined(__x86_64__)

AVX2 INLINE __m256d load_pixel(const float *from) {
    return _mm256_cvtps_pd(_mm_loadu_ps(from));
}

/* A pixel at a time; what lies in the fourth lane is the next one's. */
AVX2 static void shrink_avx2(const struct fn_scaler *scaler, float *ret_row) {
    const __m256d half = _mm256_set1_pd(scaler->half), divisor = _mm256_set1_pd(scaler->divisor);
    for (int j = 0; j < scaler->width; j++) {
        const struct fn_scale_tap *tap = &scaler->taps_x[j];
        const float *first = scaler->sums + 3 * (size_t)tap->first;
        const float *last = scaler->sums + 3 * (size_t)tap->last;
        __m256d between = _mm256_setzero_pd();
        for (const float *p = first + 3; p < last; p += 3)
            between = _mm256_add_pd(between, load_pixel(p));
        __m256d edges =
            _mm256_add_pd(_mm256_mul_pd(load_pixel(first), _mm256_set1_pd((double)tap->w_first)),
                          _mm256_mul_pd(load_pixel(last), _mm256_set1_pd((double)tap->w_last)));
        __m256d total =
            _mm256_add_pd(edges, _mm256_mul_pd(between, _mm256_set1_pd((double)tap->w_between)));
        __m256d value = _mm256_div_pd(_mm256_add_pd(total, half), divisor);
        if (scaler->rounded) value = _mm256_cvtepi32_pd(_mm256_cvttpd_epi32(value));
        value =
            _mm256_mul_pd(_mm256_sub_pd(value, _mm256_set1_pd(127.5)), _mm256_set1_pd(0.0078125));
        __m128 pixel = _mm256_cvtpd_ps(value);
        if (j + 1 < scaler->width)
            _mm_storeu_ps(ret_row + (ptrdiff_t)3 * j, pixel);
        else
            memcpy(ret_row + (ptrdiff_t)3 * j, &pixel, 3 * sizeof *ret_row);
    }
}

#endif

void fn_scaler_row(struct fn_scaler *scaler, int y, float *ret_row) {
    sum_rows(scaler, &scaler->taps_y[y]);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        shrink_avx2(scaler, ret_row);
        return;
    }
#endif
    shrink_plain(scaler, ret_row);
}

void fn_scaler_done(struct fn_scaler *scaler) {
    free(scaler->taps_x);
    free(scaler->taps_y);
    free(scaler->sums);
    *scaler = (struct fn_scaler){0};
}
