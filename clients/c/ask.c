/* SPDX-License-Identifier: Apache-2.0
 *
 * ask.c -- the questions: see facenet_client.h. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/answer.h"
#include "clients/c/client.h"
#include "clients/c/error.h"
#include "clients/c/picture.h"

#define MAX_TARGET  1100
#define MAX_NUMBERS 65536
#define MAX_CELLS   250000 /* the server's own bound */

/* ---- one question -----------------------------------------------------------------------------
 */

/* What reads the body of an answer into *ret. */
typedef enum facenet_status read_answer(const char *body, size_t size, void *ret,
                                        struct facenet_error *err);

static enum facenet_status read_embedded(const char *body, size_t size, void *ret,
                                         struct facenet_error *err) {
    return fnc_answer_faces(body, size, true, ret, err);
}

static enum facenet_status read_detected(const char *body, size_t size, void *ret,
                                         struct facenet_error *err) {
    return fnc_answer_faces(body, size, false, ret, err);
}

static enum facenet_status read_distance(const char *body, size_t size, void *ret,
                                         struct facenet_error *err) {
    return fnc_answer_distance(body, size, ret, err);
}

static enum facenet_status read_model(const char *body, size_t size, void *ret,
                                      struct facenet_error *err) {
    return fnc_answer_model(body, size, ret, err);
}

struct question {
    read_answer *read;
    void *ret;
    enum facenet_status status;
    struct facenet_error *err;
};

static void answer_one(void *context, size_t i, const char *body, size_t size,
                       const struct facenet_error *err) {
    struct question *question = context;
    (void)i;
    if (err) {
        question->status = err->status;
        fnc_error_copy(question->err, err);
    } else {
        question->status = question->read(body, size, question->ret, question->err);
    }
}

static enum facenet_status ask(struct facenet_client *client, const struct fnc_request *request,
                               read_answer *read, void *ret, struct facenet_error *err) {
    struct question question = {.read = read, .ret = ret, .err = err};
    fnc_exchange(client->transport, &client->policy, request, 1, answer_one, &question);
    return question.status;
}

static enum facenet_status make_target(const char *route, const char *options,
                                       char ret_target[MAX_TARGET], struct facenet_error *err) {
    enum facenet_status status = fnc_options_check(options, err);
    if (status != FACENET_OK) return status;
    bool some = options && options[0];
    (void)snprintf(ret_target, MAX_TARGET, "%s%s%s", route, some ? "?" : "", some ? options : "");
    return FACENET_OK;
}

static struct fnc_request picture_request(const char *target,
                                          const struct facenet_picture *picture) {
    return (struct fnc_request){.target = target,
                                .content_type = "application/octet-stream",
                                .body = {NULL, picture->bytes, picture->size}};
}

static enum facenet_status ask_of_picture(struct facenet_client *client, const char *route,
                                          const struct facenet_picture *picture,
                                          const char *options, read_answer *read, void *ret,
                                          struct facenet_error *err) {
    char target[MAX_TARGET];
    if (!picture) return fnc_fail(err, FACENET_BAD_ARGUMENT, "no picture was given");
    enum facenet_status status = make_target(route, options, target, err);
    if (status != FACENET_OK) return status;
    struct fnc_request request = picture_request(target, picture);
    return ask(client, &request, read, ret, err);
}

enum facenet_status facenet_client_embed(struct facenet_client *client,
                                         const struct facenet_picture *picture, const char *options,
                                         struct facenet_faces **ret_faces,
                                         struct facenet_error *err) {
    return ask_of_picture(client, "/v1/embed", picture, options, read_embedded, ret_faces, err);
}

enum facenet_status facenet_client_detect(struct facenet_client *client,
                                          const struct facenet_picture *picture,
                                          const char *options, struct facenet_faces **ret_faces,
                                          struct facenet_error *err) {
    return ask_of_picture(client, "/v1/detect", picture, options, read_detected, ret_faces, err);
}

enum facenet_status facenet_client_model(struct facenet_client *client,
                                         struct facenet_model **ret_model,
                                         struct facenet_error *err) {
    const struct fnc_request request = {.target = "/v1/model"};
    return ask(client, &request, read_model, ret_model, err);
}

