/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c -- the program facenetd: flags, start, signals, stop. The only place that exits.
 *
 * Exit status: 0 after a drain, 1 when it could not start, 2 for wrong usage. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/api/routes.h"
#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/http/http.h"
#include "daemon/http/listen.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/service.h"
#include "daemon/watchdog.h"
#include "engine/version.h"

FN_DEFINE_CLEANUP(struct fn_config *, fn_config_free)

static const char usage[] =
    "usage: facenetd [OPTION]...\n"
    "Serve face embeddings and distances over JSON/HTTP.\n"
    "\n"
    "  --config FILE        read FILE instead of " FN_CONFIG_PATH "\n"
    "  --check-config       check the configuration and exit\n"
    "  --model FILE         model file made by facenet-model\n"
    "  --listen ADDRESS     host:port (port 0: any free one) or unix:/path\n"
    "  --device NAME        auto, reference, or part of an OpenCL platform's or device's name\n"
    "  --allow-untrained    serve a model whose embeddings mean nothing\n"
    "  --example FILE       picture named in the curl line printed at start (face.jpg)\n"
    "  --help, --version\n";

struct flags {
    const char *config, *model, *listen, *device, *example;
    bool check_config, allow_untrained;
};

/* True to go on; false to exit with *ret_exit. */
static bool read_flags(int argc, char **argv, struct flags *flags, int *ret_exit) {
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},  {"check-config", no_argument, NULL, 'C'},
        {"model", required_argument, NULL, 'm'},   {"listen", required_argument, NULL, 'l'},
        {"device", required_argument, NULL, 'd'},  {"allow-untrained", no_argument, NULL, 'u'},
        {"example", required_argument, NULL, 'e'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},       {NULL, 0, NULL, 0},
    };
    int letter;
    *ret_exit = 0;
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (letter) {
        case 'c':
            flags->config = optarg;
            break;
        case 'C':
            flags->check_config = true;
            break;
        case 'm':
            flags->model = optarg;
            break;
        case 'l':
            flags->listen = optarg;
            break;
        case 'd':
            flags->device = optarg;
            break;
        case 'u':
            flags->allow_untrained = true;
            break;
        case 'e':
            flags->example = optarg;
            break;
        case 'h':
            (void)fputs(usage, stdout);
            return false;
        case 'v':
            (void)puts("facenetd " FN_VERSION);
            return false;
        default: /* getopt has said what */
            *ret_exit = 2;
            return false;
        }
    }
    if (optind == argc) return true;
    (void)fprintf(stderr, "facenetd: unexpected argument \"%s\"\n", argv[optind]);
    *ret_exit = 2;
    return false;
}

static fn_status load_config(const struct flags *flags, struct fn_config **ret_config,
                             struct fn_error *err) {
    FN_CLEANUP(fn_config_free) struct fn_config *config = NULL;
    fn_status status = fn_config_new(&config, err);
    if (status == FN_OK && flags->config)
        status = fn_config_read(config, flags->config, err);
    else if (status == FN_OK && access(FN_CONFIG_PATH, F_OK) == 0)
        status = fn_config_read(config, FN_CONFIG_PATH, err);
    if (status == FN_OK && flags->model) status = fn_config_set(&config->model, flags->model, err);
    if (status == FN_OK && flags->listen)
        status = fn_config_set(&config->listen, flags->listen, err);
    if (status == FN_OK && flags->device)
        status = fn_config_set(&config->device, flags->device, err);
    if (status != FN_OK) return status;
    config->allow_untrained = flags->allow_untrained;
    fn_log_set_level(config->log_level);
    *ret_config = FN_TAKE(config);
    return FN_OK;
}

/* Signals: before the service is ready and after the first one, a signal ends the process at once;
 * in between it is counted here. */
static atomic_bool serving;
static int signalled = -1; /* eventfd */

static void on_signal(int number) {
    uint64_t one = 1;
    if (!atomic_exchange(&serving, false) || write(signalled, &one, sizeof one) < 0)
        _exit(128 + number);
}

