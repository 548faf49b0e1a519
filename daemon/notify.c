/* SPDX-License-Identifier: Apache-2.0
 *
 * notify.c -- see notify.h. */
#include "daemon/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/log.h"
#include "engine/clock.h"

/* "/path", or "@name" in the abstract name space; 0 when it is neither. */
static socklen_t read_address(const char *name, struct sockaddr_un *ret_address) {
    size_t size = name ? strlen(name) : 0;
    if (size < 2 || size >= sizeof ret_address->sun_path || !strchr("/@", name[0])) return 0;
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret_address->sun_path, name, size);
    if (name[0] == '@') ret_address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
}

void fn_notify(const char *format, ...) {
    char message[512];
    struct sockaddr_un address;
    socklen_t size = read_address(getenv("NOTIFY_SOCKET"), &address);
    if (!size) return;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (length <= 0) return;
    if ((size_t)length >= sizeof message) length = (int)sizeof message - 1;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, message, (size_t)length, MSG_NOSIGNAL,
                         (const struct sockaddr *)&address, size) < 0)
        fn_log(FN_LOG_WARNING, "event=notify_failed errno=%d", errno);
    if (fd >= 0) (void)close(fd);
}

void fn_notify_reloading(void) {
    fn_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(fn_now_ns() / FN_NS_PER_US));
}

int64_t fn_notify_watchdog_ns(void) {
    const char *pid = getenv("WATCHDOG_PID"), *usec = getenv("WATCHDOG_USEC");
    if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid())) return 0;
    long long us = strtoll(usec, NULL, 10);
    return us > 0 && us < INT64_MAX / FN_NS_PER_US ? us * FN_NS_PER_US : 0;
}
