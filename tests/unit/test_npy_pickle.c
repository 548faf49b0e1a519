/* SPDX-License-Identifier: Apache-2.0
 *
 * test_npy_pickle.c -- arrays out of pickles of three protocols, and refusal of everything else. */
#include "model/sources/npy_pickle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/file.h"
#include "model/sources/detector_source.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"

#define CORPUS "tests/fuzz/corpus/npy_pickle/"

static uint8_t *bytes;
static size_t size;

static void load(const char *path) {
    struct fn_error err;
    free(bytes);
    assert_ok(fn_file_read(path, 1 << 20, &bytes, &size, &err), err);
}

static float at(const struct fn_npy *array, int64_t row, int64_t column) {
    int64_t index = row * array->stride[0] + (array->rank > 1 ? column * array->stride[1] : 0);
    float single;
    double whole;
    if (array->dtype == FN_DTYPE_F32) {
        memcpy(&single, (const char *)array->data + (size_t)index * sizeof single, sizeof single);
        return single;
    }
    memcpy(&whole, (const char *)array->data + (size_t)index * sizeof whole, sizeof whole);
    return (float)whole;
}

static void arrays_are_found_whatever_wrote_them(void **state) {
    (void)state;
    static const char *const files[] = {CORPUS "python-2", CORPUS "protocol-3",
                                        CORPUS "protocol-4"};
    for (size_t i = 0; i < 3; i++) {
        struct fn_npy_pickle *pickle;
        struct fn_error err;
        struct fn_npy array;
        load(files[i]);
        assert_true(fn_npy_pickle_recognise(bytes, size));
        assert_ok(fn_npy_pickle_open(files[i], bytes, size, &pickle, &err), err);
        assert_true(fn_npy_pickle_find(pickle, "conv1", "weights", &array));
        assert_true(array.dtype == FN_DTYPE_F32 && array.rank == 2 && array.count == 6);
        assert_true(array.shape[0] == 2 && array.shape[1] == 3);
        assert_true(at(&array, 1, 0) == 3 && at(&array, 1, 2) == 5);
        assert_true(fn_npy_pickle_find(pickle, "conv1", "biases", &array));
        assert_true(array.rank == 1 && at(&array, 0, 0) == 1.5F && at(&array, 1, 0) == -2);
        assert_true(fn_npy_pickle_find(pickle, "PReLU1", "alpha", &array)); /* in Fortran's order */
        assert_true(array.dtype == FN_DTYPE_F64 && at(&array, 2, 1) == 5 && at(&array, 0, 1) == 1);
        assert_false(fn_npy_pickle_find(pickle, "conv1", "alpha", &array));
        assert_false(fn_npy_pickle_find(pickle, "conv2", "weights", &array));
        fn_npy_pickle_close(pickle);
    }
}

/* The reason why a pickle of these instructions is refused; NULL when it is not. */
static const char *refusal(const char *instructions, size_t n) {
    static struct fn_error err;
    static const char header[] = "{'descr': '|O', 'fortran_order': False, 'shape': (), }";
    struct fn_npy_pickle *pickle = NULL;
    size_t length = sizeof header - 1;
    uint8_t *file = malloc(10 + length + n);
    memcpy(file, "\x93NUMPY\x01\x00", 8);
    file[8] = (uint8_t)length;
    file[9] = 0;
    memcpy(file + 10, header, length);
    memcpy(file + 10 + length, instructions, n);
    fn_status status = fn_npy_pickle_open("f", file, 10 + length + n, &pickle, &err);
    fn_npy_pickle_close(pickle);
    free(file);
    if (status == FN_OK) return NULL;
    assert_int_equal(status, FN_BAD_SOURCE);
    return err.text;
}
#define REFUSAL(instructions) refusal(instructions, sizeof(instructions) - 1)

static void nothing_is_called_but_what_makes_arrays(void **state) {
    (void)state;
    assert_non_null(strstr(REFUSAL("\x80\x02"
                                   "cposix\nsystem\nU\x02id\x85R."),
                           "posix.system, which is not run"));
    assert_non_null(strstr(REFUSAL("\x80\x02"
                                   "c__builtin__\neval\n."),
                           "__builtin__.eval"));
    assert_non_null(strstr(REFUSAL("\x80\x04\x8c\x02os\x8c\x06system\x93."), "os.system"));
    assert_non_null(strstr(REFUSAL("\x80\x02"
                                   "cnumpy\nfromfile\n."),
                           "numpy.fromfile"));
    assert_non_null(REFUSAL("\x80\x02"
                            "cnumpy\nndarray\n)R."));
    assert_non_null(REFUSAL("\x80\x02"
                            "cnumpy\nndarray\n)\x81."));
    assert_non_null(REFUSAL("\x80\x02(S'x'\nios\nsystem\n."));
}

