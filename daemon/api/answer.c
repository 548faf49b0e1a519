/* SPDX-License-Identifier: Apache-2.0
 *
 * answer.c -- see answer.h. */
#include "daemon/api/answer.h"

#include <math.h>

#include "daemon/api/embedding.h"
#include "daemon/http/reply.h"
#include "engine/clock.h"

json_t *fn_answer_head(const struct fn_call *call) {
    const struct fn_service *service = call->service;
    bool looked = !fn_options_find(&call->body->options).is_crop;
    return json_pack("{s:s, s:s, s:b, s:s}", "model", service->model->id, "crop",
                     fn_finder_crop(service->finder, looked), "aligned", looked, "backend",
                     fn_call_backend(call));
}

json_t *fn_answer_join(json_t *object, json_t *members) {
    int failed = object && members ? json_object_update(object, members) : -1;
    json_decref(members);
    if (failed == 0) return object;
    json_decref(object);
    return NULL;
}

/* A hundredth of a pixel says all there is to say. */
static double rounded(double value) {
    return round(value * 100) / 100;
}

static json_t *describe_box(const struct fn_face *face) {
    return json_pack("{s:f, s:f, s:f, s:f}", "x", rounded(face->x1), "y", rounded(face->y1),
                     "width", rounded(face->x2 - face->x1), "height", rounded(face->y2 - face->y1));
}

static json_t *describe_landmarks(const struct fn_face *face) {
    json_t *array = json_array();
    for (int k = 0; k < FN_LANDMARKS && array; k++) {
        json_t *point =
            json_pack("[f, f]", rounded(face->landmarks[k][0]), rounded(face->landmarks[k][1]));
        if (json_array_append_new(array, point) == 0) continue;
        json_decref(array);
        return NULL;
    }
    return array;
}

static json_t *describe_quality(const struct fn_face_quality *quality) {
    return json_pack("{s:f, s:f, s:f, s:f}", "size", rounded(quality->size), "sharpness",
                     rounded(quality->sharpness), "brightness", rounded(quality->brightness),
                     "roll", rounded(quality->roll));
}

json_t *fn_answer_face(const struct fn_shot *shot, int i) {
    const struct fn_found_face *found = &shot->found.faces[i];
    if (!shot->found.looked)
        return json_pack("{s:{s:i, s:i, s:i, s:i}, s:n, s:n, s:n}", "box", "x", 0, "y", 0, "width",
                         shot->width, "height", shot->height, "score", "landmarks", "quality");
    return json_pack("{s:o, s:f, s:o, s:o}", "box", describe_box(&found->face), "score",
                     found->face.score, "landmarks", describe_landmarks(&found->face), "quality",
                     describe_quality(&found->quality));
}

json_t *fn_answer_image(const struct fn_shot *shot) {
    return json_pack("{s:i, s:i, s:i}", "width", shot->width, "height", shot->height, "orientation",
                     shot->orientation);
}

static json_t *describe_faces(const struct fn_shot *shot, enum fn_encoding encoding) {
    int size = shot->call->service->model->network.embedding_size;
    json_t *array = json_array();
    for (int i = 0; i < shot->found.n && array; i++) {
        json_t *face = fn_answer_face(shot, i);
        if (shot->embeddings)
            face = fn_answer_join(
                face, json_pack("{s:o}", "embedding",
                                fn_embedding_write(shot->embeddings + (size_t)i * (size_t)size,
                                                   size, encoding)));
        if (json_array_append_new(array, face) == 0) continue;
        json_decref(array);
        return NULL;
    }
    return array;
}

json_t *fn_answer_shot(const struct fn_shot *shot, enum fn_encoding encoding) {
    const struct fn_found *found = &shot->found;
    json_t *min_face = found->looked ? json_real(rounded(found->min_face)) : json_null();
    return json_pack("{s:o, s:s?, s:o, s:b, s:i, s:i, s:o}", "image", fn_answer_image(shot),
                     "detector", found->detector, "min_face", min_face, "limited", found->limited,
                     "faces_found", found->found, "faces_rejected", found->rejected, "faces",
                     describe_faces(shot, encoding));
}

fn_status fn_answer_check_face(const struct fn_shot *shot, struct fn_error *err) {
    const struct fn_found *found = &shot->found;
    if (found->n > 0) return FN_OK;
    if (found->rejected > 0)
        return fn_fail(err, FN_FACE_NOT_FOUND, "%s: %d faces were found, all of them rejected",
                       shot->name, found->rejected);
    return fn_fail(err, FN_FACE_NOT_FOUND,
                   "%s: no face was found in %d x %d pixels (faces from %.0f pixels on)",
                   shot->name, shot->width, shot->height, found->min_face);
}

json_t *fn_answer_timing(const struct fn_call *call) {
    int64_t decode = 0, detect = 0, queue = 0, device = 0;
    int batch = 0;
    for (int i = 0; i < call->n_shots; i++) {
        const struct fn_shot *shot = &call->shots[i];
        decode += shot->decode_ns;
        detect += shot->detect_ns;
        for (int k = 0; shot->items && k < shot->found.n; k++) {
            const struct fn_batch_item *item = &shot->items[k];
            if (item->waited_ns > queue) queue = item->waited_ns;
            if (item->computed_ns > device) device = item->computed_ns;
            if (item->batch_size > batch) batch = item->batch_size;
        }
    }
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:i}", "decode", fn_ms(decode), "detect",
                     fn_ms(detect), "queue", fn_ms(queue), "device", fn_ms(device), "total",
                     fn_ms(fn_now_ns() - call->request->arrived_ns), "batch", batch);
}
