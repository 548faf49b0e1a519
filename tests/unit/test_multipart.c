/* SPDX-License-Identifier: Apache-2.0
 *
 * test_multipart.c -- forms split into their parts. */
#include <stdlib.h>
#include <string.h>

#include "daemon/api/multipart.h"
#include "tests/unit/support/cmocka_all.h"

#define TYPE "multipart/form-data; boundary=AB"
#define NAME "Content-Disposition: form-data; name="

static struct fn_part parts[FN_MAX_PARTS];
static int n_parts;

/* Parses a copy without room behind it, so that a sanitizer sees a step too far. */
static fn_status parse(const char *type, const char *body) {
    static uint8_t *copy;
    struct fn_error err;
    size_t size = strlen(body);
    free(copy);
    copy = malloc(size ? size : 1);
    memcpy(copy, body, size);
    n_parts = -1;
    return fn_multipart_parse(type, strlen(type), copy, size, parts, &n_parts, &err);
}

static void assert_part(int i, const char *name, const char *data) {
    assert_int_equal(parts[i].name_size, strlen(name));
    assert_memory_equal(parts[i].name, name, strlen(name));
    assert_int_equal(parts[i].size, strlen(data));
    assert_memory_equal(parts[i].data, data, strlen(data));
}

static void parts_come_in_order(void **state) {
    (void)state;
    assert_int_equal(parse(TYPE, "--AB\r\n" NAME "\"a\"\r\n\r\none\r\n"
                                 "--AB\r\n" NAME "b; filename=\"f;\\\"\"\r\nX: y\r\n\r\n\r\n"
                                 "--AB\r\nX: y\r\ncontent-disposition:form-data ; NAME=\"c d\"\r\n"
                                 "\r\n\r\n\r\n\r\n--AB--\r\n"),
                     FN_OK);
    assert_int_equal(n_parts, 3);
    assert_part(0, "a", "one");
    assert_part(1, "b", "");
    assert_part(2, "c d", "\r\n\r\n");
    assert_false(parts[0].is_file);
    assert_true(parts[1].is_file);
}

static void preamble_epilogue_padding_and_lookalikes_are_no_parts(void **state) {
    (void)state;
    assert_int_equal(parse("Multipart/Form-Data;charset=x; Boundary=\"AB\"",
                           "hello\r\n--ABY\r\n--AB\t \r\n" NAME "\"a\"\r\n\r\n"
                           "x\r\n--ABX\r\n--X\r\n --AB\r\n--AB-\r\n\r\n--AB-- \r\nbye\r\n--AB\r\n"),
                     FN_OK);
    assert_int_equal(n_parts, 1);
    assert_part(0, "a", "x\r\n--ABX\r\n--X\r\n --AB\r\n--AB-\r\n");
}

static void a_form_may_be_empty(void **state) {
    (void)state;
    assert_int_equal(parse(TYPE, "--AB--"), FN_OK);
    assert_int_equal(n_parts, 0);
    assert_int_equal(parse(TYPE, "--AB--\r\n"), FN_OK);
}

static void malformed_forms_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        "--AB",
        "--AB\r\n",
        "--AB\n" NAME "\"a\"\n\nx\n--AB--\n",
        "--AB\r\n--AB--\r\n",
        "--AB\r\n" NAME "\"a\"\r\n\r\nx",
        "--AB\r\n" NAME "\"a\"\r\n\r\nx--AB--\r\n",
        "--AB\r\n" NAME "\"a\"\r\n\r\nx\r\n--AB",
        "--AB\r\n" NAME "\"a\"\r\n--AB--\r\n",
        "--AB\r\n" NAME "\"a\r\n\r\nx\r\n--AB--\r\n",
        "--AB\r\n" NAME "\"\"\r\n\r\nx\r\n--AB--\r\n",
        "--AB\r\n" NAME "\"a\"; name=b\r\n\r\nx\r\n--AB--\r\n",
        "--AB\r\n" NAME "\"a\" b\r\n\r\nx\r\n--AB--\r\n",
        "--AB\r\nContent-Disposition: form-data\r\n\r\nx\r\n--AB--\r\n",
        "--AB\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--AB--\r\n",
        "--AB\r\n\r\nx\r\n--AB--\r\n",
        "--AB\r\n" NAME "a\r\nContent-Transfer-Encoding: base64\r\n\r\nx\r\n--AB--\r\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (parse(TYPE, wrong[i]) != FN_BAD_REQUEST) fail_msg("accepted: %s", wrong[i]);
        assert_int_equal(n_parts, -1);
    }
}

static void boundaries_have_1_to_70_characters_and_come_once(void **state) {
    (void)state;
    char type[200] = "multipart/form-data; boundary=";
    static const char *const wrong[] = {"multipart/form-data",
                                        "multipart/form-data; boundary",
                                        "multipart/form-data; boundary=",
                                        "multipart/form-data; boundary=\"\"",
                                        "multipart/form-data; boundary=\"AB",
                                        "multipart/form-data; boundary=AB; boundary=AB"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(parse(wrong[i], "--AB--"), FN_BAD_REQUEST);
    size_t start = strlen(type);
    memset(type + start, 'b', 71);
    assert_int_equal(parse(type, "--AB--"), FN_BAD_REQUEST);
    type[start + 70] = '\0';
    char body[80] = "--";
    memset(body + 2, 'b', 70);
    memcpy(body + 72, "--", 3);
    assert_int_equal(parse(type, body), FN_OK);
}

static void too_many_parts_are_refused(void **state) {
    (void)state;
    static const char part[] = "--AB\r\n" NAME "a\r\n\r\nx\r\n";
    char body[(FN_MAX_PARTS + 1) * sizeof part + 16] = "";
    for (int i = 0; i < FN_MAX_PARTS; i++) memcpy(body + strlen(body), part, sizeof part);
    char *end = body + strlen(body);
    memcpy(end, "--AB--", 7);
    assert_int_equal(parse(TYPE, body), FN_OK);
    assert_int_equal(n_parts, FN_MAX_PARTS);
    memcpy(end, part, sizeof part);
    memcpy(end + strlen(part), "--AB--", 7);
    assert_int_equal(parse(TYPE, body), FN_TOO_MANY_PICTURES);
}

static void the_type_is_known_whatever_its_case(void **state) {
    (void)state;
    assert_true(fn_multipart_is("multipart/form-data", 19));
    assert_true(fn_multipart_is("MULTIPART/Form-Data ; boundary=x", 31));
    assert_false(fn_multipart_is("multipart/form-data", 18));
    assert_false(fn_multipart_is("multipart/mixed; multipart/form-data", 36));
    assert_false(fn_multipart_is("", 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_come_in_order),
        cmocka_unit_test(preamble_epilogue_padding_and_lookalikes_are_no_parts),
        cmocka_unit_test(a_form_may_be_empty),
        cmocka_unit_test(malformed_forms_are_refused),
        cmocka_unit_test(boundaries_have_1_to_70_characters_and_come_once),
        cmocka_unit_test(too_many_parts_are_refused),
        cmocka_unit_test(the_type_is_known_whatever_its_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
