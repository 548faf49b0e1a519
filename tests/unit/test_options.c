/* SPDX-License-Identifier: Apache-2.0
 *
 * test_options.c -- options as query, text and JSON. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "daemon/api/options.h"
#include "tests/unit/support/cmocka_all.h"

static struct fn_options fresh(void) {
    return (struct fn_options){.allowed = FN_OPTION_ALIGN | FN_OPTION_FACE | FN_OPTION_MAX_FACES |
                                          FN_OPTION_MIN_FACE | FN_OPTION_ENCODING | FN_OPTION_FAR |
                                          FN_OPTION_REJECT | FN_OPTION_INDEX,
                               .most_faces = 32,
                               .looks = true};
}

static fn_status query(struct fn_options *options, const char *text) {
    struct fn_error err;
    return fn_options_set_query(options, text, &err);
}

static fn_status member(struct fn_options *options, const char *name, json_t *value) {
    struct fn_error err;
    fn_status status = fn_options_set_json(options, name, value, &err);
    json_decref(value);
    return status;
}

static void a_query_sets_what_it_names(void **state) {
    (void)state;
    struct fn_options options = fresh();
    assert_int_equal(query(&options, "align=none&max_faces=7&encoding=base64&far=1e-3"), FN_OK);
    assert_int_equal(options.given,
                     FN_OPTION_ALIGN | FN_OPTION_MAX_FACES | FN_OPTION_ENCODING | FN_OPTION_FAR);
    assert_int_equal(options.max_faces, 7);
    assert_int_equal(options.encoding, FN_ENCODING_BASE64);
    assert_true(options.far == 1e-3);
}

static void no_query_sets_nothing(void **state) {
    (void)state;
    struct fn_options options = fresh();
    assert_int_equal(query(&options, NULL), FN_OK);
    assert_int_equal(query(&options, ""), FN_OK);
    assert_int_equal(options.given, 0);
    assert_int_equal(options.encoding, FN_ENCODING_FLOAT);
}

static void percent_encoding_is_undone_strictly(void **state) {
    (void)state;
    struct fn_options options = fresh();
    assert_int_equal(query(&options, "%61lign=%6e%6Fne"), FN_OK);
    assert_int_equal(query(&options, "far=%2"), FN_BAD_OPTION);
    assert_int_equal(query(&options, "far=%"), FN_BAD_OPTION);
    assert_int_equal(query(&options, "far=%zz"), FN_BAD_OPTION);
    assert_int_equal(query(&options, "%zz=1"), FN_BAD_OPTION);
    assert_int_equal(query(&options, "encoding=base64%00"), FN_BAD_OPTION);
    assert_int_equal(query(&options, "encoding%00=base64"), FN_UNKNOWN_OPTION);
    assert_int_equal(options.given, FN_OPTION_ALIGN);
}

static void an_option_is_given_once_whichever_way(void **state) {
    (void)state;
    struct fn_options options = fresh();
    assert_int_equal(query(&options, "align=none&align=none"), FN_BAD_OPTION);
    assert_int_equal(member(&options, "align", json_string("none")), FN_BAD_OPTION);
}

/* Whether the options of a query go together. */
static fn_status check(bool looks, const char *text) {
    struct fn_options options = fresh();
    struct fn_error err;
    options.looks = looks;
    assert_int_equal(query(&options, text), FN_OK);
    return fn_options_check(&options, &err);
}

static void what_needs_a_detector_is_refused_without(void **state) {
    (void)state;
    static const char *const looking[] = {"face=only", "min_face=40", "reject=dark", "index=0"};
    for (size_t i = 0; i < 4; i++) {
        char text[64];
        assert_int_equal(check(true, looking[i]), FN_OK);
        assert_int_equal(check(false, looking[i]), FN_BAD_OPTION);
        (void)snprintf(text, sizeof text, "%s&align=none", looking[i]);
        assert_int_equal(check(true, text), FN_BAD_OPTION);
    }
    assert_int_equal(check(false, "align=none&max_faces=3&encoding=base64&far=0.1"), FN_OK);
    assert_int_equal(check(true, "align=none&max_faces=3"), FN_OK);
}

static void faces_are_chosen_and_rejected_by_words(void **state) {
    (void)state;
    struct fn_options options = fresh();
    assert_int_equal(query(&options, "face=center&min_face=12&reject=unsure,small"), FN_OK);
    struct fn_find_options find = fn_options_find(&options);
    assert_false(find.is_crop);
    assert_true(find.chosen);
    assert_int_equal(find.choice, FN_FACE_CENTER);
    assert_int_equal(find.max_faces, 32);
    assert_true(find.min_face == 12);
    assert_int_equal(find.reject, FN_REJECT_UNSURE | FN_REJECT_SMALL);
    options = fresh();
    assert_int_equal(query(&options, "reject=small,blurred,dark,bright,tilted,unsure"), FN_OK);
    assert_int_equal(options.reject, 63);
}

static void an_index_passes_over_the_faces_before_it(void **state) {
    (void)state;
    static const char *const wrong[] = {"index=-1", "index=32", "index=", "index=first"};
    struct fn_options options = fresh();
    assert_int_equal(fn_options_find(&options).skip, 0);
    assert_int_equal(query(&options, "index=31"), FN_OK);
    assert_int_equal(fn_options_find(&options).skip, 31);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        options = fresh();
        assert_int_equal(query(&options, wrong[i]), FN_BAD_OPTION);
    }
}

