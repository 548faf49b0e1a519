/* SPDX-License-Identifier: Apache-2.0
 *
 * guard.h -- what libmicrohttpd 0.9.75 lets through and a server behind a proxy must not.
 *
 * That version takes two Content-Length headers (the first wins), Content-Length together with
 * Transfer-Encoding, any Transfer-Encoding, names with spaces, and requests without Host. Two
 * servers that read such a request differently can be made to see different requests ("request
 * smuggling"). Each is 400 and the connection is closed. */
#ifndef FN_GUARD_H
#define FN_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/http/http.h"
#include "engine/status.h"

struct fn_framing {
    int64_t content_length; /* -1 when there is none */
    bool chunked;
    bool expects_continue;
};

/* Check version and headers, and find how the body is framed. FN_BAD_REQUEST. */
FN_MUST fn_status fn_guard_check(const char *version, const struct fn_http_header *headers,
                                 int n_headers, struct fn_framing *ret_framing,
                                 struct fn_error *err);

#endif
