/* SPDX-License-Identifier: Apache-2.0
 *
 * answer.c -- the answers of /distance, /distances and /model, and problems: see answer.h. */
#include "clients/c/answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/json.h"

#define MAX_EMBEDDING 65536

struct facenet_distance {
    char *json;
    json_t *root; /* `metric` points into it */
    int same;
    double cosine, l2, threshold, far;
    const char *metric;
};

struct facenet_model {
    char *json;
    json_t *root; /* the texts point into it */
    const char *id, *crop, *backend;
    size_t embedding_size;
};

/* ---- distance ---------------------------------------------------------------------------------
 */

void facenet_distance_free(struct facenet_distance *distance) {
    if (!distance) return;
    json_decref(distance->root);
    free(distance->json);
    free(distance);
}

/* `same` and `threshold` are null together. */
static enum facenet_status read_verdict(struct facenet_distance *distance,
                                        struct facenet_error *err) {
    const json_t *same = json_object_get(distance->root, "same");
    const json_t *threshold = json_object_get(distance->root, "threshold");
    distance->same = -1;
    distance->threshold = distance->far = NAN;
    distance->metric = "";
    if (json_is_null(same) && json_is_null(threshold)) return FACENET_OK;
    if (!json_is_boolean(same) || !json_is_object(threshold))
        return fnc_fail(err, FACENET_BAD_ANSWER,
                        "\"same\" and \"threshold\" are neither a verdict nor null");
    distance->same = json_is_true(same);
    enum facenet_status status = fnc_json_text(threshold, "metric", &distance->metric, err);
    if (status == FACENET_OK)
        status = fnc_json_number(threshold, "value", &distance->threshold, err);
    if (status == FACENET_OK) status = fnc_json_number(threshold, "far", &distance->far, err);
    return status;
}

enum facenet_status fnc_answer_distance(const char *body, size_t size,
                                        struct facenet_distance **ret_distance,
                                        struct facenet_error *err) {
    struct facenet_distance *distance = calloc(1, sizeof *distance);
    if (!distance) return fnc_fail(err, FACENET_NO_MEMORY, "no memory for an answer");
    enum facenet_status status = fnc_json_object(body, size, &distance->root, err);
    if (status == FACENET_OK)
        status = fnc_json_number(distance->root, "cosine", &distance->cosine, err);
    if (status == FACENET_OK) status = fnc_json_number(distance->root, "l2", &distance->l2, err);
    if (status == FACENET_OK) status = read_verdict(distance, err);
    if (status == FACENET_OK && !(distance->json = fnc_json_copy(body, size)))
        status = fnc_fail(err, FACENET_NO_MEMORY, "no memory for an answer");
    if (status == FACENET_OK)
        *ret_distance = distance;
    else
        facenet_distance_free(distance);
    return status;
}

int facenet_distance_same(const struct facenet_distance *distance) {
    return distance->same;
}

double facenet_distance_cosine(const struct facenet_distance *distance) {
    return distance->cosine;
}

double facenet_distance_l2(const struct facenet_distance *distance) {
    return distance->l2;
}

double facenet_distance_threshold(const struct facenet_distance *distance) {
    return distance->threshold;
}

const char *facenet_distance_metric(const struct facenet_distance *distance) {
    return distance->metric;
}

double facenet_distance_far(const struct facenet_distance *distance) {
    return distance->far;
}

const char *facenet_distance_json(const struct facenet_distance *distance) {
    return distance->json;
}

/* ---- distances --------------------------------------------------------------------------------
 */

static enum facenet_status read_rows(const json_t *rows, size_t n_a, size_t n_b,
                                     double *ret_distances, struct facenet_error *err) {
    bool ok = json_array_size(rows) == n_a;
    for (size_t i = 0; ok && i < n_a; i++) {
        const json_t *row = json_array_get(rows, i);
        ok = json_array_size(row) == n_b;
        for (size_t k = 0; ok && k < n_b; k++) {
            const json_t *number = json_array_get(row, k);
            ok = json_is_number(number);
            ret_distances[i * n_b + k] = json_number_value(number);
        }
    }
    if (ok) return FACENET_OK;
    return fnc_fail(err, FACENET_BAD_ANSWER, "\"distances\" are not %zu rows of %zu numbers", n_a,
                    n_b);
}

