/* SPDX-License-Identifier: Apache-2.0
 *
 * test_client_answer.c -- what the C client makes of a server's answers, right and wrong ones. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/answer.h"
#include "clients/c/error.h"
#include "tests/unit/support/cmocka_all.h"

#define FRAME                                                                                      \
    "\"model\":\"m\",\"crop\":\"c\",\"backend\":\"b\",\"image\":{\"width\":20,\"height\":10,"      \
    "\"orientation\":1}"
#define BOX      "\"box\":{\"x\":1,\"y\":2.5,\"width\":3,\"height\":4}"
#define NOTHING  "\"score\":null,\"landmarks\":null"
#define DETECTED "\"score\":0.75,\"landmarks\":[[1,2],[3,4],[5,6],[7,8],[9,10.5]]"

static struct facenet_faces *faces_of(const char *body, bool with_embeddings) {
    struct facenet_faces *faces = NULL;
    struct facenet_error err = {0};
    if (fnc_answer_faces(body, strlen(body), with_embeddings, &faces, &err) != FACENET_OK)
        fail_msg("%s: %s", body, err.text);
    return faces;
}

static void a_face_has_its_quality_or_none(void **state) {
    (void)state;
    struct facenet_faces *faces =
        faces_of("{" FRAME ",\"faces_found\":5,\"faces_rejected\":2,\"faces\":["
                 "{" BOX "," DETECTED ",\"quality\":{\"size\":3,\"sharpness\":20.5,"
                 "\"brightness\":120,\"roll\":-3.5}},"
                 "{" BOX "," NOTHING ",\"quality\":null},{" BOX "," DETECTED "}]}",
                 false);
    const double *quality = facenet_faces_quality(faces, 0);
    assert_true(quality[0] == 3 && quality[1] == 20.5 && quality[2] == 120 && quality[3] == -3.5);
    assert_null(facenet_faces_quality(faces, 1));
    assert_null(facenet_faces_quality(faces, 2));
    assert_null(facenet_faces_quality(faces, 3));
    assert_int_equal(facenet_faces_rejected(faces), 2);
    facenet_faces_free(faces);
    faces = faces_of("{" FRAME ",\"faces_found\":0,\"faces\":[]}", false);
    assert_int_equal(facenet_faces_rejected(faces), 0);
    facenet_faces_free(faces);
}

static void distances_are_a_full_table_of_numbers(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "{}",
        "[]",
        "{\"distances\":null}",
        "{\"distances\":[]}",
        "{\"distances\":[[1,2]]}",
        "{\"distances\":[[1,2],[3]]}",
        "{\"distances\":[[1,2],[3,4,5]]}",
        "{\"distances\":[[1,2],[3,null]]}",
        "{\"distances\":[[1,2],[3,\"4\"]]}",
        "{\"distances\":[[1,2],{\"3\":4}]}",
        "{\"distances\":[[1,2],[3,1e999]]}",
    };
    static const char body[] = "{\"distances\":[[0,0.5],[1,-2]]}";
    double values[4] = {0};
    struct facenet_error err;
    assert_int_equal(fnc_answer_distances(body, strlen(body), 2, 2, values, &err), FACENET_OK);
    assert_true(values[0] == 0 && values[1] == 0.5 && values[2] == 1 && values[3] == -2);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(fnc_answer_distances(wrong[i], strlen(wrong[i]), 2, 2, values, &err),
                         FACENET_BAD_ANSWER);
}

static void faces_have_what_the_server_said(void **state) {
    (void)state;
    static const char body[] = "{" FRAME ",\"new member\":[1],\"faces_found\":7,\"faces\":["
                               "{" BOX "," DETECTED ",\"embedding\":[0.6,-0.800000012]},"
                               "{" BOX "," NOTHING ",\"embedding\":[1,0]}]}";
    size_t length = 0;
    struct facenet_faces *faces = faces_of(body, true);
    assert_int_equal(facenet_faces_count(faces), 2);
    assert_int_equal(facenet_faces_found(faces), 7);
    assert_string_equal(facenet_faces_model(faces), "m");
    assert_string_equal(facenet_faces_crop(faces), "c");
    assert_string_equal(facenet_faces_backend(faces), "b");
    assert_int_equal(facenet_faces_width(faces), 20);
    assert_int_equal(facenet_faces_height(faces), 10);
    assert_true(facenet_faces_box(faces, 0)[1] == 2.5);
    assert_true(facenet_faces_landmarks(faces, 0)[9] == 10.5);
    assert_true(facenet_faces_score(faces, 0) == 0.75);
    const float *embedding = facenet_faces_embedding(faces, 0, &length);
    assert_int_equal(length, 2);
    assert_true(embedding[0] == 0.6f && embedding[1] == -0.8f);
    assert_true(facenet_faces_embedding(faces, 1, NULL)[0] == 1.0f);
    assert_null(facenet_faces_landmarks(faces, 1));
    assert_true(isnan(facenet_faces_score(faces, 1)));
    assert_string_equal(facenet_faces_json(faces), body);
    facenet_faces_free(faces);
}

static void a_face_beyond_the_last_is_nothing(void **state) {
    (void)state;
    struct facenet_faces *faces = faces_of("{" FRAME ",\"faces_found\":0,\"faces\":[]}", true);
    size_t length = 99;
    assert_int_equal(facenet_faces_count(faces), 0);
    assert_null(facenet_faces_embedding(faces, 0, &length));
    assert_int_equal(length, 99);
    assert_null(facenet_faces_box(faces, 0));
    assert_null(facenet_faces_landmarks(faces, SIZE_MAX));
    assert_true(isnan(facenet_faces_score(faces, 0)));
    facenet_faces_free(faces);
    facenet_faces_free(NULL);
}

static void detection_needs_no_embeddings(void **state) {
    (void)state;
    struct facenet_faces *faces =
        faces_of("{" FRAME ",\"faces_found\":1,\"faces\":[{" BOX "," DETECTED "}]}", false);
    assert_int_equal(facenet_faces_count(faces), 1);
    assert_null(facenet_faces_embedding(faces, 0, NULL));
    facenet_faces_free(faces);
}

static void every_float32_survives_nine_digits(void **state) {
    (void)state;
    static const float numbers[] = {0.0473008975f, 1.17549435e-38f, -0.999999940f, 1.40129846e-45f};
    char body[600];
    (void)snprintf(body, sizeof body,
                   "{" FRAME ",\"faces_found\":1,\"faces\":[{" BOX "," NOTHING
                   ",\"embedding\":[%.9g,%.9g,%.9g,%.9g]}]}",
                   (double)numbers[0], (double)numbers[1], (double)numbers[2], (double)numbers[3]);
    struct facenet_faces *faces = faces_of(body, true);
    assert_memory_equal(facenet_faces_embedding(faces, 0, NULL), numbers, sizeof numbers);
    facenet_faces_free(faces);
}

static void wrong_faces_are_refused_and_the_result_untouched(void **state) {
    (void)state;
#define FACES(text) "{" FRAME ",\"faces_found\":1,\"faces\":" text "}"
    static const char *const wrong[] = {
        "",
        "null",
        "[]",
        "{",
        "{}",
        "<html>busy</html>",
        "\xff\xfe",
        FACES("{}"),
        FACES("null"),
        FACES("[1]"),
        FACES("[{}]"),
        FACES("[{" BOX "," NOTHING "}]"),
        FACES("[{" BOX "," NOTHING ",\"embedding\":null}]"),
        FACES("[{" BOX "," NOTHING ",\"embedding\":\"AAAA\"}]"),
        FACES("[{" BOX "," NOTHING ",\"embedding\":[]}]"),
        FACES("[{" BOX "," NOTHING ",\"embedding\":[\"1\"]}]"),
        FACES("[{" BOX "," NOTHING ",\"embedding\":[1e300]}]"),
        FACES("[{" BOX "," NOTHING ",\"embedding\":[1]},{" BOX "," NOTHING
              ",\"embedding\":[1,0]}]"),
        FACES("[{" BOX ",\"score\":true,\"landmarks\":null,\"embedding\":[1]}]"),
        FACES("[{" BOX ",\"score\":1,\"landmarks\":[[1,2]],\"embedding\":[1]}]"),
        FACES("[{" BOX ",\"score\":1,\"landmarks\":[1,2,3,4,5],\"embedding\":[1]}]"),
        FACES("[{" BOX ",\"score\":1,\"landmarks\":[[1],[2],[3],[4],[5]],\"embedding\":[1]}]"),
        FACES("[{\"box\":[1,2,3,4]," NOTHING ",\"embedding\":[1]}]"),
        FACES("[{\"box\":{\"x\":1}," NOTHING ",\"embedding\":[1]}]"),
        "{\"model\":1,\"crop\":\"c\",\"backend\":\"b\",\"faces\":[],\"faces_found\":0}",
        "{\"model\":\"m\",\"crop\":\"c\",\"backend\":\"b\",\"faces\":[],\"faces_found\":0}",
        "{" FRAME ",\"faces\":[],\"faces_found\":-1}",
        "{" FRAME ",\"faces\":[],\"faces_found\":1.5}",
        "{" FRAME ",\"faces\":[]}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct facenet_faces *faces = NULL;
        struct facenet_error err = {0};
        if (fnc_answer_faces(wrong[i], strlen(wrong[i]), true, &faces, &err) != FACENET_BAD_ANSWER)
            fail_msg("taken for an answer: %s", wrong[i]);
        assert_int_equal(err.status, FACENET_BAD_ANSWER);
        assert_true(err.text[0]);
        assert_null(faces);
    }
}

static void a_distance_comes_with_its_verdict_or_with_none(void **state) {
    (void)state;
    static const char verdict[] =
        "{\"same\":true,\"cosine\":0.8,\"l2\":0.6,\"l2_squared\":0.36,\"threshold\":{\"metric\":"
        "\"l2_squared\",\"value\":1.1,\"far\":0.001,\"fitted_on\":\"LFW\"}}";
    static const char none[] = "{\"same\":null,\"threshold\":null,\"cosine\":-0.5,\"l2\":1.7}";
    struct facenet_distance *distance = NULL;
    assert_int_equal(fnc_answer_distance(verdict, strlen(verdict), &distance, NULL), FACENET_OK);
    assert_int_equal(facenet_distance_same(distance), 1);
    assert_true(facenet_distance_cosine(distance) == 0.8);
    assert_true(facenet_distance_l2(distance) == 0.6);
    assert_true(facenet_distance_threshold(distance) == 1.1);
    assert_true(facenet_distance_far(distance) == 0.001);
    assert_string_equal(facenet_distance_metric(distance), "l2_squared");
    assert_string_equal(facenet_distance_json(distance), verdict);
    facenet_distance_free(distance);
    assert_int_equal(fnc_answer_distance(none, strlen(none), &distance, NULL), FACENET_OK);
    assert_int_equal(facenet_distance_same(distance), -1);
    assert_true(isnan(facenet_distance_threshold(distance)));
    assert_true(isnan(facenet_distance_far(distance)));
    assert_string_equal(facenet_distance_metric(distance), "");
    facenet_distance_free(distance);
    facenet_distance_free(NULL);
}

static void half_a_verdict_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "{}",
        "{\"cosine\":1,\"l2\":0}",
        "{\"cosine\":1,\"l2\":0,\"same\":true,\"threshold\":null}",
        "{\"cosine\":1,\"l2\":0,\"same\":null,\"threshold\":{}}",
        "{\"cosine\":1,\"l2\":0,\"same\":1,\"threshold\":{}}",
        "{\"cosine\":1,\"l2\":0,\"same\":false,\"threshold\":{\"metric\":\"l2\",\"far\":1}}",
        "{\"cosine\":\"1\",\"l2\":0,\"same\":null,\"threshold\":null}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct facenet_distance *distance = NULL;
        assert_int_equal(fnc_answer_distance(wrong[i], strlen(wrong[i]), &distance, NULL),
                         FACENET_BAD_ANSWER);
        assert_null(distance);
    }
}

static void a_model_says_who_it_is(void **state) {
    (void)state;
    static const char body[] =
        "{\"model\":\"8acb\",\"crop\":\"whole-160\",\"backend\":\"reference\",\"embedding_size\":"
        "512}";
    static const char wrong[] = "{\"model\":\"8acb\",\"crop\":\"c\",\"backend\":\"b\"}";
    struct facenet_model *model = NULL;
    assert_int_equal(fnc_answer_model(body, strlen(body), &model, NULL), FACENET_OK);
    assert_string_equal(facenet_model_id(model), "8acb");
    assert_string_equal(facenet_model_crop(model), "whole-160");
    assert_string_equal(facenet_model_backend(model), "reference");
    assert_int_equal(facenet_model_embedding_size(model), 512);
    assert_string_equal(facenet_model_json(model), body);
    facenet_model_free(model);
    facenet_model_free(NULL);
    model = NULL;
    assert_int_equal(fnc_answer_model(wrong, strlen(wrong), &model, NULL), FACENET_BAD_ANSWER);
    assert_null(model);
}

static void a_problem_gives_its_reason(void **state) {
    (void)state;
    static const char body[] =
        "{\"title\":\"No face was found\",\"status\":422,\"detail\":\"img2: no face\",\"code\":"
        "\"face_not_found\",\"request_id\":\"d4e9-1\"}";
    struct facenet_error err;
    fnc_answer_problem(422, body, strlen(body), &err);
    assert_int_equal(err.status, FACENET_REFUSED);
    assert_int_equal(err.http_status, 422);
    assert_string_equal(err.code, "face_not_found");
    assert_string_equal(err.request_id, "d4e9-1");
    assert_string_equal(err.text, "No face was found: img2: no face (422 face_not_found)");
}

static void a_proxys_refusal_is_one_too(void **state) {
    (void)state;
    static const char *const bodies[] = {"", "<html>502 Bad Gateway</html>", "{\"code\":12}", "[]"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct facenet_error err;
        fnc_answer_problem(502, bodies[i], strlen(bodies[i]), &err);
        assert_int_equal(err.status, FACENET_REFUSED);
        assert_int_equal(err.http_status, 502);
        assert_string_equal(err.code, "");
    }
    struct facenet_error err;
    fnc_answer_problem(301, "", 0, &err);
    assert_int_equal(err.status, FACENET_BAD_ANSWER);
    assert_int_equal(err.http_status, 0);
}

static int64_t retry_after(const char *body) {
    return fnc_answer_retry_after_ms(body, strlen(body));
}

static void a_wait_is_taken_only_when_it_makes_sense(void **state) {
    (void)state;
    assert_int_equal(retry_after("{\"retry_after_ms\":250}"), 250);
    assert_int_equal(retry_after("{\"retry_after_ms\":0}"), 0);
    assert_int_equal(retry_after("{\"retry_after_ms\":-1}"), -1);
    assert_int_equal(retry_after("{\"retry_after_ms\":99999999999}"), -1);
    assert_int_equal(retry_after("{\"retry_after_ms\":\"250\"}"), -1);
    assert_int_equal(retry_after("{}"), -1);
    assert_int_equal(retry_after("busy"), -1);
    assert_int_equal(retry_after(""), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faces_have_what_the_server_said),
        cmocka_unit_test(a_face_has_its_quality_or_none),
        cmocka_unit_test(distances_are_a_full_table_of_numbers),
        cmocka_unit_test(a_face_beyond_the_last_is_nothing),
        cmocka_unit_test(detection_needs_no_embeddings),
        cmocka_unit_test(every_float32_survives_nine_digits),
        cmocka_unit_test(wrong_faces_are_refused_and_the_result_untouched),
        cmocka_unit_test(a_distance_comes_with_its_verdict_or_with_none),
        cmocka_unit_test(half_a_verdict_is_refused),
        cmocka_unit_test(a_model_says_who_it_is),
        cmocka_unit_test(a_problem_gives_its_reason),
        cmocka_unit_test(a_proxys_refusal_is_one_too),
        cmocka_unit_test(a_wait_is_taken_only_when_it_makes_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