static void options_of_compreface_are_read_as_it_reads_them(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "limit=-1",
        "limit=",
        "det_prob_threshold=1.1",
        "det_prob_threshold=nan",
        "status=maybe",
        "prediction_count=x",
    };
    const unsigned taken = FN_OPTION_LIMIT | FN_OPTION_DET_PROB_THRESHOLD | FN_OPTION_FACE_PLUGINS |
                           FN_OPTION_STATUS | FN_OPTION_PREDICTION_COUNT;
    struct fn_options options = fresh();
    assert_int_equal(query(&options, "limit=1"), FN_UNKNOWN_OPTION);
    options.allowed = taken;
    assert_int_equal(query(&options, "&limit=2&det_prob_threshold=0.25&status=True&"
                                     "face_plugins=age,calculator,landmark,landmarks2d106&"
                                     "prediction_count=1&"),
                     FN_OK);
    assert_int_equal(options.plugins, FN_PLUGIN_CALCULATOR);
    assert_true(options.wants_status);
    assert_int_equal(fn_options_find(&options).max_faces, 2);
    assert_true(fn_options_find(&options).least_score == 0.25);
    options = fresh();
    options.allowed = taken;
    assert_int_equal(query(&options, "limit=0&face_plugins=&status=no"), FN_OK);
    assert_int_equal(fn_options_find(&options).max_faces, 32);
    assert_false(options.wants_status);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        options = fresh();
        options.allowed = taken;
        assert_int_equal(query(&options, wrong[i]), FN_BAD_OPTION);
    }
}

static void no_options_ask_for_all_faces_there_are(void **state) {
    (void)state;
    struct fn_options options = fresh();
    struct fn_find_options find = fn_options_find(&options);
    assert_false(find.is_crop || find.chosen || find.reject);
    assert_int_equal(find.max_faces, 32);
    assert_true(find.min_face == 0);
    options.looks = false;
    assert_true(fn_options_find(&options).is_crop);
    options = fresh();
    assert_int_equal(query(&options, "align=none"), FN_OK);
    assert_true(fn_options_find(&options).is_crop);
}

static void options_of_other_routes_are_unknown(void **state) {
    (void)state;
    struct fn_options options = fresh();
    options.allowed = FN_OPTION_ALIGN;
    assert_int_equal(query(&options, "far=0.1"), FN_UNKNOWN_OPTION);
    assert_int_equal(member(&options, "far", json_real(0.1)), FN_UNKNOWN_MEMBER);
}

static void numbers_are_checked(void **state) {
    (void)state;
    static const char *const wrong[] = {"max_faces=0",
                                        "max_faces=33",
                                        "max_faces=-1",
                                        "max_faces=+1",
                                        "max_faces= 1",
                                        "max_faces=1x",
                                        "max_faces=",
                                        "far=0",
                                        "far=1",
                                        "far=nan",
                                        "far=inf",
                                        "far=-1",
                                        "far=1e-999",
                                        "far=.",
                                        "far=0.1.1",
                                        "min_face=11",
                                        "min_face=65536",
                                        "min_face=20.5",
                                        "reject=",
                                        "reject=small,",
                                        "reject=,small",
                                        "reject=blur",
                                        "reject=dark,dark",
                                        "reject=small;dark",
                                        "face=first",
                                        "face=",
                                        "align=mtcnn",
                                        "far=1e",
                                        "far=0x1p-4",
                                        "max_faces=00000000000000000000000000000000000000001"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct fn_options options = fresh();
        if (query(&options, wrong[i]) != FN_BAD_OPTION) fail_msg("accepted: %s", wrong[i]);
    }
}

static void json_members_may_be_strings_or_numbers(void **state) {
    (void)state;
    struct fn_options options = fresh();
    assert_int_equal(member(&options, "max_faces", json_integer(5)), FN_OK);
    assert_int_equal(member(&options, "far", json_real(0.001)), FN_OK);
    assert_int_equal(member(&options, "encoding", json_string("float")), FN_OK);
    assert_int_equal(options.max_faces, 5);
    assert_true(options.far == 0.001);
    options = fresh();
    assert_int_equal(member(&options, "max_faces", json_real(5.5)), FN_BAD_OPTION);
    assert_int_equal(member(&options, "max_faces", json_true()), FN_BAD_OPTION);
    assert_int_equal(member(&options, "max_faces", json_array()), FN_BAD_OPTION);
    assert_int_equal(member(&options, "max_faces", json_integer(INT64_MAX)), FN_BAD_OPTION);
    assert_int_equal(member(&options, "encoding", json_stringn("float\0", 6)), FN_BAD_OPTION);
}

static void names_are_repeated_only_when_harmless(void **state) {
    (void)state;
    struct fn_options options = fresh();
    struct fn_error err;
    assert_int_equal(fn_options_set(&options, "algin", 5, "x", 1, &err), FN_UNKNOWN_OPTION);
    assert_non_null(strstr(err.text, "algin"));
    assert_int_equal(fn_options_set(&options, "<b>", 3, "x", 1, &err), FN_UNKNOWN_OPTION);
    assert_null(strstr(err.text, "<b>"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_sets_what_it_names),
        cmocka_unit_test(no_query_sets_nothing),
        cmocka_unit_test(percent_encoding_is_undone_strictly),
        cmocka_unit_test(an_option_is_given_once_whichever_way),
        cmocka_unit_test(what_needs_a_detector_is_refused_without),
        cmocka_unit_test(faces_are_chosen_and_rejected_by_words),
        cmocka_unit_test(an_index_passes_over_the_faces_before_it),
        cmocka_unit_test(no_options_ask_for_all_faces_there_are),
        cmocka_unit_test(options_of_other_routes_are_unknown),
        cmocka_unit_test(numbers_are_checked),
        cmocka_unit_test(options_of_compreface_are_read_as_it_reads_them),
        cmocka_unit_test(json_members_may_be_strings_or_numbers),
        cmocka_unit_test(names_are_repeated_only_when_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
