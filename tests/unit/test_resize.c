/* SPDX-License-Identifier: Apache-2.0
 *
 * test_resize.c -- fn_resize() against a model written from the definition: for every output pixel
 * the overlap with, or the distance to, each source pixel, and one rational sum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/picture/resize.h"
#include "engine/prng.h"

#define SIDE FN_CROP_SIDE

struct share {
    int pixel;
    int64_t weight;
};

/* What output j takes of an axis of n pixels; returns how many shares, at most n + 2. */
static int list_shares(int n, int j, struct share *ret_shares) {
    int count = 0;
    if (n >= SIDE) {
        for (int i = 0; i < n; i++) {
            int64_t low = (int64_t)n * j > (int64_t)SIDE * i ? (int64_t)n * j : (int64_t)SIDE * i;
            int64_t high = (int64_t)n * (j + 1) < (int64_t)SIDE * (i + 1) ? (int64_t)n * (j + 1)
                                                                          : (int64_t)SIDE * (i + 1);
            if (high > low) ret_shares[count++] = (struct share){i, high - low};
        }
        return count;
    }
    /* Tents of half-width one pixel over the pixel centres, the border pixels repeated outside. */
    for (int i = -1; i <= n; i++) {
        int64_t centre = (2 * (int64_t)i + 1) * SIDE, at = (2 * (int64_t)j + 1) * n;
        int64_t weight = INT64_C(2) * SIDE - (at > centre ? at - centre : centre - at);
        int pixel = i < 0 ? 0 : i >= n ? n - 1 : i;
        if (weight > 0) ret_shares[count++] = (struct share){pixel, weight};
    }
    return count;
}

struct output {
    struct share *shares; /* owned */
    int n;
    int64_t d; /* what the weights sum to */
};

static struct output *list_outputs(int n) {
    struct output *outputs = calloc(SIDE, sizeof *outputs);
    if (!outputs) abort();
    for (int j = 0; j < SIDE; j++) {
        outputs[j].shares = malloc(((size_t)n + 2) * sizeof(struct share));
        if (!outputs[j].shares) abort();
        outputs[j].n = list_shares(n, j, outputs[j].shares);
        for (int i = 0; i < outputs[j].n; i++) outputs[j].d += outputs[j].shares[i].weight;
        assert_int_equal(outputs[j].d, n < SIDE ? 320 : n);
    }
    return outputs;
}

static void free_outputs(struct output *outputs) {
    for (int j = 0; j < SIDE; j++) free(outputs[j].shares);
    free(outputs);
}

static uint8_t average(const uint8_t *rgb, size_t stride, const struct output *y,
                       const struct output *x) {
    int64_t sum = 0, d = y->d * x->d;
    for (int a = 0; a < y->n; a++)
        for (int b = 0; b < x->n; b++)
            sum += y->shares[a].weight * x->shares[b].weight *
                   rgb[stride * (size_t)y->shares[a].pixel + 3 * (size_t)x->shares[b].pixel];
    return (uint8_t)((sum + d / 2) / d);
}

static void resize_by_definition(const uint8_t *rgb, size_t stride, int width, int height,
                                 uint8_t *ret_crop) {
    struct output *xs = list_outputs(width), *ys = list_outputs(height);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++) *ret_crop++ = average(rgb + c, stride, &ys[y], &xs[x]);
    free_outputs(xs);
    free_outputs(ys);
}

/* The two implementations and the definition agree on random pixels, which lie in a buffer that
 * ends with the last pixel, so that a sanitizer sees a read too far. */
static void expect_definition(int width, int height, size_t gap, uint64_t seed) {
    size_t stride = 3 * (size_t)width + gap;
    size_t size = stride * (size_t)(height - 1) + 3 * (size_t)width;
    uint8_t *rgb = malloc(size);
    static uint8_t want[FN_CROP_SIZE], got[FN_CROP_SIZE], plain[FN_CROP_SIZE];
    assert_non_null(rgb);
    struct fn_prng prng = {seed};
    fn_prng_fill(&prng, rgb, size);
    /* Whole runs of the extremes too: they are what overflows. */
    if (seed % 3 == 1) memset(rgb, 255, size);
    if (seed % 3 == 2)
        for (size_t i = 0; i < size; i++) rgb[i] = rgb[i] < 128 ? 0 : 255;
    struct fn_error err;
    assert_int_equal(fn_resize(rgb, stride, width, height, got, &err), FN_OK);
    assert_int_equal(fn_resize_plain(rgb, stride, width, height, plain, &err), FN_OK);
    resize_by_definition(rgb, stride, width, height, want);
    if (memcmp(got, want, FN_CROP_SIZE) != 0 || memcmp(plain, want, FN_CROP_SIZE) != 0)
        fail_msg("%d x %d, gap %zu, seed %llu: not the definition's crop", width, height, gap,
                 (unsigned long long)seed);
    free(rgb);
}

