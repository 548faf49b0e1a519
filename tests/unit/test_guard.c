/* SPDX-License-Identifier: Apache-2.0
 *
 * test_guard.c -- header sections that must not get past the guard. */
#include <string.h>

#include "daemon/http/guard.h"
#include "tests/unit/support/cmocka_all.h"

#define MAX_LINES 4

/* Lines "name:value"; Host is added unless the first line begins with '-'. */
static fn_status check(const char *version, const char *const *lines,
                       struct fn_framing *ret_framing) {
    struct fn_http_header headers[MAX_LINES + 1];
    struct fn_error err;
    int n = 0;
    if (!lines[0] || lines[0][0] != '-')
        headers[n++] = (struct fn_http_header){"Host", "localhost", 4, 9};
    else
        lines++;
    for (; *lines; lines++) {
        const char *colon = strchr(*lines, ':');
        headers[n++] =
            (struct fn_http_header){*lines, colon + 1, (size_t)(colon - *lines), strlen(colon + 1)};
    }
    return fn_guard_check(version, headers, n, ret_framing, &err);
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_refused(const char *const *lines) {
    struct fn_framing framing = {.content_length = 77};
    assert_int_equal(check("HTTP/1.1", lines, &framing), FN_BAD_REQUEST);
    assert_int_equal(framing.content_length, 77);
}

static void plain_requests_pass(void **state) {
    (void)state;
    struct fn_framing framing;
    const char *const none[] = {NULL};
    assert_int_equal(check("HTTP/1.1", none, &framing), FN_OK);
    assert_int_equal(framing.content_length, -1);
    assert_false(framing.chunked || framing.expects_continue);
    assert_int_equal(check("HTTP/1.1", LINES("content-length:12", "EXPECT:100-Continue"), &framing),
                     FN_OK);
    assert_int_equal(framing.content_length, 12);
    assert_true(framing.expects_continue);
    assert_int_equal(check("HTTP/1.1", LINES("Transfer-Encoding:Chunked"), &framing), FN_OK);
    assert_true(framing.chunked);
    assert_int_equal(check("HTTP/1.1", LINES("Content-Length:0"), &framing), FN_OK);
    assert_int_equal(check("HTTP/1.0", LINES("-", "Content-Length:3"), &framing), FN_OK);
}

static void ambiguous_lengths_are_refused(void **state) {
    (void)state;
    assert_refused(LINES("Content-Length:4", "Content-Length:4"));
    assert_refused(LINES("Content-Length:4", "content-length:5"));
    assert_refused(LINES("Content-Length:4", "Transfer-Encoding:chunked"));
    assert_refused(LINES("Transfer-Encoding:chunked", "Transfer-Encoding:chunked"));
    assert_refused(LINES("Transfer-Encoding:gzip"));
    assert_refused(LINES("Transfer-Encoding:gzip, chunked"));
    assert_refused(LINES("Transfer-Encoding:"));
}

static void lengths_that_are_no_decimal_number_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"Content-Length:",    "Content-Length:+1",
                                        "Content-Length:-1",  "Content-Length:0x1",
                                        "Content-Length:1 1", "Content-Length:1,1",
                                        "Content-Length:1a",  "Content-Length:9999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_refused(LINES(wrong[i]));
}

static void names_and_values_with_strange_bytes_are_refused(void **state) {
    (void)state;
    struct fn_framing framing;
    struct fn_error err;
    assert_refused(LINES("Content-Length :4"));
    assert_refused(LINES(" X:4"));
    assert_refused(LINES(":4"));
    assert_refused(LINES("X\x7f:4"));
    assert_refused(LINES("X(:4"));
    assert_refused(LINES("X:a\rb"));
    const struct fn_http_header nul[] = {{"Host", "a", 4, 1}, {"X", "a\0b", 1, 3}};
    assert_int_equal(fn_guard_check("HTTP/1.1", nul, 2, &framing, &err), FN_BAD_REQUEST);
}

static void host_is_given_exactly_once(void **state) {
    (void)state;
    assert_refused(LINES("Host:localhost"));
    assert_refused(LINES("-", "X:y"));
}

static void old_and_unknown_versions_have_their_limits(void **state) {
    (void)state;
    struct fn_framing framing;
    const char *const none[] = {NULL};
    assert_int_equal(check("HTTP/1.0", LINES("Transfer-Encoding:chunked"), &framing),
                     FN_BAD_REQUEST);
    assert_int_equal(check("HTTP/2.0", none, &framing), FN_BAD_REQUEST);
    assert_int_equal(check("", none, &framing), FN_BAD_REQUEST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_requests_pass),
        cmocka_unit_test(ambiguous_lengths_are_refused),
        cmocka_unit_test(lengths_that_are_no_decimal_number_are_refused),
        cmocka_unit_test(names_and_values_with_strange_bytes_are_refused),
        cmocka_unit_test(host_is_given_exactly_once),
        cmocka_unit_test(old_and_unknown_versions_have_their_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
