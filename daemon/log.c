/* SPDX-License-Identifier: Apache-2.0
 *
 * log.c -- see log.h. A line longer than the buffer is cut; lines of threads never mix, since each
 * is one write(2). */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static atomic_int max_level = FN_LOG_INFO;

void fn_log_set_level(enum fn_log_level level) {
    atomic_store(&max_level, level);
}

void fn_log(enum fn_log_level level, const char *format, ...) {
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if ((int)level > atomic_load(&max_level)) return;
    char line[1024];
    struct timespec now;
    struct tm utc;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(line, sizeof line, "time=%Y-%m-%dT%H:%M:%S", &utc);
    used += (size_t)snprintf(line + used, sizeof line - used, ".%03dZ level=%s ",
                             (int)(now.tv_nsec / 1000000), names[level]);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + used, sizeof line - used - 1, format, args);
    va_end(args);
    if (n < 0) return;
    used += (size_t)n < sizeof line - used - 2 ? (size_t)n : sizeof line - used - 2;
    line[used++] = '\n';
    /* Nobody is left to tell when stderr is gone. */
    if (write(STDERR_FILENO, line, used) < 0) return;
}
