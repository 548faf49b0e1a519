/* SPDX-License-Identifier: Apache-2.0
 *
 * handle_embed.c -- POST /embed: one picture in, its faces and their embeddings out.
 *
 * Without a detector the picture is the crop, so there is one face: the whole picture. */
#include <jansson.h>

#include "daemon/api/embedding.h"
#include "daemon/api/routes.h"

static const struct fn_body_field fields[] = {
    {"img", FN_FIELD_PICTURE, 0},
    {"image", FN_FIELD_PICTURE, 0},
    {"file", FN_FIELD_PICTURE, 0},
};

static const struct fn_body_rules rules = {
    .fields = fields,
    .n_fields = sizeof fields / sizeof fields[0],
    .takes_raw = true,
    .options = FN_OPTION_ALIGN | FN_OPTION_FACE | FN_OPTION_MAX_FACES | FN_OPTION_MIN_FACE |
               FN_OPTION_ENCODING | FN_OPTION_REJECT,
};

static void answer(struct fn_call *call) {
    const struct fn_service *service = call->service;
    const struct fn_shot *shot = &call->shots[0];
    json_t *embedding = fn_embedding_write(shot->embedding, service->model->network.embedding_size,
                                           call->body->options.encoding);
    json_t *face = json_pack("{s:o, s:n, s:n, s:o}", "box", fn_call_box(shot), "score", "landmarks",
                             "embedding", embedding);
    fn_call_answer(call,
                   json_pack("{s:s, s:s, s:b, s:s, s:o, s:[o], s:i, s:o}", "model",
                             service->model->id, "crop", FN_CROP_WHOLE, "aligned", 0, "backend",
                             service->engine_description.label, "image", fn_call_image(shot),
                             "faces", face, "faces_found", 1, "timing_ms", fn_call_timing(call)));
}

void fn_handle_embed(struct fn_call *call) {
    struct fn_error err;
    fn_status status = fn_body_read(call->request, &rules, (int)call->service->config->max_faces,
                                    &call->body, &err);
    if (status == FN_OK && !call->body->pictures[0].name)
        status = fn_fail(&err, FN_MISSING_PICTURE,
                         "send a picture as multipart field img, as JSON {\"img\": base64} or as "
                         "the body itself");
    if (status == FN_OK)
        fn_call_embed(call, 1, answer);
    else
        fn_call_refuse(call, &err);
}
