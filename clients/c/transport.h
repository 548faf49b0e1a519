/* SPDX-License-Identifier: Apache-2.0
 *
 * transport.h -- requests over HTTP; the only file behind it knows libcurl.
 *
 * A transport holds the settings and the sessions that nobody uses; a session is one thread's set
 * of connections for the time of one call, and goes back with its connections kept alive. So many
 * threads share a transport without waiting for each other, and libcurl's handles, which belong to
 * one thread at a time, never meet. */
#ifndef FNC_TRANSPORT_H
#define FNC_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "clients/c/server.h"

#define FNC_MAX_SLOTS 64
#define FNC_MAX_PARTS 2

struct fnc_part {
    const char *name; /* of the form's field */
    const void *bytes;
    size_t size;
};

/* Borrowed, all of it, until the slot is finished. */
struct fnc_request {
    const char *target;       /* "/embed?..." */
    const char *content_type; /* of `body` */
    struct fnc_part body;     /* bytes NULL: none */
    struct fnc_part parts[FNC_MAX_PARTS];
    int n_parts; /* 0: `body`, or with neither a GET; else a form */
};

enum fnc_outcome {
    FNC_ANSWERED,
    FNC_BROKEN,    /* no connection, or it ended early: worth another try */
    FNC_LATE,      /* the time was over */
    FNC_TOO_LARGE, /* more than max_answer */
    FNC_HOPELESS,  /* trying again would fail the same way: the certificate, the protocol */
    FNC_STARVED,   /* no memory */
};

struct fnc_response {
    enum fnc_outcome outcome;
    long http_status;       /* when answered */
    int64_t retry_after_ms; /* of the header, when answered; -1: none */
    char *body;             /* owned, NUL-terminated; may be NULL when not answered */
    size_t size;
    char detail[200]; /* when not answered */
};

struct fnc_transport;
struct fnc_session;

enum facenet_status fnc_transport_new(const struct fnc_server *server,
                                      struct fnc_transport **ret_transport,
                                      struct facenet_error *err);
/* No session may be out. */
void fnc_transport_free(struct fnc_transport *transport);
/* Before any session is taken; false without memory. */
bool fnc_transport_set_api_key(struct fnc_transport *transport, const char *key);
bool fnc_transport_set_ca_file(struct fnc_transport *transport, const char *path);
bool fnc_transport_set_proxy(struct fnc_transport *transport, const char *url);
void fnc_transport_set_max_answer(struct fnc_transport *transport, size_t bytes);

/* One for this thread; NULL without memory. Until it is given back SIGPIPE is blocked in the
 * thread: TLS writes to a closed connection would raise it. */
struct fnc_session *fnc_session_take(struct fnc_transport *transport);
/* Drops what is still under way. */
void fnc_session_give(struct fnc_session *session);

/* Begin a request in slot 0...FNC_MAX_SLOTS - 1, which must be free. False without memory. */
bool fnc_session_begin(struct fnc_session *session, int slot, const struct fnc_request *request,
                       int64_t timeout_ms);
/* Wait at most wait_ms for a slot to finish; -1: none has. `ret_response` is the caller's. */
int fnc_session_wait(struct fnc_session *session, int64_t wait_ms,
                     struct fnc_response *ret_response);

#endif
