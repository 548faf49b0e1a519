/* SPDX-License-Identifier: Apache-2.0
 *
 * lane.h -- private to the files mhd_*.c, the only ones that know libmicrohttpd.
 *
 * Lanes: each lane is one thread with its own MHD daemon on the shared listening socket, driven by
 * external epoll (MHD_run). Of the ways to drive libmicrohttpd 0.9.75 this is the one that neither
 * aborts nor loses connections when a daemon stops: the listening socket is quiesced in the thread
 * that polls it, connections are resumed and run down to none, and only then is the daemon stopped.
 * Everything of a connection happens in its lane; other threads reach a lane through its list of
 * finished requests and its eventfd alone. */
#ifndef FN_LANE_H
#define FN_LANE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/http/http.h"
#include "daemon/http/mailbox.h"
#include "daemon/http/patience.h"
#include "engine/status.h"

struct MHD_Connection;
struct MHD_Daemon;

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
    bool cut;                        /* ended for being slow */
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
    int64_t next_tick_ns, kept_ns; /* when time is to be kept, and was */
    atomic_int_fast64_t turned_ns; /* start of the latest turn, for whoever watches */
    struct fn_mailbox finished;
    struct fn_http_limits limits; /* the lane's own copy */
    unsigned limits_version;
};

struct fn_http {
    struct fn_http_options options;
    atomic_bool draining, stopping;
    atomic_int running; /* lanes */
    int n_lanes;        /* running */
    bool joined;
    struct fn_http_lane *lanes;
    pthread_mutex_t lock;         /* guards `limits` */
    struct fn_http_limits limits; /* what lanes copy when the version changes */
    atomic_uint limits_version;
};

/* ---- mhd_connection.c ---- */

/* A connection was accepted or has closed. */
void fn_connection_note(struct fn_http_lane *lane, struct MHD_Connection *mhd,
                        void **socket_context, bool closed);
/* Ours of MHD's, or NULL. */
struct fn_http_connection *fn_connection_of(struct MHD_Connection *mhd);
void fn_connection_enter(struct fn_http_connection *c, enum fn_phase phase);
/* Take back what others have finished. */
void fn_connection_resume_finished(struct fn_http_lane *lane);
/* Clients that have left since the last call. */
void fn_connection_note_departures(struct fn_http_lane *lane);
/* End what is late. */
void fn_connection_keep_time(struct fn_http_lane *lane, int64_t now);

/* ---- mhd_exchange.c ---- */

/* Start an MHD daemon for the lane, with a request's callbacks. NULL when it does not start. */
struct MHD_Daemon *fn_exchange_listen(struct fn_http_lane *lane, unsigned max_connections);

#endif
