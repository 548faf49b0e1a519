/* SPDX-License-Identifier: Apache-2.0
 *
 * test_npy.c -- .npy files as NumPy writes them, and as it never would. */
#include <stdlib.h>
#include <string.h>

#include "model/sources/npy.h"
#include "tests/unit/support/cmocka_all.h"

static unsigned char file[4096];

/* Build a file in `file`: version, dictionary, then `data_size` bytes counting up. */
static size_t build(int major, const char *dictionary, size_t data_size) {
    static const unsigned char magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    size_t length = strlen(dictionary), at = major == 1 ? 10 : 12;
    memset(file, 0, sizeof file);
    memcpy(file, magic, sizeof magic);
    file[6] = (unsigned char)major;
    file[8] = (unsigned char)(length & 0xff);
    file[9] = (unsigned char)(length >> 8);
    memcpy(file + at, dictionary, length);
    for (size_t i = 0; i < data_size; i++) file[at + length + i] = (unsigned char)i;
    return at + length + data_size;
}

static fn_status parse(size_t size, struct fn_npy *npy, struct fn_error *err) {
    return fn_npy_parse("x.npy", file, size, npy, err);
}

#define HALF_2x3 "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }  \n"

static void what_numpy_writes_is_read(void **state) {
    (void)state;
    for (int major = 1; major <= 3; major++) {
        struct fn_npy npy;
        struct fn_error err = {0};
        size_t size = build(major, HALF_2x3, 12);
        assert_ok(parse(size, &npy, &err), err);
        assert_int_equal(npy.dtype, FN_DTYPE_F16);
        assert_int_equal(npy.rank, 2);
        assert_int_equal(npy.shape[0], 2);
        assert_int_equal(npy.shape[1], 3);
        assert_int_equal(npy.stride[0], 3);
        assert_int_equal(npy.stride[1], 1);
        assert_int_equal(npy.count, 6);
        assert_ptr_equal(npy.data, file + size - 12);
    }
}

static void fortran_order_is_a_matter_of_strides(void **state) {
    (void)state;
    struct fn_npy npy;
    struct fn_error err = {0};
    size_t size = build(1, "{'shape': (2, 3, 4), 'descr': '<f8', 'fortran_order': True}", 192);
    assert_ok(parse(size, &npy, &err), err);
    assert_int_equal(npy.dtype, FN_DTYPE_F64);
    assert_int_equal(npy.stride[0], 1);
    assert_int_equal(npy.stride[1], 2);
    assert_int_equal(npy.stride[2], 6);
}

static void one_number_and_python_2_are_read_too(void **state) {
    (void)state;
    struct fn_npy npy;
    struct fn_error err = {0};
    size_t size = build(1, "{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": ()}", 4);
    assert_ok(parse(size, &npy, &err), err);
    assert_int_equal(npy.rank, 0);
    assert_int_equal(npy.count, 1);
    size = build(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3L,)}", 12);
    assert_ok(parse(size, &npy, &err), err);
    assert_int_equal(npy.shape[0], 3);
}

static void a_file_cut_anywhere_is_refused(void **state) {
    (void)state;
    size_t whole = build(2, HALF_2x3, 12);
    for (size_t size = 0; size < whole; size++) {
        struct fn_npy npy;
        struct fn_error err = {0};
        /* A copy of its own, so that a sanitizer sees any read behind the end. */
        unsigned char *cut = malloc(size + 1);
        assert_non_null(cut);
        memcpy(cut, file, size);
        unsigned char *exact = realloc(cut, size ? size : 1);
        assert_int_equal(fn_npy_parse("x.npy", exact, size, &npy, &err), FN_BAD_SOURCE);
        assert_non_null(strstr(err.text, "x.npy"));
        free(exact);
    }
}

static void every_damage_is_refused_and_said(void **state) {
    (void)state;
    static const struct {
        const char *dictionary;
        size_t data_size;
        const char *says;
    } cases[] = {
        {"", 0, "dictionary"},
        {"{'descr': '<f2', 'fortran_order': False}", 2, "'shape'"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (1,), 'more': 1}", 2, "once"},
        {"{'descr': '<f2', 'descr': '<f2', 'fortran_order': False, 'shape': (1,)}", 2, "once"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", 4, "'>f4'"},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (1,)}", 4, "'<i4'"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", 4, "plain type"},
        {"{'descr': '<f\\x34', 'fortran_order': False, 'shape': (1,)}", 4, "plain type"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", 4, "True or False"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 1}", 4, "tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 4, "dimension"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}", 4, "','"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", 4, "nothing after"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)", 4, "'}'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", 4, "at most 8"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 4,
         "dimension"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 0,
         "overflows"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,)}", 0,
         "overflows"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 7, "7 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 9, "9 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fn_npy npy;
        struct fn_error err = {0};
        size_t size = build(1, cases[i].dictionary, cases[i].data_size);
        assert_int_equal(parse(size, &npy, &err), FN_BAD_SOURCE);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].dictionary, err.text,
                     cases[i].says);
    }
}

static void other_files_and_versions_are_refused(void **state) {
    (void)state;
    struct fn_npy npy;
    struct fn_error err = {0};
    size_t size = build(4, HALF_2x3, 12);
    assert_int_equal(parse(size, &npy, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "version 4.0"));
    size = build(1, HALF_2x3, 12);
    file[0] = 'P';
    assert_int_equal(parse(size, &npy, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "not a .npy file"));
    size = build(1, HALF_2x3, 12);
    file[9] = 0xff;
    assert_int_equal(parse(size, &npy, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "only"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_numpy_writes_is_read),
        cmocka_unit_test(fortran_order_is_a_matter_of_strides),
        cmocka_unit_test(one_number_and_python_2_are_read_too),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(every_damage_is_refused_and_said),
        cmocka_unit_test(other_files_and_versions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
