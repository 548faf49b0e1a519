/* SPDX-License-Identifier: Apache-2.0
 *
 * routes.c -- see routes.h. All of it runs in lanes and none of it blocks. */
#include "daemon/api/routes.h"

#include <stdio.h>
#include <string.h>

#include "daemon/http/reply.h"
#include "daemon/http/request.h"
#include "daemon/log.h"
#include "engine/clock.h"

static const struct fn_route routes[] = {
    {"/embed", FN_HTTP_POST, FN_SCOPE_INFER, NULL, fn_handle_embed, NULL},
    {"/embed/batch", FN_HTTP_POST, FN_SCOPE_INFER, NULL, fn_handle_embed_batch, NULL},
    {"/detect", FN_HTTP_POST, FN_SCOPE_INFER, NULL, fn_handle_detect, NULL},
    {"/crop", FN_HTTP_POST, FN_SCOPE_INFER, NULL, fn_handle_crop, NULL},
    {"/distance", FN_HTTP_POST, FN_SCOPE_INFER, NULL, fn_handle_distance, NULL},
    {"/distances", FN_HTTP_POST, FN_SCOPE_INFER, NULL, fn_handle_distances, NULL},
    {"/model", FN_HTTP_GET, FN_SCOPE_INFER, fn_handle_model, NULL, NULL},
    {"/healthz", FN_HTTP_GET, FN_SCOPE_NONE, fn_handle_healthz, NULL, NULL},
    {"/readyz", FN_HTTP_GET, FN_SCOPE_NONE, fn_handle_readyz, NULL, NULL},
    {"/metrics", FN_HTTP_GET, FN_SCOPE_METRICS, fn_handle_metrics, NULL, NULL},
    {"/openapi.json", FN_HTTP_GET, FN_SCOPE_NONE, fn_handle_asset, NULL, NULL},
    {"/", FN_HTTP_GET, FN_SCOPE_NONE, fn_handle_asset, NULL, NULL},
    {"/page/{file}", FN_HTTP_GET, FN_SCOPE_NONE, fn_handle_asset, NULL, NULL},
    {"/api/v1/verification/verify", FN_HTTP_POST, FN_SCOPE_INFER, NULL, fn_handle_verify,
     fn_verify_reword},
    {"/v2", FN_HTTP_GET, FN_SCOPE_NONE, fn_handle_infer_server, NULL, fn_infer_reword},
    {"/v2/health/live", FN_HTTP_GET, FN_SCOPE_NONE, fn_handle_infer_live, NULL, fn_infer_reword},
    {"/v2/health/ready", FN_HTTP_GET, FN_SCOPE_NONE, fn_handle_infer_ready, NULL, fn_infer_reword},
    {"/v2/models/{model}", FN_HTTP_GET, FN_SCOPE_INFER, fn_handle_infer_model, NULL,
     fn_infer_reword},
    {"/v2/models/{model}/ready", FN_HTTP_GET, FN_SCOPE_INFER, fn_handle_infer_model_ready, NULL,
     fn_infer_reword},
    {"/v2/models/{model}/infer", FN_HTTP_POST, FN_SCOPE_INFER, NULL, fn_handle_infer,
     fn_infer_reword},
    {"/v2/models/{model}/versions/{version}", FN_HTTP_GET, FN_SCOPE_INFER, fn_handle_infer_model,
     NULL, fn_infer_reword},
    {"/v2/models/{model}/versions/{version}/ready", FN_HTTP_GET, FN_SCOPE_INFER,
     fn_handle_infer_model_ready, NULL, fn_infer_reword},
    {"/v2/models/{model}/versions/{version}/infer", FN_HTTP_POST, FN_SCOPE_INFER, NULL,
     fn_handle_infer, fn_infer_reword},
};
#define N_ROUTES ((int)(sizeof routes / sizeof routes[0]))
_Static_assert(sizeof routes / sizeof routes[0] < FN_METRIC_ROUTES, "one place is for no route");

const char *fn_routes_path(int index) {
    return index >= 0 && index < N_ROUTES ? routes[index].path : NULL;
}

/* The path of a target: no query, no "http://authority" before it, no "/v1". Paths of ours need no
 * percent-encoding, so an encoded one is none of ours. */
static const char *find_path(const char *target, size_t *ret_size) {
    if (strncmp(target, "http://", 7) == 0 || strncmp(target, "https://", 8) == 0) {
        const char *slash = strchr(target + 8, '/');
        target = slash ? slash : "/";
    }
    if (strncmp(target, "/v1/", 4) == 0) target += 3;
    *ret_size = strcspn(target, "?");
    return target;
}

