/* SPDX-License-Identifier: Apache-2.0
 *
 * handle_distance.c -- POST /distance: how far two faces are apart, given two pictures or two
 * embeddings. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api/answer.h"
#include "daemon/api/embedding.h"
#include "daemon/api/routes.h"
#include "engine/verdict.h"

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
static const struct fn_operating_point *find_point(const struct fn_model *model, const char *crop,
                                                   const struct fn_options *options) {
    for (int i = 0; !model->untrained && i < model->n_operating_points; i++) {
        const struct fn_operating_point *point = &model->operating_points[i];
        if (strcmp(point->crop, crop) != 0 || strcmp(point->metric, "l2_squared") != 0) continue;
        if (!(options->given & FN_OPTION_FAR) ||
            fabs(point->far - options->far) <= 1e-9 * point->far)
            return point;
    }
    return NULL;
}

/* Everything said about two embeddings cut by the contract `crop`. */
static json_t *describe(const struct fn_call *call, const char *crop, const float *a,
                        const float *b) {
    const struct fn_model *model = call->service->model;
    const struct fn_operating_point *point = find_point(model, crop, &call->body->options);
    struct fn_distance d =
        fn_distance_of(fn_verdict_distance(a, b, (size_t)model->network.embedding_size));
    json_t *threshold = json_null(), *same = json_null();
    if (point) {
        struct fn_distance cut = fn_distance_of((float)point->value);
        threshold = json_pack("{s:s, s:f, s:f, s:s, s:b}", "metric", point->metric, "value",
                              point->value, "far", point->far, "fitted_on", point->fitted_on,
                              "low_confidence", point->low_confidence);
        same = json_boolean(fn_same_by_l2_squared(&d, &cut));
    }
    return json_pack("{s:o, s:f, s:f, s:f, s:o, s:s, s:s, s:b, s:s}", "same", same, "cosine",
                     d.cosine, "l2", d.l2, "l2_squared", d.l2_squared, "threshold", threshold,
                     "model", model->id, "crop", crop, "aligned", strcmp(crop, FN_CROP_WHOLE) != 0,
                     "backend", fn_call_backend(call));
}

static json_t *describe_picture(const struct fn_shot *shot) {
    json_t *picture = json_pack("{s:o, s:s?, s:i, s:i}", "image", fn_answer_image(shot), "detector",
                                shot->found.detector, "faces_found", shot->found.found,
                                "faces_rejected", shot->found.rejected);
    return fn_answer_join(picture, fn_answer_face(shot, 0));
}

static void answer_pictures(struct fn_call *call) {
    const struct fn_shot *a = &call->shots[0], *b = &call->shots[1];
    struct fn_error err;
    fn_status status = fn_answer_check_face(a, &err);
    if (status == FN_OK) status = fn_answer_check_face(b, &err);
    if (status != FN_OK) {
        fn_call_refuse(call, &err);
        return;
    }
    const char *crop = fn_finder_crop(call->service->finder, a->found.looked);
    json_t *rest =
        json_pack("{s:b, s:[o, o], s:o}", "model_checked", 1, "images", describe_picture(a),
                  describe_picture(b), "timing_ms", fn_answer_timing(call));
    fn_call_answer(call, fn_answer_join(describe(call, crop, a->embeddings, b->embeddings), rest));
}

/* An embedding that says its crop must have been cut by the model's contract or, like a crop that a
 * client brings, by none. */
static fn_status read_embedding(const struct fn_call *call, int slot, float *values,
                                struct fn_embedding_origin *ret_origin, struct fn_error *err) {
    const struct fn_body_embedding *embedding = &call->body->embeddings[slot];
    const struct fn_model *model = call->service->model;
    const struct fn_embedding_kind kind = {
        model->id, fn_finder_crop(call->service->finder, fn_finder_looks(call->service->finder)),
        model->network.embedding_size};
    struct fn_error detail;
    fn_status status = fn_embedding_read(embedding->value, &kind, values, ret_origin, &detail);
    if (status == FN_OK) return FN_OK;
    return fn_fail(err, status, "%s: %s", embedding->name, detail.text);
}

/* The one crop contract of two embeddings; of one that says nothing, align=none or the model's. */
static fn_status agree(const struct fn_call *call, const struct fn_embedding_origin *origins,
                       const char **ret_crop, struct fn_error *err) {
    bool looks =
        fn_finder_looks(call->service->finder) && !(call->body->options.given & FN_OPTION_ALIGN);
    const char *unsaid = fn_finder_crop(call->service->finder, looks), *crops[2];
    for (int i = 0; i < 2; i++) crops[i] = origins[i].crop ? origins[i].crop : unsaid;
    if (strcmp(crops[0], crops[1]) != 0)
        return fn_fail(err, FN_MODEL_MISMATCH, "%s: is of the crop %s, %s of %s",
                       call->body->embeddings[1].name, crops[1], call->body->embeddings[0].name,
                       crops[0]);
    *ret_crop = crops[0];
    return FN_OK;
}

static void answer_embeddings(struct fn_call *call) {
    size_t size = (size_t)call->service->model->network.embedding_size;
    FN_CLEANUP_FREE float *values = calloc(2 * size, sizeof *values);
    struct fn_embedding_origin origins[2] = {{NULL}, {NULL}};
    const char *crop = NULL;
    struct fn_error err = {0};
    fn_status status = values ? FN_OK : fn_fail(&err, FN_NO_MEMORY, "no memory for two embeddings");
    for (int i = 0; status == FN_OK && i < 2; i++)
        status = read_embedding(call, i, values + (size_t)i * size, &origins[i], &err);
    if (status == FN_OK) status = agree(call, origins, &crop, &err);
    if (status != FN_OK) {
        fn_call_refuse(call, &err);
        return;
    }
    bool checked = origins[0].crop && origins[1].crop;
    fn_call_answer(call, fn_answer_join(describe(call, crop, values, values + size),
                                        json_pack("{s:b}", "model_checked", checked)));
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
    fn_status status = fn_call_read(call, &rules, &err);
    if (status == FN_OK) status = check_fields(call->body, &err);
    if (status != FN_OK)
        fn_call_refuse(call, &err);
    else if (call->body->embeddings[0].name)
        answer_embeddings(call);
    else
        fn_call_look(call, 2, FN_CALL_EMBED | FN_CALL_ONE, answer_pictures);
}
