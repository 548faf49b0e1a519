/* SPDX-License-Identifier: Apache-2.0
 *
 * picture_files.h -- read, decode and compare the pictures of tests/data/pictures/, whose pixels
 * follow the formulas of make_pictures.py. Tests run in the root of the repository. */
#ifndef FN_TESTS_PICTURE_FILES_H
#define FN_TESTS_PICTURE_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/picture/picture.h"

#define PICTURES "tests/data/pictures/"
#define WIDTH    48 /* of nearly all of them */
#define HEIGHT   32
#define N_PIXELS ((int64_t)WIDTH * HEIGHT)

/* The whole file, in an allocation that ends with its last byte; owned by the caller. */
static inline uint8_t *read_picture(const char *name, size_t *ret_size) {
    char path[256];
    (void)snprintf(path, sizeof path, PICTURES "%s", name);
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s cannot be read (run tests in the root of the repository)", path);
    static uint8_t buffer[1 << 20];
    size_t size = fread(buffer, 1, sizeof buffer, file);
    (void)fclose(file);
    uint8_t *bytes = malloc(size ? size : 1);
    assert_non_null(bytes);
    memcpy(bytes, buffer, size);
    *ret_size = size;
    return bytes;
}

static inline struct fn_picture *decode_picture(const char *name) {
    size_t size;
    uint8_t *bytes = read_picture(name, &size);
    struct fn_picture *picture = NULL;
    struct fn_error err;
    fn_status status = fn_picture_decode(bytes, size, FN_MAX_PIXELS_DEFAULT, &picture, &err);
    free(bytes);
    if (status != FN_OK) fail_msg("%s: %s", name, err.text);
    return picture;
}

/* Decode what must fail, see to it that nothing is given back, and return the text. */
static inline const char *expect_failure(const void *bytes, size_t size, fn_status want) {
    static struct fn_error err;
    struct fn_picture *untouched = (struct fn_picture *)&err, *picture = untouched;
    fn_status status = fn_picture_decode(bytes, size, FN_MAX_PIXELS_DEFAULT, &picture, &err);
    if (status != want)
        fail_msg("status %s, expected %s (%s)", fn_status_code(status), fn_status_code(want),
                 status == FN_OK ? "" : err.text);
    assert_ptr_equal(picture, untouched);
    assert_int_equal(err.status, want);
    return err.text;
}

static inline void expect_file_fails(const char *name, fn_status want, const char *text) {
    size_t size;
    uint8_t *bytes = read_picture(name, &size);
    const char *got = expect_failure(bytes, size, want);
    if (!strstr(got, text)) fail_msg("%s: \"%s\" does not say \"%s\"", name, got, text);
    free(bytes);
}

/* No prefix of the file is a picture that leaves out more than the last `spare` bytes. The prefix
 * is copied so that a sanitizer sees its end. */
static inline void expect_prefixes_fail(const char *name, size_t spare) {
    size_t size;
    uint8_t *bytes = read_picture(name, &size);
    assert_true(size > spare);
    for (size_t length = 0; length < size - spare; length++) {
        uint8_t *prefix = malloc(length ? length : 1);
        assert_non_null(prefix);
        memcpy(prefix, bytes, length);
        struct fn_picture *picture = NULL;
        struct fn_error err;
        fn_status status = fn_picture_decode(prefix, length, FN_MAX_PIXELS_DEFAULT, &picture, &err);
        bool no_magic = status == FN_UNSUPPORTED_FORMAT && length < 12;
        if (status != FN_PICTURE_DAMAGED && !no_magic)
            fail_msg("%s cut to %zu of %zu bytes is %s", name, length, size,
                     fn_status_code(status));
        free(prefix);
    }
    free(bytes);
}

static inline const uint8_t *pixel_at(const struct fn_picture *picture, int x, int y) {
    return picture->rgb + 3 * ((size_t)y * (size_t)picture->width + (size_t)x);
}

typedef void pixel_formula(int x, int y, uint8_t ret_rgb[3]);

static inline void formula_rgb(int x, int y, uint8_t ret_rgb[3]) {
    ret_rgb[0] = (uint8_t)(5 * x);
    ret_rgb[1] = (uint8_t)(8 * y);
    ret_rgb[2] = (uint8_t)(255 - 5 * x);
}

static inline void formula_grey(int x, int y, uint8_t ret_rgb[3]) {
    memset(ret_rgb, (5 * x + 8 * y) / 2, 3);
}

/* Every sample lies within `tolerance` of the formula. */
static inline void expect_formula(const char *name, pixel_formula *formula, int tolerance) {
    struct fn_picture *picture = decode_picture(name);
    assert_int_equal(picture->width, WIDTH);
    assert_int_equal(picture->height, HEIGHT);
    assert_int_equal(picture->full_width, WIDTH);
    assert_int_equal(picture->full_height, HEIGHT);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            uint8_t want[3];
            formula(x, y, want);
            const uint8_t *got = pixel_at(picture, x, y);
            for (int c = 0; c < 3; c++)
                if (abs(got[c] - want[c]) > tolerance)
                    fail_msg("%s: sample %d at (%d, %d) is %d, expected %d +- %d", name, c, x, y,
                             got[c], want[c], tolerance);
        }
    fn_picture_free(picture);
}

#endif
