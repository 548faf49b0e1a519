/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keys.c -- key files as they may and may not be, and what a key may do and how often. */
#include <stdio.h>
#include <string.h>

#include "daemon/keys.h"
#include "engine/clock.h"
#include "tests/unit/support/cmocka_all.h"

/* SHA-256 of "alpha" and of "beta", from sha256sum. */
#define ALPHA "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8"
#define BETA  "f44e64e75f3948e9f73f8dfa94721c4ce8cbb4f265c4790c702b2d41cfbf2753"

static const struct fn_key_rate unlimited = {0, 1};
static struct fn_error err;

static fn_status parse(const char *text, struct fn_keys **ret_keys) {
    return fn_keys_parse("test.keys", text, strlen(text), &unlimited, NULL, ret_keys, &err);
}

static fn_status ask(struct fn_keys *keys, const char *header, const char *value,
                     enum fn_scope scope) {
    struct fn_http_request request = {.n_headers = header ? 1 : 0};
    long retry_ms = 0;
    if (header)
        request.headers[0] = (struct fn_http_header){header, value, strlen(header), strlen(value)};
    return fn_keys_check(keys, &request, scope, 0, &retry_ms, &err);
}

static void a_key_opens_what_its_scopes_name(void **state) {
    (void)state;
    struct fn_keys *keys;
    assert_int_equal(parse("# comment\n\n  a infer " ALPHA "\r\nb infer,metrics\t" BETA, &keys),
                     FN_OK);
    assert_int_equal(fn_keys_count(keys), 2);
    assert_int_equal(ask(keys, "Authorization", "Bearer alpha", FN_SCOPE_INFER), FN_OK);
    assert_int_equal(ask(keys, "authorization", "bearer alpha", FN_SCOPE_INFER), FN_OK);
    assert_int_equal(ask(keys, "X-API-Key", "alpha", FN_SCOPE_INFER), FN_OK);
    assert_int_equal(ask(keys, "X-API-Key", "alpha", FN_SCOPE_METRICS), FN_FORBIDDEN);
    assert_int_equal(ask(keys, "X-API-Key", "beta", FN_SCOPE_METRICS), FN_OK);
    fn_keys_free(keys);
}

static void anything_else_opens_nothing(void **state) {
    (void)state;
    struct fn_keys *keys;
    assert_int_equal(parse("a infer " ALPHA, &keys), FN_OK);
    assert_int_equal(ask(keys, NULL, NULL, FN_SCOPE_INFER), FN_UNAUTHORIZED);
    assert_int_equal(ask(keys, "X-API-Key", "", FN_SCOPE_INFER), FN_UNAUTHORIZED);
    assert_int_equal(ask(keys, "X-API-Key", "alph", FN_SCOPE_INFER), FN_UNAUTHORIZED);
    assert_int_equal(ask(keys, "X-API-Key", "alphaa", FN_SCOPE_INFER), FN_UNAUTHORIZED);
    assert_int_equal(ask(keys, "X-API-Key", ALPHA, FN_SCOPE_INFER), FN_UNAUTHORIZED);
    assert_int_equal(ask(keys, "Authorization", "Basic alpha", FN_SCOPE_INFER), FN_UNAUTHORIZED);
    assert_int_equal(ask(keys, "Authorization", "Bearer ", FN_SCOPE_INFER), FN_UNAUTHORIZED);
    fn_keys_free(keys);
}

static void files_that_cannot_be_are_refused_with_their_line(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "\n\na",
        "\n\na infer",
        "\n\na other " ALPHA,
        "\n\na infer, " ALPHA,
        "\n\na ,infer " ALPHA,
        "\n\na infer 8ed3",
        "\n\na infer 8ED3F6AD685B959EAD7022518E1AF76CD816F8E8EC7CCDDA1ED4018E8F2223F8",
        "\n\na infer " ALPHA "0",
        "\n\na infer " ALPHA " fast",
        "\n\na infer " ALPHA " -1",
        "\n\na infer " ALPHA " 1000001",
        "\n\na infer " ALPHA " 1 2",
        "\n\na/b infer " ALPHA,
        "a infer " ALPHA "\n\na infer " BETA,
        "a infer " ALPHA "\n\nb infer " ALPHA,
    };
    struct fn_keys *keys;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (parse(wrong[i], &keys) != FN_USAGE) fail_msg("accepted: %s", wrong[i]);
        if (!strstr(err.text, "test.keys: line 3: ")) fail_msg("%s", err.text);
    }
    assert_int_equal(parse("# nobody\n", &keys), FN_USAGE);
    assert_int_equal(parse("", &keys), FN_USAGE);
    assert_int_equal(fn_keys_read("/nonexistent/keys", &unlimited, NULL, &keys, &err), FN_IO);
}

