/* SPDX-License-Identifier: Apache-2.0
 *
 * listen.c -- see listen.h. */
#include "daemon/http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG         1024
#define FIRST_INHERITED 3 /* sd_listen_fds(3) */

static bool is_loopback(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* "host:port" or "[v6]:port"; false when it is neither. */
static bool split(const char *listen, char host[64], char port[8]) {
    const char *colon = strrchr(listen, ':');
    if (!colon || strlen(colon + 1) < 1 || strlen(colon + 1) > 5) return false;
    if (strspn(colon + 1, "0123456789") != strlen(colon + 1)) return false;
    if (strtol(colon + 1, NULL, 10) > 65535) return false; /* five digits at most */
    size_t size = (size_t)(colon - listen);
    if (size >= 2 && listen[0] == '[' && listen[size - 1] == ']') {
        listen++;
        size -= 2;
    } else if (memchr(listen, ':', size)) {
        return false;
    }
    if (size == 0 || size >= 64) return false;
    memcpy(host, listen, size);
    host[size] = '\0';
    (void)snprintf(port, 8, "%s", colon + 1);
    return true;
}

static fn_status set_address(struct fn_listener *listener, const struct sockaddr *address,
                             socklen_t size, struct fn_error *err) {
    char host[48], port[8];
    if (getnameinfo(address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return fn_fail(err, FN_IO, "cannot read the address listened on");
    (void)snprintf(listener->host, sizeof listener->host,
                   address->sa_family == AF_INET6 ? "[%s]" : "%s", host);
    listener->port = (int)strtol(port, NULL, 10);
    listener->is_loopback = is_loopback(address);
    return FN_OK;
}

/* What was asked for and what was got may differ: the socket is judged by the latter. */
static fn_status note_address(struct fn_listener *listener, struct fn_error *err) {
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (getsockname(listener->fd, (struct sockaddr *)&address, &size) != 0)
        return fn_fail(err, FN_IO, "cannot read the address listened on");
    return set_address(listener, (const struct sockaddr *)&address, size, err);
}

static fn_status resolve(const char *listen, struct addrinfo **ret_found, struct fn_error *err) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char host[64], port[8];
    if (!split(listen, host, port))
        return fn_fail(err, FN_USAGE, "listen \"%.80s\": expected host:port or unix:/path", listen);
    int error = getaddrinfo(host, port, &hints, ret_found);
    if (error) return fn_fail(err, FN_IO, "listen %s: %s", listen, gai_strerror(error));
    return FN_OK;
}

static fn_status open_tcp(const char *listen, struct fn_listener *listener, struct fn_error *err) {
    struct addrinfo *found;
    int one = 1;
    fn_status status = resolve(listen, &found, err);
    if (status != FN_OK) return status;
    listener->fd =
        socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (listener->fd < 0 ||
        setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(listener->fd, found->ai_addr, found->ai_addrlen) != 0)
        status = fn_fail(err, FN_IO, "listen %s: %s", listen, strerror(errno));
    freeaddrinfo(found);
    return status == FN_OK ? note_address(listener, err) : status;
}

/* A socket left behind by a killed process is in nobody's way. */
static void remove_stale(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
        errno == ECONNREFUSED)
        (void)unlink(address->sun_path);
    (void)close(fd);
}

static fn_status check_path(const char *path, struct fn_error *err) {
    size_t most = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
    if (path[0] == '/' && strlen(path) <= most) return FN_OK;
    return fn_fail(err, FN_USAGE,
                   "listen unix:%.80s: expected an absolute path of at most %zu characters", path,
                   most);
}

static fn_status open_unix(const char *path, struct fn_listener *listener, struct fn_error *err) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    fn_status status = check_path(path, err);
    if (status != FN_OK) return status;
    memcpy(address.sun_path, path, strlen(path) + 1);
    remove_stale(&address);
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0 ||
        bind(listener->fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return fn_fail(err, FN_IO, "listen unix:%s: %s", path, strerror(errno));
    memcpy(listener->path, path, strlen(path) + 1);
    listener->is_unix = true;
    (void)snprintf(listener->host, sizeof listener->host, "localhost");
    if (chmod(path, 0660) != 0)
        return fn_fail(err, FN_IO, "listen unix:%s: %s", path, strerror(errno));
    return FN_OK;
}

fn_status fn_listener_open(const char *listen, struct fn_listener *ret_listener,
                           struct fn_error *err) {
    struct fn_listener listener = {.fd = -1};
    fn_status status = strncmp(listen, "unix:", 5) == 0 ? open_unix(listen + 5, &listener, err)
                                                        : open_tcp(listen, &listener, err);
    if (status == FN_OK)
        *ret_listener = listener;
    else
        fn_listener_close(&listener);
    return status;
}

fn_status fn_listener_probe(const char *listen, struct fn_listener *ret_listener,
                            struct fn_error *err) {
    struct fn_listener listener = {.fd = -1, .is_unix = strncmp(listen, "unix:", 5) == 0};
    struct addrinfo *found;
    fn_status status =
        listener.is_unix ? check_path(listen + 5, err) : resolve(listen, &found, err);
    if (status == FN_OK && !listener.is_unix) {
        status = set_address(&listener, found->ai_addr, found->ai_addrlen, err);
        freeaddrinfo(found);
    }
    if (status == FN_OK) *ret_listener = listener;
    return status;
}

/* ---- sockets of the service manager ------------------------------------------------------ */

static fn_status check_listening(int fd, struct fn_error *err) {
    int type = 0, listening = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening)
        return FN_OK;
    return fn_fail(err, FN_USAGE, "inherited descriptor %d is not a listening stream socket", fd);
}

