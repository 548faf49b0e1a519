/* SPDX-License-Identifier: Apache-2.0
 *
 * reply.c -- see reply.h. */
#include "daemon/http/reply.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Served when there is not even memory to say so. */
static const char out_of_memory[] = "{\"type\":\"about:blank\",\"title\":\"Out of memory\","
                                    "\"status\":503,\"code\":\"overloaded\"}\n";

#define RETRY_AFTER_MS_DEFAULT 1000L

void fn_reply_header_fixed(struct fn_http_request *request, const char *name, const char *value) {
    struct fn_http_reply *reply = &request->reply;
    assert(reply->n_headers < FN_MAX_REPLY_HEADERS);
    reply->headers[reply->n_headers].name = name;
    reply->headers[reply->n_headers].value = value;
    reply->n_headers++;
}

void fn_reply_header(struct fn_http_request *request, const char *name, const char *value) {
    struct fn_http_reply *reply = &request->reply;
    assert(reply->n_headers < FN_MAX_REPLY_HEADERS);
    char *copy = reply->headers[reply->n_headers].copy;
    assert(strlen(value) < sizeof reply->headers[0].copy);
    (void)snprintf(copy, sizeof reply->headers[0].copy, "%s", value);
    fn_reply_header_fixed(request, name, copy);
}

/* `body` is stolen; NULL: memory is out. */
static void set_body(struct fn_http_request *request, int http_status, const char *content_type,
                     char *body, size_t size) {
    struct fn_http_reply *reply = &request->reply;
    free(reply->body);
    reply->body = body;
    reply->body_size = size;
    reply->status = http_status;
    reply->content_type = content_type;
    if (body) return;
    reply->body = strdup(out_of_memory);
    reply->body_size = reply->body ? sizeof out_of_memory - 1 : 0;
    reply->status = fn_status_http(FN_NO_MEMORY);
    reply->content_type = "application/problem+json";
    request->status = FN_NO_MEMORY;
}

/* `object` is stolen; NULL: memory is out. */
static void set_json(struct fn_http_request *request, int http_status, const char *content_type,
                     json_t *object) {
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    size_t size = text ? strlen(text) : 0;
    char *with_newline = text ? realloc(text, size + 1) : NULL;
    if (!with_newline) free(text);
    if (with_newline) with_newline[size] = '\n'; /* in the NUL's place: friendly to terminals */
    set_body(request, http_status, content_type, with_newline, size + 1);
}

/* Set a member of `object` to `value` (stolen, whatever happens) and give it; NULL when memory is
 * out. */
static json_t *with(json_t *object, const char *name, json_t *value) {
    if (json_object_set_new(object, name, value) == 0) return object;
    json_decref(object);
    return NULL;
}

void fn_reply_json(struct fn_http_request *request, int http_status, json_t *object) {
    fn_reply_foreign_json(request, http_status,
                          with(object, "request_id", json_string(request->id)));
}

void fn_reply_foreign_json(struct fn_http_request *request, int http_status, json_t *object) {
    request->status = FN_OK;
    set_json(request, http_status, "application/json", object);
}

static void set_problem(struct fn_http_request *request, const struct fn_error *err,
                        json_t *object) {
    int http_status = fn_status_http(err->status);
    object = with(object, "request_id", json_string(request->id));
    if (request->reword && object) object = request->reword(request, object, err, &http_status);
    request->status = err->status;
    set_json(request, http_status,
             request->reword ? "application/json" : "application/problem+json", object);
}

json_t *fn_reply_problem_object(const struct fn_error *err) {
    /* What went wrong inside is for the log: it may name files and drivers. */
    bool inside = fn_status_http(err->status) == 500 || err->status == FN_NO_DEVICE ||
                  err->status == FN_DEVICE_FAILED;
    const char *detail = inside ? "see the server's log" : err->text;
    return json_pack("{s:s, s:s, s:i, s:s%, s:s}", "type", "about:blank", "title",
                     fn_status_title(err->status), "status", fn_status_http(err->status), "detail",
                     detail, strlen(detail), "code", fn_status_code(err->status));
}

void fn_reply_retry(struct fn_http_request *request, const struct fn_error *err,
                    long retry_after_ms) {
    char seconds[24];
    (void)snprintf(seconds, sizeof seconds, "%ld", (retry_after_ms + 999) / 1000);
    fn_reply_header(request, "Retry-After", seconds);
    set_problem(request, err,
                with(fn_reply_problem_object(err), "retry_after_ms", json_integer(retry_after_ms)));
}

void fn_reply_problem(struct fn_http_request *request, const struct fn_error *err) {
    int http_status = fn_status_http(err->status);
    if (http_status == 503 || http_status == 429) {
        fn_reply_retry(request, err,
                       request->retry_after_ms ? request->retry_after_ms : RETRY_AFTER_MS_DEFAULT);
        return;
    }
    set_problem(request, err, fn_reply_problem_object(err));
}

void fn_reply_bytes(struct fn_http_request *request, const char *content_type, void *bytes,
                    size_t size) {
    request->status = FN_OK;
    set_body(request, 200, content_type, bytes, size);
}

void fn_reply_empty(struct fn_http_request *request) {
    free(request->reply.body);
    request->reply.body = NULL;
    request->reply.body_size = 0;
    request->reply.content_type = NULL;
    request->reply.status = 204;
    request->status = FN_OK;
}
