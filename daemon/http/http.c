/* SPDX-License-Identifier: Apache-2.0
 *
 * http.c -- the only file that knows libmicrohttpd.
 *
 * Lanes: each lane is one thread with its own MHD daemon on the shared listening socket, driven by
 * external epoll (MHD_run). Of the ways to drive libmicrohttpd 0.9.75 this is the one that neither
 * aborts nor loses connections when a daemon stops: the listening socket is quiesced in the thread
 * that polls it, connections are resumed and run down to none, and only then is the daemon stopped.
 * Everything of a connection happens in its lane; other threads reach a lane through its list of
 * finished requests and its eventfd alone.
 *
 * While a request is worked on its connection is suspended, and MHD neither times it out nor sees
 * its client leave. So the lane keeps the time of every phase of every connection itself, ends what
 * is late by shutdown(2), and watches all sockets for EPOLLRDHUP. A client that closes its
 * sending half while it waits counts as gone.
 *
 * A reply queued in MHD's first call for a request closes the connection; so first calls reply only
 * to what must be closed (framing that cannot be trusted, bodies not worth reading). */
#include "daemon/http/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/http/guard.h"
#include "daemon/http/mailbox.h"
#include "daemon/http/patience.h"
#include "daemon/http/reply.h"
#include "daemon/http/request.h"
#include "daemon/log.h"
#include "daemon/thread.h"
#include "engine/cleanup.h"

#define SMALL_BODY         65536 /* bytes: a refused body up to this is read, to keep the connection */
#define TICK_NS            (20 * FN_NS_PER_MS)
#define LATE_GRACE_NS      (20 * FN_NS_PER_MS) /* past a deadline, for whoever works to say so */
#define STATUS_CLIENT_GONE 499                 /* for the log only */

struct fn_http_connection {
    struct fn_http_lane *lane;
    struct fn_http_connection *next, **link; /* list of the lane */
    struct MHD_Connection *mhd;
    int fd;
    enum fn_phase phase;
    int64_t phase_started_ns;
    struct fn_http_request *request; /* NULL when idle */
    size_t moved;                    /* bytes of body, kept or dropped; of the reply */
    struct fn_error refusal;         /* FN_OK, or the answer once the body has been read */
    bool fresh;                      /* no request has come yet */
    bool departed;                   /* the client will send nothing more */
    bool hang_up;                    /* close without a reply when resumed */
};

struct fn_http_lane {
    struct fn_http *http;
    pthread_t thread;
    struct MHD_Daemon *mhd;
    int mhd_epoll; /* borrowed from mhd */
    int watch;     /* epoll of suspended sockets */
    bool quiesced;
    int n_connections;
    struct fn_http_connection *connections;
    int64_t next_tick_ns;
    struct fn_mailbox finished;
};

struct fn_http {
    struct fn_http_options options;
    atomic_size_t inflight; /* bytes of all bodies */
    atomic_bool draining, stopping;
    atomic_int running; /* lanes */
    int n_lanes;        /* running */
    bool joined;
    struct fn_http_lane *lanes;
};

static void enter(struct fn_http_connection *c, enum fn_phase phase) {
    c->phase = phase;
    c->phase_started_ns = fn_now_ns();
}

static struct fn_http_connection *connection_of(struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* ---- replies ----------------------------------------------------------------------------- */

static enum MHD_Result send_reply(struct fn_http_connection *c) {
    struct fn_http_request *request = c->request;
    struct fn_http_reply *reply = &request->reply;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(reply->body_size, reply->body, MHD_RESPMEM_MUST_FREE);
    if (!response) return MHD_NO;
    reply->body = NULL;
    bool ok = MHD_add_response_header(response, "X-Request-Id", request->id) == MHD_YES &&
              MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
              MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES;
    if (reply->content_type)
        ok &= MHD_add_response_header(response, "Content-Type", reply->content_type) == MHD_YES;
    for (int i = 0; i < reply->n_headers; i++)
        ok &= MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value) ==
              MHD_YES;
    if (atomic_load(&c->lane->http->draining))
        ok &= MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    enter(c, FN_PHASE_REPLY);
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
    struct fn_http_connection *c = connection_of(mhd);
    if (!c) return NULL;
    c->request = fn_request_new(target, &lane->http->inflight);
    c->refusal.status = FN_OK;
    c->moved = 0;
    c->fresh = false;
    enter(c, FN_PHASE_HEADERS);
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
    const struct fn_http_options *options = &c->lane->http->options;
    struct fn_http_request *request = c->request;
    struct header_list list = {.n = 0};
    struct fn_framing framing = {.content_length = -1};
    struct fn_error err = {.status = FN_OK};
    request->method = fn_request_method(method);
    request->arrived_ns = fn_now_ns();
    (void)MHD_get_connection_values_n(c->mhd, MHD_HEADER_KIND, collect_header, &list);
    fn_status status = fn_request_set_headers(request, list.headers, list.n, &err);
    if (status == FN_OK)
        status = fn_guard_check(version, request->method, request->headers, request->n_headers,
                                &framing, &err);
    if (status != FN_OK) return send_problem(c, &err);

    status = options->handlers.admit(options->handlers.context, request, &err);
    if (status == FN_OK && framing.content_length > (int64_t)options->max_body)
        status = fn_fail(&err, FN_BODY_TOO_LARGE, "body is %lld bytes, at most %zu are accepted",
                         (long long)framing.content_length, options->max_body);
    if (status != FN_OK) {
        bool small = framing.content_length <= SMALL_BODY && !framing.chunked &&
                     (!framing.expects_continue || framing.content_length <= 0);
        if (!small) return send_problem(c, &err);
        c->refusal = err;
    }
    enter(c, FN_PHASE_BODY);
    return MHD_YES;
}

