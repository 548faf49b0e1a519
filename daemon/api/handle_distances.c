/* SPDX-License-Identifier: Apache-2.0
 *
 * handle_distances.c -- POST /distances: every embedding of one list against every one of another.
 * No picture and no device: arithmetic in a worker, given up when nobody waits any more. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api/embedding.h"
#include "daemon/api/json.h"
#include "daemon/api/routes.h"
#include "engine/clock.h"
#include "engine/verdict.h"

#define MAX_CELLS 250000

struct side {
    const char *name;
    const json_t *array; /* borrowed */
    size_t n;
    float *values; /* [n][embedding_size], owned */
};

struct table {
    struct side sides[2];
    bool cosine;
    bool checked;     /* every embedding says what it is of */
    const char *crop; /* that they say; NULL: none says any */
};

/* Member "a", "b" or "metric"; the numbers are read later. */
static fn_status take_member(struct table *table, const char *name, const json_t *value,
                             struct fn_error *err) {
    for (int i = 0; i < 2; i++) {
        if (strcmp(name, table->sides[i].name) != 0) continue;
        if (!json_is_array(value) || json_array_size(value) == 0)
            return fn_fail(err, FN_BAD_REQUEST, "%s: expected an array of embeddings", name);
        table->sides[i].array = value;
        table->sides[i].n = json_array_size(value);
        return FN_OK;
    }
    if (strcmp(name, "metric") != 0)
        return fn_fail(err, FN_UNKNOWN_MEMBER, "expected a, b and metric");
    const char *metric = json_string_value(value);
    table->cosine = metric && strcmp(metric, "cosine") == 0;
    if (table->cosine || (metric && strcmp(metric, "l2_squared") == 0)) return FN_OK;
    return fn_fail(err, FN_BAD_OPTION, "metric: expected \"l2_squared\" or \"cosine\"");
}

static fn_status take_members(struct table *table, const json_t *object, struct fn_error *err) {
    const char *name;
    json_t *value;
    fn_status status = FN_OK;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        if (status == FN_OK) status = take_member(table, name, value, err);
    }
    for (int i = 0; status == FN_OK && i < 2; i++)
        if (!table->sides[i].array)
            status = fn_fail(err, FN_BAD_REQUEST, "%s is missing", table->sides[i].name);
    if (status == FN_OK && table->sides[0].n > MAX_CELLS / table->sides[1].n)
        status = fn_fail(err, FN_BAD_REQUEST, "%zu by %zu distances, at most %d are computed",
                         table->sides[0].n, table->sides[1].n, MAX_CELLS);
    return status;
}

static fn_status note_origin(struct table *table, const struct fn_embedding_origin *origin,
                             struct fn_error *err) {
    if (!origin->crop) {
        table->checked = false;
        return FN_OK;
    }
    if (table->crop && strcmp(table->crop, origin->crop) != 0)
        return fn_fail(err, FN_MODEL_MISMATCH, "is of the crop %s, an earlier one of %s",
                       origin->crop, table->crop);
    table->crop = origin->crop;
    return FN_OK;
}

static fn_status read_side(const struct fn_call *call, struct table *table, struct side *side,
                           struct fn_error *err) {
    const struct fn_service *service = call->service;
    const struct fn_embedding_kind kind = {
        service->model->id, fn_finder_crop(service->finder, fn_finder_looks(service->finder)),
        service->model->network.embedding_size};
    size_t size = (size_t)kind.size;
    side->values = calloc(side->n, size * sizeof *side->values);
    if (!side->values) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu embeddings", side->n);
    for (size_t i = 0; i < side->n; i++) {
        struct fn_embedding_origin origin = {NULL};
        struct fn_error detail;
        fn_status status = fn_embedding_read(json_array_get(side->array, i), &kind,
                                             side->values + i * size, &origin, &detail);
        if (status == FN_OK) status = note_origin(table, &origin, &detail);
        if (status != FN_OK) return fn_fail(err, status, "%s[%zu]: %s", side->name, i, detail.text);
    }
    return FN_OK;
}

/* One row per embedding of `a`; NULL when memory is out. */
static json_t *make_row(const struct table *table, size_t row, size_t size) {
    json_t *array = json_array();
    const float *a = table->sides[0].values + row * size;
    for (size_t i = 0; array && i < table->sides[1].n; i++) {
        struct fn_distance d =
            fn_distance_of(fn_verdict_distance(a, table->sides[1].values + i * size, size));
        if (json_array_append_new(array, json_real(table->cosine ? d.cosine : d.l2_squared)) == 0)
            continue;
        json_decref(array);
        return NULL;
    }
    return array;
}

static fn_status make_rows(const struct fn_call *call, const struct table *table, json_t *rows,
                           struct fn_error *err) {
    size_t size = (size_t)call->service->model->network.embedding_size;
    for (size_t i = 0; i < table->sides[0].n; i++) {
        if (atomic_load(&call->request->gone) || fn_now_ns() > call->request->deadline_ns)
            return fn_fail(err, FN_DEADLINE_EXCEEDED, "the deadline passed after %zu rows", i);
        if (json_array_append_new(rows, make_row(table, i, size)) != 0)
            return fn_fail(err, FN_NO_MEMORY, "no memory for the distances");
    }
    return FN_OK;
}

static fn_status make_answer(const struct fn_call *call, struct table *table, json_t **ret_answer,
                             struct fn_error *err) {
    FN_CLEANUP(fn_json_free) json_t *object = NULL;
    FN_CLEANUP(fn_json_free) json_t *rows = json_array();
    const struct fn_service *service = call->service;
    fn_status status =
        fn_json_parse((const char *)call->request->body, call->request->body_size, &object, err);
    if (status == FN_OK) status = take_members(table, object, err);
    for (int i = 0; status == FN_OK && i < 2; i++)
        status = read_side(call, table, &table->sides[i], err);
    if (status == FN_OK) status = make_rows(call, table, rows, err);
    if (status != FN_OK) return status;
    const char *crop = table->crop;
    if (!crop) crop = fn_finder_crop(service->finder, fn_finder_looks(service->finder));
    *ret_answer = json_pack("{s:s, s:s, s:s, s:b, s:O}", "model", service->model->id, "crop", crop,
                            "metric", table->cosine ? "cosine" : "l2_squared", "model_checked",
                            table->checked, "distances", rows);
    return FN_OK;
}

void fn_handle_distances(struct fn_call *call) {
    struct table table = {.sides = {{.name = "a"}, {.name = "b"}}, .checked = true};
    struct fn_error err;
    json_t *answer = NULL;
    fn_status status = make_answer(call, &table, &answer, &err);
    for (int i = 0; i < 2; i++) free(table.sides[i].values);
    if (status == FN_OK)
        fn_call_answer(call, answer);
    else
        fn_call_refuse(call, &err);
}