static void standing_sizes_follow_the_definition(void **state) {
    (void)state;
    static const int sizes[][2] = {{1, 1},     {2, 1},     {1, 160},   {160, 1},   {1, 5000},
                                   {5000, 1},  {161, 159}, {159, 161}, {160, 160}, {160, 320},
                                   {320, 320}, {250, 250}, {480, 160}, {159, 159}, {161, 161},
                                   {80, 80},   {40, 640},  {641, 427}, {1, 65535}, {65535, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (uint64_t seed = 0; seed < 3; seed++)
            expect_definition(sizes[i][0], sizes[i][1], 0, seed);
}

static void sums_beyond_32_bits_follow_the_definition(void **state) {
    (void)state;
    /* D on both sides of 2^23, and 2^23 itself. */
    expect_definition(4096, 2048, 0, 1);
    expect_definition(2897, 2896, 0, 1);
    expect_definition(2896, 2897, 0, 0);
    expect_definition(4001, 2999, 0, 2);
    expect_definition(159, 40001, 0, 1);
    expect_definition(40001, 159, 0, 0);
}

static void random_sizes_follow_the_definition(void **state) {
    (void)state;
    struct fn_prng prng = {20};
    for (uint64_t i = 0; i < 120; i++) {
        int width = 1 + (int)(fn_prng_next(&prng) % (i % 2 ? 400 : 1000));
        int height = 1 + (int)(fn_prng_next(&prng) % (i % 3 ? 400 : 1000));
        expect_definition(width, height, (size_t)(i % 5), i);
    }
}

/* Those that resize_near.c takes, and one more on either side. */
static void sizes_a_little_above_the_crop_follow_the_definition(void **state) {
    (void)state;
    for (int size = SIDE - 1; size <= 256; size++) {
        expect_definition(size, 415 - size, (size_t)(size % 4), (uint64_t)size);
        expect_definition(size, size, 0, (uint64_t)(size % 3));
    }
}

static void equal_sizes_are_a_copy(void **state) {
    (void)state;
    static const size_t stride = (size_t)3 * SIDE + 7;
    static uint8_t rgb[SIDE * (3 * SIDE + 7)], crop[FN_CROP_SIZE];
    struct fn_prng prng = {1};
    fn_prng_fill(&prng, rgb, sizeof rgb);
    assert_int_equal(fn_resize(rgb, stride, SIDE, SIDE, crop, NULL), FN_OK);
    for (size_t y = 0; y < SIDE; y++)
        assert_memory_equal(crop + y * 3 * SIDE, rgb + y * stride, (size_t)3 * SIDE);
}

static void one_colour_stays_that_colour(void **state) {
    (void)state;
    static uint8_t rgb[3 * 333 * 200], crop[FN_CROP_SIZE];
    for (int colour = 0; colour < 256; colour++) {
        memset(rgb, colour, sizeof rgb);
        assert_int_equal(fn_resize(rgb, 999, 333, 200, crop, NULL), FN_OK);
        for (size_t i = 0; i < FN_CROP_SIZE; i++) assert_int_equal(crop[i], colour);
        assert_int_equal(fn_resize(rgb, 999, 7, 90, crop, NULL), FN_OK);
        for (size_t i = 0; i < FN_CROP_SIZE; i++) assert_int_equal(crop[i], colour);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standing_sizes_follow_the_definition),
        cmocka_unit_test(sums_beyond_32_bits_follow_the_definition),
        cmocka_unit_test(random_sizes_follow_the_definition),
        cmocka_unit_test(sizes_a_little_above_the_crop_follow_the_definition),
        cmocka_unit_test(equal_sizes_are_a_copy),
        cmocka_unit_test(one_colour_stays_that_colour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
