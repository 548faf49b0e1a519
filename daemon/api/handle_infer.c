/* SPDX-License-Identifier: Apache-2.0
 *
 * handle_infer.c -- POST /v2/models/facenet/infer: embeddings by the Open Inference Protocol. A
 * tensor has no row for a failure, so a picture without a face refuses the request and is named. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api/answer.h"
#include "daemon/api/infer.h"
#include "daemon/api/routes.h"
#include "daemon/http/reply.h"

json_t *fn_infer_reword(const struct fn_http_request *request, json_t *problem,
                        const struct fn_error *err, int *status) {
    json_t *detail = json_object_get(problem, "detail");
    (void)request;
    *status = fn_status_http(err->status);
    if (json_object_set(problem, "error", detail) == 0) return problem;
    json_decref(problem);
    return NULL;
}

/* Embedding i of the call. */
static const float *embedding_of(const struct fn_call *call, int i) {
    return call->shots[i].embeddings;
}

static json_t *write_numbers(const struct fn_call *call, int size) {
    json_t *array = json_array();
    for (int i = 0; i < call->n_shots && array; i++)
        for (int k = 0; k < size && array; k++)
            if (json_array_append_new(array, json_real((double)embedding_of(call, i)[k])) != 0) {
                json_decref(array);
                array = NULL;
            }
    return array;
}

/* The answer without its output; members of `output` (stolen) beside its name, type and shape. */
static json_t *describe(const struct fn_call *call, json_t *output) {
    const struct fn_infer *infer = call->extra;
    const struct fn_model *model = call->service->model;
    json_t *head = json_pack("{s:s, s:s, s:[i, i]}", "name", FN_INFER_EMBEDDING, "datatype", "FP32",
                             "shape", call->n_shots, model->network.embedding_size);
    return json_pack("{s:s, s:s, s:s*, s:o, s:[o]}", "model_name", FN_INFER_MODEL, "model_version",
                     model->id, "id", infer->id[0] ? infer->id : NULL, "parameters",
                     fn_answer_head(call), "outputs", fn_answer_join(head, output));
}

/* The JSON, and behind it the numbers, little-endian. */
static void answer_binary(struct fn_call *call, int size) {
    size_t n_bytes = 4 * (size_t)call->n_shots * (size_t)size;
    json_t *object = describe(
        call, json_pack("{s:{s:I}}", "parameters", "binary_data_size", (json_int_t)n_bytes));
    FN_CLEANUP_FREE char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    size_t n_text = text ? strlen(text) : 0;
    uint8_t *bytes = text ? malloc(n_text + n_bytes) : NULL;
    char length[24];
    json_decref(object);
    if (bytes) memcpy(bytes, text, n_text);
    uint8_t *at = bytes ? bytes + n_text : NULL;
    for (int i = 0; at && i < call->n_shots; i++)
        for (int k = 0; k < size; k++) {
            uint32_t bits;
            memcpy(&bits, &embedding_of(call, i)[k], sizeof bits);
            for (int b = 0; b < 4; b++) *at++ = (uint8_t)(bits >> 8 * b);
        }
    (void)snprintf(length, sizeof length, "%zu", n_text);
    if (bytes) fn_reply_header(call->request, "Inference-Header-Content-Length", length);
    fn_call_answer_bytes(call, "application/octet-stream", bytes, n_text + n_bytes);
}

static void answer(struct fn_call *call) {
    const struct fn_infer *infer = call->extra;
    int size = call->service->model->network.embedding_size;
    for (int i = 0; i < call->n_shots; i++) {
        struct fn_error err;
        if (fn_answer_check_face(&call->shots[i], &err) == FN_OK) continue;
        fn_call_refuse(call, &err);
        return;
    }
    if (infer->wants_binary)
        answer_binary(call, size);
    else
        fn_call_answer_foreign(
            call, describe(call, json_pack("{s:o}", "data", write_numbers(call, size))));
}

void fn_handle_infer(struct fn_call *call) {
    const struct fn_config *config = call->service->config;
    const struct fn_body_limits limits = {.most_faces = (int)config->max_faces,
                                          .most_pictures = (int)config->max_pictures,
                                          .looks = fn_finder_looks(call->service->finder)};
    struct fn_infer *infer = calloc(1, sizeof *infer);
    struct fn_error err;
    fn_status status = infer ? FN_OK : fn_fail(&err, FN_NO_MEMORY, "no memory for a request");
    call->extra = infer;
    if (status == FN_OK) status = fn_infer_check_model(call->service, call->request, &err);
    if (status == FN_OK) status = fn_infer_read(call->request, &limits, infer, &call->body, &err);
    if (status == FN_OK)
        fn_call_look(call, call->body->n_pictures, FN_CALL_EMBED | FN_CALL_ONE, answer);
    else
        fn_call_refuse(call, &err);
}
