/* SPDX-License-Identifier: Apache-2.0
 *
 * The names that FaceNet's layers go by lead to one scope each, and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "model/sources/naming.h"

static void every_scope_is_found_by_each_of_its_names(void **state) {
    (void)state;
    for (int i = 0; i < FN_NAMING_SCOPES; i++) {
        char scope[FN_NAME_SIZE], name[160], found[FN_NAME_SIZE] = "";
        enum fn_part part;
        fn_naming_scope(i, scope);
        fn_naming_block_of(scope, name, sizeof name);
        assert_true(fn_naming_block(name, found));
        assert_string_equal(found, scope);
        for (int p = 0; p < FN_PARTS; p++) {
            fn_naming_torch_part(scope, (enum fn_part)p, name, sizeof name);
            assert_true(fn_naming_torch(name, found, &part));
            /* An up-projection has no BatchNorm, the others no bias of their own. */
            assert_string_equal(found, scope);
            assert_int_equal(part, p);
            fn_naming_slim_part(scope, (enum fn_part)p, name, sizeof name);
            assert_true(fn_naming_slim(name, found, &part));
            assert_string_equal(found, scope);
            assert_int_equal(part, p);
        }
    }
}

static void the_scopes_are_all_different_and_end_with_the_head(void **state) {
    (void)state;
    char a[FN_NAME_SIZE], b[FN_NAME_SIZE];
    for (int i = 0; i < FN_NAMING_SCOPES; i++)
        for (int k = 0; k < i; k++) {
            fn_naming_scope(i, a);
            fn_naming_scope(k, b);
            assert_string_not_equal(a, b);
        }
    fn_naming_scope(0, a);
    assert_string_equal(a, "InceptionResnetV1/Conv2d_1a_3x3");
    fn_naming_scope(FN_NAMING_SCOPES - 1, a);
    assert_string_equal(a, "InceptionResnetV1/Bottleneck");
}

static void deepface_s_modules_and_wrappers_are_understood(void **state) {
    (void)state;
    static const struct {
        const char *name, *scope;
        enum fn_part part;
    } cases[] = {
        {"block35.4.branch_2.1.conv.weight", "Repeat/block35_5/Branch_2/Conv2d_0b_3x3",
         FN_PART_KERNEL},
        {"block8.5.up.bias", "Block8/Conv2d_1x1", FN_PART_BIAS},
        {"block8.4.up.bias", "Repeat_2/block8_5/Conv2d_1x1", FN_PART_BIAS},
        {"block8.5.branch_0.bn.running_var", "Block8/Branch_0/Conv2d_1x1", FN_PART_VARIANCE},
        {"conv2d_3b_1x1.bn.bias", "Conv2d_3b_1x1", FN_PART_BETA},
        {"bottleneck_bn.weight", "Bottleneck", FN_PART_GAMMA},
        {"module.model.net.backbone.last_bn.bias", "Bottleneck", FN_PART_BETA},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char scope[FN_NAME_SIZE] = "";
        enum fn_part part = FN_PARTS;
        assert_true(fn_naming_torch(cases[i].name, scope, &part));
        assert_string_equal(scope + sizeof FN_ROOT, cases[i].scope);
        assert_int_equal(part, cases[i].part);
    }
}

static void the_slip_in_deepface_s_names_is_understood(void **state) {
    (void)state;
    char scope[FN_NAME_SIZE];
    assert_true(fn_naming_block("Block17_10_Branch_10_Conv2d_0c_7x1", scope));
    assert_string_equal(scope, "InceptionResnetV1/Repeat_1/block17_10/Branch_1/Conv2d_0c_7x1");
    assert_true(fn_naming_block("Block8_3_Branch_3_Conv2d_0a_1x1", scope));
    assert_string_equal(scope, "InceptionResnetV1/Repeat_2/block8_3/Branch_1/Conv2d_0a_1x1");
    assert_true(fn_naming_block("Block35_2_Branch_2_Conv2d_0a_1x1", scope));
    assert_string_equal(scope, "InceptionResnetV1/Repeat/block35_2/Branch_2/Conv2d_0a_1x1");
}

static void what_is_no_name_of_the_network_is_none(void **state) {
    (void)state;
    char scope[FN_NAME_SIZE];
    enum fn_part part;
    static const char *const names[] = {"",
                                        "logits.weight",
                                        "repeat_1..branch0.conv.weight",
                                        "repeat_1.0.branch0.conv",
                                        "repeat_1.9999.branch0.conv.weight",
                                        "conv2d_1a.bn.num_batches_tracked",
                                        "last_linear.",
                                        "InceptionResnetV1/weights",
                                        "XInceptionResnetV1/Conv2d_1a_3x3/weights",
                                        "InceptionResnetV1/Conv2d_1a_3x3/weights/Adam",
                                        "Block35__Branch_0_Conv2d_1x1",
                                        "Block35_1_Branch__Conv2d_1x1",
                                        "Block35_1_Branch_0_Dense"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_false(fn_naming_torch(names[i], scope, &part));
        assert_false(fn_naming_slim(names[i], scope, &part));
        assert_false(fn_naming_block(names[i], scope));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scope_is_found_by_each_of_its_names),
        cmocka_unit_test(the_scopes_are_all_different_and_end_with_the_head),
        cmocka_unit_test(deepface_s_modules_and_wrappers_are_understood),
        cmocka_unit_test(the_slip_in_deepface_s_names_is_understood),
        cmocka_unit_test(what_is_no_name_of_the_network_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
