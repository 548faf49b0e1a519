/* SPDX-License-Identifier: Apache-2.0
 *
 * answer_faces.c -- the answer of /embed and /detect: see answer.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/answer.h"
#include "clients/c/json.h"

#define MAX_FACES     10000
#define MAX_EMBEDDING 65536
#define MAX_SIDE      (1 << 24)

struct face {
    double box[4], landmarks[10]; /* x, y, width, height; five times x, y */
    double score;
    double quality[4]; /* size, sharpness, brightness, roll */
    bool has_landmarks, has_quality;
};

struct facenet_faces {
    char *json;
    json_t *root; /* `model` and its kin point into it */
    const char *model, *crop, *backend;
    size_t n, found, rejected, width, height;
    struct face *faces; /* [n] */
    size_t length;      /* of an embedding; 0: none were asked for */
    float *embeddings;  /* [n][length] */
};

void facenet_faces_free(struct facenet_faces *faces) {
    if (!faces) return;
    json_decref(faces->root);
    free(faces->json);
    free(faces->faces);
    free(faces->embeddings);
    free(faces);
}

static enum facenet_status read_box(const json_t *face, double ret_box[4],
                                    struct facenet_error *err) {
    static const char *const names[4] = {"x", "y", "width", "height"};
    const json_t *box = json_object_get(face, "box");
    enum facenet_status status = FACENET_OK;
    if (!json_is_object(box)) return fnc_fail(err, FACENET_BAD_ANSWER, "a face has no box");
    for (int i = 0; status == FACENET_OK && i < 4; i++)
        status = fnc_json_number(box, names[i], &ret_box[i], err);
    return status;
}

/* null: there was no detection. */
static enum facenet_status read_landmarks(const json_t *face, struct face *ret_face,
                                          struct facenet_error *err) {
    const json_t *landmarks = json_object_get(face, "landmarks");
    ret_face->has_landmarks = !json_is_null(landmarks);
    if (!ret_face->has_landmarks) return FACENET_OK;
    bool ok = json_array_size(landmarks) == 5;
    for (size_t i = 0; ok && i < 10; i++) {
        const json_t *point = json_array_get(landmarks, i / 2);
        const json_t *number = json_array_get(point, i % 2);
        ok = json_array_size(point) == 2 && json_is_number(number);
        if (ok) ret_face->landmarks[i] = json_number_value(number);
    }
    if (!ok) return fnc_fail(err, FACENET_BAD_ANSWER, "landmarks are not five points");
    return FACENET_OK;
}

/* null, or not there: there was no detection, or the server is older than this. */
static enum facenet_status read_quality(const json_t *face, struct face *ret_face,
                                        struct facenet_error *err) {
    static const char *const names[4] = {"size", "sharpness", "brightness", "roll"};
    const json_t *quality = json_object_get(face, "quality");
    enum facenet_status status = FACENET_OK;
    ret_face->has_quality = quality && !json_is_null(quality);
    for (int i = 0; ret_face->has_quality && status == FACENET_OK && i < 4; i++)
        status = fnc_json_number(quality, names[i], &ret_face->quality[i], err);
    return status;
}

static enum facenet_status read_face(const json_t *face, struct face *ret_face,
                                     struct facenet_error *err) {
    if (!json_is_object(face)) return fnc_fail(err, FACENET_BAD_ANSWER, "a face is no object");
    ret_face->score = NAN;
    enum facenet_status status = read_box(face, ret_face->box, err);
    if (status == FACENET_OK) status = read_landmarks(face, ret_face, err);
    if (status == FACENET_OK) status = read_quality(face, ret_face, err);
    if (status == FACENET_OK && !json_is_null(json_object_get(face, "score")))
        status = fnc_json_number(face, "score", &ret_face->score, err);
    return status;
}

/* All faces' embeddings have the length of the first's. */
static enum facenet_status read_embedding(struct facenet_faces *faces, size_t i, const json_t *face,
                                          struct facenet_error *err) {
    const json_t *embedding = json_object_get(face, "embedding");
    size_t length = json_array_size(embedding);
    if (length == 0 || length > MAX_EMBEDDING || (faces->length && length != faces->length))
        return fnc_fail(err, FACENET_BAD_ANSWER,
                        "embedding of face %zu is not an array of %zu numbers", i,
                        faces->length ? faces->length : (size_t)MAX_EMBEDDING);
    faces->length = length;
    if (!faces->embeddings) faces->embeddings = calloc(faces->n, length * sizeof(float));
    if (!faces->embeddings) return fnc_fail(err, FACENET_NO_MEMORY, "no memory for embeddings");
    for (size_t k = 0; k < length; k++) {
        const json_t *number = json_array_get(embedding, k);
        double value = json_number_value(number);
        if (!json_is_number(number) || fabs(value) > 2)
            return fnc_fail(err, FACENET_BAD_ANSWER,
                            "embedding of face %zu: element %zu is no number of -1...1", i, k);
        faces->embeddings[i * length + k] = (float)value;
    }
    return FACENET_OK;
}

