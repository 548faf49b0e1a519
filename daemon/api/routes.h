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
    const char *path;
    enum fn_http_method method; /* GET or POST; HEAD is answered where GET is */
    enum fn_scope scope;        /* what a key must have */
    /* One of the two. `reply` answers at once, in the lane. `work` gets a call in a worker. */
    void (*reply)(struct fn_service *service, struct fn_http_request *request);
    void (*work)(struct fn_call *call);
};

/* handle_embed.c, handle_distance.c, handle_info.c, handle_metrics.c, handle_asset.c */
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

/* The handlers of an HTTP server that serves these routes; `door` is borrowed. */
struct fn_http_handlers fn_routes_handlers(struct fn_door *door);

/* The path at that place of the table, for the metrics; NULL beyond its end. */
const char *fn_routes_path(int index);

#endif
