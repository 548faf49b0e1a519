/* SPDX-License-Identifier: Apache-2.0
 *
 * Pickles are data here: what they say would be run is refused by name, and nothing runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "model/sources/pickle.h"

static fn_status read_text(const char *bytes, size_t size, struct fn_pickle **ret,
                           struct fn_error *err) {
    size_t used;
    return fn_pickle_read("test", (const uint8_t *)bytes, size, ret, &used, err);
}
#define READ(literal, ret, err) read_text(literal, sizeof literal - 1, ret, err)

static void a_pickle_that_would_run_a_command_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } attacks[] = {
#define ATTACK(literal) {literal, sizeof literal - 1}
        ATTACK("cos\nsystem\n(X\x21\x00\x00\x00touch facenetd-pickle-ran; exit 0tR."),
        ATTACK("cposix\nsystem\n(X\x02\x00\x00\x00idtR."),
        ATTACK("c__builtin__\neval\n(K\x01tR."),
        ATTACK("\x80\x04\x8c\x08"
               "builtins\x8c\x04"
               "exec\x93."),
        ATTACK("ccollections\nOrderedDict2\n."),
        ATTACK("ctorch.hub\nload\n."),
#undef ATTACK
    };
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        struct fn_pickle *pickle = NULL;
        struct fn_error err = {0};
        assert_int_equal(read_text(attacks[i].bytes, attacks[i].size, &pickle, &err),
                         FN_BAD_SOURCE);
        assert_non_null(strstr(err.text, "is not run"));
        assert_null(pickle);
    }
    assert_int_not_equal(access("facenetd-pickle-ran", F_OK), 0);
}

static void plain_values_come_out_as_they_went_in(void **state) {
    (void)state;
    struct fn_pickle *pickle = NULL;
    struct fn_error err = {0};
    /* {'a': (1, -2, 300, True, None), 'b': 2.5}, protocol 2 */
    assert_int_equal(READ("\x80\x02}q\x00(X\x01\x00\x00\x00"
                          "a(K\x01J\xfe\xff\xff\xffM\x2c\x01"
                          "\x88NtX\x01\x00\x00\x00"
                          "bG@\x04\x00\x00\x00\x00\x00\x00u.",
                          &pickle, &err),
                     FN_OK);
    const struct fn_pickle_value *root = fn_pickle_root(pickle);
    const struct fn_pickle_value *a = fn_pickle_get(root, "a"), *b = fn_pickle_get(root, "b");
    assert_int_equal(a->kind, FN_PICKLE_TUPLE);
    assert_int_equal(a->n, 5);
    assert_int_equal(a->items[0]->integer, 1);
    assert_int_equal(a->items[1]->integer, -2);
    assert_int_equal(a->items[2]->integer, 300);
    assert_int_equal(a->items[3]->kind, FN_PICKLE_BOOL);
    assert_int_equal(a->items[4]->kind, FN_PICKLE_NONE);
    assert_true(b->real == 2.5);
    assert_null(fn_pickle_get(root, "c"));
    fn_pickle_free(pickle);
}

static void a_list_that_holds_itself_is_read_and_freed(void **state) {
    (void)state;
    struct fn_pickle *pickle = NULL;
    struct fn_error err = {0};
    assert_int_equal(READ("\x80\x02]q\x00h\x00"
                          "a.",
                          &pickle, &err),
                     FN_OK);
    assert_ptr_equal(fn_pickle_root(pickle)->items[0], fn_pickle_root(pickle));
    fn_pickle_free(pickle);
}

static void every_truncation_of_a_pickle_is_refused(void **state) {
    (void)state;
    static const char whole[] = "\x80\x02}q\x00(X\x01\x00\x00\x00"
                                "a(K\x01tX\x01\x00\x00\x00"
                                "bccollections\nOrderedDict\n)Ru.";
    struct fn_pickle *pickle = NULL;
    struct fn_error err = {0};
    for (size_t size = 0; size < sizeof whole - 1; size++)
        assert_int_equal(read_text(whole, size, &pickle, &err), FN_BAD_SOURCE);
    assert_int_equal(read_text(whole, sizeof whole - 1, &pickle, &err), FN_OK);
    fn_pickle_free(pickle);
}

static void a_broken_stack_memo_or_mark_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } broken[] = {{".", 1},   {"t.", 2},    {"h\x05.", 3},
                  {"}s.", 3}, {"NNs.", 4},  {"(Nu.", 4},
                  {"R.", 2},  {"NNR.", 4},  {"\x93.", 2},
                  {"(.", 2},  {"\xff.", 2}, {"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", 10},
                  {"0.", 2}};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct fn_pickle *pickle = NULL;
        struct fn_error err = {0};
        assert_int_equal(read_text(broken[i].bytes, broken[i].size, &pickle, &err), FN_BAD_SOURCE);
        assert_null(pickle);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pickle_that_would_run_a_command_is_refused_by_name),
        cmocka_unit_test(plain_values_come_out_as_they_went_in),
        cmocka_unit_test(a_list_that_holds_itself_is_read_and_freed),
        cmocka_unit_test(every_truncation_of_a_pickle_is_refused),
        cmocka_unit_test(a_broken_stack_memo_or_mark_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
