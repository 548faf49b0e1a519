/* SPDX-License-Identifier: Apache-2.0
 *
 * test_config.c -- configuration texts. */
#include <string.h>

#include "daemon/config.h"
#include "tests/unit/support/cmocka_all.h"

static struct fn_error err;

static int begin(void **state) {
    return fn_config_new((struct fn_config **)state, &err) == FN_OK ? 0 : -1;
}

static int end(void **state) {
    fn_config_free(*state);
    return 0;
}

static fn_status apply(struct fn_config *config, const char *text) {
    return fn_config_apply(config, "test.conf", text, strlen(text), &err);
}

static void defaults_are_those_of_the_documentation(void **state) {
    const struct fn_config *config = *state;
    assert_string_equal(config->listen[0], "127.0.0.1:8080");
    assert_int_equal(config->max_batch, 16);
    assert_int_equal(config->max_delay_us, 0);
    assert_int_equal(config->max_body, 24 * 1024 * 1024);
    assert_int_equal(config->max_pixels, 50000000);
    assert_int_equal(config->max_faces, 32);
    assert_int_equal(config->max_pictures, 64);
    assert_int_equal(config->deadline_ms, 2000);
    assert_null(config->kernel_dir);
    assert_false(config->allow_untrained);
}

static void keys_are_set(void **state) {
    struct fn_config *config = *state;
    assert_int_equal(apply(config, "{\"max_batch\": 32, \"listen\": \"unix:/x\", \"log_level\": "
                                   "\"error\", \"allowed_hosts\": [\"a\", \"b\"]}"),
                     FN_OK);
    assert_int_equal(config->max_batch, 32);
    assert_string_equal(config->listen[0], "unix:/x");
    assert_int_equal(config->log_level, FN_LOG_ERROR);
    assert_int_equal(config->n_allowed_hosts, 2);
    assert_string_equal(config->allowed_hosts[1], "b");
    assert_int_equal(apply(config, "{\"allowed_hosts\": []}"), FN_OK);
    assert_int_equal(config->n_allowed_hosts, 0);
}

static void an_unknown_key_is_named_with_its_line(void **state) {
    assert_int_equal(apply(*state, "{\n\"listen\": \"max_bach\",\n \"cache_dir\":\"{\", "
                                   "\"max_bach\" : 4}"),
                     FN_USAGE);
    assert_string_equal(err.text, "test.conf: line 3: \"max_bach\": unknown key");
}

static void values_out_of_range_are_refused(void **state) {
    static const char *const wrong[] = {"{\"max_batch\": 0}",
                                        "{\"max_batch\": 33}",
                                        "{\"max_batch\": 1.0}",
                                        "{\"max_batch\": \"1\"}",
                                        "{\"max_batch\": null}",
                                        "{\"max_delay_us\": 2001}",
                                        "{\"deadline_ms\": -1}",
                                        "{\"deadline_ms\": 99999999999999999999}",
                                        "{\"listen\": 1}",
                                        "{\"listen\": \"\"}",
                                        "{\"listen\": []}",
                                        "{\"listen\": [\"a\", 1]}",
                                        "{\"allowed_hosts\": [1]}",
                                        "{\"allowed_hosts\": {}}",
                                        "{\"log_level\": 1}",
                                        "{\"allow_untrained\": true}",
                                        "[]",
                                        "",
                                        "{\"max_batch\": 1, \"max_batch\": 1}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (apply(*state, wrong[i]) != FN_USAGE) fail_msg("accepted: %s", wrong[i]);
        assert_non_null(strstr(err.text, "test.conf: "));
    }
}

static void a_missing_file_is_named(void **state) {
    assert_int_equal(fn_config_read(*state, "/nonexistent/x.conf", &err), FN_IO);
    assert_non_null(strstr(err.text, "/nonexistent/x.conf"));
}

static void the_example_is_valid_and_says_the_defaults(void **state) {
    struct fn_config *config = *state, *plain;
    assert_int_equal(fn_config_read(config, "config/facenetd.conf", &err), FN_OK);
    assert_int_equal(fn_config_new(&plain, &err), FN_OK);
#define SAME(key, initial, smallest, largest) assert_int_equal(config->key, plain->key);
    FN_CONFIG_NUMBERS(SAME)
#undef SAME
    assert_string_equal(config->listen[0], plain->listen[0]);
    assert_string_equal(config->model, plain->model);
    assert_string_equal(config->device, plain->device);
    fn_config_free(plain);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_those_of_the_documentation),
        TEST(keys_are_set),
        TEST(an_unknown_key_is_named_with_its_line),
        TEST(values_out_of_range_are_refused),
        TEST(a_missing_file_is_named),
        TEST(the_example_is_valid_and_says_the_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
