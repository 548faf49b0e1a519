/* SPDX-License-Identifier: Apache-2.0
 *
 * loadgen.c -- an open-loop load generator for one HTTP request.
 *
 * Requests are sent at the times of a Poisson process, whatever became of those before, and latency
 * counts from the planned time: a server that stalls cannot slow its own examiner down. One thread,
 * one epoll, connections kept alive and opened as needed. In C because the examiner shares two
 * cores with the server.
 *
 * Usage: loadgen PORT RATE SECONDS SEED REQUEST_FILE
 * Prints a line a request: planned and latency in us, status (0: none within 10 s or a broken
 * connection), and a digest of what follows "embedding": in the answer. Loopback only. */
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 8000
#define MAX_ANSWER      65536
#define PATIENCE_US     10000000

struct connection {
    int fd; /* -1: closed */
    bool busy;
    int64_t planned_us;
    size_t sent, size;
    char answer[MAX_ANSWER];
};

static struct connection *connections[MAX_CONNECTIONS];
static int n_connections, n_busy;
static int idle[MAX_CONNECTIONS], n_idle;
static int watch, port;
static char *request;
static size_t request_size;

static int64_t now_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void fail(const char *what) {
    (void)fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The request's file, whole. */
static void read_request(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) fail(path);
    long size = ftell(file);
    request_size = size > 0 ? (size_t)size : 0;
    request = malloc(request_size + 1);
    rewind(file);
    if (!request || fread(request, 1, request_size, file) != request_size) fail(path);
    (void)fclose(file);
}

static uint64_t digest(const char *answer) {
    const char *p = strstr(answer, "\"embedding\":");
    uint64_t hash = 14695981039346656037u;
    for (; p && *p && *p != ']'; p++) hash = (hash ^ (uint8_t)*p) * 1099511628211u;
    return p ? hash : 0;
}

static void report(const struct connection *c, int status) {
    (void)printf("%lld %lld %d %016llx\n", (long long)c->planned_us,
                 (long long)(now_us() - c->planned_us), status,
                 (unsigned long long)(status == 200 ? digest(c->answer) : 0));
}

static void end(int i, int status, bool reuse) {
    struct connection *c = connections[i];
    if (c->busy) {
        report(c, status);
        n_busy--;
    }
    c->busy = false;
    if (reuse) {
        idle[n_idle++] = i;
        return;
    }
    (void)close(c->fd);
    c->fd = -1;
}

static void drop_idle(int i) {
    for (int k = 0; k < n_idle; k++)
        if (idle[k] == i) idle[k] = idle[--n_idle];
    end(i, 0, false);
}

static int find_closed(void) {
    for (int i = 0; i < n_connections; i++)
        if (connections[i]->fd < 0) return i;
    if (n_connections == MAX_CONNECTIONS) return -1;
    connections[n_connections] = calloc(1, sizeof **connections);
    if (!connections[n_connections]) fail("connection");
    return n_connections++;
}

static int open_connection(void) {
    int i = find_closed(), one = 1;
    if (i < 0) return -1;
    struct connection *c = connections[i];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = (uint32_t)i};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) return -1;
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if ((connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0 &&
         errno != EINPROGRESS) ||
        epoll_ctl(watch, EPOLL_CTL_ADD, c->fd, &event) != 0) {
        (void)close(c->fd);
        c->fd = -1;
        return -1;
    }
    return i;
}

static void send_more(int i) {
    struct connection *c = connections[i];
    while (c->busy && c->sent < request_size) {
        ssize_t n = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN && errno != ENOTCONN) end(i, 0, false);
            return;
        }
        c->sent += (size_t)n;
    }
}

static void start(int64_t planned_us) {
    int i = n_idle > 0 ? idle[--n_idle] : open_connection();
    struct connection lost = {.planned_us = planned_us};
    if (i < 0) {
        report(&lost, 0);
        return;
    }
    struct connection *c = connections[i];
    c->busy = true;
    n_busy++;
    c->planned_us = planned_us;
    c->sent = c->size = 0;
    send_more(i);
}

/* Whether the answer is whole; closes: what it says of the connection. */
static bool is_whole(const struct connection *c, bool *closes) {
    const char *body = strstr(c->answer, "\r\n\r\n");
    size_t length = 0;
    *closes = false;
    if (!body) return false;
    for (const char *line = c->answer; line && line < body; line = strstr(line, "\r\n")) {
        if (*line == '\r') line += 2;
        if (strncasecmp(line, "content-length:", 15) == 0) length = strtoul(line + 15, NULL, 10);
        if (strncasecmp(line, "connection: close", 17) == 0) *closes = true;
    }
    return c->size >= (size_t)(body + 4 - c->answer) + length;
}

static void receive(int i) {
    struct connection *c = connections[i];
    bool closes;
    while (c->fd >= 0) {
        ssize_t n = recv(c->fd, c->answer + c->size, MAX_ANSWER - 1 - c->size, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            if (c->busy)
                end(i, 0, false);
            else
                drop_idle(i);
            return;
        }
        c->size += (size_t)n;
        c->answer[c->size] = '\0';
        if (c->busy && is_whole(c, &closes)) {
            end(i, (int)strtol(c->answer + 9, NULL, 10), !closes);
            c->size = 0;
        }
    }
}

static void serve_events(int timeout_ms) {
    struct epoll_event events[256];
    int n = epoll_wait(watch, events, 256, timeout_ms);
    for (int k = 0; k < n; k++) {
        int i = (int)events[k].data.u32;
        if (connections[i]->fd >= 0 && events[k].events & EPOLLOUT) send_more(i);
        if (connections[i]->fd >= 0 && events[k].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            receive(i);
    }
}

static void expire(void) {
    int64_t now = now_us();
    for (int i = 0; i < n_connections; i++)
        if (connections[i]->busy && now - connections[i]->planned_us > PATIENCE_US)
            end(i, 0, false);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        (void)fputs("usage: loadgen PORT RATE SECONDS SEED REQUEST_FILE\n", stderr);
        return 2;
    }
    port = (int)strtol(argv[1], NULL, 10);
    double rate = strtod(argv[2], NULL), seconds = strtod(argv[3], NULL);
    unsigned short seed[3] = {0x330e, (unsigned short)strtol(argv[4], NULL, 10), 1};
    read_request(argv[5]);
    watch = epoll_create1(EPOLL_CLOEXEC);
    int64_t began = now_us(), until = began + (int64_t)(seconds * 1e6);
    double next = (double)began;
    while (now_us() < until) {
        while (next <= (double)now_us()) {
            start((int64_t)next);
            next += -log(1 - erand48(seed)) / rate * 1e6;
        }
        int64_t wait_us = (int64_t)next - now_us();
        serve_events(wait_us > 1000 ? (int)(wait_us / 1000) : 0);
    }
    while (n_busy > 0) {
        serve_events(10);
        expire();
    }
    return 0;
}
