/* SPDX-License-Identifier: Apache-2.0
 *
 * reload.h -- SIGHUP: read everything anew, and either all of it counts from then on or nothing
 * does.
 *
 * A thread of its own does it, so that signals and requests go on meanwhile: the configuration is
 * read and checked, keys and certificates are read, a changed model is opened on its device and
 * tested, and only then is one pointer exchanged. What cannot change in a running server
 * (addresses, threads, numbers of connections, TLS or not) is refused by name. */
#ifndef FN_RELOAD_H
#define FN_RELOAD_H

#include "daemon/flags.h"
#include "daemon/front.h"
#include "daemon/server.h"
#include "engine/status.h"

struct fn_reloader; /* opaque */

/* Start the thread; everything is borrowed. */
FN_MUST fn_status fn_reloader_start(const struct fn_flags *flags, struct fn_server *server,
                                    struct fn_front *front, struct fn_reloader **ret_reloader,
                                    struct fn_error *err);
/* Ask for a reload; several asked for while one runs are one. Any thread. */
void fn_reloader_ask(struct fn_reloader *reloader);
/* Wait for a running reload and end the thread. NULL is a no-op. */
void fn_reloader_stop(struct fn_reloader *reloader);

#endif
