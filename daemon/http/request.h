/* SPDX-License-Identifier: Apache-2.0
 *
 * request.h -- the life of a struct fn_http_request (http.h). */
#ifndef FN_REQUEST_H
#define FN_REQUEST_H

#include "daemon/http/http.h"
#include "engine/status.h"

/* A request with its target (copied) and a fresh id. `inflight` (borrowed) counts the bytes of all
 * bodies in memory. NULL when memory is out. */
struct fn_http_request *fn_request_new(const char *target, atomic_size_t *inflight);
/* NULL is a no-op. */
void fn_request_free(struct fn_http_request *request);

/* What is needed to answer and log in the place of a request that somebody else still works on: id,
 * method, route, times. NULL when memory is out. */
struct fn_http_request *fn_request_stand_in(const struct fn_http_request *request);

/* Copy headers; adopts a well-formed X-Request-Id. FN_BAD_REQUEST when there are more than
 * FN_MAX_HEADERS. */
FN_MUST fn_status fn_request_set_headers(struct fn_http_request *request,
                                         const struct fn_http_header *headers, int n_headers,
                                         struct fn_error *err);

/* Add to the body. FN_BODY_TOO_LARGE beyond max_body, FN_OVERLOADED when all bodies together would
 * take more than max_inflight. */
FN_MUST fn_status fn_request_append_body(struct fn_http_request *request, const void *bytes,
                                         size_t size, size_t max_body, size_t max_inflight,
                                         struct fn_error *err);
/* Give the body's memory back early. */
void fn_request_drop_body(struct fn_http_request *request);

/* FN_HTTP_OTHER for what no route takes. */
enum fn_http_method fn_request_method(const char *name);

/* First header of that name (any case), or NULL. */
const struct fn_http_header *fn_request_find_header(const struct fn_http_request *request,
                                                    const char *name);

#endif