static enum MHD_Result take_body(struct fn_http_connection *c, const char *bytes, size_t size) {
    const struct fn_http_options *options = &c->lane->http->options;
    c->moved += size;
    if (c->refusal.status == FN_OK) {
        if (fn_request_append_body(c->request, bytes, size, options->max_body,
                                   options->max_inflight_bytes, &c->refusal) != FN_OK)
            fn_request_drop_body(c->request);
        return MHD_YES;
    }
    /* MHD takes no reply before the end of a body: read on to deliver it, but not for ever. */
    return c->moved > 2 * options->max_body ? MHD_NO : MHD_YES;
}

static enum MHD_Result serve(struct fn_http_connection *c) {
    const struct fn_http_options *options = &c->lane->http->options;
    if (c->refusal.status != FN_OK) return send_problem(c, &c->refusal);
    c->request->deadline_ns = fn_now_ns() + options->deadline_ms * FN_NS_PER_MS;
    if (options->handlers.serve(options->handlers.context, c->request)) return send_reply(c);
    /* The request may be finished by now, but this thread is the one that will resume it. */
    enter(c, FN_PHASE_WORK);
    MHD_suspend_connection(c->mhd);
    return MHD_YES;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *mhd, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request_context) {
    struct fn_http_connection *c = connection_of(mhd);
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
    struct fn_http_connection *c = connection_of(mhd);
    (void)request_context;
    if (!c || !c->request) return;
    struct fn_http_request *request = FN_TAKE(c->request);
    const struct fn_http_handlers *handlers = &lane->http->options.handlers;
    if (request->arrived_ns)
        handlers->done(handlers->context, request,
                       code == MHD_REQUEST_TERMINATED_COMPLETED_OK && !c->hang_up);
    fn_request_free(request);
    enter(c, FN_PHASE_IDLE);
}

static void watch_for_departure(struct fn_http_connection *c) {
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = c};
    /* Without the watch a departed client's work is done for nothing, no worse. */
    if (epoll_ctl(c->lane->watch, EPOLL_CTL_ADD, c->fd, &event) != 0)
        fn_log(FN_LOG_DEBUG, "event=watch_failed errno=%d", errno);
}

static void note_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                            enum MHD_ConnectionNotificationCode code) {
    struct fn_http_lane *lane = cls;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        struct fn_http_connection *c = *socket_context;
        if (!c) return;
        (void)epoll_ctl(lane->watch, EPOLL_CTL_DEL, c->fd, NULL);
        *c->link = c->next;
        if (c->next) c->next->link = c->link;
        lane->n_connections--;
        free(c);
        *socket_context = NULL;
        return;
    }
    struct fn_http_connection *c = calloc(1, sizeof *c);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    *socket_context = c;
    if (!c || !info) return; /* handle() hangs up for want of a request */
    c->lane = lane;
    c->mhd = mhd;
    c->fd = info->connect_fd;
    c->fresh = true;
    c->next = lane->connections;
    c->link = &lane->connections;
    if (c->next) c->next->link = &c->next;
    lane->connections = c;
    lane->n_connections++;
    enter(c, FN_PHASE_IDLE);
    watch_for_departure(c);
}

/* ---- the lane's thread ------------------------------------------------------------------- */