static enum facenet_status read_faces(struct facenet_faces *faces, bool with_embeddings,
                                      struct facenet_error *err) {
    const json_t *array = json_object_get(faces->root, "faces");
    enum facenet_status status = FACENET_OK;
    faces->n = json_array_size(array);
    if (!json_is_array(array) || faces->n > MAX_FACES)
        return fnc_fail(err, FACENET_BAD_ANSWER, "answer has no array \"faces\" of at most %d",
                        MAX_FACES);
    faces->faces = calloc(faces->n + 1, sizeof *faces->faces);
    if (!faces->faces) return fnc_fail(err, FACENET_NO_MEMORY, "no memory for faces");
    for (size_t i = 0; status == FACENET_OK && i < faces->n; i++) {
        const json_t *face = json_array_get(array, i);
        status = read_face(face, &faces->faces[i], err);
        if (status == FACENET_OK && with_embeddings) status = read_embedding(faces, i, face, err);
    }
    return status;
}

static enum facenet_status read_frame(struct facenet_faces *faces, struct facenet_error *err) {
    const json_t *root = faces->root, *image = json_object_get(root, "image");
    enum facenet_status status = fnc_json_text(root, "model", &faces->model, err);
    if (status == FACENET_OK) status = fnc_json_text(root, "crop", &faces->crop, err);
    if (status == FACENET_OK) status = fnc_json_text(root, "backend", &faces->backend, err);
    if (status == FACENET_OK) status = fnc_json_count(image, "width", MAX_SIDE, &faces->width, err);
    if (status == FACENET_OK)
        status = fnc_json_count(image, "height", MAX_SIDE, &faces->height, err);
    if (status == FACENET_OK)
        status = fnc_json_count(root, "faces_found", SIZE_MAX, &faces->found, err);
    if (status == FACENET_OK && json_object_get(root, "faces_rejected"))
        status = fnc_json_count(root, "faces_rejected", SIZE_MAX, &faces->rejected, err);
    return status;
}

enum facenet_status fnc_answer_faces(const char *body, size_t size, bool with_embeddings,
                                     struct facenet_faces **ret_faces, struct facenet_error *err) {
    struct facenet_faces *faces = calloc(1, sizeof *faces);
    if (!faces) return fnc_fail(err, FACENET_NO_MEMORY, "no memory for an answer");
    enum facenet_status status = fnc_json_object(body, size, &faces->root, err);
    if (status == FACENET_OK) status = read_frame(faces, err);
    if (status == FACENET_OK) status = read_faces(faces, with_embeddings, err);
    if (status == FACENET_OK && !(faces->json = fnc_json_copy(body, size)))
        status = fnc_fail(err, FACENET_NO_MEMORY, "no memory for an answer");
    if (status == FACENET_OK)
        *ret_faces = faces;
    else
        facenet_faces_free(faces);
    return status;
}

size_t facenet_faces_count(const struct facenet_faces *faces) {
    return faces->n;
}

size_t facenet_faces_found(const struct facenet_faces *faces) {
    return faces->found;
}

size_t facenet_faces_rejected(const struct facenet_faces *faces) {
    return faces->rejected;
}

const char *facenet_faces_model(const struct facenet_faces *faces) {
    return faces->model;
}

const char *facenet_faces_crop(const struct facenet_faces *faces) {
    return faces->crop;
}

const char *facenet_faces_backend(const struct facenet_faces *faces) {
    return faces->backend;
}

int facenet_faces_width(const struct facenet_faces *faces) {
    return (int)faces->width;
}

int facenet_faces_height(const struct facenet_faces *faces) {
    return (int)faces->height;
}

const float *facenet_faces_embedding(const struct facenet_faces *faces, size_t i,
                                     size_t *ret_length) {
    if (i >= faces->n || !faces->embeddings) return NULL;
    if (ret_length) *ret_length = faces->length;
    return faces->embeddings + i * faces->length;
}

const double *facenet_faces_box(const struct facenet_faces *faces, size_t i) {
    return i < faces->n ? faces->faces[i].box : NULL;
}

const double *facenet_faces_landmarks(const struct facenet_faces *faces, size_t i) {
    return i < faces->n && faces->faces[i].has_landmarks ? faces->faces[i].landmarks : NULL;
}

const double *facenet_faces_quality(const struct facenet_faces *faces, size_t i) {
    return i < faces->n && faces->faces[i].has_quality ? faces->faces[i].quality : NULL;
}

double facenet_faces_score(const struct facenet_faces *faces, size_t i) {
    return i < faces->n ? faces->faces[i].score : (double)NAN;
}

const char *facenet_faces_json(const struct facenet_faces *faces) {
    return faces->json;
}
