/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_infer.c -- any body as a request of the Open Inference Protocol; the first line is the value
 * of Inference-Header-Content-Length, an empty one stands for none. Every picture of an accepted
 * request must lie within the body or in memory of its own, and a crop must be whole. */
#include "daemon/api/infer.h"

#include <stdlib.h>
#include <string.h>

#include "engine/detect/crop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t touched;

static void check_picture(const struct fn_http_request *request,
                          const struct fn_body_picture *picture) {
    const uint8_t *end = request->body + request->body_size;
    if (!picture->name || picture->size == 0) abort();
    if (picture->is_crop && picture->size != FN_CROP_SIZE) abort();
    if (picture->owned ? picture->bytes != picture->owned
                       : picture->bytes < request->body || picture->bytes > end ||
                             picture->size > (size_t)(end - picture->bytes))
        abort();
    touched = picture->bytes[0];
    touched = picture->bytes[picture->size - 1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    if (!newline) return 0;
    size_t length_size = (size_t)(newline - data), body_size = size - length_size - 1;
    char target[] = "/v2/models/facenet/infer";
    struct fn_http_request request = {.target = target, .body_size = body_size};
    const struct fn_body_limits limits = {32, 4, true};
    struct fn_infer infer;
    struct fn_body *body;
    struct fn_error err;
    /* Of its own size, so that a step beyond it is seen. */
    request.body = malloc(body_size ? body_size : 1);
    if (!request.body) abort();
    memcpy(request.body, newline + 1, body_size);
    request.headers[0] = (struct fn_http_header){"Inference-Header-Content-Length",
                                                 (const char *)data, 31, length_size};
    request.n_headers = length_size ? 1 : 0;
    if (fn_infer_read(&request, &limits, &infer, &body, &err) == FN_OK) {
        if (body->n_pictures < 1 || body->n_pictures > limits.most_pictures) abort();
        if (strlen(infer.id) > FN_INFER_MAX_ID) abort();
        for (int i = 0; i < body->n_pictures; i++) check_picture(&request, &body->pictures[i]);
        fn_body_free(body);
    }
    free(request.body);
    return 0;
}