static void resume(struct fn_http_connection *c) {
    enter(c, FN_PHASE_RESUMED);
    MHD_resume_connection(c->mhd);
}

void fn_http_finish(struct fn_http_request *request) {
    fn_mailbox_post(&request->lane->finished, request);
}

static void resume_finished(struct fn_http_lane *lane) {
    struct fn_http_request *next, *request = fn_mailbox_take(&lane->finished);
    for (; request; request = next) {
        next = request->next;
        if (request->connection)
            resume(request->connection);
        else
            fn_request_free(request);
    }
}

/* Take a connection away from whoever works on its request. NULL: nobody is left to answer. */
static void abandon(struct fn_http_connection *c, const struct fn_error *err) {
    struct fn_http_request *request = c->request;
    struct fn_http_request *stand_in = fn_request_stand_in(request);
    atomic_store(&request->gone, true);
    request->connection = NULL;
    c->request = stand_in;
    c->hang_up = !err || !stand_in;
    if (stand_in) {
        stand_in->connection = c;
        stand_in->reply.status = STATUS_CLIENT_GONE;
    }
    if (err && stand_in) fn_reply_problem(stand_in, err);
    resume(c);
}

/* A client that leaves in the middle of a request is not reliably seen by MHD: when its last bytes
 * and the end of the stream come together, there is no second edge. */
static void note_departures(struct fn_http_lane *lane) {
    struct epoll_event events[32];
    int n = epoll_wait(lane->watch, events, 32, 0);
    for (int i = 0; i < n; i++) {
        struct fn_http_connection *c = events[i].data.ptr;
        c->departed = true;
        if (c->phase == FN_PHASE_WORK)
            abandon(c, NULL);
        else
            enter(c, c->phase); /* what was sent last is still to be read */
    }
}

static int64_t patience_ns(const struct fn_http_connection *c) {
    const struct fn_http *http = c->lane->http;
    struct fn_patience patience = {
        .phase = c->phase,
        .moved = c->moved,
        .fresh = c->fresh,
        .departed = c->departed,
        .crowded =
            c->lane->n_connections * http->options.lanes > http->options.max_connections / 8 * 7,
        .draining = atomic_load(&http->draining),
        .stopping = atomic_load(&http->stopping),
    };
    return fn_patience_ns(&patience, &http->options);
}

static void keep_time(struct fn_http_lane *lane, int64_t now) {
    bool stopping = atomic_load(&lane->http->stopping);
    struct fn_error late, stopped;
    (void)fn_fail(&late, FN_DEADLINE_EXCEEDED, "no answer was ready within the deadline");
    (void)fn_fail(&stopped, FN_DRAINING, "the server stopped before the answer was ready");
    for (struct fn_http_connection *c = lane->connections; c; c = c->next) {
        if (c->phase == FN_PHASE_WORK && stopping)
            abandon(c, &stopped);
        else if (c->phase == FN_PHASE_WORK && c->departed)
            abandon(c, NULL);
        else if (c->phase == FN_PHASE_WORK && now > c->request->deadline_ns + LATE_GRACE_NS)
            abandon(c, &late);
        else if (now - c->phase_started_ns > patience_ns(c))
            (void)shutdown(c->fd, SHUT_RDWR); /* MHD sees the end of the stream and closes */
    }
}

static int wait_ms(const struct fn_http_lane *lane) {
    MHD_UNSIGNED_LONG_LONG timeout;
    int tick = lane->n_connections ? (int)(TICK_NS / FN_NS_PER_MS) : -1;
    if (MHD_get_timeout(lane->mhd, &timeout) != MHD_YES) return tick;
    return tick < 0 || timeout < (unsigned)tick ? (int)(timeout < 1000 ? timeout : 1000) : tick;
}

/* What the kernel has already accepted for us is ours to answer. */
static void quiesce(struct fn_http_lane *lane) {
    struct pollfd listening = {.fd = lane->http->options.listen_fd, .events = POLLIN};
    for (int i = 0; i < 64 && poll(&listening, 1, 0) > 0; i++) (void)MHD_run(lane->mhd);
    (void)MHD_quiesce_daemon(lane->mhd);
    lane->quiesced = true;
}

