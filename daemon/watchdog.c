/* SPDX-License-Identifier: Apache-2.0
 *
 * watchdog.c -- see watchdog.h. */
#include "daemon/watchdog.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/notify.h"
#include "engine/clock.h"
#include "engine/thread.h"

struct fn_watchdog {
    int64_t period_ns;
    int n_parts;
    struct fn_watchdog_part parts[FN_WATCHDOG_PARTS];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping; /* guarded by lock */
};

int fn_watchdog_find_stalled(const struct fn_watchdog_part *parts, int n_parts, int64_t now_ns,
                             int64_t patience_ns) {
    for (int i = 0; i < n_parts; i++) {
        int64_t since_ns = parts[i].stalled_since_ns(parts[i].context);
        if (since_ns < now_ns && now_ns - since_ns > patience_ns) return i;
    }
    return -1;
}

static void look(const struct fn_watchdog *watchdog) {
    int stalled = fn_watchdog_find_stalled(watchdog->parts, watchdog->n_parts, fn_now_ns(),
                                           watchdog->period_ns / 2);
    if (stalled < 0)
        fn_notify("WATCHDOG=1");
    else
        fn_log(FN_LOG_ERROR, "event=stalled part=%s", watchdog->parts[stalled].name);
}

static void *watch(void *arg) {
    struct fn_watchdog *watchdog = arg;
    pthread_mutex_lock(&watchdog->lock);
    while (!watchdog->stopping) {
        pthread_mutex_unlock(&watchdog->lock);
        look(watchdog);
        struct timespec until = fn_timespec(fn_now_ns() + watchdog->period_ns / 4);
        pthread_mutex_lock(&watchdog->lock);
        while (!watchdog->stopping && pthread_cond_clockwait(&watchdog->changed, &watchdog->lock,
                                                             CLOCK_MONOTONIC, &until) == 0)
            continue;
    }
    pthread_mutex_unlock(&watchdog->lock);
    return NULL;
}

fn_status fn_watchdog_start(int64_t period_ns, const struct fn_watchdog_part *parts, int n_parts,
                            struct fn_watchdog **ret_watchdog, struct fn_error *err) {
    assert(n_parts <= FN_WATCHDOG_PARTS);
    struct fn_watchdog *watchdog = calloc(1, sizeof *watchdog);
    if (!watchdog) return fn_fail(err, FN_NO_MEMORY, "no memory for the watchdog");
    watchdog->period_ns = period_ns;
    watchdog->n_parts = n_parts;
    memcpy(watchdog->parts, parts, (size_t)n_parts * sizeof *parts);
    (void)pthread_mutex_init(&watchdog->lock, NULL);
    (void)pthread_cond_init(&watchdog->changed, NULL);
    if (fn_thread_start(&watchdog->thread, watch, watchdog) != 0) {
        pthread_cond_destroy(&watchdog->changed);
        pthread_mutex_destroy(&watchdog->lock);
        free(watchdog);
        return fn_fail(err, FN_IO, "cannot start the watchdog's thread");
    }
    *ret_watchdog = watchdog;
    return FN_OK;
}

void fn_watchdog_stop(struct fn_watchdog *watchdog) {
    if (!watchdog) return;
    pthread_mutex_lock(&watchdog->lock);
    watchdog->stopping = true;
    pthread_cond_signal(&watchdog->changed);
    pthread_mutex_unlock(&watchdog->lock);
    (void)pthread_join(watchdog->thread, NULL);
    pthread_cond_destroy(&watchdog->changed);
    pthread_mutex_destroy(&watchdog->lock);
    free(watchdog);
}