static void instructions_without_their_values_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      ".",
                                      "\x80\x02.",
                                      "\x80\x05N.",
                                      "\x80\x00N.",
                                      "N",
                                      "NN.",
                                      "t.",
                                      "(e.",
                                      "]e.",
                                      "a.",
                                      "Na.",
                                      "]NNs.",
                                      "}Ns.",
                                      "u.",
                                      "(}Nu.",
                                      "}(Nu.",
                                      "R.",
                                      "b.",
                                      "NNR.",
                                      "NNb.",
                                      ")))R.",
                                      "q",
                                      "q\x01.",
                                      "h\x01.",
                                      "j\x01\x01\x01\x01.",
                                      "Nr\xff\xff\xff\xff.",
                                      "U\x09x.",
                                      "T\xff\xff\xff\xff.",
                                      "X\x01.",
                                      "\x8e\xff\xff\xff\xff\xff\xff\xff\xff.",
                                      "\x8a\011123456789.",
                                      "123456789.",
                                      "K.",
                                      "cnumpy",
                                      "cnumpy\nndarray",
                                      "\x93.",
                                      "N\x93.",
                                      "(\x85.",
                                      "((tt.",
                                      "\x95."};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(refusal(bad[i], strlen(bad[i])));
}

static void a_pickle_without_arrays_is_refused(void **state) {
    (void)state;
    assert_non_null(strstr(REFUSAL("\x80\x02N."), "no dictionary of arrays"));
    assert_non_null(strstr(REFUSAL("\x80\x02}."), "no dictionary of arrays"));
    assert_non_null(strstr(REFUSAL("\x80\x02"
                                   "cnumpy\nndarray\n."),
                           "no dictionary of arrays"));
}

static void endless_pickles_end(void **state) {
    (void)state;
    enum { N = 1 << 20 };
    static const char *const units[] = {
        "(", "N", "]", "}q\x01h\x01", "]q\001h\001a", ")\x85", "N0", "Nq\x01h\x01\x86"};
    char *text = malloc(N + 16);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t length = strlen(units[i]);
        for (size_t k = 0; k + length <= N; k += length) memcpy(text + k, units[i], length);
        assert_non_null(refusal(text, N / length * length));
    }
    free(text);
}

static void every_truncation_and_every_changed_byte_is_survived(void **state) {
    (void)state;
    load(CORPUS "python-2");
    uint8_t *copy = malloc(size);
    struct fn_npy array;
    struct fn_error err;
    for (size_t i = 0; i < size; i++) {
        struct fn_npy_pickle *pickle = NULL;
        memcpy(copy, bytes, i);
        assert_int_not_equal(fn_npy_pickle_open("f", copy, i, &pickle, &err), FN_OK);
    }
    for (size_t i = 0; i < 255 * size; i++) {
        struct fn_npy_pickle *pickle = NULL;
        memcpy(copy, bytes, size);
        copy[i / 255] ^= (uint8_t)(i % 255 + 1);
        if (i % 31 == 0 && fn_npy_pickle_open("f", copy, size, &pickle, &err) == FN_OK &&
            fn_npy_pickle_find(pickle, "conv1", "weights", &array))
            assert_true((const uint8_t *)array.data >= copy &&
                        (const uint8_t *)array.data + 4 * array.count <= copy + size);
        fn_npy_pickle_close(pickle);
    }
    free(copy);
}

/* ---- the detector's folders ------------------------------------------------------------------ */

static void folders_without_the_detector_are_refused_by_name(void **state) {
    (void)state;
    struct fn_model_draft *draft;
    struct fn_error err;
    assert_ok(fn_untrained_draft(7, 1, 8, &draft, &err), err);
    assert_int_equal(fn_detector_source_read(temporary_dir, draft, &err), FN_IO);
    assert_non_null(strstr(err.text, "neither det1.npy nor pnet.pt nor a folder pnet"));
    FILE *file = fopen(temporary_path("det1.npy"), "wb");
    load(CORPUS "python-2"); /* sound, of other shapes */
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(fn_detector_source_read(temporary_dir, draft, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "det1.npy: conv1 weights are not [3][3][3][10]"));
    fn_model_draft_free(draft);
}

static void published_weights_are_turned_upright(void **state) {
    (void)state;
    if (access("../shared/data/mtcnn-npy", F_OK) != 0) skip();
    struct fn_model_draft *draft;
    struct fn_error err;
    struct fn_npy array;
    float value;
    assert_ok(fn_untrained_draft(7, 1, 8, &draft, &err), err);
    assert_ok(fn_detector_source_read("../shared/data/mtcnn-npy", draft, &err), err);
    load("../shared/data/mtcnn-npy/pnet/conv2_weights.npy"); /* [x][y][10][16] */
    assert_ok(fn_npy_parse("conv2", bytes, size, &array, &err), err);
    for (size_t i = 0; i < (size_t)3 * 3 * 10 * 16; i++) {
        size_t out = i / 90, y = i / 30 % 3, x = i / 10 % 3, in = i % 10;
        memcpy(&value, (const float *)array.data + ((x * 3 + y) * 10 + in) * 16 + out, 4);
        assert_true(draft->detector.layers[1].weights[i] == value);
    }
    fn_model_draft_free(draft);
}

static int done(void **state) {
    free(bytes);
    return temporary_remove(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_are_found_whatever_wrote_them),
        cmocka_unit_test(nothing_is_called_but_what_makes_arrays),
        cmocka_unit_test(instructions_without_their_values_are_refused),
        cmocka_unit_test(a_pickle_without_arrays_is_refused),
        cmocka_unit_test(endless_pickles_end),
        cmocka_unit_test(every_truncation_and_every_changed_byte_is_survived),
        cmocka_unit_test(folders_without_the_detector_are_refused_by_name),
        cmocka_unit_test(published_weights_are_turned_upright),
    };
    return cmocka_run_group_tests(tests, temporary_make, done);
}
