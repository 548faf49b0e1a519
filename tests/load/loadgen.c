/* SPDX-License-Identifier: Apache-2.0
 *
 * loadgen.c -- a load generator for one HTTP request.
 *
 * As an open loop, requests are sent at the times of a Poisson process, whatever became of those
 * before, and latency counts from the planned time: a server that stalls cannot slow its own
 * examiner down. As a closed one, so many requests are under way at any time. One thread, one
 * epoll, connections kept alive and opened as needed. In C, and asleep whenever there is nothing to
 * do, because the examiner shares two cores with the server.
 *
 * Usage: loadgen PORT RATE|xREQUESTS SECONDS SEED REQUEST_FILE
 * Prints a line a request: planned and latency in us, what became of it, a digest of what follows
 * "embedding": in the answer, and whether it was sent again. What became of it is the HTTP status;
 * or LOST, when the whole request was sent and no whole answer came; or UNSENT, when the connection
 * ended before. As every client does, it sends once more, on a fresh connection, what met the end
 * of an idle one. Answers are waited for much longer than any deadline: a lost one is the server's
 * fault, never this program's for having been slow. Loopback only. */
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
#define PATIENCE_US     60000000
#define TICK_US         10000 /* at least so often is looked whether patience is at an end */

/* In place of a status. */
#define LOST   0
#define UNSENT 1

struct connection {
    int fd; /* -1: closed */
    bool busy;
    bool reused;        /* it has answered before */
    bool again;         /* the request that it carries was sent before */
    int64_t planned_us; /* of that request */
    int64_t moved_us;   /* when it began to be sent, and then when all of it was */
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
    (void)printf("%lld %lld %d %016llx %d\n", (long long)c->planned_us,
                 (long long)(now_us() - c->planned_us), status,
                 (unsigned long long)(status == 200 ? digest(c->answer) : 0), c->again);
}

static void hang_up(int i) {
    struct connection *c = connections[i];
    for (int k = 0; k < n_idle; k++)
        if (idle[k] == i) idle[k] = idle[--n_idle];
    (void)close(c->fd);
    c->fd = -1;
    n_busy -= c->busy;
    c->busy = false;
}

static void end(int i, int status, bool reuse) {
    struct connection *c = connections[i];
    report(c, status);
    if (!reuse) {
        hang_up(i);
        return;
    }
    n_busy--;
    c->busy = false;
    c->reused = true;
    idle[n_idle++] = i;
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
    c->reused = false;
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

static void start(int64_t planned_us, bool afresh);

static void give_up(int i) {
    const struct connection *c = connections[i];
    if (c->busy) report(c, c->sent < request_size ? UNSENT : LOST);
    hang_up(i);
}

/* The server has closed the connection. */
static void note_end(int i) {
    const struct connection *c = connections[i];
    bool was_idle = c->busy && c->reused && c->size == 0;
    int64_t planned_us = c->planned_us;
    if (!was_idle) {
        give_up(i);
        return;
    }
    hang_up(i);
    start(planned_us, true);
}

static void receive(int i);

static void send_more(int i) {
    struct connection *c = connections[i];
    while (c->busy && c->sent < request_size) {
        ssize_t n = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            /* It may have been refused before it was whole. */
            if (errno != EAGAIN && errno != ENOTCONN) receive(i);
            return;
        }
        c->sent += (size_t)n;
        if (c->sent == request_size) c->moved_us = now_us();
    }
}

static void start(int64_t planned_us, bool afresh) {
    int i = n_idle > 0 && !afresh ? idle[--n_idle] : open_connection();
    struct connection none = {.planned_us = planned_us, .again = afresh};
    if (i < 0) {
        report(&none, UNSENT);
        return;
    }
    struct connection *c = connections[i];
    c->busy = true;
    n_busy++;
    c->again = afresh;
    c->planned_us = planned_us;
    c->moved_us = now_us();
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
            note_end(i);
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

/* How many there were. */
static int serve_events(int64_t timeout_us) {
    struct epoll_event events[256];
    const struct timespec timeout = {.tv_sec = timeout_us / 1000000,
                                     .tv_nsec = timeout_us % 1000000 * 1000};
    int n = epoll_pwait2(watch, events, 256, &timeout, NULL);
    for (int k = 0; k < n; k++) {
        int i = (int)events[k].data.u32;
        if (connections[i]->fd >= 0 && events[k].events & EPOLLOUT) send_more(i);
        if (connections[i]->fd >= 0 && events[k].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            receive(i);
    }
    return n;
}

static void expire(void) {
    int64_t now = now_us();
    for (int i = 0; i < n_connections; i++)
        if (connections[i]->busy && now - connections[i]->moved_us > PATIENCE_US) give_up(i);
}

/* Poisson arrivals, `rate` a second. */
static void run_open(double rate, int64_t began_us, int64_t until_us, unsigned short seed[3]) {
    double next = (double)began_us;
    while (now_us() < until_us) {
        while (next <= (double)now_us() && next < (double)until_us) {
            start((int64_t)next, false);
            next += -log(1 - erand48(seed)) / rate * 1e6;
        }
        int64_t wait_us = (int64_t)next - now_us();
        (void)serve_events(wait_us > 0 ? wait_us : 0);
    }
}

static void run_closed(long requests, int64_t until_us) {
    while (now_us() < until_us) {
        for (long missing = requests - n_busy; missing > 0; missing--) start(now_us(), false);
        if (serve_events(TICK_US) == 0) expire();
    }
}

int main(int argc, char **argv) {
    if (argc != 6) {
        (void)fputs("usage: loadgen PORT RATE|xREQUESTS SECONDS SEED REQUEST_FILE\n", stderr);
        return 2;
    }
    port = (int)strtol(argv[1], NULL, 10);
    double seconds = strtod(argv[3], NULL);
    unsigned short seed[3] = {0x330e, (unsigned short)strtol(argv[4], NULL, 10), 1};
    read_request(argv[5]);
    watch = epoll_create1(EPOLL_CLOEXEC);
    int64_t began = now_us(), until = began + (int64_t)(seconds * 1e6);
    if (argv[2][0] == 'x')
        run_closed(strtol(argv[2] + 1, NULL, 10), until);
    else
        run_open(strtod(argv[2], NULL), began, until, seed);
    /* What this program has not had the time to read is not late. */
    while (n_busy > 0)
        if (serve_events(TICK_US) == 0) expire();
    return 0;
}
