/* SPDX-License-Identifier: Apache-2.0
 *
 * test_reply.c -- replies: numbers that come back exactly, problems, and what they keep quiet. */
#include <string.h>

#include <math.h>

#include "daemon/api/embedding.h"
#include "daemon/api/json.h"
#include "daemon/http/reply.h"
#include "daemon/http/request.h"
#include "engine/prng.h"
#include "tests/unit/support/cmocka_all.h"

static atomic_size_t inflight;
static struct fn_http_request *request;

static int begin(void **state) {
    (void)state;
    request = fn_request_new("/x", &inflight);
    return request ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    fn_request_free(request);
    return 0;
}

static json_t *body(void) {
    json_t *object;
    struct fn_error err;
    assert_int_equal(request->reply.body[request->reply.body_size - 1], '\n');
    assert_int_equal(fn_json_parse(request->reply.body, request->reply.body_size, &object, &err),
                     FN_OK);
    return object;
}

static const char *text_of(const json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

static void every_float32_comes_back_exactly(void **state) {
    (void)state;
    struct fn_prng prng = {1};
    enum { N = 20000 };
    static float values[N];
    for (int i = 0; i < N; i++) {
        uint32_t bits;
        do {
            bits = (uint32_t)fn_prng_next(&prng);
            memcpy(&values[i], &bits, sizeof bits);
        } while (!isfinite(values[i]));
    }
    values[0] = 0.1f, values[1] = -0.0f, values[2] = 1e-45f, values[3] = 3.4028235e38f;
    json_t *array = fn_embedding_write(values, N, FN_ENCODING_FLOAT);
    fn_reply_json(request, 200, json_pack("{s:o}", "e", array));
    json_t *object = body(), *back = json_object_get(object, "e");
    assert_int_equal(json_array_size(back), N);
    for (size_t i = 0; i < N; i++) {
        float value = (float)json_number_value(json_array_get(back, i));
        assert_memory_equal(&value, &values[i], sizeof value);
    }
    assert_string_equal(text_of(object, "request_id"), request->id);
    json_decref(object);
}

static void base64_embeddings_are_little_endian(void **state) {
    (void)state;
    const float one = 1;
    json_t *text = fn_embedding_write(&one, 1, FN_ENCODING_BASE64);
    assert_string_equal(json_string_value(text), "AACAPw==");
    json_decref(text);
}

static void a_problem_has_all_of_its_members(void **state) {
    (void)state;
    struct fn_error err;
    (void)fn_fail(&err, FN_BAD_OPTION, "x: is \"odd\"");
    fn_reply_problem(request, &err);
    json_t *object = body();
    assert_int_equal(request->reply.status, 400);
    assert_string_equal(request->reply.content_type, "application/problem+json");
    assert_string_equal(text_of(object, "type"), "about:blank");
    assert_string_equal(text_of(object, "code"), "bad_option");
    assert_string_equal(text_of(object, "title"), "Bad option value");
    assert_string_equal(text_of(object, "detail"), "x: is \"odd\"");
    assert_int_equal(json_integer_value(json_object_get(object, "status")), 400);
    json_decref(object);
}

static void what_went_wrong_inside_is_not_told(void **state) {
    (void)state;
    static const fn_status inside[] = {FN_INTERNAL, FN_IO, FN_BAD_MODEL, FN_NO_DEVICE,
                                       FN_DEVICE_FAILED};
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        struct fn_error err;
        (void)fn_fail(&err, inside[i], "/secret/path");
        request->reply.n_headers = 0;
        fn_reply_problem(request, &err);
        json_t *object = body();
        assert_null(strstr(text_of(object, "detail"), "secret"));
        json_decref(object);
    }
}

static void later_comes_with_when(void **state) {
    (void)state;
    struct fn_error err;
    (void)fn_fail(&err, FN_OVERLOADED, "full");
    fn_reply_retry(request, &err, 1001);
    json_t *object = body();
    assert_int_equal(request->reply.status, 503);
    assert_string_equal(request->reply.headers[0].name, "Retry-After");
    assert_string_equal(request->reply.headers[0].value, "2");
    assert_int_equal(json_integer_value(json_object_get(object, "retry_after_ms")), 1001);
    json_decref(object);
}

static void no_memory_for_an_answer_is_said_without_memory(void **state) {
    (void)state;
    fn_reply_json(request, 200, NULL);
    json_t *object = body();
    assert_int_equal(request->reply.status, 503);
    assert_string_equal(text_of(object, "code"), "overloaded");
    json_decref(object);
}

static void bodies_are_charged_while_they_last(void **state) {
    (void)state;
    struct fn_error err;
    static const uint8_t bytes[40000];
    assert_int_equal(fn_request_append_body(request, bytes, 40000, 100000, 100000, &err), FN_OK);
    assert_in_range(atomic_load(&inflight), 40000, 100000);
    assert_int_equal(fn_request_append_body(request, bytes, 40000, 100000, 70000, &err),
                     FN_OVERLOADED);
    assert_int_equal(fn_request_append_body(request, bytes, 40000, 79999, 100000, &err),
                     FN_BODY_TOO_LARGE);
    assert_int_equal(request->body_size, 40000);
    fn_request_drop_body(request);
    assert_int_equal(atomic_load(&inflight), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_float32_comes_back_exactly),
        TEST(base64_embeddings_are_little_endian),
        TEST(a_problem_has_all_of_its_members),
        TEST(what_went_wrong_inside_is_not_told),
        TEST(later_comes_with_when),
        TEST(no_memory_for_an_answer_is_said_without_memory),
        TEST(bodies_are_charged_while_they_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
