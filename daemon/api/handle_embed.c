/* SPDX-License-Identifier: Apache-2.0
 *
 * handle_embed.c -- POST /embed, /embed/batch, /detect and /crop: pictures in; faces, embeddings or
 * the network's own picture of a face out. */
#include <jansson.h>

#include "daemon/api/answer.h"
#include "daemon/api/routes.h"
#include "daemon/http/reply.h"

static const struct fn_body_field one[] = {
    {"img", FN_FIELD_PICTURE, 0},
    {"image", FN_FIELD_PICTURE, 0},
    {"file", FN_FIELD_PICTURE, 0},
};

static const struct fn_body_field many[] = {
    {"img", FN_FIELD_PICTURES, 0},
    {"imgs", FN_FIELD_PICTURES, 0},
    {"image", FN_FIELD_PICTURES, 0},
    {"file", FN_FIELD_PICTURES, 0},
};

#define LOOKING (FN_OPTION_FACE | FN_OPTION_MAX_FACES | FN_OPTION_MIN_FACE | FN_OPTION_REJECT)

static const struct fn_body_rules embed_rules = {
    one, 3, .takes_raw = true, .options = FN_OPTION_ALIGN | FN_OPTION_ENCODING | LOOKING};
static const struct fn_body_rules batch_rules = {
    many, 4, .takes_raw = true, .options = FN_OPTION_ALIGN | FN_OPTION_ENCODING | LOOKING};
static const struct fn_body_rules detect_rules = {one, 3, .takes_raw = true, .options = LOOKING};
static const struct fn_body_rules crop_rules = {one, 3, .takes_raw = true,
                                                .options = FN_OPTION_ALIGN | FN_OPTION_FACE |
                                                           FN_OPTION_MIN_FACE | FN_OPTION_REJECT |
                                                           FN_OPTION_INDEX};

static fn_status read_one(struct fn_call *call, const struct fn_body_rules *rules,
                          struct fn_error *err) {
    fn_status status = fn_call_read(call, rules, err);
    if (status == FN_OK && !call->body->pictures[0].name)
        status = fn_fail(err, FN_MISSING_PICTURE,
                         "send a picture as multipart field img, as JSON {\"img\": base64} or as "
                         "the body itself");
    return status;
}

/* ---- /embed, /detect --------------------------------------------------------------------------
 */

static void answer_one(struct fn_call *call) {
    json_t *shot = fn_answer_shot(&call->shots[0], call->body->options.encoding);
    json_t *object = fn_answer_join(fn_answer_head(call), shot);
    json_t *timing = json_pack("{s:o}", "timing_ms", fn_answer_timing(call));
    fn_call_answer(call, fn_answer_join(object, timing));
}

void fn_handle_embed(struct fn_call *call) {
    struct fn_error err;
    if (read_one(call, &embed_rules, &err) == FN_OK)
        fn_call_look(call, 1, FN_CALL_EMBED, answer_one);
    else
        fn_call_refuse(call, &err);
}

void fn_handle_detect(struct fn_call *call) {
    struct fn_error err;
    fn_status status = read_one(call, &detect_rules, &err);
    if (status == FN_OK && !fn_finder_looks(call->service->finder))
        status = fn_fail(&err, FN_NO_DETECTOR,
                         "this model has no face detector: every picture is taken as the crop");
    if (status == FN_OK)
        fn_call_look(call, 1, 0, answer_one);
    else
        fn_call_refuse(call, &err);
}

/* ---- /embed/batch -----------------------------------------------------------------------------
 */

static json_t *describe_result(const struct fn_shot *shot) {
    if (shot->err.status != FN_OK)
        return json_pack("{s:i, s:o}", "status", fn_status_http(shot->err.status), "error",
                         fn_reply_problem_object(&shot->err));
    return fn_answer_join(json_pack("{s:i}", "status", 200),
                          fn_answer_shot(shot, shot->call->body->options.encoding));
}

static void answer_many(struct fn_call *call) {
    json_t *images = json_array();
    for (int i = 0; i < call->n_shots && images; i++) {
        if (json_array_append_new(images, describe_result(&call->shots[i])) == 0) continue;
        json_decref(images);
        images = NULL;
    }
    json_t *rest = json_pack("{s:o, s:o}", "images", images, "timing_ms", fn_answer_timing(call));
    fn_call_answer(call, fn_answer_join(fn_answer_head(call), rest));
}

void fn_handle_embed_batch(struct fn_call *call) {
    struct fn_error err;
    fn_status status = fn_call_read(call, &batch_rules, &err);
    if (status == FN_OK && call->body->n_pictures == 0)
        status = fn_fail(&err, FN_MISSING_PICTURE,
                         "send pictures as multipart fields img or as JSON {\"imgs\": [base64]}");
    if (status == FN_OK)
        fn_call_look(call, call->body->n_pictures, FN_CALL_EMBED | FN_CALL_APART, answer_many);
    else
        fn_call_refuse(call, &err);
}

/* ---- /crop ------------------------------------------------------------------------------------
 */

static void answer_crop(struct fn_call *call) {
    const struct fn_shot *shot = &call->shots[0];
    const struct fn_found *found = &shot->found;
    struct fn_error err;
    uint8_t *png = NULL;
    size_t size = 0;
    fn_status status = fn_answer_check_face(shot, &err);
    if (status == FN_OK)
        status = fn_picture_encode_png(found->crops, FN_CROP_SIDE, FN_CROP_SIDE, &png, &size, &err);
    if (status == FN_OK)
        fn_call_answer_png(call, png, size, fn_finder_crop(call->service->finder, found->looked));
    else
        fn_call_refuse(call, &err);
}

void fn_handle_crop(struct fn_call *call) {
    struct fn_error err;
    if (read_one(call, &crop_rules, &err) == FN_OK)
        fn_call_look(call, 1, FN_CALL_ONE, answer_crop);
    else
        fn_call_refuse(call, &err);
}
