/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_body.c -- any request to a route that takes everything: the first line is the target, the
 * second the Content-Type, the rest the body. Reaches query, options, JSON, multipart, data URIs
 * and embeddings. */
#include "daemon/api/body.h"
#include "daemon/api/embedding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EMBEDDING_SIZE 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fn_body_field fields[] = {
    {"img", FN_FIELD_PICTURE, 0},          {"img2", FN_FIELD_PICTURE, 1},
    {"imgs", FN_FIELD_PICTURES, 0},        {"embedding1", FN_FIELD_EMBEDDING, 0},
    {"embedding2", FN_FIELD_EMBEDDING, 1},
};

static const struct fn_body_rules rules = {fields, 5, true, ~0U};

static void check_embedding(const struct fn_body_embedding *embedding) {
    static const struct fn_embedding_kind kind = {"m", "c", EMBEDDING_SIZE};
    float values[EMBEDDING_SIZE];
    double squares = 0;
    struct fn_embedding_origin origin;
    struct fn_error err;
    if (!embedding->name) return;
    if (fn_embedding_read(embedding->value, &kind, values, &origin, &err) != FN_OK) return;
    for (int i = 0; i < EMBEDDING_SIZE; i++) squares += (double)values[i] * values[i];
    if (!(fabs(sqrt(squares) - 1) <= 1e-3)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *line1 = size ? memchr(data, '\n', size) : NULL;
    if (!line1) return 0;
    const uint8_t *line2 = memchr(line1 + 1, '\n', size - (size_t)(line1 + 1 - data));
    if (!line2) return 0;
    struct fn_http_request request = {.body_size = size - (size_t)(line2 + 1 - data)};
    struct fn_error err;
    const struct fn_body_limits limits = {32, 4, true};
    struct fn_body *body;
    request.target = calloc(1, (size_t)(line1 - data) + 1);
    request.body = malloc(request.body_size + 1);
    if (!request.target || !request.body) abort();
    memcpy(request.target, data, (size_t)(line1 - data));
    memcpy(request.body, line2 + 1, request.body_size);
    request.headers[0] = (struct fn_http_header){"Content-Type", (const char *)line1 + 1, 12,
                                                 (size_t)(line2 - line1 - 1)};
    request.n_headers = 1;
    if (fn_body_read(&request, &rules, &limits, &body, &err) == FN_OK) {
        if (body->n_pictures > limits.most_pictures) abort();
        for (int i = 0; i < FN_BODY_MAX_PICTURES; i++)
            if (body->pictures[i].name && body->pictures[i].size == 0) abort();
        for (int i = 0; i < FN_BODY_SLOTS; i++) check_embedding(&body->embeddings[i]);
        if (fn_options_find(&body->options).max_faces < 1) abort();
        fn_body_free(body);
    } else if (fn_status_http(err.status) / 100 != 4) {
        abort();
    }
    free(request.target);
    free(request.body);
    return 0;
}
