/* SPDX-License-Identifier: Apache-2.0
 *
 * watchdog.h -- tells the service manager that we are alive, as long as we are.
 *
 * "Alive" is progress, not a thread that can still send datagrams: every lane has gone round, and
 * no worker and no batch has been at the same piece of work, or left work waiting, for too long.
 * When that stops being so the messages stop, the reason is logged, and the manager kills and
 * restarts. */
#ifndef FN_WATCHDOG_H
#define FN_WATCHDOG_H

#include <stdint.h>

#include "engine/status.h"

/* One thing that must move. */
struct fn_watchdog_part {
    const char *name;
    /* When what has stood still for longest began to (engine/clock.h); INT64_MAX: all moves, or
     * there is nothing to do. Called in the watchdog's thread. */
    int64_t (*stalled_since_ns)(void *context);
    void *context;
};

#define FN_WATCHDOG_PARTS 4

struct fn_watchdog; /* opaque */

/* Send "WATCHDOG=1" four times in period_ns while no part has stood still for half of it. */
FN_MUST fn_status fn_watchdog_start(int64_t period_ns, const struct fn_watchdog_part *parts,
                                    int n_parts, struct fn_watchdog **ret_watchdog,
                                    struct fn_error *err);
/* NULL is a no-op. */
void fn_watchdog_stop(struct fn_watchdog *watchdog);

/* The rule alone: index of the first part that has stood still for longer than patience_ns, or -1.
 */
int fn_watchdog_find_stalled(const struct fn_watchdog_part *parts, int n_parts, int64_t now_ns,
                             int64_t patience_ns);

#endif
