/* SPDX-License-Identifier: Apache-2.0
 *
 * resize.c -- rows first, then columns; resize.h has the arithmetic.
 *
 * Every source pixel is read once: along a shrinking axis it belongs to at most two outputs, `part`
 * of its 160 units to the one that ends in it and the rest to the next, so one product serves both.
 * Sums along y fit 32 bits (255 * 65535). Sums along both axes fit 32 bits up to D = 2^23, where
 * the division is a multiplication; above it they take 64 bits and a division proper.
 *
 * The loops are plain or use gcc's vectors, and are compiled twice, for any CPU and for AVX2: sums
 * of integers are the same whatever the order. */
#include "engine/picture/resize.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/picture/resize_near.h"

#define SIDE     FN_CROP_SIDE
#define ROW      ((size_t)3 * SIDE) /* samples of one output row */
#define NARROW_D (UINT64_C(1) << 23)
#define PADDING  4 /* samples after a row of sums, for loads and stores of 4 lanes */

#define INLINE static inline __attribute__((always_inline))

typedef uint32_t pixel __attribute__((vector_size(16))); /* R, G, B and a lane nobody reads */

/* Where one output of an axis takes its pixels from. */
struct tap {
    uint32_t first;  /* shrinking: the pixel that it ends in; growing: the first of two */
    uint32_t second; /* growing only */
    uint32_t part;   /* shrinking: units of `first` that it takes; growing: weight of `second` */
};

struct axis {
    bool shrinks;
    uint32_t d; /* what the weights of one output sum to */
    struct tap taps[SIDE];
};

struct plan {
    struct axis x, y;
    uint64_t d; /* x.d * y.d */
    uint32_t reciprocal;
    int shift;        /* narrow: n / d = n * reciprocal >> shift */
    size_t n_samples; /* of one source row */
    uint32_t *sums;   /* [n_samples + PADDING], the next output row's share so far; owned */
    uint32_t *row;    /* [n_samples + PADDING], the present output row; owned */
};

static void plan_axis(uint32_t size, struct axis *ret_axis) {
    ret_axis->shrinks = size >= SIDE;
    ret_axis->d = ret_axis->shrinks ? size : 2 * SIDE;
    for (uint32_t j = 0; j < SIDE; j++) {
        struct tap *tap = &ret_axis->taps[j];
        if (ret_axis->shrinks) {
            uint32_t end = size * (j + 1);
            *tap = (struct tap){.first = end / SIDE, .part = end % SIDE};
            continue;
        }
        int32_t t = (int32_t)((2 * j + 1) * size) - SIDE; /* negative left of the first centre */
        int32_t i = t < 0 ? -1 : t / (2 * SIDE);
        tap->first = i < 0 ? 0 : (uint32_t)i;
        tap->second = (uint32_t)(i + 1) < size ? (uint32_t)(i + 1) : size - 1;
        tap->part = (uint32_t)(t - i * 2 * SIDE);
    }
}

/* n * reciprocal >> shift is n / d for all n < 2^8 * d: with d <= 2^L, L <= 23, reciprocal exceeds
 * 2^(31+L) / d by at most 1, which adds less than n / 2^(31+L) < 1 / d to the quotient. */
static void plan_division(struct plan *plan) {
    plan->d = (uint64_t)plan->x.d * plan->y.d;
    if (plan->d > NARROW_D) return;
    plan->shift = 31;
    while (UINT64_C(1) << (plan->shift - 31) < plan->d) plan->shift++;
    plan->reciprocal = (uint32_t)((UINT64_C(1) << plan->shift) / plan->d + 1);
}

/* ---- along y: source rows to one row of sums ------------------------------------------------ */

INLINE void add_four_rows(const uint8_t *restrict p, size_t stride, size_t n,
                          uint32_t *restrict sums) {
    const uint8_t *restrict a = p, *restrict b = a + stride;
    const uint8_t *restrict c = b + stride, *restrict d = c + stride;
    for (size_t i = 0; i < n; i++)
        sums[i] += SIDE * (uint32_t)(uint16_t)(a[i] + b[i] + c[i] + d[i]);
}

INLINE void add_row(const uint8_t *restrict p, size_t n, uint32_t *restrict sums) {
    for (size_t i = 0; i < n; i++) sums[i] += (uint16_t)(SIDE * p[i]);
}

INLINE void split_row(const uint8_t *restrict p, uint16_t part, size_t n, uint32_t *restrict sums,
                      uint32_t *restrict ret_row) {
    for (size_t i = 0; i < n; i++) {
        uint16_t share = (uint16_t)(part * p[i]); /* at most 159 * 255 */
        ret_row[i] = sums[i] + share;
        sums[i] = (uint16_t)(SIDE * p[i] - share);
    }
}

INLINE void blend_rows(const uint8_t *restrict first, const uint8_t *restrict second, uint32_t part,
                       size_t n, uint32_t *restrict ret_row) {
    for (size_t i = 0; i < n; i++) ret_row[i] = (2 * SIDE - part) * first[i] + part * second[i];
}

/* The sums of one output row; *y is the next source row that nothing has been taken from. */
INLINE void gather_rows(const struct plan *plan, const uint8_t *rgb, size_t stride,
                        const struct tap *tap, size_t *y) {
    size_t n = plan->n_samples;
    if (!plan->y.shrinks) {
        blend_rows(rgb + stride * tap->first, rgb + stride * tap->second, tap->part, n, plan->row);
        return;
    }
    for (; *y + 4 <= tap->first; *y += 4) add_four_rows(rgb + stride * *y, stride, n, plan->sums);
    for (; *y < tap->first; *y += 1) add_row(rgb + stride * *y, n, plan->sums);
    if (tap->part > 0) {
        split_row(rgb + stride * *y, (uint16_t)tap->part, n, plan->sums, plan->row);
        *y += 1;
    } else { /* ends between two rows */
        memcpy(plan->row, plan->sums, n * sizeof *plan->row);
        memset(plan->sums, 0, n * sizeof *plan->sums);
    }
}

