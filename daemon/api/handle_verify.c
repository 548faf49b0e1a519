/* SPDX-License-Identifier: Apache-2.0
 *
 * handle_verify.c -- POST /api/v1/verification/verify, as CompreFace 1.2 takes and answers it, so
 * that its clients can be pointed here: its fields, options, members, error codes and its formula
 * for "similarity". That formula was fitted by CompreFace to its own network and crops, not to
 * ours: a verdict with a known rate of errors is /distance's. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "daemon/api/answer.h"
#include "daemon/api/embedding.h"
#include "daemon/api/routes.h"
#include "daemon/http/request.h"
#include "engine/clock.h"
#include "engine/verdict.h"

/* Of CompreFace's FaceNet calculator (20180402-114759). */
#define SIMILARITY_MIDDLE 1.1817961
#define SIMILARITY_SLOPE  5.291995557

static const struct fn_body_field fields[] = {
    {"source_image", FN_FIELD_PICTURE, 0},
    {"target_image", FN_FIELD_PICTURE, 1},
};

static const struct fn_body_rules rules = {
    .fields = fields,
    .n_fields = 2,
    .takes_raw = false,
    .options = FN_OPTION_LIMIT | FN_OPTION_DET_PROB_THRESHOLD | FN_OPTION_FACE_PLUGINS |
               FN_OPTION_STATUS | FN_OPTION_PREDICTION_COUNT,
};

/* ---- errors ----------------------------------------------------------------------------------
 */

struct wording {
    int code, http_status; /* 0: ours */
    const char *message;   /* NULL: ours */
};

static struct wording word(const struct fn_http_request *request, fn_status status) {
    bool has_key = fn_request_find_header(request, "X-API-Key") ||
                   fn_request_find_header(request, "Authorization");
    switch (status) {
    case FN_FACE_NOT_FOUND:
        return (struct wording){28, 400, "No face is found in the given image"};
    case FN_SEVERAL_FACES:
        return (struct wording){31, 400, "More than one face in the source image"};
    case FN_UNAUTHORIZED:
        if (has_key) return (struct wording){10, 404, "No service with this API key was found"};
        return (struct wording){20, 400, "Missing header: x-api-key"};
    case FN_MISSING_PICTURE:
        return (struct wording){34, 400, NULL};
    case FN_UNSUPPORTED_FORMAT:
    case FN_PICTURE_DAMAGED:
        return (struct wording){21, 400, NULL};
    case FN_BAD_OPTION:
    case FN_UNKNOWN_OPTION:
    case FN_UNKNOWN_MEMBER:
        return (struct wording){36, 400, NULL};
    default:
        /* What is the server's fault is never said to be the client's. */
        return (struct wording){fn_status_http(status) >= 500 ? 41 : 0, 0, NULL};
    }
}

json_t *fn_verify_reword(const struct fn_http_request *request, json_t *problem,
                         const struct fn_error *err, int *status) {
    struct wording wording = word(request, err->status);
    json_t *message = wording.message ? json_string(wording.message)
                                      : json_incref(json_object_get(problem, "detail"));
    json_decref(problem);
    if (wording.http_status) *status = wording.http_status;
    return json_pack("{s:i, s:o}", "code", wording.code, "message", message);
}

/* ---- the answer ------------------------------------------------------------------------------
 */

/* CompreFace rounds probabilities and similarities so. */
static double rounded(double value) {
    return floor(value * 1e5 + 0.5) / 1e5;
}

static int pixel(double value, int size) {
    long nearest = lround(value);
    return nearest < 0 ? 0 : nearest > size ? size : (int)nearest;
}

static json_t *describe_box(const struct fn_shot *shot, const struct fn_face *face) {
    return json_pack("{s:f, s:i, s:i, s:i, s:i}", "probability", rounded(face->score), "x_max",
                     pixel(face->x2, shot->width), "y_max", pixel(face->y2, shot->height), "x_min",
                     pixel(face->x1, shot->width), "y_min", pixel(face->y1, shot->height));
}

static json_t *describe_landmarks(const struct fn_face *face) {
    json_t *array = json_array();
    for (int k = 0; k < FN_LANDMARKS && array; k++) {
        json_t *point = json_pack("[i, i]", (int)lround(face->landmarks[k][0]),
                                  (int)lround(face->landmarks[k][1]));
        if (json_array_append_new(array, point) == 0) continue;
        json_decref(array);
        array = NULL;
    }
    return array;
}