static void *run_lane(void *arg) {
    struct fn_http_lane *lane = arg;
    struct pollfd fds[] = {{.fd = lane->mhd_epoll, .events = POLLIN},
                           {.fd = lane->finished.wake, .events = POLLIN},
                           {.fd = lane->watch, .events = POLLIN}};
    while (!lane->quiesced || lane->n_connections) {
        int n = poll(fds, 3, wait_ms(lane));
        resume_finished(lane);
        if (n > 0 && fds[2].revents) note_departures(lane);
        if (atomic_load(&lane->http->draining) && !lane->quiesced) quiesce(lane);
        int64_t now = fn_now_ns();
        if (now >= lane->next_tick_ns) {
            keep_time(lane, now);
            lane->next_tick_ns = now + TICK_NS;
        }
        /* At its limit of connections MHD stops listening, and listens again only in the run after
         * the one that closed some. */
        int before;
        do {
            before = lane->n_connections;
            (void)MHD_run(lane->mhd);
        } while (lane->n_connections < before);
    }
    MHD_stop_daemon(lane->mhd);
    atomic_fetch_sub(&lane->http->running, 1);
    return NULL;
}

/* ---- start and stop ---------------------------------------------------------------------- */

static fn_status open_lane(struct fn_http *http, struct fn_http_lane *lane, struct fn_error *err) {
    const struct fn_http_options *options = &http->options;
    lane->http = http;
    lane->watch = epoll_create1(EPOLL_CLOEXEC);
    if (lane->watch < 0) return fn_fail(err, FN_IO, "cannot make an epoll: %s", strerror(errno));
    unsigned per_lane =
        (unsigned)((options->max_connections + options->lanes - 1) / options->lanes);
    /* Without MHD_USE_ERROR_LOG: its texts quote what clients sent. */
    lane->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, lane,
        MHD_OPTION_LISTEN_SOCKET, options->listen_fd, MHD_OPTION_CONNECTION_LIMIT, per_lane,
        MHD_OPTION_URI_LOG_CALLBACK, begin_request, lane, MHD_OPTION_NOTIFY_COMPLETED, end_request,
        lane, MHD_OPTION_NOTIFY_CONNECTION, note_connection, lane, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        lane->mhd ? MHD_get_daemon_info(lane->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) return fn_fail(err, FN_IO, "libmicrohttpd does not start");
    lane->mhd_epoll = info->epoll_fd;
    return FN_OK;
}

/* Start one lane's thread; it ends by itself once the server drains. */
static fn_status start_lane(struct fn_http *http, struct fn_http_lane *lane, struct fn_error *err) {
    fn_status status = fn_mailbox_open(&lane->finished, err);
    if (status != FN_OK) return status;
    status = open_lane(http, lane, err);
    if (status == FN_OK) {
        atomic_fetch_add(&http->running, 1);
        if (fn_thread_start(&lane->thread, run_lane, lane) == 0) return FN_OK;
        atomic_fetch_sub(&http->running, 1);
        MHD_stop_daemon(lane->mhd);
        status = fn_fail(err, FN_IO, "cannot start a thread");
    }
    if (lane->watch >= 0) (void)close(lane->watch);
    fn_mailbox_close(&lane->finished);
    return status;
}

fn_status fn_http_start(const struct fn_http_options *options, struct fn_http **ret_http,
                        struct fn_error *err) {
    struct fn_http *http = calloc(1, sizeof *http);
    if (http) http->lanes = calloc((size_t)options->lanes, sizeof *http->lanes);
    if (!http || !http->lanes) {
        free(http);
        return fn_fail(err, FN_NO_MEMORY, "no memory for %d lanes", options->lanes);
    }
    http->options = *options;
    for (int i = 0; i < options->lanes; i++) {
        fn_status status = start_lane(http, &http->lanes[i], err);
        if (status != FN_OK) {
            fn_http_stop(http);
            fn_http_free(http);
            return status;
        }
        http->n_lanes++;
    }
    *ret_http = http;
    return FN_OK;
}

void fn_http_drain(struct fn_http *http) {
    atomic_store(&http->draining, true);
    for (int i = 0; i < http->n_lanes; i++) fn_mailbox_wake(&http->lanes[i].finished);
}

bool fn_http_is_drained(const struct fn_http *http) {
    return atomic_load(&http->running) == 0;
}

void fn_http_stop(struct fn_http *http) {
    if (http->joined) return;
    atomic_store(&http->stopping, true);
    fn_http_drain(http);
    for (int i = 0; i < http->n_lanes; i++) (void)pthread_join(http->lanes[i].thread, NULL);
    http->joined = true;
}

void fn_http_free(struct fn_http *http) {
    if (!http) return;
    for (int i = 0; i < http->n_lanes; i++) {
        fn_mailbox_close(&http->lanes[i].finished);
        (void)close(http->lanes[i].watch);
    }
    free(http->lanes);
    free(http);
}
