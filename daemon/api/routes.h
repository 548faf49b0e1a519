/* SPDX-License-Identifier: Apache-2.0
 *
 * routes.h -- the one table of what can be asked, and the way of a request through it. */
#ifndef FN_ROUTES_H
#define FN_ROUTES_H

#include "daemon/access.h"
#include "daemon/api/call.h"
#include "daemon/http/http.h"
#include "daemon/service.h"

struct fn_route {
    const char *path; /* "{...}" in the place of a segment stands for any that is not empty */
    enum fn_http_method method; /* GET or POST; HEAD is answered where GET is */
    enum fn_scope scope;        /* what a key must have */
    /* One of the two. `reply` answers at once, in the lane. `work` gets a call in a worker. */
    void (*reply)(struct fn_service *service, struct fn_http_request *request);
    void (*work)(struct fn_call *call);
    fn_http_reword *reword; /* its protocol's errors; NULL: ours */
};

/* handle_*.c */
void fn_handle_embed(struct fn_call *call);
void fn_handle_embed_batch(struct fn_call *call);
void fn_handle_detect(struct fn_call *call);
void fn_handle_crop(struct fn_call *call);
void fn_handle_distance(struct fn_call *call);
void fn_handle_distances(struct fn_call *call);
void fn_handle_healthz(struct fn_service *service, struct fn_http_request *request);
void fn_handle_readyz(struct fn_service *service, struct fn_http_request *request);
void fn_handle_metrics(struct fn_service *service, struct fn_http_request *request);
void fn_handle_asset(struct fn_service *service, struct fn_http_request *request);
void fn_handle_model(struct fn_service *service, struct fn_http_request *request);

/* Open Inference Protocol: handle_infer.c, handle_infer_info.c */
void fn_handle_infer(struct fn_call *call);
void fn_handle_infer_server(struct fn_service *service, struct fn_http_request *request);
void fn_handle_infer_live(struct fn_service *service, struct fn_http_request *request);
void fn_handle_infer_ready(struct fn_service *service, struct fn_http_request *request);
void fn_handle_infer_model(struct fn_service *service, struct fn_http_request *request);
void fn_handle_infer_model_ready(struct fn_service *service, struct fn_http_request *request);
/* Whether the path names the model that serves, and its version if any. FN_NOT_FOUND. */
FN_MUST fn_status fn_infer_check_model(const struct fn_service *service,
                                       const struct fn_http_request *request, struct fn_error *err);
json_t *fn_infer_reword(const struct fn_http_request *request, json_t *problem,
                        const struct fn_error *err, int *status);

/* CompreFace: handle_verify.c */
void fn_handle_verify(struct fn_call *call);
json_t *fn_verify_reword(const struct fn_http_request *request, json_t *problem,
                         const struct fn_error *err, int *status);

/* What stands in the request's path for the nth "{...}" of its route, from 0; not NUL-terminated,
 * borrowed from the request. NULL: there are not so many. */
const char *fn_routes_segment(const struct fn_http_request *request, int n, size_t *ret_size);

/* The handlers of an HTTP server that serves these routes; `door` is borrowed. */
struct fn_http_handlers fn_routes_handlers(struct fn_door *door);

/* The path at that place of the table, for the metrics; NULL beyond its end. */
const char *fn_routes_path(int index);

#endif
