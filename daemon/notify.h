/* SPDX-License-Identifier: Apache-2.0
 *
 * notify.h -- what the service manager is told (sd_notify(3)): "READY=1", "RELOADING=1",
 * "STOPPING=1", "WATCHDOG=1", "STATUS=...".
 *
 * The protocol is one datagram to the socket that $NOTIFY_SOCKET names, fixed by systemd's
 * interface promise; linking libsystemd for it would bring four compression and crypto libraries
 * into a process that reads strangers' bytes. */
#ifndef FN_NOTIFY_H
#define FN_NOTIFY_H

#include <stdint.h>

#include "engine/status.h"

/* Send assignments separated by newlines; a no-op without a manager. What cannot be delivered is
 * dropped: the manager's own time limits are the remedy. Any thread. */
void fn_notify(const char *format, ...) FN_PRINTF(1, 2);

/* Say that reading the configuration anew has begun; end it with "READY=1". */
void fn_notify_reloading(void);

/* How often the manager wants to hear "WATCHDOG=1" from this process, in ns; 0: never. */
int64_t fn_notify_watchdog_ns(void);

#endif
