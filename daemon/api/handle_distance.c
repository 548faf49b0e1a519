/* SPDX-License-Identifier: Apache-2.0
 *
 * handle_distance.c -- POST /distance: how far two faces are apart, given two pictures or two
 * embeddings. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api/distance.h"
#include "daemon/api/embedding.h"
#include "daemon/api/routes.h"

static const struct fn_body_field fields[] = {
    {"img1", FN_FIELD_PICTURE, 0},         {"img2", FN_FIELD_PICTURE, 1},
    {"source", FN_FIELD_PICTURE, 0},       {"target", FN_FIELD_PICTURE, 1},
    {"source_image", FN_FIELD_PICTURE, 0}, {"target_image", FN_FIELD_PICTURE, 1},
    {"embedding1", FN_FIELD_EMBEDDING, 0}, {"embedding2", FN_FIELD_EMBEDDING, 1},
};

static const struct fn_body_rules rules = {
    .fields = fields,
    .n_fields = sizeof fields / sizeof fields[0],
    .takes_raw = false,
    .options =
        FN_OPTION_ALIGN | FN_OPTION_FACE | FN_OPTION_MIN_FACE | FN_OPTION_FAR | FN_OPTION_REJECT,
};

/* The operating point asked for by far=, else the first for this crop; NULL when there is none. */
static const struct fn_operating_point *find_point(const struct fn_model *model,
                                                   const struct fn_options *options) {
    for (int i = 0; !model->untrained && i < model->n_operating_points; i++) {
        const struct fn_operating_point *point = &model->operating_points[i];
        if (strcmp(point->crop, FN_CROP_WHOLE) != 0 || strcmp(point->metric, "l2_squared") != 0)
            continue;
        if (!(options->given & FN_OPTION_FAR) ||
            fabs(point->far - options->far) <= 1e-9 * point->far)
            return point;
    }
    return NULL;
}

static json_t *describe(const struct fn_call *call, const float *a, const float *b, bool checked) {
    const struct fn_service *service = call->service;
    const struct fn_operating_point *point = find_point(service->model, &call->body->options);
    struct fn_distance d =
        fn_distance_between(a, b, (size_t)service->model->network.embedding_size);
    json_t *threshold =
        point ? json_pack("{s:s, s:f, s:f, s:s}", "metric", point->metric, "value", point->value,
                          "far", point->far, "fitted_on", point->fitted_on)
              : json_null();
    json_t *same = point ? json_boolean(d.l2_squared <= point->value) : json_null();
    return json_pack("{s:o, s:f, s:f, s:f, s:o, s:b, s:s, s:s, s:b, s:s}", "same", same, "cosine",
                     d.cosine, "l2", d.l2, "l2_squared", d.l2_squared, "threshold", threshold,
                     "model_checked", checked, "model", service->model->id, "crop", FN_CROP_WHOLE,
                     "aligned", 0, "backend", service->engine_description.label);
}

static void answer_pictures(struct fn_call *call) {
    json_t *object = describe(call, call->shots[0].embedding, call->shots[1].embedding, true);
    json_t *images = json_array();
    for (int i = 0; i < 2; i++) {
        const struct fn_shot *shot = &call->shots[i];
        json_t *image = json_pack("{s:o, s:o, s:n, s:i}", "image", fn_call_image(shot), "box",
                                  fn_call_box(shot), "score", "faces_found", 1);
        if (json_array_append_new(images, image) == 0) continue;
        json_decref(images);
        images = NULL;
        break;
    }
    if (json_object_set_new(object, "images", images) != 0 ||
        json_object_set_new(object, "timing_ms", fn_call_timing(call)) != 0) {
        json_decref(object);
        object = NULL;
    }
    fn_call_answer(call, object);
}

static fn_status read_embedding(const struct fn_call *call, int slot, float *values,
                                bool *ret_checked, struct fn_error *err) {
    const struct fn_body_embedding *embedding = &call->body->embeddings[slot];
    const struct fn_model *model = call->service->model;
    const struct fn_embedding_kind kind = {model->id, FN_CROP_WHOLE, model->network.embedding_size};
    struct fn_error detail;
    fn_status status = fn_embedding_read(embedding->value, &kind, values, ret_checked, &detail);
    if (status == FN_OK) return FN_OK;
    return fn_fail(err, status, "%s: %s", embedding->name, detail.text);
}

static void answer_embeddings(struct fn_call *call) {
    size_t size = (size_t)call->service->model->network.embedding_size;
    FN_CLEANUP_FREE float *values = calloc(2 * size, sizeof *values);
    struct fn_error err = {0};
    bool checked[2] = {false, false};
    fn_status status = values ? FN_OK : fn_fail(&err, FN_NO_MEMORY, "no memory for two embeddings");
    for (int i = 0; status == FN_OK && i < 2; i++)
        status = read_embedding(call, i, values + (size_t)i * size, &checked[i], &err);
    if (status == FN_OK)
        fn_call_answer(call, describe(call, values, values + size, checked[0] && checked[1]));
    else
        fn_call_refuse(call, &err);
}

static fn_status check_fields(const struct fn_body *body, struct fn_error *err) {
    bool picture1 = body->pictures[0].name, picture2 = body->pictures[1].name;
    bool embedding1 = body->embeddings[0].name, embedding2 = body->embeddings[1].name;
    if ((picture1 || picture2) && (embedding1 || embedding2))
        return fn_fail(err, FN_BAD_REQUEST, "pictures and embeddings are given together");
    if (embedding1 != embedding2)
        return fn_fail(err, FN_BAD_REQUEST, "%s is missing",
                       embedding1 ? "embedding2" : "embedding1");
    if (embedding1 || (picture1 && picture2)) return FN_OK;
    if (picture1 || picture2)
        return fn_fail(err, FN_MISSING_PICTURE, "%s is missing", picture1 ? "img2" : "img1");
    return fn_fail(err, FN_MISSING_PICTURE,
                   "send img1 and img2, or embedding1 and embedding2, as multipart or JSON");
}

void fn_handle_distance(struct fn_call *call) {
    struct fn_error err;
    fn_status status = fn_body_read(call->request, &rules, (int)call->service->config->max_faces,
                                    &call->body, &err);
    if (status == FN_OK) status = check_fields(call->body, &err);
    if (status != FN_OK)
        fn_call_refuse(call, &err);
    else if (call->body->embeddings[0].name)
        answer_embeddings(call);
    else
        fn_call_embed(call, 2, answer_pictures);
}
