/* SPDX-License-Identifier: Apache-2.0
 *
 * resize_near.c -- what most pictures of one face are: 160...255 pixels a side. There an output
 * covers at most three source pixels of an axis, and weights fit a byte. Each source row is brought
 * to 480 sums first: less 128, its pixels are signed bytes, and vpmaddubsw adds the first two of
 * three products without saturating, as all weights sum to at most 255 and 255 * 128 < 2^15. The
 * same integers as resize.c has, in another order. */
#include "engine/picture/resize_near.h"

#include "engine/network.h"

#define SIDE     FN_CROP_SIDE
#define MAX_SIZE 255

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define ROW    ((size_t)3 * SIDE) /* samples of one output row */
#define PAIRS  (SIDE / 4)         /* steps of two outputs in each half of a register */
#define N_ROWS 4                  /* rows of sums that are kept: an output needs three */

/* One output of an axis: pixels `first` to `first + 2`. */
struct tap {
    int first;
    uint8_t weights[3];
};

/* How one step picks the bytes of each half's two outputs, and weights them. */
struct step {
    uint8_t two[32], third[32]; /* for vpshufb: the first two pixels side by side; the third */
    uint8_t two_weights[32], third_weights[32];
    int offsets[2]; /* of the source's bytes, by half */
};

struct plan {
    struct tap x[SIDE], y[SIDE];
    struct step steps[PAIRS];
    uint32_t d; /* width * height */
    uint32_t reciprocal;
    int shift; /* n / d = n * reciprocal >> 32 >> shift for n < 2^8 * d: see resize.c */
};

static void plan_axis(int size, struct tap *ret_taps) {
    for (int j = 0; j < SIDE; j++) {
        int begin = size * j, end = size * (j + 1);
        ret_taps[j].first = begin / SIDE;
        for (int k = 0; k < 3; k++) {
            int border = SIDE * (ret_taps[j].first + k + 1), to = border < end ? border : end;
            ret_taps[j].weights[k] = (uint8_t)(to - begin);
            begin = to;
        }
    }
}

static void plan_steps(struct plan *plan) {
    for (size_t half = 0; half < SIDE / 2; half++) {
        struct step *step = &plan->steps[half / 2];
        int base = plan->x[2 * half].first;
        size_t lane = half % 2 * 16;
        step->offsets[half % 2] = 3 * base;
        memset(step->two + lane, 0x80, 16); /* picks a zero */
        memset(step->third + lane, 0x80, 16);
        memset(step->two_weights + lane, 0, 16);
        memset(step->third_weights + lane, 0, 16);
        for (size_t sample = 0; sample < 6; sample++) {
            const struct tap *tap = &plan->x[2 * half + sample / 3];
            size_t byte = 3 * (size_t)(tap->first - base) + sample % 3, at = lane + 2 * sample;
            step->two[at] = (uint8_t)byte;
            step->two[at + 1] = (uint8_t)(byte + 3);
            step->third[at] = (uint8_t)(byte + 6); /* at most 14 */
            step->two_weights[at] = tap->weights[0];
            step->two_weights[at + 1] = tap->weights[1];
            step->third_weights[at] = tap->weights[2];
        }
    }
}

static void make_plan(int width, int height, struct plan *ret_plan) {
    plan_axis(width, ret_plan->x);
    plan_axis(height, ret_plan->y);
    plan_steps(ret_plan);
    ret_plan->d = (uint32_t)(width * height);
    int log = 0;
    while (UINT32_C(1) << log < ret_plan->d) log++;
    ret_plan->reciprocal = (uint32_t)((UINT64_C(1) << (31 + log)) / ret_plan->d + 1);
    ret_plan->shift = log - 1;
}

#define AVX2 __attribute__((target("avx2")))

/* Along x: the sums of one source row. source: bytes behind it are read, not used. */
AVX2 static void sum_row(const struct plan *plan, const uint8_t *source, int16_t *ret_sums) {
    const __m256i sign = _mm256_set1_epi8((char)-128);
    const __m256i close_up = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
    for (int i = 0; i < PAIRS; i++, ret_sums += 12) {
        const struct step *s = &plan->steps[i];
        __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(source + s->offsets[0]));
        __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(source + s->offsets[1]));
        __m256i pixels = _mm256_xor_si256(_mm256_set_m128i(high, low), sign);
        __m256i two =
            _mm256_shuffle_epi8(pixels, _mm256_loadu_si256((const __m256i *)(const void *)s->two));
        __m256i third = _mm256_shuffle_epi8(
            pixels, _mm256_loadu_si256((const __m256i *)(const void *)s->third));
        __m256i sums = _mm256_add_epi16(
            _mm256_maddubs_epi16(_mm256_loadu_si256((const __m256i *)(const void *)s->two_weights),
                                 two),
            _mm256_maddubs_epi16(
                _mm256_loadu_si256((const __m256i *)(const void *)s->third_weights), third));
        /* Six of each half's eight, side by side; the next store covers what is behind them. */
        _mm256_storeu_si256((__m256i *)(void *)ret_sums,
                            _mm256_permutevar8x32_epi32(sums, close_up));
    }
}