/* Whether path is route's, segment by segment; *ret_segment (NULL: unasked) gets the nth "{...}".
 */
static bool match(const char *route, const char *path, size_t size, int n, const char **ret_segment,
                  size_t *ret_size) {
    const char *end = path + size;
    while (*route) {
        if (*route != '{') {
            if (path == end || *path++ != *route++) return false;
            continue;
        }
        const char *slash = memchr(path, '/', (size_t)(end - path)), *after = slash ? slash : end;
        if (after == path) return false;
        if (n-- == 0 && ret_segment) {
            *ret_segment = path;
            *ret_size = (size_t)(after - path);
        }
        path = after;
        route = strchr(route, '}') + 1;
    }
    return path == end;
}

const char *fn_routes_segment(const struct fn_http_request *request, int n, size_t *ret_size) {
    const struct fn_route *route = request->route;
    size_t size;
    const char *path = find_path(request->target, &size), *segment = NULL;
    return match(route->path, path, size, n, &segment, ret_size) ? segment : NULL;
}

static bool takes(const struct fn_route *route, enum fn_http_method method) {
    return route->method == method || (route->method == FN_HTTP_GET && method == FN_HTTP_HEAD) ||
           method == FN_HTTP_OPTIONS;
}

static fn_status find_route(struct fn_http_request *request, struct fn_error *err) {
    size_t size;
    const char *path = find_path(request->target, &size);
    for (int i = 0; i < N_ROUTES; i++) {
        const struct fn_route *route = &routes[i];
        if (!match(route->path, path, size, 0, NULL, NULL)) continue;
        request->route = route;
        request->reword = route->reword;
        const char *allow = route->method == FN_HTTP_GET ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
        if (request->method == FN_HTTP_OPTIONS || !takes(route, request->method))
            fn_reply_header(request, "Allow", allow);
        if (takes(route, request->method)) return FN_OK;
        return fn_fail(err, FN_METHOD_NOT_ALLOWED, "%s takes %s", route->path, allow);
    }
    return fn_fail(err, FN_NOT_FOUND, "there is no such route here");
}

/* X-Timeout-Ms, or -1 when there is none. */
static fn_status read_timeout(const struct fn_http_request *request, int64_t *ret_ms,
                              struct fn_error *err) {
    const struct fn_http_header *header = fn_request_find_header(request, "X-Timeout-Ms");
    int64_t ms = 0;
    *ret_ms = -1;
    if (!header) return FN_OK;
    bool ok = header->value_size > 0 && header->value_size <= 9;
    for (size_t i = 0; ok && i < header->value_size; i++) {
        ok = header->value[i] >= '0' && header->value[i] <= '9';
        ms = ms * 10 + (header->value[i] - '0');
    }
    if (!ok || ms == 0)
        return fn_fail(err, FN_BAD_REQUEST, "X-Timeout-Ms: expected milliseconds, 1...999999999");
    *ret_ms = ms;
    return FN_OK;
}

static void note_received(void *context, const struct fn_http_request *request) {
    const struct fn_door *door = context;
    (void)request;
    fn_metrics_note_received(&door->server->metrics);
}

static enum fn_scope scope_of(const struct fn_http_request *request) {
    const struct fn_route *route = request->route;
    return route ? route->scope : FN_SCOPE_INFER;
}

/* Whether the request would be done in time if it were let in. With nothing before it, it is let in
 * whatever its time: to come again later would not help. */
static fn_status check_load(struct fn_service *service, struct fn_http_request *request,
                            int64_t timeout_ms, struct fn_error *err) {
    struct fn_server *server = service->server;
    struct fn_load_ahead ahead = fn_load_ahead(&server->load);
    int64_t own_ns = fn_load_estimate_ns(&server->load, request->content_length);
    int64_t allowed = service->config->deadline_ms;
    if (timeout_ms > 0 && timeout_ms < allowed) allowed = timeout_ms;
    bool busy = ahead.n > 0 || fn_batcher_ahead(service->batcher) > 0;
    double device_ms = fn_runtime_predict_ms(service->runtime, ahead.crops, 1);
    double ms = fn_load_predict_ms(ahead.ms, fn_ms(own_ns), server->n_workers, device_ms,
                                   fn_devices_wait_ms(service->runtime->devices, 0));
    if (busy && ms > (double)allowed) {
        request->retry_after_ms = (long)(ms - (double)allowed) + 1;
        return fn_fail(err, FN_OVERLOADED, "this would take about %.0f ms now, and may take %lld",
                       ms, (long long)allowed);
    }
    return FN_OK;
}

/* Whether pictures are to be decoded: what load.h can judge. */
static bool is_work(const struct fn_http_request *request) {
    const struct fn_route *route = request->route;
    return route->work && route->work != fn_handle_distances && request->method == FN_HTTP_POST;
}

