/* SPDX-License-Identifier: Apache-2.0
 *
 * test_exif.c -- orientations are found in both byte orders, and damage is orientation 1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/picture/exif.h"

#define BLOCK_SIZE 38 /* header, two entries, end */

static const uint8_t little[BLOCK_SIZE] = {
    'I',  'I',  42, 0, 8, 0, 0, 0,                   /* header */
    2,    0,                                         /* entries */
    0x0f, 0x01, 2,  0, 4, 0, 0, 0, 'a', 'b', 'c', 0, /* Make */
    0x12, 0x01, 3,  0, 1, 0, 0, 0, 6,   0,   0,   0, /* Orientation */
    0,    0,    0,  0};
static const uint8_t big[BLOCK_SIZE] = {
    'M',  'M',  0, 42, 0, 0, 0, 8,                   /* header */
    0,    2,                                         /* entries */
    0x01, 0x0f, 0, 2,  0, 0, 0, 4, 'a', 'b', 'c', 0, /* Make */
    0x01, 0x12, 0, 3,  0, 0, 0, 1, 0,   6,   0,   0, /* Orientation */
    0,    0,    0, 0};

/* Of a copy that ends with its last byte, so that a sanitizer sees a read too far. */
static int orientation_of(const uint8_t *bytes, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    if (size > 0) memcpy(copy, bytes, size);
    int orientation = fn_exif_orientation(copy, size);
    free(copy);
    return orientation;
}

static int orientation_with(size_t at, uint8_t value) {
    uint8_t block[BLOCK_SIZE];
    memcpy(block, little, sizeof block);
    block[at] = value;
    return orientation_of(block, sizeof block);
}

static void all_eight_are_found_in_both_byte_orders(void **state) {
    (void)state;
    for (uint8_t o = 1; o <= 8; o++) {
        assert_int_equal(orientation_with(30, o), o);
        uint8_t block[BLOCK_SIZE];
        memcpy(block, big, sizeof block);
        block[31] = o;
        assert_int_equal(orientation_of(block, sizeof block), o);
    }
}

static void the_prefix_of_jpeg_may_stand_before_the_block(void **state) {
    (void)state;
    uint8_t block[6 + BLOCK_SIZE] = "Exif\0";
    memcpy(block + 6, big, BLOCK_SIZE);
    assert_int_equal(orientation_of(block, sizeof block), 6);
    assert_int_equal(orientation_of(block, 6), 1);
}

static void a_value_outside_one_to_eight_is_one(void **state) {
    (void)state;
    assert_int_equal(orientation_with(30, 0), 1);
    assert_int_equal(orientation_with(30, 9), 1);
    assert_int_equal(orientation_with(31, 1), 1); /* 262 */
}

static void a_wrong_header_type_or_count_is_one(void **state) {
    (void)state;
    assert_int_equal(orientation_with(0, 'M'), 1);
    assert_int_equal(orientation_with(1, 'X'), 1);
    assert_int_equal(orientation_with(2, 43), 1);
    assert_int_equal(orientation_with(24, 4), 1); /* LONG */
    assert_int_equal(orientation_with(26, 2), 1); /* two values */
    assert_int_equal(orientation_with(8, 1), 1);  /* the directory ends before it */
}

static void a_directory_outside_the_block_is_one(void **state) {
    (void)state;
    assert_int_equal(orientation_with(4, BLOCK_SIZE - 1), 1);
    assert_int_equal(orientation_with(4, 255), 1);
    assert_int_equal(orientation_with(7, 255), 1);
    assert_int_equal(orientation_with(9, 255), 6); /* 65282 entries, ours among the real ones */
}

static void a_block_cut_anywhere_before_the_value_is_one(void **state) {
    (void)state;
    assert_int_equal(fn_exif_orientation(NULL, 0), 1);
    for (size_t size = 0; size < BLOCK_SIZE; size++) {
        assert_int_equal(orientation_of(little, size), size < 32 ? 1 : 6);
        assert_int_equal(orientation_of(big, size), size < 32 ? 1 : 6);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_eight_are_found_in_both_byte_orders),
        cmocka_unit_test(the_prefix_of_jpeg_may_stand_before_the_block),
        cmocka_unit_test(a_value_outside_one_to_eight_is_one),
        cmocka_unit_test(a_wrong_header_type_or_count_is_one),
        cmocka_unit_test(a_directory_outside_the_block_is_one),
        cmocka_unit_test(a_block_cut_anywhere_before_the_value_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
