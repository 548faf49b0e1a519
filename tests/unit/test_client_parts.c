/* SPDX-License-Identifier: Apache-2.0
 *
 * test_client_parts.c -- what the C client decides without a server: addresses, options, retries,
 * pictures, errors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/c/error.h"
#include "clients/c/picture.h"
#include "clients/c/retry.h"
#include "clients/c/server.h"
#include "engine/version.h"
#include "tests/unit/support/cmocka_all.h"

static void the_library_has_the_version_of_the_programs(void **state) {
    (void)state;
    assert_string_equal(facenet_client_version(), FN_VERSION);
}

/* ---- addresses --------------------------------------------------------------------------------
 */

static void an_address_loses_only_its_last_slashes(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"http://127.0.0.1:8080", "http://127.0.0.1:8080"},
        {"http://localhost/", "http://localhost"},
        {"https://[::1]:443/faces//", "https://[::1]:443/faces"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct fnc_server server;
        assert_int_equal(fnc_server_parse(pairs[i][0], &server, NULL), FACENET_OK);
        assert_string_equal(server.base, pairs[i][1]);
        assert_null(server.socket_path);
        fnc_server_done(&server);
    }
}

static void a_socket_is_reached_as_localhost(void **state) {
    (void)state;
    struct fnc_server server;
    assert_int_equal(fnc_server_parse("unix:/run/f.sock", &server, NULL), FACENET_OK);
    assert_string_equal(server.base, "http://localhost");
    assert_string_equal(server.socket_path, "/run/f.sock");
    fnc_server_done(&server);
}

static void other_addresses_are_refused(void **state) {
    (void)state;
    char longest[200];
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "unix:/", 6);
    longest[199] = '\0';
    const char *const wrong[] = {
        NULL,         "",           "localhost:8080", "ftp://x",    "http://",      "http:///embed",
        "http://a b", "http://a\n", "http://a?x=1",   "http://a#b", "http://u:p@a", "unix:",
        "unix:a",     longest,      "http://a\\b",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct fnc_server server = {NULL, NULL};
        struct facenet_error err = {0};
        assert_int_equal(fnc_server_parse(wrong[i], &server, &err), FACENET_BAD_ARGUMENT);
        assert_int_equal(err.status, FACENET_BAD_ARGUMENT);
        assert_true(err.text[0]);
        assert_null(server.base);
    }
}

static void a_password_in_an_address_is_not_repeated(void **state) {
    (void)state;
    struct fnc_server server;
    struct facenet_error err;
    assert_int_equal(fnc_server_parse("http://me:secret@host", &server, &err),
                     FACENET_BAD_ARGUMENT);
    assert_null(strstr(err.text, "secret"));
}

static void options_are_a_query_and_nothing_else(void **state) {
    (void)state;
    assert_int_equal(fnc_options_check(NULL, NULL), FACENET_OK);
    assert_int_equal(fnc_options_check("", NULL), FACENET_OK);
    assert_int_equal(fnc_options_check("face=center&far=1e-3&max_faces=2", NULL), FACENET_OK);
    assert_int_equal(fnc_options_check("a=b c", NULL), FACENET_BAD_ARGUMENT);
    assert_int_equal(fnc_options_check("a=b\r\nX: y", NULL), FACENET_BAD_ARGUMENT);
    assert_int_equal(fnc_options_check("a=b#c", NULL), FACENET_BAD_ARGUMENT);
    assert_int_equal(fnc_options_check("a?b", NULL), FACENET_BAD_ARGUMENT);
    assert_int_equal(fnc_options_check("encoding=base64", NULL), FACENET_BAD_ARGUMENT);
    assert_int_equal(fnc_options_check("a=b&encoding=float", NULL), FACENET_BAD_ARGUMENT);
}

static void a_key_cannot_add_a_header(void **state) {
    (void)state;
    char longest[1026];
    memset(longest, 'k', sizeof longest);
    longest[1025] = '\0';
    assert_true(fnc_key_is_valid("abc-DEF_123.~+/="));
    assert_false(fnc_key_is_valid(""));
    assert_false(fnc_key_is_valid("a b"));
    assert_false(fnc_key_is_valid("a\r\nX-Evil: 1"));
    assert_false(fnc_key_is_valid("sch\xc3\xbcssel"));
    assert_false(fnc_key_is_valid(longest));
    assert_true(fnc_key_is_valid(longest + 1));
}

/* ---- retries ----------------------------------------------------------------------------------
 */

static const struct fnc_attempt busy = {.http_status = 503, .retry_after_ms = 1000};
static const struct fnc_attempt broken = {.broken = true, .retry_after_ms = -1};

