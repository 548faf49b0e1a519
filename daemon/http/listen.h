/* SPDX-License-Identifier: Apache-2.0
 *
 * listen.h -- listening sockets: "host:port" on a loopback address, "unix:/path", or whatever the
 * service manager hands over (systemd's socket activation: $LISTEN_PID, $LISTEN_FDS). Each tells
 * its own address, wherever it comes from; whether that may be served is access.h's business. */
#ifndef FN_LISTEN_H
#define FN_LISTEN_H

#include <stdbool.h>

#include "engine/status.h"

#define FN_MAX_LISTENERS 8

struct fn_listener {
    int fd;
    bool is_unix;
    bool is_loopback;  /* TCP that only this machine reaches */
    bool is_inherited; /* listening already; the service manager's to remove */
    char path[108];    /* of a Unix socket; empty for an abstract one */
    char host[64];     /* as in a URL: "127.0.0.1", "[::1]"; "localhost" for a Unix socket */
    int port;
};

/* Bind. Nothing is accepted before fn_listener_start(), so that a client meets either nobody or a
 * server that is ready. FN_USAGE when the text is malformed, FN_IO when it cannot be had. */
FN_MUST fn_status fn_listener_open(const char *listen, struct fn_listener *ret_listener,
                                   struct fn_error *err);
/* What fn_listener_open() would give, without a socket: for checking. */
FN_MUST fn_status fn_listener_probe(const char *listen, struct fn_listener *ret_listener,
                                    struct fn_error *err);
/* Take over the sockets that this process was started with; *ret_n is 0 when there are none. They
 * stay open for the service manager, who keeps new clients waiting in them while we restart. To be
 * called once: it clears the variables that announce them. FN_USAGE for more than FN_MAX_LISTENERS
 * and for what is no listening stream socket. */
FN_MUST fn_status fn_listeners_inherit(struct fn_listener ret_listeners[FN_MAX_LISTENERS],
                                       int *ret_n, struct fn_error *err);
/* Begin to listen; a no-op for an inherited one. */
FN_MUST fn_status fn_listener_start(const struct fn_listener *listener, struct fn_error *err);
/* Also removes the Unix socket, unless it was inherited. */
void fn_listener_close(struct fn_listener *listener);

#endif
