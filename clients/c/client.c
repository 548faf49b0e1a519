/* SPDX-License-Identifier: Apache-2.0
 *
 * client.c -- the handle and its questions: see facenet_client.h. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/answer.h"
#include "clients/c/error.h"
#include "clients/c/exchange.h"
#include "clients/c/picture.h"
#include "clients/c/retry.h"
#include "clients/c/server.h"

#define MAX_TARGET        1100
#define MAX_TIMEOUT_MS    999999999L
#define MAX_NUMBERS       65536
#define SMALLEST_ANSWER   1024
#define DEFAULT_TIMEOUT   10000
#define DEFAULT_IN_FLIGHT 4

struct facenet_client {
    struct fnc_transport *transport;
    struct fnc_policy policy;
};

/* ---- the handle -------------------------------------------------------------------------------
 */

enum facenet_status facenet_client_new(const char *server, struct facenet_client **ret_client,
                                       struct facenet_error *err) {
    struct fnc_server parsed;
    enum facenet_status status = fnc_server_parse(server, &parsed, err);
    if (status != FACENET_OK) return status;
    struct facenet_client *client = calloc(1, sizeof *client);
    status = client ? fnc_transport_new(&parsed, &client->transport, err)
                    : fnc_fail(err, FACENET_NO_MEMORY, "no memory for a client");
    fnc_server_done(&parsed);
    if (status != FACENET_OK) {
        free(client);
        return status;
    }
    client->policy = (struct fnc_policy){DEFAULT_TIMEOUT, FNC_MAX_RETRIES, DEFAULT_IN_FLIGHT};
    *ret_client = client;
    return FACENET_OK;
}

void facenet_client_free(struct facenet_client *client) {
    if (!client) return;
    fnc_transport_free(client->transport);
    free(client);
}

enum facenet_status facenet_client_set_timeout_ms(struct facenet_client *client, long timeout_ms) {
    if (timeout_ms < 1 || timeout_ms > MAX_TIMEOUT_MS) return FACENET_BAD_ARGUMENT;
    client->policy.timeout_ms = timeout_ms;
    return FACENET_OK;
}

enum facenet_status facenet_client_set_retries(struct facenet_client *client, int retries) {
    if (retries < 0 || retries > FNC_MAX_RETRIES) return FACENET_BAD_ARGUMENT;
    client->policy.retries = retries;
    return FACENET_OK;
}

enum facenet_status facenet_client_set_concurrency(struct facenet_client *client, int concurrency) {
    if (concurrency < 1 || concurrency > FNC_MAX_SLOTS) return FACENET_BAD_ARGUMENT;
    client->policy.concurrency = concurrency;
    return FACENET_OK;
}

enum facenet_status facenet_client_set_max_answer(struct facenet_client *client, size_t bytes) {
    if (bytes < SMALLEST_ANSWER) return FACENET_BAD_ARGUMENT;
    fnc_transport_set_max_answer(client->transport, bytes);
    return FACENET_OK;
}

enum facenet_status facenet_client_set_api_key(struct facenet_client *client, const char *key) {
    if (key && !fnc_key_is_valid(key)) return FACENET_BAD_ARGUMENT;
    return fnc_transport_set_api_key(client->transport, key) ? FACENET_OK : FACENET_NO_MEMORY;
}

enum facenet_status facenet_client_set_ca_file(struct facenet_client *client, const char *path) {
    return fnc_transport_set_ca_file(client->transport, path) ? FACENET_OK : FACENET_NO_MEMORY;
}

enum facenet_status facenet_client_set_proxy(struct facenet_client *client, const char *url) {
    return fnc_transport_set_proxy(client->transport, url) ? FACENET_OK : FACENET_NO_MEMORY;
}

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
                                          const char *options, read_answer *read,
                                          struct facenet_faces **ret_faces,
                                          struct facenet_error *err) {
    char target[MAX_TARGET];
    if (!picture) return fnc_fail(err, FACENET_BAD_ARGUMENT, "no picture was given");
    enum facenet_status status = make_target(route, options, target, err);
    if (status != FACENET_OK) return status;
    struct fnc_request request = picture_request(target, picture);
    return ask(client, &request, read, ret_faces, err);
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
