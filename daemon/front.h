/* SPDX-License-Identifier: Apache-2.0
 *
 * front.h -- all listening sockets and the HTTP servers behind them, as one. Each socket has lanes
 * of its own and is judged by its own address. */
#ifndef FN_FRONT_H
#define FN_FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/config.h"
#include "daemon/http/listen.h"
#include "daemon/http/tls.h"
#include "daemon/server.h"
#include "engine/status.h"

struct fn_front; /* opaque */

/* Take over the sockets that the service manager hands over; without any, bind every address of
 * `config`. FN_USAGE (also what fn_front_check() says), FN_IO. */
FN_MUST fn_status fn_front_open(const struct fn_config *config, struct fn_front **ret_front,
                                struct fn_error *err);
/* Whether every socket may be served with this configuration (access.h). FN_USAGE. */
FN_MUST fn_status fn_front_check(const struct fn_front *front, const struct fn_config *config,
                                 struct fn_error *err);
/* Read the certificate that `config` names, if it names one. FN_IO, FN_USAGE. */
FN_MUST fn_status fn_front_load_tls(const struct fn_config *config, struct fn_tls **ret_tls,
                                    struct fn_error *err);
/* Listen and serve. On failure some may have started: fn_front_stop(). */
FN_MUST fn_status fn_front_start(struct fn_front *front, struct fn_server *server,
                                 struct fn_error *err);
/* Obey the limits of `config` from now on. */
void fn_front_set_limits(struct fn_front *front, const struct fn_config *config);
/* Borrowed; NULL beyond the last. */
const struct fn_listener *fn_front_listener(const struct fn_front *front, int index);

/* As fn_http_stalled_since_ns(), of all. */
int64_t fn_front_stalled_since_ns(struct fn_front *front);
/* As fn_http_drain(), fn_http_is_drained(), fn_http_stop() of each; NULL is a no-op. */
void fn_front_drain(struct fn_front *front);
bool fn_front_is_drained(const struct fn_front *front);
void fn_front_stop(struct fn_front *front);
/* Also closes the sockets. When no request can be handed back any more. NULL is a no-op. */
void fn_front_free(struct fn_front *front);

#endif