static void note_unix_path(struct fn_listener *listener, const struct sockaddr_un *address,
                           socklen_t size) {
    size_t length = size - offsetof(struct sockaddr_un, sun_path);
    if (length >= sizeof listener->path) length = sizeof listener->path - 1;
    memcpy(listener->path, address->sun_path, length);
    listener->is_unix = true;
    (void)snprintf(listener->host, sizeof listener->host, "localhost");
}

static fn_status inherit(int fd, struct fn_listener *ret_listener, struct fn_error *err) {
    struct fn_listener listener = {.fd = fd, .is_inherited = true};
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_storage storage;
    } address = {.storage = {0}};
    socklen_t size = sizeof address;
    int flags = fcntl(fd, F_GETFL);
    fn_status status = check_listening(fd, err);
    if (status != FN_OK) return status;
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || getsockname(fd, &address.any, &size) != 0)
        return fn_fail(err, FN_IO, "inherited descriptor %d: %s", fd, strerror(errno));
    if (address.any.sa_family == AF_UNIX) {
        note_unix_path(&listener, &address.local, size);
    } else {
        status = note_address(&listener, err);
    }
    if (status == FN_OK) *ret_listener = listener;
    return status;
}

/* $LISTEN_FDS when it is meant for this process, not for one that it was inherited from. */
static long count_inherited(void) {
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    long n = pid && fds && strtol(pid, NULL, 10) == (long)getpid() ? strtol(fds, NULL, 10) : 0;
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    return n;
}

fn_status fn_listeners_inherit(struct fn_listener ret_listeners[FN_MAX_LISTENERS], int *ret_n,
                               struct fn_error *err) {
    long n = count_inherited();
    if (n < 0 || n > FN_MAX_LISTENERS)
        return fn_fail(err, FN_USAGE, "LISTEN_FDS is %ld, expected at most %d", n,
                       FN_MAX_LISTENERS);
    fn_status status = FN_OK;
    for (int i = 0; i < n && status == FN_OK; i++)
        status = inherit(FIRST_INHERITED + i, &ret_listeners[i], err);
    if (status == FN_OK) *ret_n = (int)n;
    return status;
}

/* ---- start and end ----------------------------------------------------------------------- */

fn_status fn_listener_start(const struct fn_listener *listener, struct fn_error *err) {
    if (listener->is_inherited || listen(listener->fd, BACKLOG) == 0) return FN_OK;
    return fn_fail(err, FN_IO, "cannot listen: %s", strerror(errno));
}

void fn_listener_close(struct fn_listener *listener) {
    if (listener->fd >= 0) (void)close(listener->fd);
    listener->fd = -1;
    if (listener->path[0] && !listener->is_inherited) (void)unlink(listener->path);
    listener->path[0] = '\0';
}
