/* SPDX-License-Identifier: Apache-2.0
 *
 * mhd_connection.c -- connections and their time.
 *
 * While a request is worked on its connection is suspended, and MHD neither times it out nor sees
 * its client leave. So the lane keeps the time of every phase of every connection itself, ends what
 * is late by shutdown(2), and watches all sockets for EPOLLRDHUP. A client that closes its
 * sending half while it waits counts as gone. */
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "daemon/http/lane.h"
#include "daemon/http/reply.h"
#include "daemon/http/request.h"
#include "daemon/log.h"
#include "engine/clock.h"

#define LATE_GRACE_NS (20 * FN_NS_PER_MS) /* past a deadline, for whoever works to say so */
/* A lane that has not kept time for so long stood still. */
#define MISSED_NS (100 * FN_NS_PER_MS)

void fn_connection_enter(struct fn_http_connection *c, enum fn_phase phase) {
    c->phase = phase;
    c->phase_started_ns = fn_now_ns();
}

struct fn_http_connection *fn_connection_of(struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void watch_for_departure(struct fn_http_connection *c) {
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = c};
    /* Without the watch a departed client's work is done for nothing, no worse. */
    if (epoll_ctl(c->lane->watch, EPOLL_CTL_ADD, c->fd, &event) != 0)
        fn_log(FN_LOG_DEBUG, "event=watch_failed errno=%d", errno);
}

void fn_connection_note(struct fn_http_lane *lane, struct MHD_Connection *mhd,
                        void **socket_context, bool closed) {
    struct fn_http_figures *figures = lane->http->options.figures;
    if (closed) {
        struct fn_http_connection *c = *socket_context;
        if (!c) return;
        (void)epoll_ctl(lane->watch, EPOLL_CTL_DEL, c->fd, NULL);
        *c->link = c->next;
        if (c->next) c->next->link = c->link;
        lane->n_connections--;
        atomic_fetch_sub(&figures->connections, 1);
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
    atomic_fetch_add(&figures->connections, 1);
    atomic_fetch_add(&figures->accepted, 1);
    fn_connection_enter(c, FN_PHASE_IDLE);
    watch_for_departure(c);
}

static void resume(struct fn_http_connection *c) {
    fn_connection_enter(c, FN_PHASE_RESUMED);
    atomic_fetch_sub(&c->lane->http->options.figures->suspended, 1);
    MHD_resume_connection(c->mhd);
}

void fn_http_finish(struct fn_http_request *request) {
    fn_mailbox_post(&request->lane->finished, request);
}

void fn_connection_resume_finished(struct fn_http_lane *lane) {
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
        stand_in->reply.status = FN_HTTP_CLIENT_GONE;
    }
    if (err && stand_in) fn_reply_problem(stand_in, err);
    resume(c);
}

/* A client that leaves in the middle of a request is not reliably seen by MHD: when its last bytes
 * and the end of the stream come together, there is no second edge. */
void fn_connection_note_departures(struct fn_http_lane *lane) {
    struct epoll_event events[32];
    int n = epoll_wait(lane->watch, events, 32, 0);
    for (int i = 0; i < n; i++) {
        struct fn_http_connection *c = events[i].data.ptr;
        c->departed = true;
        if (c->phase == FN_PHASE_WORK)
            abandon(c, NULL);
        else
            fn_connection_enter(c, c->phase); /* what was sent last is still to be read */
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
    return fn_patience_ns(&patience, &c->lane->limits);
}

static void cut(struct fn_http_connection *c) {
    static const enum fn_http_cut phases[] = {[FN_PHASE_IDLE] = FN_CUT_IDLE,
                                              [FN_PHASE_HEADERS] = FN_CUT_HEADERS,
                                              [FN_PHASE_BODY] = FN_CUT_BODY,
                                              [FN_PHASE_REPLY] = FN_CUT_REPLY};
    struct fn_http_figures *figures = c->lane->http->options.figures;
    if (!c->cut && c->phase <= FN_PHASE_REPLY && c->phase != FN_PHASE_WORK &&
        c->phase != FN_PHASE_RESUMED)
        atomic_fetch_add(&figures->cut[phases[c->phase]], 1);
    c->cut = true;
    (void)shutdown(c->fd, SHUT_RDWR); /* MHD sees the end of the stream and closes */
}

/* A process that got no processor, or was stopped, has read nothing: what its clients have sent
 * meanwhile waits in the sockets, and they were not slow. */
static void forgive(struct fn_http_lane *lane, int64_t now) {
    int64_t missed_ns = now - lane->kept_ns;
    lane->kept_ns = now;
    if (missed_ns <= MISSED_NS) return;
    for (struct fn_http_connection *c = lane->connections; c; c = c->next) {
        c->phase_started_ns += missed_ns;
        if (c->phase_started_ns > now) c->phase_started_ns = now;
    }
}

/* A request that has come and is not read yet: its connection is not idle. */
static bool has_input(const struct fn_http_connection *c) {
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void fn_connection_keep_time(struct fn_http_lane *lane, int64_t now) {
    bool stopping = atomic_load(&lane->http->stopping);
    struct fn_error late, stopped;
    (void)fn_fail(&late, FN_DEADLINE_EXCEEDED, "no answer was ready within the deadline");
    (void)fn_fail(&stopped, FN_DRAINING, "the server stopped before the answer was ready");
    forgive(lane, now);
    for (struct fn_http_connection *c = lane->connections; c; c = c->next) {
        if (c->phase == FN_PHASE_WORK && stopping)
            abandon(c, &stopped);
        else if (c->phase == FN_PHASE_WORK && c->departed)
            abandon(c, NULL);
        else if (c->phase == FN_PHASE_WORK && now > c->request->deadline_ns + LATE_GRACE_NS)
            abandon(c, &late);
        else if (now - c->phase_started_ns > patience_ns(c) &&
                 (c->cut || c->phase != FN_PHASE_IDLE || !has_input(c)))
            cut(c);
    }
}
