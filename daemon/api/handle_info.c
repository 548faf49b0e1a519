/* SPDX-License-Identifier: Apache-2.0
 *
 * handle_info.c -- GET /healthz, /readyz and /model: answered in the lane, without the device. */
#include <jansson.h>

#include "daemon/api/routes.h"
#include "daemon/http/reply.h"
#include "engine/preprocess.h"
#include "engine/safetensors.h"
#include "engine/verdict.h"
#include "engine/version.h"

/* Alive: a lane turns. */
void fn_handle_healthz(struct fn_service *service, struct fn_http_request *request) {
    (void)service;
    fn_reply_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

void fn_handle_readyz(struct fn_service *service, struct fn_http_request *request) {
    struct fn_error err;
    if (fn_service_check_ready(service, &err) == FN_OK)
        fn_reply_json(request, 200, json_pack("{s:b}", "ready", 1));
    else
        fn_reply_problem(request, &err);
}

static json_t *describe_point(const struct fn_operating_point *point) {
    struct fn_distance cut = fn_distance_of((float)point->value);
    return json_pack("{s:s, s:s, s:f, s:[f, f], s:f, s:f, s:f, s:f, s:s, s:I, s:f, s:b}", "metric",
                     point->metric, "crop", point->crop, "value", point->value, "interval",
                     point->value_low, point->value_high, "l2", cut.l2, "cosine", cut.cosine,
                     "angle", cut.angle, "far", point->far, "fitted_on", point->fitted_on, "pairs",
                     (json_int_t)point->pairs, "true_accepts", point->true_accepts,
                     "low_confidence", point->low_confidence);
}

static json_t *operating_points(const struct fn_model *model) {
    json_t *array = json_array();
    for (int i = 0; array && i < model->n_operating_points; i++) {
        if (json_array_append_new(array, describe_point(&model->operating_points[i])) == 0)
            continue;
        json_decref(array);
        return NULL;
    }
    return array;
}

/* What was measured of the model, as its file has it. */
static json_t *evaluations(const struct fn_model *model) {
    const char *text = fn_safetensors_metadata(model->file, "evaluations");
    return text ? json_loads(text, 0, NULL) : json_array();
}

static json_t *describe_detector(const struct fn_model *model, const struct fn_finder *finder) {
    if (!fn_finder_looks(finder)) return json_null();
    return json_pack("{s:s, s:s, s:i}", "name", model->detector_name, "kernels",
                     fn_finder_kernels(finder), "least_min_face", FN_DETECT_LEAST_FACE);
}

void fn_handle_model(struct fn_service *service, struct fn_http_request *request) {
    const struct fn_model *model = service->model;
    const struct fn_device_names *engine = fn_service_device(service);
    const struct fn_config *config = service->config;
    json_t *device = json_pack("{s:s, s:s, s:s, s:s, s:s}", "backend", engine->backend,
                               "kernel_family", engine->kernel_family, "platform", engine->platform,
                               "device", engine->device, "driver", engine->driver);
    json_t *limits = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I}", "max_batch", (json_int_t)config->max_batch, "max_body",
        (json_int_t)config->max_body, "max_pixels", (json_int_t)config->max_pixels, "max_faces",
        (json_int_t)config->max_faces, "max_pictures", (json_int_t)config->max_pictures,
        "deadline_ms", (json_int_t)config->deadline_ms);
    fn_reply_json(request, 200,
                  json_pack("{s:s, s:s, s:o, s:b, s:i, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s}",
                            "model", model->id, "crop",
                            fn_finder_crop(service->finder, fn_finder_looks(service->finder)),
                            "detector", describe_detector(model, service->finder), "untrained",
                            model->untrained, "embedding_size", model->network.embedding_size,
                            "preprocessing", fn_preprocessing_name(model->preprocessing), "source",
                            model->source, "backend", engine->label, "device", device,
                            "operating_points", operating_points(model), "evaluations",
                            evaluations(model), "limits", limits, "version", FN_VERSION));
}