static const float *embedding_of(const struct fn_shot *shot, int i) {
    return shot->embeddings +
           (size_t)i * (size_t)shot->call->service->model->network.embedding_size;
}

/* Face i with what the request's plugins and status ask for. */
static json_t *describe_face(const struct fn_shot *shot, int i) {
    const struct fn_options *options = &shot->call->body->options;
    const struct fn_face *face = &shot->found.faces[i].face;
    json_t *object = json_pack("{s:o}", "box", describe_box(shot, face));
    if (options->plugins & FN_PLUGIN_CALCULATOR)
        object = fn_answer_join(
            object, json_pack("{s:o}", "embedding",
                              fn_embedding_write(embedding_of(shot, i),
                                                 shot->call->service->model->network.embedding_size,
                                                 FN_ENCODING_FLOAT)));
    if (options->plugins & FN_PLUGIN_LANDMARKS)
        object = fn_answer_join(object, json_pack("{s:o}", "landmarks", describe_landmarks(face)));
    if (options->wants_status)
        object = fn_answer_join(object, json_pack("{s:{s:f, s:f}}", "execution_time", "detector",
                                                  fn_ms(shot->detect_ns), "calculator",
                                                  fn_ms(shot->items[i].computed_ns)));
    return object;
}

static double similarity(const float *a, const float *b, int size) {
    struct fn_distance d = fn_distance_of(fn_verdict_distance(a, b, (size_t)size));
    return (tanh((SIMILARITY_MIDDLE - d.l2) * SIMILARITY_SLOPE) + 1) / 2;
}

/* The faces of the target picture, largest first, as CompreFace has them. */
static json_t *describe_matches(const struct fn_shot *source, const struct fn_shot *target) {
    int size = source->call->service->model->network.embedding_size;
    json_t *matches = json_array();
    for (int i = 0; i < target->found.n && matches; i++) {
        double value = similarity(source->embeddings, embedding_of(target, i), size);
        json_t *match = fn_answer_join(describe_face(target, i),
                                       json_pack("{s:f}", "similarity", rounded(value)));
        if (json_array_append_new(matches, match) == 0) continue;
        json_decref(matches);
        matches = NULL;
    }
    return matches;
}

static json_t *describe_plugins(const struct fn_call *call) {
    return json_pack("{s:{s:s+, s:s+++}}", "plugins_versions", "detector", "mtcnn.",
                     fn_finder_kernels(call->service->finder), "calculator", "facenet.",
                     call->service->model->id, ".", fn_call_backend(call));
}

static void answer(struct fn_call *call) {
    const struct fn_shot *source = &call->shots[0], *target = &call->shots[1];
    struct fn_error err;
    fn_status status = fn_answer_check_face(source, &err);
    if (status == FN_OK && source->found.n > 1)
        status = fn_fail(&err, FN_SEVERAL_FACES, "source_image: has %d faces", source->found.n);
    if (status == FN_OK) status = fn_answer_check_face(target, &err);
    if (status != FN_OK) {
        fn_call_refuse(call, &err);
        return;
    }
    json_t *result = json_pack("{s:o, s:o}", "source_image_face", describe_face(source, 0),
                               "face_matches", describe_matches(source, target));
    if (call->body->options.wants_status) result = fn_answer_join(result, describe_plugins(call));
    fn_call_answer_foreign(call, json_pack("{s:[o]}", "result", result));
}

void fn_handle_verify(struct fn_call *call) {
    struct fn_error err;
    fn_status status = fn_call_read(call, &rules, &err);
    for (int i = 0; status == FN_OK && i < 2; i++)
        if (!call->body->pictures[i].name)
            status =
                fn_fail(&err, FN_MISSING_PICTURE, "Required part %s is missing", fields[i].name);
    if (status == FN_OK && !fn_finder_looks(call->service->finder))
        status = fn_fail(&err, FN_NO_DETECTOR,
                         "this model has no face detector: use /distance, which takes crops");
    if (status == FN_OK)
        fn_call_look(call, 2, FN_CALL_EMBED, answer);
    else
        fn_call_refuse(call, &err);
}
