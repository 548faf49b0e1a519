/* SPDX-License-Identifier: Apache-2.0
 *
 * listen.h -- the listening socket: "host:port" on a loopback address, or "unix:/path". */
#ifndef FN_LISTEN_H
#define FN_LISTEN_H

#include <stdbool.h>

#include "engine/status.h"

struct fn_listener {
    int fd;
    bool is_unix;
    char path[108]; /* of a Unix socket */
    char host[64];  /* as in a URL: "127.0.0.1", "[::1]"; "localhost" for a Unix socket */
    int port;
};

/* Bind. Nothing is accepted before fn_listener_start(), so that a client meets either nobody or a
 * server that is ready. FN_USAGE when the text is malformed or the address is not loopback (without
 * keys nobody else may ask), FN_IO when it cannot be had. */
FN_MUST fn_status fn_listener_open(const char *listen, struct fn_listener *ret_listener,
                                   struct fn_error *err);
FN_MUST fn_status fn_listener_start(const struct fn_listener *listener, struct fn_error *err);
/* Also removes the Unix socket. */
void fn_listener_close(struct fn_listener *listener);

#endif
