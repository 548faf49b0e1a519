/* SPDX-License-Identifier: Apache-2.0
 *
 * test_base64.c -- base64 both ways, and what is not base64. */
#include <stdlib.h>
#include <string.h>

#include "daemon/api/base64.h"
#include "tests/unit/support/cmocka_all.h"

static void assert_decodes(const char *text, const char *expected) {
    uint8_t *bytes;
    size_t size;
    struct fn_error err;
    assert_int_equal(fn_base64_decode_data(text, strlen(text), &bytes, &size, &err), FN_OK);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(bytes, expected, size);
    free(bytes);
}

static void assert_refused(const char *text) {
    uint8_t *bytes = NULL;
    size_t size = 7;
    struct fn_error err;
    assert_int_equal(fn_base64_decode_data(text, strlen(text), &bytes, &size, &err),
                     FN_BAD_REQUEST);
    assert_null(bytes);
    assert_int_equal(size, 7);
}

static void the_vectors_of_rfc_4648_decode(void **state) {
    (void)state;
    assert_decodes("", "");
    assert_decodes("Zg==", "f");
    assert_decodes("Zm8=", "fo");
    assert_decodes("Zm9v", "foo");
    assert_decodes("Zm9vYg==", "foob");
    assert_decodes("Zm9vYmE=", "fooba");
    assert_decodes("Zm9vYmFy", "foobar");
}

static void white_space_and_missing_padding_are_forgiven(void **state) {
    (void)state;
    assert_decodes("Zm9v\r\nYg = =\n", "foob");
    assert_decodes("Zm9vYg", "foob");
    assert_decodes("Zm8", "fo");
}

static void what_is_not_base64_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"Z",     "Zm9vY",  "Zg=",  "Zg===", "=",        "====",
                                        "Zm9v=", "Zg==Zg", "Zm-_", "Zm9*",  "Zm9v====", "\x80"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_refused(wrong[i]);
}

static void data_uris_must_be_base64(void **state) {
    (void)state;
    assert_decodes("data:image/jpeg;base64,Zm9v", "foo");
    assert_decodes("data:;base64,Zm9v", "foo");
    assert_refused("data:image/jpeg,Zm9v");
    assert_refused("data:image/jpeg;base64");
    assert_refused("data:,");
    assert_refused("data:base64,Zm9v");
}

static void every_length_comes_back_as_it_went(void **state) {
    (void)state;
    uint8_t bytes[257], *back;
    char text[400];
    size_t size;
    struct fn_error err;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 197 + 13);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        fn_base64_encode(bytes, n, text);
        assert_int_equal(fn_base64_decode(text, fn_base64_encoded_size(n), &back, &size, &err),
                         FN_OK);
        assert_int_equal(size, n);
        assert_memory_equal(back, bytes, n);
        free(back);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_4648_decode),
        cmocka_unit_test(white_space_and_missing_padding_are_forgiven),
        cmocka_unit_test(what_is_not_base64_is_refused),
        cmocka_unit_test(data_uris_must_be_base64),
        cmocka_unit_test(every_length_comes_back_as_it_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
