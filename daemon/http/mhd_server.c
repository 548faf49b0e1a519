/* SPDX-License-Identifier: Apache-2.0
 *
 * mhd_server.c -- lanes: their threads, start and stop. lane.h says why it is done this way. */
#include "daemon/http/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "daemon/http/lane.h"
#include "engine/clock.h"
#include "engine/thread.h"

#define TICK_NS (20 * FN_NS_PER_MS)

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

static void take_limits(struct fn_http_lane *lane) {
    struct fn_http *http = lane->http;
    unsigned version = atomic_load(&http->limits_version);
    if (version == lane->limits_version) return;
    pthread_mutex_lock(&http->lock);
    lane->limits = http->limits;
    pthread_mutex_unlock(&http->lock);
    lane->limits_version = version;
}

static void *run_lane(void *arg) {
    struct fn_http_lane *lane = arg;
    struct pollfd fds[] = {{.fd = lane->mhd_epoll, .events = POLLIN},
                           {.fd = lane->finished.wake, .events = POLLIN},
                           {.fd = lane->watch, .events = POLLIN}};
    while (!lane->quiesced || lane->n_connections) {
        int n = poll(fds, 3, wait_ms(lane));
        int64_t now = fn_now_ns();
        atomic_store(&lane->turned_ns, now);
        take_limits(lane);
        fn_connection_resume_finished(lane);
        if (n > 0 && fds[2].revents) fn_connection_note_departures(lane);
        if (atomic_load(&lane->http->draining) && !lane->quiesced) quiesce(lane);
        if (now >= lane->next_tick_ns) {
            fn_connection_keep_time(lane, now);
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
    lane->limits = options->limits;
    lane->watch = epoll_create1(EPOLL_CLOEXEC);
    if (lane->watch < 0) return fn_fail(err, FN_IO, "cannot make an epoll: %s", strerror(errno));
    unsigned per_lane =
        (unsigned)((options->max_connections + options->lanes - 1) / options->lanes);
    lane->mhd = fn_exchange_listen(lane, per_lane);
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
        atomic_store(&lane->turned_ns, fn_now_ns());
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
    http->limits = options->limits;
    (void)pthread_mutex_init(&http->lock, NULL);
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

static void wake_lanes(struct fn_http *http) {
    for (int i = 0; i < http->n_lanes; i++) fn_mailbox_wake(&http->lanes[i].finished);
}

int64_t fn_http_stalled_since_ns(struct fn_http *http) {
    int64_t oldest = INT64_MAX;
    if (atomic_load(&http->draining)) return oldest;
    for (int i = 0; i < http->n_lanes; i++) {
        int64_t turned_ns = atomic_load(&http->lanes[i].turned_ns);
        if (turned_ns < oldest) oldest = turned_ns;
    }
    wake_lanes(http);
    return oldest;
}

void fn_http_set_limits(struct fn_http *http, const struct fn_http_limits *limits) {
    pthread_mutex_lock(&http->lock);
    http->limits = *limits;
    atomic_fetch_add(&http->limits_version, 1);
    pthread_mutex_unlock(&http->lock);
    wake_lanes(http);
}

void fn_http_drain(struct fn_http *http) {
    atomic_store(&http->draining, true);
    wake_lanes(http);
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
    pthread_mutex_destroy(&http->lock);
    free(http->lanes);
    free(http);
}