/* No pictures in core files; a descriptor for every connection. */
static fn_status prepare_process(struct fn_error *err) {
    struct rlimit limit = {0, 0};
    struct sigaction action = {.sa_handler = on_signal};
    (void)setrlimit(RLIMIT_CORE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    json_object_seed(0);
    signalled = eventfd(0, EFD_CLOEXEC);
    if (signalled < 0) return fn_fail(err, FN_IO, "cannot make an eventfd: %s", strerror(errno));
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    return FN_OK;
}

/* What we listen on: sockets that the service manager hands over, else the one of the
 * configuration. */
struct listeners {
    int n;
    struct fn_listener all[FN_MAX_LISTENERS];
};

static fn_status open_listeners(const struct fn_config *config, struct listeners *ret,
                                struct fn_error *err) {
    fn_status status = fn_listeners_inherit(ret->all, &ret->n, err);
    if (status != FN_OK || ret->n > 0) return status;
    status = fn_listener_open(config->listen, &ret->all[0], err);
    if (status == FN_OK) ret->n = 1;
    return status;
}

static void close_listeners(struct listeners *listeners) {
    for (int i = 0; i < listeners->n; i++) fn_listener_close(&listeners->all[i]);
}

static fn_status start_http(struct fn_service *service, const struct listeners *listeners,
                            struct fn_http **ret_http, struct fn_error *err) {
    const struct fn_config *config = service->config;
    struct fn_http_options options = {
        .listen_fd = listeners->all[0].fd,
        .lanes = (int)config->lanes,
        .max_connections = (int)config->max_connections,
        .max_body = (size_t)config->max_body,
        .max_inflight_bytes = (size_t)config->max_inflight_bytes,
        .header_timeout_ms = config->header_timeout_ms,
        .body_timeout_ms = config->body_timeout_ms,
        .idle_timeout_ms = config->idle_timeout_ms,
        .min_rate = config->min_rate,
        .deadline_ms = config->deadline_ms,
        .handlers = fn_routes_handlers(service),
    };
    fn_status status = FN_OK;
    service->access.any_host = listeners->all[0].is_unix;
    (void)snprintf(service->access.listen_host, sizeof service->access.listen_host, "%s",
                   listeners->all[0].host);
    for (int i = 0; i < listeners->n && status == FN_OK; i++)
        status = fn_listener_start(&listeners->all[i], err);
    return status == FN_OK ? fn_http_start(&options, ret_http, err) : status;
}

/* The last line can be pasted into a shell as it stands. */
static void say_ready(const struct fn_service *service, const struct fn_listener *listener,
                      const struct flags *flags) {
    const char *example = flags->example ? flags->example : "face.jpg";
    const struct fn_engine_description *engine = &service->engine_description;
    if (service->model->untrained)
        fn_log(FN_LOG_WARNING,
               "event=untrained model=%s detail=\"THIS MODEL IS UNTRAINED, its embeddings mean "
               "nothing\"",
               service->model->id);
    if (listener->is_unix)
        (void)printf("facenetd " FN_VERSION " is ready on unix:%s, model %s on %s\n"
                     "curl --unix-socket %s -F img=@%s http://localhost/embed\n",
                     listener->path, service->model->id, engine->label, listener->path, example);
    else
        (void)printf("facenetd " FN_VERSION " is ready on http://%s:%d, model %s on %s\n"
                     "curl -g -F img=@%s http://%s:%d/embed\n",
                     listener->host, listener->port, service->model->id, engine->label, example,
                     listener->host, listener->port);
    (void)fflush(stdout);
}

static int64_t workers_stalled_since_ns(void *service) {
    return fn_workers_stalled_since_ns(((struct fn_service *)service)->workers);
}

static int64_t batches_stalled_since_ns(void *service) {
    return fn_batcher_stalled_since_ns(((struct fn_service *)service)->batcher);
}

/* Only when the service manager asked for it. */
static fn_status start_watchdog(struct fn_service *service, struct fn_watchdog **ret_watchdog,
                                struct fn_error *err) {
    const struct fn_watchdog_part parts[] = {
        {"workers", workers_stalled_since_ns, service},
        {"batches", batches_stalled_since_ns, service},
    };
    int64_t period_ns = fn_notify_watchdog_ns();
    return period_ns ? fn_watchdog_start(period_ns, parts, 2, ret_watchdog, err) : FN_OK;
}

static void serve_until_told(const struct fn_config *config, struct fn_service *service,
                             struct fn_http *http) {
    struct pollfd told = {.fd = signalled, .events = POLLIN};
    while (poll(&told, 1, -1) <= 0) continue;
    fn_log(FN_LOG_INFO, "event=draining");
    fn_notify("STOPPING=1\nSTATUS=Draining");
    atomic_store(&service->draining, true);
    struct timespec delay = fn_timespec(config->drain_delay_ms * FN_NS_PER_MS);
    (void)nanosleep(&delay, NULL);
    fn_http_drain(http);
    int64_t until = fn_now_ns() + config->drain_timeout_ms * FN_NS_PER_MS;
    struct timespec tick = fn_timespec(5 * FN_NS_PER_MS);
    while (!fn_http_is_drained(http) && fn_now_ns() < until) (void)nanosleep(&tick, NULL);
    fn_http_stop(http);
}

static fn_status run(const struct flags *flags, struct fn_error *err) {
    FN_CLEANUP(fn_config_free) struct fn_config *config = NULL;
    FN_CLEANUP(fn_service_close) struct fn_service *service = NULL;
    struct fn_watchdog *watchdog = NULL;
    struct listeners listeners = {.n = 0};
    struct fn_http *http = NULL;
    fn_status status = load_config(flags, &config, err);
    if (status != FN_OK) return status;
    if (flags->check_config) {
        (void)puts("facenetd: the configuration is valid");
        return FN_OK;
    }
    status = prepare_process(err);
    if (status == FN_OK) status = open_listeners(config, &listeners, err);
    if (status == FN_OK) status = fn_service_open(config, &service, err);
    if (status == FN_OK) status = start_http(service, &listeners, &http, err);
    if (status == FN_OK) {
        status = start_watchdog(service, &watchdog, err);
        if (status == FN_OK) {
            atomic_store(&serving, true);
            for (int i = 0; i < listeners.n; i++) say_ready(service, &listeners.all[i], flags);
            fn_notify("READY=1\nSTATUS=Model %s on %s", service->model->id,
                      service->engine_description.label);
            serve_until_told(config, service, http);
        }
        fn_watchdog_stop(watchdog);
        fn_http_stop(http);
        /* Workers may hand requests back until they have ended. */
        fn_service_close(FN_TAKE(service));
        fn_http_free(http);
        fn_log(FN_LOG_INFO, "event=stopped");
    }
    close_listeners(&listeners);
    return status;
}

int main(int argc, char **argv) {
    struct flags flags = {0};
    struct fn_error err;
    int exit_status;
    if (!read_flags(argc, argv, &flags, &exit_status)) return exit_status;
    fn_status status = run(&flags, &err);
    if (status == FN_OK) return 0;
    (void)fprintf(stderr, "facenetd: %s\n", err.text);
    return status == FN_USAGE ? 2 : 1;
}
