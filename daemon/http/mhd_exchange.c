/* SPDX-License-Identifier: Apache-2.0
 *
 * mhd_exchange.c -- a request comes in and its reply goes out, in libmicrohttpd's callbacks.
 *
 * A reply queued in MHD's first call for a request closes the connection; so first calls reply only
 * to what must be closed (framing that cannot be trusted, bodies not worth reading). */
#include <microhttpd.h>
#include <string.h>

#include "daemon/http/guard.h"
#include "daemon/http/lane.h"
#include "daemon/http/reply.h"
#include "daemon/http/request.h"
#include "daemon/http/tls.h"
#include "engine/cleanup.h"
#include "engine/clock.h"

#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define SMALL_BODY     65536 /* bytes: a refused body up to this is read, to keep the connection */

/* ---- replies ----------------------------------------------------------------------------- */

static bool add_header(struct MHD_Response *response, const char *name, const char *value) {
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

static enum MHD_Result send_reply(struct fn_http_connection *c) {
    struct fn_http_request *request = c->request;
    struct fn_http_reply *reply = &request->reply;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(reply->body_size, reply->body, MHD_RESPMEM_MUST_FREE);
    if (!response) return MHD_NO;
    reply->body = NULL;
    bool ok = add_header(response, "X-Request-Id", request->id) &&
              add_header(response, "X-Content-Type-Options", "nosniff");
    if (!reply->cacheable) ok &= add_header(response, "Cache-Control", "no-store");
    if (reply->content_type) ok &= add_header(response, "Content-Type", reply->content_type);
    for (int i = 0; i < reply->n_headers; i++)
        ok &= add_header(response, reply->headers[i].name, reply->headers[i].value);
    if (request->allow_origin[0])
        ok &= add_header(response, "Access-Control-Allow-Origin", request->allow_origin) &&
              add_header(response, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After") &&
              add_header(response, "Vary", "Origin");
    if (atomic_load(&c->lane->http->draining)) ok &= add_header(response, "Connection", "close");
    fn_connection_enter(c, FN_PHASE_REPLY);
    c->moved = reply->body_size;
    ok = ok && MHD_queue_response(c->mhd, (unsigned)reply->status, response) == MHD_YES;
    MHD_destroy_response(response);
    return ok ? MHD_YES : MHD_NO;
}

static enum MHD_Result send_problem(struct fn_http_connection *c, const struct fn_error *err) {
    fn_reply_problem(c->request, err);
    return send_reply(c);
}

/* ---- a request comes in ------------------------------------------------------------------ */

/* MHD has read a request line: the earliest moment of a request, and the only sight of the target
 * before MHD cuts it at the first decoded NUL. */
static void *begin_request(void *cls, const char *target, struct MHD_Connection *mhd) {
    struct fn_http_lane *lane = cls;
    struct fn_http_connection *c = fn_connection_of(mhd);
    if (!c) return NULL;
    c->request = fn_request_new(target, &lane->http->options.figures->inflight);
    c->refusal.status = FN_OK;
    c->moved = 0;
    c->fresh = false;
    fn_connection_enter(c, FN_PHASE_HEADERS);
    if (c->request) {
        c->request->lane = lane;
        c->request->connection = c;
    }
    return NULL;
}

struct header_list {
    int n;
    struct fn_http_header headers[FN_MAX_HEADERS + 1];
};

static enum MHD_Result collect_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                      size_t name_size, const char *value, size_t value_size) {
    struct header_list *list = cls;
    (void)kind;
    while (value_size && strchr(" \t", value[value_size - 1])) value_size--;
    list->headers[list->n++] = (struct fn_http_header){name, value, name_size, value_size};
    return list->n > FN_MAX_HEADERS ? MHD_NO : MHD_YES;
}

/* Headers are complete. The request is refused at once, or its body is read (and dropped, when it
 * is refused but so small that keeping the connection is worth it). */
static enum MHD_Result take_headers(struct fn_http_connection *c, const char *method,
                                    const char *version) {
    const struct fn_http_handlers *handlers = &c->lane->http->options.handlers;
    size_t max_body = c->lane->limits.max_body;
    struct fn_http_request *request = c->request;
    struct header_list list = {.n = 0};
    struct fn_framing framing = {.content_length = -1};
    struct fn_error err = {.status = FN_OK};
    request->method = fn_request_method(method);
    request->arrived_ns = fn_now_ns();
    (void)MHD_get_connection_values_n(c->mhd, MHD_HEADER_KIND, collect_header, &list);
    fn_status status = fn_request_set_headers(request, list.headers, list.n, &err);
    if (status == FN_OK)
        status = fn_guard_check(version, request->headers, request->n_headers, &framing, &err);
    handlers->received(handlers->context, request);
    if (status != FN_OK) return send_problem(c, &err);

    request->content_length = framing.content_length;
    if (framing.content_length > (int64_t)max_body)
        status = fn_fail(&err, FN_BODY_TOO_LARGE, "body is %lld bytes, at most %zu are accepted",
                         (long long)framing.content_length, max_body);
    fn_status refused = handlers->admit(handlers->context, request, &err);
    if (refused != FN_OK) status = refused;
    /* Proxies disagree about such bodies, so the connection ends with it. */
    bool has_body = framing.chunked || framing.content_length > 0;
    if (status == FN_OK && has_body && request->method != FN_HTTP_POST) {
        (void)fn_fail(&err, FN_BAD_REQUEST, "only POST may have a body here");
        return send_problem(c, &err);
    }
    if (status != FN_OK) {
        bool small = framing.content_length <= SMALL_BODY && !framing.chunked &&
                     (!framing.expects_continue || framing.content_length <= 0);
        if (!small) return send_problem(c, &err);
        c->refusal = err;
    }
    fn_connection_enter(c, FN_PHASE_BODY);
    return MHD_YES;
}

static enum MHD_Result take_body(struct fn_http_connection *c, const char *bytes, size_t size) {
    const struct fn_http_limits *limits = &c->lane->limits;
    c->moved += size;
    if (c->refusal.status == FN_OK) {
        if (fn_request_append_body(c->request, bytes, size, limits->max_body,
                                   limits->max_inflight_bytes, &c->refusal) != FN_OK)
            fn_request_drop_body(c->request);
        return MHD_YES;
    }
    /* MHD takes no reply before the end of a body: read on to deliver it, but not for ever. */
    size_t most = 2 * limits->max_body > SMALL_BODY ? 2 * limits->max_body : SMALL_BODY;
    return c->moved > most ? MHD_NO : MHD_YES;
}

static enum MHD_Result serve(struct fn_http_connection *c) {
    const struct fn_http_handlers *handlers = &c->lane->http->options.handlers;
    if (c->refusal.status != FN_OK) return send_problem(c, &c->refusal);
    c->request->deadline_ns = fn_now_ns() + c->lane->limits.deadline_ms * FN_NS_PER_MS;
    if (handlers->serve(handlers->context, c->request)) return send_reply(c);
    /* The request may be finished by now, but this thread is the one that will resume it. */
    fn_connection_enter(c, FN_PHASE_WORK);
    atomic_fetch_add(&c->lane->http->options.figures->suspended, 1);
    MHD_suspend_connection(c->mhd);
    return MHD_YES;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *mhd, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request_context) {
    struct fn_http_connection *c = fn_connection_of(mhd);
    (void)cls, (void)url, (void)request_context;
    if (!c || !c->request) return MHD_NO;
    if (c->phase == FN_PHASE_HEADERS) return take_headers(c, method, version);
    if (c->phase == FN_PHASE_BODY) {
        size_t size = *upload_size;
        *upload_size = 0;
        return size ? take_body(c, upload, size) : serve(c);
    }
    if (c->phase != FN_PHASE_RESUMED || c->hang_up) return MHD_NO;
    return send_reply(c);
}

static void end_request(void *cls, struct MHD_Connection *mhd, void **request_context,
                        enum MHD_RequestTerminationCode code) {
    struct fn_http_lane *lane = cls;
    struct fn_http_connection *c = fn_connection_of(mhd);
    (void)request_context;
    if (!c || !c->request) return;
    struct fn_http_request *request = FN_TAKE(c->request);
    const struct fn_http_handlers *handlers = &lane->http->options.handlers;
    if (request->reply.status == 0) request->reply.status = FN_HTTP_CLIENT_GONE;
    if (request->arrived_ns)
        handlers->done(handlers->context, request,
                       code == MHD_REQUEST_TERMINATED_COMPLETED_OK && !c->hang_up);
    fn_request_free(request);
    fn_connection_enter(c, FN_PHASE_IDLE);
}

static void note_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                            enum MHD_ConnectionNotificationCode code) {
    fn_connection_note(cls, mhd, socket_context, code == MHD_CONNECTION_NOTIFY_CLOSED);
}

struct MHD_Daemon *fn_exchange_listen(struct fn_http_lane *lane, unsigned max_connections) {
    bool tls = lane->http->options.tls;
    const struct MHD_OptionItem with_tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, fn_tls_get_callback()},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    /* Without MHD_USE_ERROR_LOG: its texts quote what clients sent. */
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (tls ? MHD_USE_TLS : 0), 0, NULL, NULL, handle,
        lane, MHD_OPTION_LISTEN_SOCKET, lane->http->options.listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        max_connections, MHD_OPTION_URI_LOG_CALLBACK, begin_request, lane,
        MHD_OPTION_NOTIFY_COMPLETED, end_request, lane, MHD_OPTION_NOTIFY_CONNECTION,
        note_connection, lane, MHD_OPTION_ARRAY, tls ? with_tls : &with_tls[2], MHD_OPTION_END);
}
