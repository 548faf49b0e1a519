/* SPDX-License-Identifier: Apache-2.0
 *
 * http.h -- HTTP as the rest of the daemon sees it: requests come in whole, replies go out whole.
 * libmicrohttpd stays behind the files mhd_*.c.
 *
 * A request belongs to one thread at a time: to its lane until serve() returns, then, if serve()
 * took it, to whoever works on it until fn_http_finish(). A client that leaves or a deadline that
 * passes in the meantime raises `gone`: what is done then is thrown away, so stop early. */
#ifndef FN_HTTP_H
#define FN_HTTP_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/status.h"

#define FN_REQUEST_ID_SIZE   65
#define FN_MAX_HEADERS       64
#define FN_MAX_REPLY_HEADERS 8
#define FN_ORIGIN_SIZE       96
#define FN_HTTP_CLIENT_GONE  499 /* status of a request that nobody was left to answer */

enum fn_http_method {
    FN_HTTP_GET,
    FN_HTTP_HEAD,
    FN_HTTP_POST,
    FN_HTTP_OPTIONS,
    FN_HTTP_OTHER,
};

/* Not NUL-terminated; borrowed. Values come without the white space around them. */
struct fn_http_header {
    const char *name, *value;
    size_t name_size, value_size;
};

/* What a foreign protocol says in the place of `problem` (stolen; with request_id, and
 * retry_after_ms where that is known), as application/json. May change *status. NULL when memory is
 * out. */
struct fn_http_request;
typedef json_t *fn_http_reword(const struct fn_http_request *request, json_t *problem,
                               const struct fn_error *err, int *status);

struct fn_http_reply {
    int status;
    bool cacheable;           /* the handler says by its own headers how; otherwise no-store */
    const char *content_type; /* static, or NULL without a body */
    char *body;               /* owned, malloc() */
    size_t body_size;
    int n_headers;
    struct {
        const char *name;  /* static */
        const char *value; /* static, or `copy` */
        char copy[96];
    } headers[FN_MAX_REPLY_HEADERS];
};

struct fn_http_request {
    enum fn_http_method method;
    char *target; /* as on the request line; owned */
    int n_headers;
    struct fn_http_header headers[FN_MAX_HEADERS];
    char *header_bytes; /* what headers borrow from; owned */
    uint8_t *body;      /* owned */
    size_t body_size;
    char id[FN_REQUEST_ID_SIZE];
    int64_t content_length; /* as promised by the headers; -1: not promised */
    int64_t arrived_ns;     /* headers complete */
    int64_t deadline_ns;    /* set when serve() is called; serve() may bring it forward */
    char allow_origin[FN_ORIGIN_SIZE]; /* a web page's that may read the answer, or "" */
    atomic_bool gone;                  /* nobody waits for the reply any more */
    bool is_expected;                  /* counted into the load, with expected_ns; the handlers' */
    const void *route;                 /* for the handlers; NULL before admit() */
    fn_http_reword *reword;            /* how the route words its errors; NULL: RFC 9457 */
    int64_t expected_ns;
    long retry_after_ms; /* what a refusal says about trying again; 0: the usual */
    fn_status status;    /* what became of it, for the log line */
    struct fn_http_reply reply;

    /* Private to the files of this folder. */
    struct fn_http_lane *lane;
    struct fn_http_connection *connection; /* lane thread only; NULL when nobody waits */
    struct fn_http_request *next;
    size_t body_capacity;    /* bytes allocated */
    atomic_size_t *inflight; /* bytes of all bodies, of which body_capacity are ours; borrowed */
};

/* What the daemon does with requests. Called in lane threads: nothing here may block. */
struct fn_http_handlers {
    void *context;
    /* Headers have come, well formed or not. */
    void (*received)(void *context, const struct fn_http_request *request);
    /* Headers are complete and well formed, the body is still to come. Anything but FN_OK refuses;
     * headers for the refusal ("Allow") may be added to the reply. */
    fn_status (*admit)(void *context, struct fn_http_request *request, struct fn_error *err);
    /* The request is whole. True: the reply is filled. False: fn_http_finish() will be called, by
     * any thread, perhaps already before this returns. */
    bool (*serve)(void *context, struct fn_http_request *request);
    /* The reply was handed over or the client is gone. Once for every request whose headers came,
     * after received() for the same. */
    void (*done)(void *context, struct fn_http_request *request, bool delivered);
};

/* What may change while the server runs. */
struct fn_http_limits {
    size_t max_body;           /* bytes */
    size_t max_inflight_bytes; /* of all bodies together */
    int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms;
    int64_t min_rate; /* bytes a second that bodies and replies must move at after their timeout */
    int64_t deadline_ms;
};

enum fn_http_cut { FN_CUT_IDLE, FN_CUT_HEADERS, FN_CUT_BODY, FN_CUT_REPLY, FN_CUT_PHASES };

/* Figures of all servers that share them. */
struct fn_http_figures {
    atomic_size_t inflight; /* bytes of all bodies */
    atomic_int connections, suspended;
    atomic_ullong accepted;           /* connections, ever */
    atomic_ullong cut[FN_CUT_PHASES]; /* connections ended for being slow, by what they did */
};

struct fn_http_options {
    int listen_fd; /* bound, listening, non-blocking; borrowed: close it after fn_http_free() */
    bool tls;      /* with what fn_tls_use() was given */
    int lanes;     /* threads */
    int max_connections;
    struct fn_http_limits limits;
    struct fn_http_figures *figures; /* borrowed; several servers may share them */
    struct fn_http_handlers handlers;
};

struct fn_http; /* opaque */

FN_MUST fn_status fn_http_start(const struct fn_http_options *options, struct fn_http **ret_http,
                                struct fn_error *err);

/* Lanes obey from their next turn on. Any thread. */
void fn_http_set_limits(struct fn_http *http, const struct fn_http_limits *limits);

/* Hand a request back with its reply filled. Any thread; the request is the lane's from then on. */
void fn_http_finish(struct fn_http_request *request);

/* When the lane that has not turned for longest last did. Wakes them all, so that the next call
 * tells one that stands still from one with nothing to do. INT64_MAX while they drain. */
int64_t fn_http_stalled_since_ns(struct fn_http *http);

/* Stop accepting, close idle connections, answer what was accepted; returns at once. */
void fn_http_drain(struct fn_http *http);
/* Whether all lanes have ended. */
bool fn_http_is_drained(const struct fn_http *http);
/* Answer what is still waiting with 503, cut the rest, and wait for the lanes to end. Requests in
 * work may still be finished until fn_http_free(). */
void fn_http_stop(struct fn_http *http);
/* After fn_http_stop() and when no thread can call fn_http_finish() any more. NULL is a no-op. */
void fn_http_free(struct fn_http *http);

#endif