/* Rounded quotients of eight numbers. */
AVX2 static inline __m256i divide(const struct plan *plan, __m256i n) {
    const __m256i reciprocal = _mm256_set1_epi32((int)plan->reciprocal);
    __m256i even = _mm256_srli_epi64(_mm256_mul_epu32(n, reciprocal), 32);
    __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(n, 32), reciprocal);
    return _mm256_srl_epi32(_mm256_blend_epi32(even, odd, 0xaa), _mm_cvtsi32_si128(plan->shift));
}

/* Along y: 16 samples of one output row, as 16-bit numbers. */
AVX2 static inline __m256i blend_rows(const struct plan *plan, const int16_t *const rows[3],
                                      const uint8_t *weights, size_t at) {
    const __m256i two = _mm256_set1_epi32(weights[1] << 16 | weights[0]);
    const __m256i third = _mm256_set1_epi32(weights[2]);
    /* The 128 that every pixel was less, and half of d to round. */
    const __m256i add = _mm256_set1_epi32((int)(128 * plan->d + plan->d / 2));
    __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(rows[0] + at));
    __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(rows[1] + at));
    __m256i c = _mm256_loadu_si256((const __m256i *)(const void *)(rows[2] + at));
    __m256i low = _mm256_add_epi32(_mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), two),
                                   _mm256_madd_epi16(_mm256_unpacklo_epi16(c, c), third));
    __m256i high = _mm256_add_epi32(_mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), two),
                                    _mm256_madd_epi16(_mm256_unpackhi_epi16(c, c), third));
    return _mm256_packs_epi32(divide(plan, _mm256_add_epi32(low, add)),
                              divide(plan, _mm256_add_epi32(high, add)));
}

AVX2 static void run(const struct plan *plan, const uint8_t *rgb, size_t stride, int width,
                     int height, uint8_t *ret_crop) {
    static const int16_t nothing[ROW]; /* a row below the picture, whose weight is zero */
    int16_t sums[N_ROWS][ROW + 4];
    uint8_t last[3 * MAX_SIZE + 16] = {0}; /* row, with room to read behind it */
    int next = 0;                          /* source row */
    for (int j = 0; j < SIDE; j++, ret_crop += ROW) {
        const struct tap *tap = &plan->y[j];
        const int16_t *rows[3];
        for (; next < height && next < tap->first + 3; next++) {
            const uint8_t *row = rgb + stride * (size_t)next;
            if (next + 1 == height) row = memcpy(last, row, 3 * (size_t)width);
            sum_row(plan, row, sums[next % N_ROWS]);
        }
        for (int k = 0; k < 3; k++)
            rows[k] = tap->first + k < height ? sums[(tap->first + k) % N_ROWS] : nothing;
        for (size_t at = 0; at < ROW; at += 32) {
            __m256i bytes = _mm256_packus_epi16(blend_rows(plan, rows, tap->weights, at),
                                                blend_rows(plan, rows, tap->weights, at + 16));
            _mm256_storeu_si256((__m256i *)(void *)(ret_crop + at),
                                _mm256_permute4x64_epi64(bytes, 0xd8));
        }
    }
}

bool fn_resize_near(const uint8_t *rgb, size_t stride, int width, int height, uint8_t *ret_crop) {
    if (width < SIDE || width > MAX_SIZE || height < SIDE || height > MAX_SIZE ||
        !__builtin_cpu_supports("avx2"))
        return false;
    struct plan plan;
    make_plan(width, height, &plan);
    run(&plan, rgb, stride, width, height, ret_crop);
    return true;
}

#else

bool fn_resize_near(const uint8_t *rgb, size_t stride, int width, int height, uint8_t *ret_crop) {
    (void)rgb, (void)stride, (void)width, (void)height, (void)ret_crop;
    return false;
}

#endif