static int count_allowed(struct fn_keys *keys, int64_t now_ns, int asked, long *ret_retry_ms) {
    static const struct fn_http_request request = {.n_headers = 1,
                                                   .headers = {{"X-API-Key", "alpha", 9, 5}}};
    int allowed = 0;
    for (int i = 0; i < asked; i++)
        allowed +=
            fn_keys_check(keys, &request, FN_SCOPE_INFER, now_ns, ret_retry_ms, &err) == FN_OK;
    return allowed;
}

static void a_rate_allows_a_burst_and_then_the_rate(void **state) {
    (void)state;
    const struct fn_key_rate rate = {1000, 5};
    static const char text[] = "a infer " ALPHA " 10";
    struct fn_keys *keys, *reloaded;
    int64_t now = 77 * FN_NS_PER_S;
    long retry_ms = 0;
    assert_int_equal(fn_keys_parse("k", text, strlen(text), &rate, NULL, &keys, &err), FN_OK);
    assert_int_equal(count_allowed(keys, now, 20, &retry_ms), 5);
    assert_int_equal(err.status, FN_RATE_LIMITED);
    assert_int_equal(retry_ms, 100);
    now += 99 * FN_NS_PER_MS;
    assert_int_equal(count_allowed(keys, now, 3, &retry_ms), 0);
    assert_int_equal(retry_ms, 1);
    now += FN_NS_PER_MS;
    assert_int_equal(count_allowed(keys, now, 3, &retry_ms), 1);
    assert_int_equal(fn_keys_parse("k", text, strlen(text), &rate, keys, &reloaded, &err), FN_OK);
    assert_int_equal(count_allowed(reloaded, now, 3, &retry_ms), 0);
    now += 60 * FN_NS_PER_S;
    assert_int_equal(count_allowed(reloaded, now, 20, &retry_ms), 5);
    fn_keys_free(keys);
    fn_keys_free(reloaded);
}

static void a_made_key_fits_its_line_and_no_other(void **state) {
    (void)state;
    char key[FN_KEY_SIZE], line[FN_KEY_LINE_SIZE], other[FN_KEY_SIZE], unused[FN_KEY_LINE_SIZE];
    struct fn_keys *keys;
    assert_int_equal(fn_key_make("edge-1:metrics,infer", key, line, &err), FN_OK);
    assert_int_equal(fn_key_make("edge-1", other, unused, &err), FN_OK);
    assert_string_not_equal(key, other);
    assert_int_equal(parse(line, &keys), FN_OK);
    assert_int_equal(ask(keys, "X-API-Key", key, FN_SCOPE_METRICS), FN_OK);
    assert_int_equal(ask(keys, "X-API-Key", other, FN_SCOPE_METRICS), FN_UNAUTHORIZED);
    fn_keys_free(keys);
    assert_int_equal(fn_key_make("", key, line, &err), FN_USAGE);
    assert_int_equal(fn_key_make("a b", key, line, &err), FN_USAGE);
    assert_int_equal(fn_key_make("a:", key, line, &err), FN_USAGE);
    assert_int_equal(fn_key_make("a:admin", key, line, &err), FN_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_opens_what_its_scopes_name),
        cmocka_unit_test(anything_else_opens_nothing),
        cmocka_unit_test(files_that_cannot_be_are_refused_with_their_line),
        cmocka_unit_test(a_rate_allows_a_burst_and_then_the_rate),
        cmocka_unit_test(a_made_key_fits_its_line_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
