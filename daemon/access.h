/* SPDX-License-Identifier: Apache-2.0
 *
 * access.h -- who may ask.
 *
 * A listener without keys on TCP can be reached by any web page that the machine's user opens: by
 * its own name resolving to 127.0.0.1 (DNS rebinding), or by a cross-site POST. So there only known
 * Host names are answered, and an Origin other than that Host is refused everywhere, but for those
 * that the configuration names. With keys every request by TCP brings one, and Host is free. */
#ifndef FN_ACCESS_H
#define FN_ACCESS_H

#include <stdbool.h>

#include "daemon/config.h"
#include "daemon/http/http.h"
#include "daemon/http/listen.h"
#include "daemon/keys.h"
#include "engine/status.h"

/* The listening socket that a request came by. */
struct fn_door {
    struct fn_server *server; /* borrowed */
    bool is_unix;             /* whoever may open the socket may ask: no key, any Host */
    bool is_loopback;         /* TCP that only this machine reaches */
    char host[64];            /* that is listened on, as in a URL */
};

/* Whether such a socket may be served with this configuration: one that others reach needs keys, or
 * the flag that says that it is known to be open. FN_USAGE. */
FN_MUST fn_status fn_access_check_listener(const struct fn_config *config,
                                           const struct fn_listener *listener,
                                           struct fn_error *err);

/* Whether the request comes from where it may; notes the page that may read the answer.
 * FN_UNKNOWN_HOST or FN_FORBIDDEN. `keys`: NULL when there are none. */
FN_MUST fn_status fn_access_check_place(const struct fn_config *config, const struct fn_keys *keys,
                                        const struct fn_door *door, struct fn_http_request *request,
                                        struct fn_error *err);

/* Whether it has the key it needs; fills the headers of a refusal. FN_UNAUTHORIZED, FN_FORBIDDEN,
 * FN_RATE_LIMITED. */
FN_MUST fn_status fn_access_check_key(struct fn_keys *keys, const struct fn_door *door,
                                      struct fn_http_request *request, enum fn_scope scope,
                                      struct fn_error *err);

#endif