enum facenet_status fnc_answer_distances(const char *body, size_t size, size_t n_a, size_t n_b,
                                         double *ret_distances, struct facenet_error *err) {
    json_t *root = NULL;
    enum facenet_status status = fnc_json_object(body, size, &root, err);
    if (status == FACENET_OK)
        status = read_rows(json_object_get(root, "distances"), n_a, n_b, ret_distances, err);
    json_decref(root);
    return status;
}

/* ---- model ------------------------------------------------------------------------------------
 */

void facenet_model_free(struct facenet_model *model) {
    if (!model) return;
    json_decref(model->root);
    free(model->json);
    free(model);
}

enum facenet_status fnc_answer_model(const char *body, size_t size,
                                     struct facenet_model **ret_model, struct facenet_error *err) {
    struct facenet_model *model = calloc(1, sizeof *model);
    if (!model) return fnc_fail(err, FACENET_NO_MEMORY, "no memory for an answer");
    enum facenet_status status = fnc_json_object(body, size, &model->root, err);
    if (status == FACENET_OK) status = fnc_json_text(model->root, "model", &model->id, err);
    if (status == FACENET_OK) status = fnc_json_text(model->root, "crop", &model->crop, err);
    if (status == FACENET_OK) status = fnc_json_text(model->root, "backend", &model->backend, err);
    if (status == FACENET_OK)
        status = fnc_json_count(model->root, "embedding_size", MAX_EMBEDDING,
                                &model->embedding_size, err);
    if (status == FACENET_OK && !(model->json = fnc_json_copy(body, size)))
        status = fnc_fail(err, FACENET_NO_MEMORY, "no memory for an answer");
    if (status == FACENET_OK)
        *ret_model = model;
    else
        facenet_model_free(model);
    return status;
}

const char *facenet_model_id(const struct facenet_model *model) {
    return model->id;
}

const char *facenet_model_crop(const struct facenet_model *model) {
    return model->crop;
}

const char *facenet_model_backend(const struct facenet_model *model) {
    return model->backend;
}

size_t facenet_model_embedding_size(const struct facenet_model *model) {
    return model->embedding_size;
}

const char *facenet_model_json(const struct facenet_model *model) {
    return model->json;
}

/* ---- problems ---------------------------------------------------------------------------------
 */

void fnc_answer_problem(long http_status, const char *body, size_t size,
                        struct facenet_error *err) {
    json_t *problem = json_loadb(body, size, 0, NULL);
    const char *code = json_string_value(json_object_get(problem, "code"));
    const char *title = json_string_value(json_object_get(problem, "title"));
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *id = json_string_value(json_object_get(problem, "request_id"));
    if (http_status < 400 || http_status > 599) {
        fnc_error_set(err, FACENET_BAD_ANSWER, "answered %ld, which facenetd never does",
                      http_status);
    } else if (code && title) {
        fnc_error_set(err, FACENET_REFUSED, "%s%s%s (%ld %s)", title, detail ? ": " : "",
                      detail ? detail : "", http_status, code);
    } else {
        fnc_error_set(err, FACENET_REFUSED, "refused with status %ld, without facenetd's reason",
                      http_status);
    }
    if (http_status >= 400 && http_status <= 599)
        fnc_error_set_refusal(err, (int)http_status, code, id);
    json_decref(problem);
}

int64_t fnc_answer_retry_after_ms(const char *body, size_t size) {
    json_t *problem = json_loadb(body, size, 0, NULL);
    const json_t *number = json_object_get(problem, "retry_after_ms");
    int64_t ms = json_is_integer(number) ? (int64_t)json_integer_value(number) : -1;
    json_decref(problem);
    return ms < 0 || ms > INT32_MAX ? -1 : ms;
}
