/* SPDX-License-Identifier: Apache-2.0
 *
 * handle_infer_info.c -- what the Open Inference Protocol says of the server and its one model,
 * answered in the lane. The model's version is its id: who names one is never answered by
 * another. */
#include <jansson.h>
#include <string.h>

#include "daemon/api/infer.h"
#include "daemon/api/routes.h"
#include "daemon/http/reply.h"
#include "engine/detect/crop.h"
#include "engine/version.h"

void fn_handle_infer_server(struct fn_service *service, struct fn_http_request *request) {
    (void)service;
    fn_reply_foreign_json(request, 200,
                          json_pack("{s:s, s:s, s:[s]}", "name", "facenetd", "version", FN_VERSION,
                                    "extensions", "binary_tensor_data"));
}

void fn_handle_infer_live(struct fn_service *service, struct fn_http_request *request) {
    (void)service;
    fn_reply_foreign_json(request, 200, json_pack("{s:b}", "live", 1));
}

/* The protocol's text says "live" here too; whoever reads it finds both. */
void fn_handle_infer_ready(struct fn_service *service, struct fn_http_request *request) {
    struct fn_error err;
    if (fn_service_check_ready(service, &err) == FN_OK)
        fn_reply_foreign_json(request, 200, json_pack("{s:b, s:b}", "live", 1, "ready", 1));
    else
        fn_reply_problem(request, &err);
}

static bool is(const struct fn_http_request *request, int n, const char *name) {
    size_t size;
    const char *segment = fn_routes_segment(request, n, &size);
    return !segment || (size == strlen(name) && memcmp(segment, name, size) == 0);
}

fn_status fn_infer_check_model(const struct fn_service *service,
                               const struct fn_http_request *request, struct fn_error *err) {
    if (!is(request, 0, FN_INFER_MODEL))
        return fn_fail(err, FN_NOT_FOUND, "the one model here is named %s", FN_INFER_MODEL);
    if (!is(request, 1, service->model->id))
        return fn_fail(err, FN_NOT_FOUND, "the model's one version here is %s", service->model->id);
    return FN_OK;
}

void fn_handle_infer_model(struct fn_service *service, struct fn_http_request *request) {
    struct fn_error err;
    if (fn_infer_check_model(service, request, &err) != FN_OK) {
        fn_reply_problem(request, &err);
        return;
    }
    json_t *image =
        json_pack("{s:s, s:s, s:[i]}", "name", "image", "datatype", "BYTES", "shape", -1);
    json_t *crop = json_pack("{s:s, s:s, s:[i, i, i, i]}", "name", "crop", "datatype", "UINT8",
                             "shape", -1, FN_CROP_SIDE, FN_CROP_SIDE, 3);
    json_t *embedding = json_pack("{s:s, s:s, s:[i, i]}", "name", FN_INFER_EMBEDDING, "datatype",
                                  "FP32", "shape", -1, service->model->network.embedding_size);
    fn_reply_foreign_json(request, 200,
                          json_pack("{s:s, s:[s], s:s, s:[o, o], s:[o]}", "name", FN_INFER_MODEL,
                                    "versions", service->model->id, "platform", "facenetd_int8",
                                    "inputs", image, crop, "outputs", embedding));
}

void fn_handle_infer_model_ready(struct fn_service *service, struct fn_http_request *request) {
    struct fn_error err;
    fn_status status = fn_infer_check_model(service, request, &err);
    if (status == FN_OK) status = fn_service_check_ready(service, &err);
    if (status == FN_OK)
        fn_reply_foreign_json(request, 200,
                              json_pack("{s:s, s:b}", "name", FN_INFER_MODEL, "ready", 1));
    else
        fn_reply_problem(request, &err);
}