/* ---- along x: one row of sums to one row of the crop ----------------------------------------- */

INLINE pixel load_pixel(const uint32_t *row, uint32_t x) {
    pixel p;
    memcpy(&p, row + 3 * (size_t)x, sizeof p);
    return p;
}

INLINE void finish_row_narrow(const struct plan *plan, uint8_t *restrict ret_row) {
    uint32_t totals[ROW + PADDING];
    const uint32_t *row = plan->row;
    pixel rest = {0};
    uint32_t x = 0;
    for (size_t j = 0; j < SIDE; j++) {
        const struct tap *tap = &plan->x.taps[j];
        pixel total, edge = load_pixel(row, tap->first);
        if (plan->x.shrinks) {
            pixel whole = {0}, share = edge * tap->part;
            for (; x < tap->first; x++) whole += load_pixel(row, x);
            total = rest + whole * SIDE + share;
            rest = edge * SIDE - share;
            x = tap->first + 1;
        } else {
            total = edge * (2 * SIDE - tap->part) + load_pixel(row, tap->second) * tap->part;
        }
        memcpy(totals + 3 * j, &total, sizeof total);
    }
    uint32_t half = (uint32_t)(plan->d / 2);
    for (size_t i = 0; i < ROW; i++)
        ret_row[i] = (uint8_t)((uint64_t)(totals[i] + half) * plan->reciprocal >> plan->shift);
}

INLINE void finish_row_wide(const struct plan *plan, uint8_t *ret_row) {
    const uint32_t *row = plan->row;
    uint64_t rest[3] = {0};
    size_t x = 0;
    for (size_t j = 0; j < SIDE; j++) {
        const struct tap *tap = &plan->x.taps[j];
        uint64_t totals[3] = {rest[0], rest[1], rest[2]};
        for (; plan->x.shrinks && x < tap->first; x++)
            for (size_t c = 0; c < 3; c++) totals[c] += (uint64_t)SIDE * row[3 * x + c];
        for (size_t c = 0; c < 3; c++) {
            uint64_t edge = row[3 * (size_t)tap->first + c];
            uint64_t second = row[3 * (size_t)tap->second + c];
            if (plan->x.shrinks) {
                totals[c] += edge * tap->part;
                rest[c] = edge * (SIDE - tap->part);
            } else {
                totals[c] = edge * (2 * SIDE - tap->part) + second * tap->part;
            }
            ret_row[3 * j + c] = (uint8_t)((totals[c] + plan->d / 2) / plan->d);
        }
        x = (size_t)tap->first + 1;
    }
}

INLINE void run(const struct plan *plan, const uint8_t *rgb, size_t stride, uint8_t *ret_crop) {
    size_t y = 0;
    for (size_t j = 0; j < SIDE; j++) {
        gather_rows(plan, rgb, stride, &plan->y.taps[j], &y);
        if (plan->d <= NARROW_D)
            finish_row_narrow(plan, ret_crop + ROW * j);
        else
            finish_row_wide(plan, ret_crop + ROW * j);
    }
}

static void run_plain(const struct plan *plan, const uint8_t *rgb, size_t stride,
                      uint8_t *ret_crop) {
    run(plan, rgb, stride, ret_crop);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void run_avx2(const struct plan *plan, const uint8_t *rgb,
                                                     size_t stride, uint8_t *ret_crop) {
    run(plan, rgb, stride, ret_crop);
}
#endif

typedef void run_function(const struct plan *plan, const uint8_t *rgb, size_t stride,
                          uint8_t *ret_crop);

static run_function *choose_run(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return run_avx2;
#endif
    return run_plain;
}

static fn_status resize_by(run_function *run_it, const uint8_t *rgb, size_t stride, int width,
                           int height, uint8_t *ret_crop, struct fn_error *err) {
    if (width == SIDE && height == SIDE) {
        for (size_t y = 0; y < SIDE; y++) memcpy(ret_crop + ROW * y, rgb + stride * y, ROW);
        return FN_OK;
    }
    struct plan plan = {.n_samples = 3 * (size_t)width};
    plan_axis((uint32_t)width, &plan.x);
    plan_axis((uint32_t)height, &plan.y);
    plan_division(&plan);
    size_t n = plan.n_samples + PADDING;
    FN_CLEANUP_FREE uint32_t *rows = calloc(2 * n, sizeof *rows);
    if (!rows)
        return fn_fail(err, FN_NO_MEMORY, "no memory to resize %d x %d pixels", width, height);
    plan.sums = rows;
    plan.row = rows + n;
    run_it(&plan, rgb, stride, ret_crop);
    return FN_OK;
}

fn_status fn_resize(const uint8_t *rgb, size_t stride, int width, int height,
                    uint8_t ret_crop[FN_CROP_SIZE], struct fn_error *err) {
    if (fn_resize_near(rgb, stride, width, height, ret_crop)) return FN_OK;
    return resize_by(choose_run(), rgb, stride, width, height, ret_crop, err);
}

fn_status fn_resize_plain(const uint8_t *rgb, size_t stride, int width, int height,
                          uint8_t ret_crop[FN_CROP_SIZE], struct fn_error *err) {
    return resize_by(run_plain, rgb, stride, width, height, ret_crop, err);
}
