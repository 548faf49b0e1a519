/* SPDX-License-Identifier: Apache-2.0
 *
 * access.h -- who may ask.
 *
 * A listener without keys on TCP can be reached by any web page that the machine's user opens: by
 * its own name resolving to 127.0.0.1 (DNS rebinding), or by a cross-site POST. So there only known
 * Host names are answered, and an Origin other than that Host is refused everywhere. */
#ifndef FN_ACCESS_H
#define FN_ACCESS_H

#include <stdbool.h>

#include "daemon/config.h"
#include "daemon/http/http.h"
#include "engine/status.h"

/* The listening socket that a request came by. */
struct fn_door {
    struct fn_server *server; /* borrowed */
    bool is_unix;             /* whoever may open the socket may ask */
    char host[64];            /* that is listened on, as in a URL */
};

/* FN_UNKNOWN_HOST or FN_FORBIDDEN. */
FN_MUST fn_status fn_access_check(const struct fn_config *config, const struct fn_door *door,
                                  const struct fn_http_request *request, struct fn_error *err);

#endif