enum facenet_status facenet_client_distance(struct facenet_client *client,
                                            const struct facenet_picture *a,
                                            const struct facenet_picture *b, const char *options,
                                            struct facenet_distance **ret_distance,
                                            struct facenet_error *err) {
    char target[MAX_TARGET];
    if (!a || !b) return fnc_fail(err, FACENET_BAD_ARGUMENT, "two pictures are needed");
    enum facenet_status status = make_target("/v1/distance", options, target, err);
    if (status != FACENET_OK) return status;
    const struct fnc_request request = {
        .target = target,
        .parts = {{"img1", a->bytes, a->size}, {"img2", b->bytes, b->size}},
        .n_parts = 2,
    };
    return ask(client, &request, read_distance, ret_distance, err);
}

/* The PNG that the network is fed with a face is a picture again. */
static enum facenet_status read_crop(const char *body, size_t size, void *ret,
                                     struct facenet_error *err) {
    static const char magic[8] = "\x89PNG\r\n\x1a\n";
    if (size < sizeof magic || memcmp(body, magic, sizeof magic) != 0)
        return fnc_fail(err, FACENET_BAD_ANSWER, "answer of %zu bytes is not a PNG", size);
    return facenet_picture_from_bytes(body, size, ret, err);
}

enum facenet_status facenet_client_crop(struct facenet_client *client,
                                        const struct facenet_picture *picture, const char *options,
                                        struct facenet_picture **ret_crop,
                                        struct facenet_error *err) {
    return ask_of_picture(client, "/v1/crop", picture, options, read_crop, ret_crop, err);
}

static json_t *write_embedding(const float *values, size_t length, const char *model,
                               const char *crop) {
    json_t *array = json_array();
    for (size_t i = 0; array && i < length; i++) {
        if (json_array_append_new(array, json_real((double)values[i])) == 0) continue;
        json_decref(array);
        return NULL;
    }
    return model ? json_pack("{s:s, s:s, s:o}", "model", model, "crop", crop, "embedding", array)
                 : array;
}

enum facenet_status facenet_client_distance_of(struct facenet_client *client, const float *a,
                                               const float *b, size_t length, const char *model,
                                               const char *crop, const char *options,
                                               struct facenet_distance **ret_distance,
                                               struct facenet_error *err) {
    char target[MAX_TARGET];
    if (!a || !b || length == 0 || length > MAX_NUMBERS || !model != !crop)
        return fnc_fail(err, FACENET_BAD_ARGUMENT,
                        "expected two embeddings of 1 to %d numbers, and model and crop or neither",
                        MAX_NUMBERS);
    enum facenet_status status = make_target("/v1/distance", options, target, err);
    if (status != FACENET_OK) return status;
    json_t *object = json_pack("{s:o, s:o}", "embedding1", write_embedding(a, length, model, crop),
                               "embedding2", write_embedding(b, length, model, crop));
    /* Nine digits are every float32 exactly. NaN and infinity cannot be written. */
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!text)
        return fnc_fail(err, FACENET_BAD_ARGUMENT,
                        "embeddings cannot be written: not finite, model not UTF-8, or no memory");
    const struct fnc_request request = {
        .target = target, .content_type = "application/json", .body = {NULL, text, strlen(text)}};
    status = ask(client, &request, read_distance, ret_distance, err);
    free(text);
    return status;
}

/* ---- lists ------------------------------------------------------------------------------------
 */

struct matrix {
    size_t n_a, n_b;
    double *values; /* [n_a][n_b] */
};

static enum facenet_status read_matrix(const char *body, size_t size, void *ret,
                                       struct facenet_error *err) {
    const struct matrix *matrix = ret;
    return fnc_answer_distances(body, size, matrix->n_a, matrix->n_b, matrix->values, err);
}

/* base64 of little-endian float32: an embedding in a third of the room of its numbers. */
static json_t *write_packed(const float *values, size_t length) {
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    size_t n_bytes = 4 * length, used = 0;
    char *text = malloc(n_bytes / 3 * 4 + 5);
    for (size_t i = 0; text && i < n_bytes; i += 3) {
        uint32_t group = 0;
        for (size_t k = i; k < i + 3; k++) {
            uint32_t bits = 0;
            if (k < n_bytes) memcpy(&bits, &values[k / 4], sizeof bits);
            group = group << 8 | (bits >> 8 * (k % 4) & 0xff);
        }
        for (size_t k = 0; k < 4; k++)
            text[used++] = digits[k <= n_bytes - i ? group >> (18 - 6 * k) & 63 : 64];
    }
    json_t *string = text ? json_stringn_nocheck(text, used) : NULL;
    free(text);
    return string;
}