static fn_status admit(void *context, struct fn_http_request *request, struct fn_error *err) {
    const struct fn_door *door = context;
    struct fn_service *service = fn_server_acquire(door->server);
    int64_t timeout_ms;
    struct fn_error unfound;
    fn_status found = find_route(request, &unfound); /* first: it says how errors are worded */
    fn_status status = fn_access_check_place(service->config, service->keys, door, request, err);
    /* Who has no key is not told what there is; a preflight cannot bring one and gets nothing. */
    if (status == FN_OK && !(found == FN_OK && request->method == FN_HTTP_OPTIONS))
        status = fn_access_check_key(service->keys, door, request, scope_of(request), err);
    if (status == FN_OK && found != FN_OK) {
        *err = unfound;
        status = found;
    }
    if (status == FN_OK) status = read_timeout(request, &timeout_ms, err);
    if (status == FN_OK && is_work(request) && request->content_length <= service->config->max_body)
        status = check_load(service, request, timeout_ms, err);
    fn_service_release(service);
    return status;
}

/* Only what is here whole stands before others: a body that trickles in, or never comes, must not
 * keep anybody out. */
static void count_in(struct fn_server *server, struct fn_http_request *request) {
    request->expected_ns = fn_load_estimate_ns(&server->load, (int64_t)request->body_size);
    request->is_expected = true;
    fn_load_enter(&server->load, request->expected_ns);
}

static bool begin_work(struct fn_service *service, struct fn_http_request *request,
                       const struct fn_route *route) {
    struct fn_error err;
    int64_t timeout_ms, at_once = service->config->max_queue;
    if (read_timeout(request, &timeout_ms, &err) == FN_OK && timeout_ms > 0) {
        int64_t sooner = fn_now_ns() + timeout_ms * FN_NS_PER_MS;
        if (sooner < request->deadline_ns) request->deadline_ns = sooner;
    }
    count_in(service->server, request);
    if (atomic_fetch_add(&service->server->in_work, 1) >= at_once) {
        (void)fn_fail(&err, FN_OVERLOADED, "%lld requests are in work already", (long long)at_once);
        fn_reply_retry(request, &err, fn_runtime_wait_ms(service->runtime));
    } else if (fn_call_begin(service, request, route->work, &err) == FN_OK) {
        return false;
    } else {
        fn_reply_problem(request, &err);
    }
    atomic_fetch_sub(&service->server->in_work, 1);
    return true;
}

/* A page of an allowed origin asks whether it may ask. */
static void allow_preflight(struct fn_http_request *request) {
    fn_reply_header(request, "Access-Control-Allow-Methods", "GET, POST");
    fn_reply_header(request, "Access-Control-Allow-Headers",
                    "Authorization, Content-Type, X-API-Key, X-Request-Id, X-Timeout-Ms");
    fn_reply_header(request, "Access-Control-Max-Age", "600");
}

static bool serve(void *context, struct fn_http_request *request) {
    const struct fn_door *door = context;
    const struct fn_route *route = request->route;
    bool replied = true;
    if (request->method == FN_HTTP_OPTIONS) {
        if (request->allow_origin[0]) allow_preflight(request);
        fn_reply_empty(request);
        return true;
    }
    struct fn_service *service = fn_server_acquire(door->server);
    if (route->work)
        replied = begin_work(service, request, route);
    else
        route->reply(service, request);
    fn_service_release(service);
    return replied;
}

static void note_done(void *context, struct fn_http_request *request, bool delivered) {
    static const char *const methods[] = {"GET", "HEAD", "POST", "OPTIONS", "other"};
    const struct fn_door *door = context;
    const struct fn_route *route = request->route;
    bool probe = route && route->reply && request->status == FN_OK;
    int64_t took = fn_now_ns() - request->arrived_ns;
    fn_server_settle(door->server, request);
    fn_metrics_note_ended(&door->server->metrics, route ? (int)(route - routes) : -1,
                          request->reply.status, request->status, delivered, took);
    fn_log(probe ? FN_LOG_DEBUG : FN_LOG_INFO,
           "event=request id=%s method=%s route=%s status=%d code=%s ms=%.1f delivered=%s",
           request->id, methods[request->method], route ? route->path : "-", request->reply.status,
           fn_status_code(request->status), fn_ms(took), delivered ? "yes" : "no");
}

struct fn_http_handlers fn_routes_handlers(struct fn_door *door) {
    return (struct fn_http_handlers){.context = door,
                                     .received = note_received,
                                     .admit = admit,
                                     .serve = serve,
                                     .done = note_done};
}
