/* SPDX-License-Identifier: Apache-2.0
 *
 * reply.h -- fill a request's reply: JSON, or a problem (RFC 9457). */
#ifndef FN_REPLY_H
#define FN_REPLY_H

#include <jansson.h>

#include "daemon/http/http.h"
#include "engine/status.h"

/* Reply with `object` (stolen; NULL means memory was out). Real numbers are written with 9
 * significant digits, which gives every float32 back exactly. request_id is added. */
void fn_reply_json(struct fn_http_request *request, int http_status, json_t *object);

/* The same for an answer whose members another protocol has fixed: nothing is added. */
void fn_reply_foreign_json(struct fn_http_request *request, int http_status, json_t *object);

/* The members of a problem, for one that is part of an answer; NULL when memory is out. */
json_t *fn_reply_problem_object(const struct fn_error *err);

/* application/problem+json with type, title, status, detail, code and request_id. The statuses that
 * mean "later" carry Retry-After and retry_after_ms too. Routes of other protocols reword it. */
void fn_reply_problem(struct fn_http_request *request, const struct fn_error *err);

/* The same with a measured guess when trying again is worth while. */
void fn_reply_retry(struct fn_http_request *request, const struct fn_error *err,
                    long retry_after_ms);

/* Status 200 with `bytes` (stolen; NULL means memory was out). `content_type` static. */
void fn_reply_bytes(struct fn_http_request *request, const char *content_type, void *bytes,
                    size_t size);

/* Status 204: headers only. */
void fn_reply_empty(struct fn_http_request *request);

/* Add a header; `name` static. Longer values than a reply has room for are our own mistake. */
void fn_reply_header(struct fn_http_request *request, const char *name, const char *value);
/* The same of a value that is static too, and of any length. */
void fn_reply_header_fixed(struct fn_http_request *request, const char *name, const char *value);

#endif