static void only_busy_and_broken_are_worth_another_try(void **state) {
    (void)state;
    static const long final[] = {200, 301, 400, 401, 403, 404, 409, 413, 422, 500, 502, 504};
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++) {
        struct fnc_attempt attempt = {.http_status = final[i], .retry_after_ms = 0};
        assert_int_equal(fnc_retry_wait_ms(&attempt, 3, 10000, 0), -1);
    }
    struct fnc_attempt limited = {.http_status = 429, .retry_after_ms = 0};
    assert_int_equal(fnc_retry_wait_ms(&limited, 3, 10000, 7), 0);
    assert_int_equal(fnc_retry_wait_ms(&busy, 3, 10000, 0), 1000);
    assert_int_equal(fnc_retry_wait_ms(&broken, 3, 10000, 0), 100);
}

static void a_server_is_never_asked_sooner_than_it_wants(void **state) {
    (void)state;
    int64_t least = INT64_MAX, most = 0;
    for (uint32_t random = 0; random < 5000; random++) {
        int64_t wait = fnc_retry_wait_ms(&busy, 3, 10000, random);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    assert_int_equal(least, 1000);
    assert_int_equal(most, 1500);
}

static void waits_double_when_nothing_was_asked_for(void **state) {
    (void)state;
    struct fnc_attempt attempt = broken;
    for (attempt.number = 0; attempt.number < 3; attempt.number++)
        assert_int_equal(fnc_retry_wait_ms(&attempt, 3, 10000, 0), 100 << attempt.number);
    assert_int_equal(fnc_retry_wait_ms(&attempt, 3, 10000, 0), -1);
    attempt.number = 0;
    assert_int_equal(fnc_retry_wait_ms(&attempt, 0, 10000, 0), -1);
}

static void no_wait_outlasts_the_deadline(void **state) {
    (void)state;
    assert_int_equal(fnc_retry_wait_ms(&busy, 3, 1000, 0), -1);
    assert_int_equal(fnc_retry_wait_ms(&busy, 3, 0, 0), -1);
    assert_int_equal(fnc_retry_wait_ms(&busy, 3, -5, 0), -1);
    /* 500 more than the server asked for would be too long: just what it asked for, then. */
    assert_int_equal(fnc_retry_wait_ms(&busy, 3, 1001, 500), 1000);
}

/* ---- pictures and errors ----------------------------------------------------------------------
 */

static void a_picture_is_a_copy(void **state) {
    (void)state;
    char bytes[] = "bytes";
    struct facenet_picture *picture = NULL;
    assert_int_equal(facenet_picture_from_bytes(bytes, 5, &picture, NULL), FACENET_OK);
    bytes[0] = 'x';
    assert_int_equal(picture->size, 5);
    assert_memory_equal(picture->bytes, "bytes", 5);
    facenet_picture_free(picture);
}

static void a_long_stream_is_read_to_its_end(void **state) {
    (void)state;
    enum { SIZE = 300001 };
    struct facenet_picture *picture = NULL;
    FILE *stream = tmpfile();
    assert_non_null(stream);
    for (int i = 0; i < SIZE; i++) assert_true(fputc(i % 251, stream) != EOF);
    rewind(stream);
    assert_int_equal(facenet_picture_from_stream(stream, &picture, NULL), FACENET_OK);
    assert_int_equal(picture->size, SIZE);
    for (int i = 0; i < SIZE; i++) assert_int_equal(picture->bytes[i], i % 251);
    facenet_picture_free(picture);
    assert_int_equal(fclose(stream), 0);
}

static void what_is_no_picture_file_is_named(void **state) {
    (void)state;
    static const char *const paths[] = {"/nonexistent/face.jpg", "/", "/dev/null"};
    for (size_t i = 0; i < 3; i++) {
        struct facenet_picture *picture = NULL;
        struct facenet_error err;
        assert_int_equal(facenet_picture_from_file(paths[i], &picture, &err), FACENET_FILE);
        assert_non_null(strstr(err.text, paths[i]));
        assert_null(picture);
    }
    assert_int_equal(facenet_picture_from_file(NULL, NULL, NULL), FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_picture_from_stream(NULL, NULL, NULL), FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_picture_from_bytes("", 0, NULL, NULL), FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_picture_from_bytes(NULL, 5, NULL, NULL), FACENET_BAD_ARGUMENT);
}

static void an_error_forgets_the_one_before(void **state) {
    (void)state;
    struct facenet_error *err = facenet_error_new();
    fnc_error_set(err, FACENET_REFUSED, "one");
    fnc_error_set_refusal(err, 422, "face_not_found", "id-1");
    assert_int_equal(facenet_error_http_status(err), 422);
    assert_string_equal(facenet_error_code(err), "face_not_found");
    assert_string_equal(facenet_error_request_id(err), "id-1");
    fnc_error_set(err, FACENET_TIMEOUT, "two");
    assert_int_equal(facenet_error_http_status(err), 0);
    assert_string_equal(facenet_error_code(err), "");
    assert_string_equal(facenet_error_request_id(err), "");
    assert_string_equal(facenet_error_text(err), "two");
    assert_int_equal(facenet_error_status(err), FACENET_TIMEOUT);
    facenet_error_free(err);
}

static void an_error_never_commands_a_terminal(void **state) {
    (void)state;
    struct facenet_error err;
    fnc_error_set(&err, FACENET_REFUSED, "a\x1b[31mb\nc%s", "\x7f");
    assert_string_equal(err.text, "a?[31mb?c?");
    fnc_error_set_refusal(&err, 400, "x\ny", "\x1b]0;");
    assert_string_equal(err.code, "x?y");
    assert_string_equal(err.request_id, "?]0;");
}

static void settings_out_of_range_change_nothing(void **state) {
    (void)state;
    struct facenet_client *client = NULL;
    assert_int_equal(facenet_client_new("http://localhost:1", &client, NULL), FACENET_OK);
    assert_int_equal(facenet_client_set_timeout_ms(client, 0), FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_client_set_timeout_ms(client, 1000000000L), FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_client_set_retries(client, -1), FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_client_set_retries(client, 4), FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_client_set_concurrency(client, 0), FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_client_set_concurrency(client, 65), FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_client_set_max_answer(client, 1023), FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_client_set_api_key(client, "a\nb"), FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_client_set_api_key(client, NULL), FACENET_OK);
    facenet_client_free(client);
    facenet_client_free(NULL);
}

static void questions_without_what_they_ask_about_are_not_sent(void **state) {
    (void)state;
    struct facenet_client *client = NULL;
    struct facenet_picture *picture = NULL;
    struct facenet_faces *faces = NULL;
    struct facenet_distance *distance = NULL;
    struct facenet_error err;
    const float numbers[2] = {1, 0}, wrong[2] = {1, 0.0f / 0.0f};
    assert_int_equal(facenet_client_new("http://localhost:1", &client, NULL), FACENET_OK);
    assert_int_equal(facenet_picture_from_bytes("x", 1, &picture, NULL), FACENET_OK);
    assert_int_equal(facenet_client_embed(client, NULL, NULL, &faces, &err), FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_client_embed(client, picture, "a b", &faces, &err),
                     FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_client_distance(client, picture, NULL, NULL, &distance, &err),
                     FACENET_BAD_ARGUMENT);
    assert_int_equal(facenet_client_distance_of(client, numbers, numbers, 2, "model", NULL, NULL,
                                                &distance, &err),
                     FACENET_BAD_ARGUMENT);
    assert_int_equal(
        facenet_client_distance_of(client, numbers, wrong, 2, NULL, NULL, NULL, &distance, &err),
        FACENET_BAD_ARGUMENT);
    const struct facenet_picture *pictures[2] = {picture, NULL};
    struct facenet_faces *many[2] = {(void *)&err, (void *)&err};
    assert_int_equal(facenet_client_embed_many(client, pictures, 2, NULL, many, NULL, &err),
                     FACENET_BAD_ARGUMENT);
    assert_null(many[0]);
    assert_null(many[1]);
    assert_int_equal(facenet_client_embed_many(client, pictures, 0, NULL, many, NULL, &err),
                     FACENET_OK);
    facenet_picture_free(picture);
    facenet_client_free(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_library_has_the_version_of_the_programs),
        cmocka_unit_test(an_address_loses_only_its_last_slashes),
        cmocka_unit_test(a_socket_is_reached_as_localhost),
        cmocka_unit_test(other_addresses_are_refused),
        cmocka_unit_test(a_password_in_an_address_is_not_repeated),
        cmocka_unit_test(options_are_a_query_and_nothing_else),
        cmocka_unit_test(a_key_cannot_add_a_header),
        cmocka_unit_test(only_busy_and_broken_are_worth_another_try),
        cmocka_unit_test(a_server_is_never_asked_sooner_than_it_wants),
        cmocka_unit_test(waits_double_when_nothing_was_asked_for),
        cmocka_unit_test(no_wait_outlasts_the_deadline),
        cmocka_unit_test(a_picture_is_a_copy),
        cmocka_unit_test(a_long_stream_is_read_to_its_end),
        cmocka_unit_test(what_is_no_picture_file_is_named),
        cmocka_unit_test(an_error_forgets_the_one_before),
        cmocka_unit_test(an_error_never_commands_a_terminal),
        cmocka_unit_test(settings_out_of_range_change_nothing),
        cmocka_unit_test(questions_without_what_they_ask_about_are_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
