/* SPDX-License-Identifier: Apache-2.0
 *
 * patience.h -- how long a connection may stay in each phase. A rule apart from the sockets it
 * ends, because slow clients are an attack and the rule is what stops it: every phase has an end,
 * whatever trickles in. */
#ifndef FN_PATIENCE_H
#define FN_PATIENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/http/http.h"

enum fn_phase {
    FN_PHASE_IDLE,
    FN_PHASE_HEADERS,
    FN_PHASE_BODY,
    FN_PHASE_WORK,    /* suspended: somebody else works on the request; its deadline is the limit */
    FN_PHASE_RESUMED, /* the reply is there, libmicrohttpd has not asked for it yet */
    FN_PHASE_REPLY,
};

struct fn_patience {
    enum fn_phase phase;
    size_t moved;  /* bytes of body received, or of the reply to send */
    bool fresh;    /* no request has come on this connection yet */
    bool departed; /* the client will send nothing more; the phase counts from then */
    bool crowded;  /* connections are nearly at their limit */
    bool draining; /* nothing new is accepted */
    bool stopping; /* and what is there has to end */
};

/* Nanoseconds from the beginning of the phase; INT64_MAX when it ends by itself. */
int64_t fn_patience_ns(const struct fn_patience *patience, const struct fn_http_limits *limits);

#endif
