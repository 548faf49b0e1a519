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
#define N_ROWS 4                  /* rows of sums that are kept: three, and two come at a time */

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
    int scale; /* n / d = scale * n * reciprocal >> 48 for n < 2^8 * d: see resize.c */
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
    ret_plan->scale = 1 << (17 - log); /* log is 15 or 16 */
}

#define AVX2 __attribute__((target("avx2")))

/* One step of one row: of each half's eight sums six, side by side. */
AVX2 static inline __m256i sum_step(const uint8_t *source, const int offsets[2], __m256i two,
                                    __m256i third, __m256i two_weights, __m256i third_weights) {
    const __m256i sign = _mm256_set1_epi8((char)-128);
    const __m256i close_up = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(source + offsets[0]));
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(source + offsets[1]));
    __m256i pixels = _mm256_xor_si256(_mm256_set_m128i(high, low), sign);
    __m256i sums =
        _mm256_add_epi16(_mm256_maddubs_epi16(two_weights, _mm256_shuffle_epi8(pixels, two)),
                         _mm256_maddubs_epi16(third_weights, _mm256_shuffle_epi8(pixels, third)));
    return _mm256_permutevar8x32_epi32(sums, close_up);
}

AVX2 static inline __m256i load(const void *from) {
    return _mm256_loadu_si256((const __m256i *)from);
}

/* Along x: the sums of two source rows. Bytes behind them are read, not used. */
AVX2 static void sum_rows(const struct plan *plan, const uint8_t *source0, const uint8_t *source1,
                          int16_t *ret_sums0, int16_t *ret_sums1) {
    for (size_t i = 0; i < PAIRS; i++) {
        const struct step *s = &plan->steps[i];
        __m256i two = load(s->two), third = load(s->third);
        __m256i two_weights = load(s->two_weights), third_weights = load(s->third_weights);
        __m256i first = sum_step(source0, s->offsets, two, third, two_weights, third_weights);
        __m256i second = sum_step(source1, s->offsets, two, third, two_weights, third_weights);
        /* The next store covers what is behind the sums. */
        _mm256_storeu_si256((__m256i *)(void *)(ret_sums0 + 12 * i), first);
        _mm256_storeu_si256((__m256i *)(void *)(ret_sums1 + 12 * i), second);
    }
}

/* Rounded quotients of 16 numbers: of 8 in each half, the first four in `low`. They come out in the
 * order 0, 4, 2, 6, 1, 5, 3, 7, which is its own inverse. */
AVX2 static inline __m256i divide(__m256i reciprocal, __m256i low, __m256i high) {
    __m256 low_even = _mm256_castsi256_ps(_mm256_mul_epu32(low, reciprocal));
    __m256 low_odd = _mm256_castsi256_ps(_mm256_mul_epu32(_mm256_srli_epi64(low, 32), reciprocal));
    __m256 high_even = _mm256_castsi256_ps(_mm256_mul_epu32(high, reciprocal));
    __m256 high_odd =
        _mm256_castsi256_ps(_mm256_mul_epu32(_mm256_srli_epi64(high, 32), reciprocal));
    /* The upper halves of the products, the quotients in their upper halves. */
    __m256i first = _mm256_castps_si256(_mm256_shuffle_ps(low_even, low_odd, 0xdd));
    __m256i second = _mm256_castps_si256(_mm256_shuffle_ps(high_even, high_odd, 0xdd));
    return _mm256_blend_epi16(_mm256_srli_epi32(first, 16), second, 0xaa);
}

/* How an output row comes of three rows of sums: the same for all its samples. */
struct blend {
    __m256i two, third, add, reciprocal;
};

AVX2 static inline struct blend plan_blend(const struct plan *plan, const uint8_t weights[3]) {
    return (struct blend){
        .two = _mm256_set1_epi32(plan->scale * weights[1] << 16 | plan->scale * weights[0]),
        .third = _mm256_set1_epi32(plan->scale * weights[2]),
        /* The 128 that every pixel was less, and half of d to round. */
        .add = _mm256_set1_epi32(plan->scale * (int)(128 * plan->d + plan->d / 2)),
        .reciprocal = _mm256_set1_epi32((int)plan->reciprocal)};
}

/* Along y: 16 samples of one output row, as 16-bit numbers in divide()'s order. c: NULL where its
 * weight is zero. */
AVX2 static inline __m256i blend_rows(struct blend blend, const int16_t *a, const int16_t *b,
                                      const int16_t *c) {
    __m256i first = load(a), second = load(b);
    __m256i low = _mm256_madd_epi16(_mm256_unpacklo_epi16(first, second), blend.two);
    __m256i high = _mm256_madd_epi16(_mm256_unpackhi_epi16(first, second), blend.two);
    low = _mm256_add_epi32(low, blend.add);
    high = _mm256_add_epi32(high, blend.add);
    if (c) {
        __m256i last = load(c);
        __m256i last_low = _mm256_unpacklo_epi16(last, last);
        __m256i last_high = _mm256_unpackhi_epi16(last, last);
        low = _mm256_add_epi32(low, _mm256_madd_epi16(last_low, blend.third));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(last_high, blend.third));
    }
    return divide(blend.reciprocal, low, high);
}

/* One row of the crop. three: whether the third row of sums counts. */
AVX2 static inline void finish_row(struct blend blend, const int16_t *a, const int16_t *b,
                                   const int16_t *c, bool three, uint8_t *ret_row) {
    const __m256i in_order = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 4, 2, 6, 1, 5, 3, 7, 8, 12, 10, 14, 9, 13, 11, 15));
    for (size_t i = 0; i < ROW; i += 32) {
        __m256i bytes = _mm256_packus_epi16(
            blend_rows(blend, a + i, b + i, three ? c + i : NULL),
            blend_rows(blend, a + i + 16, b + i + 16, three ? c + i + 16 : NULL));
        bytes = _mm256_shuffle_epi8(_mm256_permute4x64_epi64(bytes, 0xd8), in_order);
        _mm256_storeu_si256((__m256i *)(void *)(ret_row + i), bytes);
    }
}

AVX2 static void run(const struct plan *plan, const uint8_t *rgb, size_t stride, int width,
                     int height, uint8_t *ret_crop) {
    static const int16_t nothing[ROW]; /* a row below the picture, whose weight is zero */
    int16_t sums[N_ROWS][ROW + 4];
    uint8_t last[3 * MAX_SIZE + 16] = {0}; /* row, with room to read behind it */
    int next = 0;                          /* source row; the last one's pair is itself */
    memcpy(last, rgb + stride * (size_t)(height - 1), 3 * (size_t)width);
    for (int j = 0; j < SIDE; j++, ret_crop += ROW) {
        const struct tap *tap = &plan->y[j];
        const int16_t *rows[3];
        for (; next < height && next < tap->first + 3; next += 2) {
            const uint8_t *first = rgb + stride * (size_t)next, *second = first + stride;
            sum_rows(plan, next + 1 < height ? first : last, next + 2 < height ? second : last,
                     sums[next % N_ROWS], sums[(next + 1) % N_ROWS]);
        }
        for (int k = 0; k < 3; k++)
            rows[k] = tap->first + k < height ? sums[(tap->first + k) % N_ROWS] : nothing;
        struct blend blend = plan_blend(plan, tap->weights);
        if (tap->weights[2] > 0)
            finish_row(blend, rows[0], rows[1], rows[2], true, ret_crop);
        else
            finish_row(blend, rows[0], rows[1], rows[2], false, ret_crop);
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