static json_t *write_list(const float *values, size_t n, size_t length, const char *model,
                          const char *crop) {
    json_t *array = json_array();
    for (size_t i = 0; array && i < n; i++) {
        json_t *one = write_packed(values + i * length, length);
        if (model && one)
            one = json_pack("{s:s, s:s, s:o}", "model", model, "crop", crop, "embedding", one);
        if (json_array_append_new(array, one) == 0) continue;
        json_decref(array);
        array = NULL;
    }
    return array;
}

enum facenet_status facenet_client_distances(struct facenet_client *client, const float *a,
                                             size_t n_a, const float *b, size_t n_b, size_t length,
                                             const char *model, const char *crop,
                                             double *ret_distances, struct facenet_error *err) {
    if (!a || !b || !ret_distances || n_a == 0 || n_b == 0 || n_a > MAX_CELLS / n_b ||
        length == 0 || length > MAX_NUMBERS || !model != !crop)
        return fnc_fail(
            err, FACENET_BAD_ARGUMENT,
            "expected two lists of embeddings of 1 to %d numbers, at most %d distances, "
            "and model and crop or neither",
            MAX_NUMBERS, MAX_CELLS);
    json_t *object = json_pack("{s:o, s:o, s:s}", "a", write_list(a, n_a, length, model, crop), "b",
                               write_list(b, n_b, length, model, crop), "metric", "l2_squared");
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!text)
        return fnc_fail(err, FACENET_BAD_ARGUMENT,
                        "embeddings cannot be written: a text is not UTF-8, or no memory");
    const struct fnc_request request = {.target = "/v1/distances",
                                        .content_type = "application/json",
                                        .body = {NULL, text, strlen(text)}};
    struct matrix matrix = {.n_a = n_a, .n_b = n_b};
    matrix.values = ret_distances;
    enum facenet_status status = ask(client, &request, read_matrix, &matrix, err);
    free(text);
    return status;
}

/* ---- many -------------------------------------------------------------------------------------
 */

struct many {
    struct facenet_faces **ret_faces;
    struct facenet_error *const *errors; /* may be NULL, or hold NULLs */
    size_t first_failed;                 /* n: none */
    struct facenet_error first;
};

static void answer_many(void *context, size_t i, const char *body, size_t size,
                        const struct facenet_error *err) {
    struct many *many = context;
    struct facenet_error own;
    if (!err) {
        if (fnc_answer_faces(body, size, true, &many->ret_faces[i], &own) == FACENET_OK) return;
        err = &own;
    }
    if (many->errors) fnc_error_copy(many->errors[i], err);
    if (i > many->first_failed) return;
    many->first_failed = i;
    many->first = *err;
}

enum facenet_status facenet_client_embed_many(struct facenet_client *client,
                                              const struct facenet_picture *const *pictures,
                                              size_t n, const char *options,
                                              struct facenet_faces **ret_faces,
                                              struct facenet_error *const *errors,
                                              struct facenet_error *err) {
    char target[MAX_TARGET];
    if (n == 0) return FACENET_OK;
    for (size_t i = 0; i < n; i++) ret_faces[i] = NULL;
    enum facenet_status status = make_target("/v1/embed", options, target, err);
    if (status != FACENET_OK) return status;
    for (size_t i = 0; i < n; i++)
        if (!pictures[i])
            return fnc_fail(err, FACENET_BAD_ARGUMENT, "picture %zu of %zu was not given", i, n);
    struct fnc_request *requests = calloc(n, sizeof *requests);
    if (!requests) return fnc_fail(err, FACENET_NO_MEMORY, "no memory for %zu requests", n);
    for (size_t i = 0; i < n; i++) requests[i] = picture_request(target, pictures[i]);
    struct many many = {.ret_faces = ret_faces, .errors = errors, .first_failed = n};
    fnc_exchange(client->transport, &client->policy, requests, n, answer_many, &many);
    free(requests);
    if (many.first_failed == n) return FACENET_OK;
    fnc_error_copy(err, &many.first);
    return many.first.status;
}
