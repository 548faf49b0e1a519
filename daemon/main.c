/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c -- the program facenetd: start, signals, stop. The only place that exits.
 *
 * Exit status: 0 after a drain, 1 when it could not start, 2 for wrong usage. */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "daemon/access.h"
#include "daemon/flags.h"
#include "daemon/front.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/reload.h"
#include "daemon/runner.h"
#include "daemon/service.h"
#include "daemon/watchdog.h"
#include "engine/clock.h"
#include "engine/detect/detector.h"
#include "engine/engine.h"
#include "engine/version.h"

FN_DEFINE_CLEANUP(struct fn_config *, fn_config_free)

/* LeakSanitizer attaches to its own process, which one that may not be dumped does not allow. */
#if defined(__SANITIZE_ADDRESS__)
#define FN_DUMPABLE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FN_DUMPABLE 1
#endif
#endif

/* Signals: before the service is ready and after the first one, a signal ends the process at once;
 * in between it is counted here. */
static atomic_bool serving;
static int signalled = -1; /* eventfd */
static int hung_up = -1;   /* eventfd: SIGHUP, at any time */

static void on_signal(int number) {
    uint64_t one = 1;
    if (!atomic_exchange(&serving, false) || write(signalled, &one, sizeof one) < 0)
        _exit(128 + number);
}

static void on_hangup(int number) {
    uint64_t one = 1;
    int problem = errno;
    (void)number;
    if (write(hung_up, &one, sizeof one) < 0) return; /* as many wait as fit: one is enough */
    errno = problem;
}

/* No pictures in core files, and none to whoever may attach a debugger; a descriptor for every
 * connection. The limit alone would not stop a core_pattern that pipes to a program. */
static fn_status prepare_process(struct fn_error *err) {
    struct rlimit limit = {0, 0};
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction reload = {.sa_handler = on_hangup, .sa_flags = SA_RESTART};
    (void)setrlimit(RLIMIT_CORE, &limit);
#ifndef FN_DUMPABLE
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    json_object_seed(0);
    signalled = eventfd(0, EFD_CLOEXEC);
    hung_up = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signalled < 0 || hung_up < 0)
        return fn_fail(err, FN_IO, "cannot make an eventfd: %s", strerror(errno));
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGHUP, &reload, NULL);
    return FN_OK;
}

/* The last line can be pasted into a shell as it stands. */
static void say_ready(const struct fn_service *service, const struct fn_front *front,
                      const char *example) {
    const struct fn_listener *first = fn_front_listener(front, 0);
    const char *tls = service->config->tls_certificate, *scheme = tls ? "https" : "http";
    const char *key = service->keys ? "-H \"X-API-Key: $KEY\" " : "";
    if (service->model->untrained)
        fn_log(FN_LOG_WARNING,
               "event=untrained model=%s detail=\"THIS MODEL IS UNTRAINED, its embeddings mean "
               "nothing\"",
               service->model->id);
    (void)printf("facenetd " FN_VERSION " is ready on");
    for (int i = 0; fn_front_listener(front, i); i++) {
        const struct fn_listener *listener = fn_front_listener(front, i);
        if (listener->is_unix)
            (void)printf(" unix:%s,", listener->path);
        else
            (void)printf(" %s://%s:%d,", scheme, listener->host, listener->port);
    }
    (void)printf(" model %s on %s\n", service->model->id, fn_service_backend(service));
    if (first->is_unix)
        (void)printf("curl --unix-socket %s -F img=@%s http://localhost/embed\n", first->path,
                     example);
    else
        (void)printf("curl -g %s%s%s%s-F img=@%s %s://%s:%d/embed\n", tls ? "--cacert " : "",
                     tls ? tls : "", tls ? " " : "", key, example, scheme, first->host,
                     first->port);
    (void)fflush(stdout);
}

static int64_t lanes_stalled_since_ns(void *front) {
    return fn_front_stalled_since_ns(front);
}

static int64_t workers_stalled_since_ns(void *server) {
    return fn_workers_stalled_since_ns(((struct fn_server *)server)->workers);
}

static int64_t batches_stalled_since_ns(void *server) {
    struct fn_service *service = fn_server_acquire(server);
    int64_t since_ns = fn_batcher_stalled_since_ns(service->batcher);
    fn_service_release(service);
    return since_ns;
}

/* Only when the service manager asked for it. */
static fn_status start_watchdog(struct fn_server *server, struct fn_front *front,
                                struct fn_watchdog **ret_watchdog, struct fn_error *err) {
    const struct fn_watchdog_part parts[] = {
        {"lanes", lanes_stalled_since_ns, front},
        {"workers", workers_stalled_since_ns, server},
        {"batches", batches_stalled_since_ns, server},
    };
    int64_t period_ns = fn_notify_watchdog_ns();
    return period_ns ? fn_watchdog_start(period_ns, parts, 3, ret_watchdog, err) : FN_OK;
}

static void drain(const struct fn_config *config, struct fn_server *server,
                  struct fn_front *front) {
    fn_log(FN_LOG_INFO, "event=draining");
    fn_notify("STOPPING=1\nSTATUS=Draining");
    atomic_store(&server->draining, true);
    struct timespec delay = fn_timespec(config->drain_delay_ms * FN_NS_PER_MS);
    (void)nanosleep(&delay, NULL);
    fn_front_drain(front);
    int64_t until = fn_now_ns() + config->drain_timeout_ms * FN_NS_PER_MS;
    struct timespec tick = fn_timespec(5 * FN_NS_PER_MS);
    while (!fn_front_is_drained(front) && fn_now_ns() < until) (void)nanosleep(&tick, NULL);
    fn_front_stop(front);
}

static fn_status open_server(struct fn_config **config, struct fn_server **ret_server,
                             struct fn_error *err) {
    FN_CLEANUP(fn_server_close) struct fn_server *server = NULL;
    struct fn_service *service;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int n_workers = (*config)->workers ? (int)(*config)->workers : cores > 0 ? (int)cores : 1;
    fn_status status = fn_server_new(n_workers, &server, err);
    if (status == FN_OK) status = fn_service_open(server, *config, NULL, &service, err);
    if (status != FN_OK) return status;
    *config = NULL;
    (void)fn_server_replace(server, service);
    atomic_store(&server->metrics.last_reload_s, (long long)time(NULL));
    *ret_server = FN_TAKE(server);
    return FN_OK;
}

static void serve_until_told(const struct fn_flags *flags, struct fn_server *server,
                             struct fn_front *front, struct fn_reloader *reloader) {
    struct pollfd told[] = {{.fd = signalled, .events = POLLIN}, {.fd = hung_up, .events = POLLIN}};
    struct fn_service *service = fn_server_acquire(server);
    atomic_store(&serving, true);
    say_ready(service, front, flags->example ? flags->example : "face.jpg");
    fn_notify("READY=1\nSTATUS=Model %s on %s", service->model->id, fn_service_backend(service));
    fn_service_release(service);
    while (poll(told, 2, -1) <= 0 || !told[0].revents) {
        uint64_t times;
        if (read(hung_up, &times, sizeof times) > 0) fn_reloader_ask(reloader);
    }
    service = fn_server_acquire(server);
    drain(service->config, server, front);
    fn_service_release(service);
}

/* The line goes where it is redirected to, the key to whoever sits at the terminal. */
static fn_status make_key(const char *what, struct fn_error *err) {
    char key[FN_KEY_SIZE], line[FN_KEY_LINE_SIZE];
    struct fn_error detail;
    fn_status status = fn_key_make(what, key, line, &detail);
    if (status != FN_OK) return fn_fail(err, status, "--make-key: %s", detail.text);
    if (puts(line) < 0 || fflush(stdout) != 0)
        return fn_fail(err, FN_IO, "--make-key: cannot write: %s", strerror(errno));
    (void)fprintf(stderr, "%s\n", key);
    return FN_OK;
}

/* All that can be said without a device and without taking an address. */
static fn_status check_config(const struct fn_config *config, struct fn_error *err) {
    const struct fn_key_rate rate = {config->key_rate, config->key_burst};
    struct fn_keys *keys = NULL;
    struct fn_tls *tls = NULL;
    struct fn_listener listener;
    fn_status status = FN_OK;
    for (int i = 0; status == FN_OK && i < config->n_listen; i++) {
        status = fn_listener_probe(config->listen[i], &listener, err);
        if (status == FN_OK) status = fn_access_check_listener(config, &listener, err);
    }
    if (status == FN_OK && config->keys_file)
        status = fn_keys_read(config->keys_file, &rate, NULL, &keys, err);
    fn_keys_free(keys);
    if (status == FN_OK) status = fn_front_load_tls(config, &tls, err);
    fn_tls_free(tls);
    if (status == FN_OK) (void)puts("facenetd: the configuration is valid");
    return status;
}

static fn_status run(const struct fn_flags *flags, struct fn_error *err) {
    FN_CLEANUP(fn_config_free) struct fn_config *config = NULL;
    struct fn_server *server = NULL;
    struct fn_front *front = NULL;
    struct fn_watchdog *watchdog = NULL;
    struct fn_reloader *reloader = NULL;
    if (flags->make_key) return make_key(flags->make_key, err);
    fn_status status = fn_flags_load_config(flags, &config, err);
    if (status != FN_OK) return status;
    if (flags->check_config) return check_config(config, err);
    fn_log_set_level(config->log_level);
    status = prepare_process(err);
    if (status == FN_OK) status = fn_front_open(config, &front, err);
    if (status == FN_OK) status = open_server(&config, &server, err);
    if (status == FN_OK) status = fn_front_start(front, server, err);
    if (status == FN_OK) status = fn_reloader_start(flags, server, front, &reloader, err);
    if (status == FN_OK) status = start_watchdog(server, front, &watchdog, err);
    if (status == FN_OK) {
        serve_until_told(flags, server, front, reloader);
        fn_log(FN_LOG_INFO, "event=stopped");
    }
    fn_reloader_stop(reloader);
    fn_watchdog_stop(watchdog);
    fn_front_stop(front);
    /* Workers may hand requests back until they have ended. */
    fn_server_stop(server);
    fn_front_free(front);
    fn_server_close(server);
    return status;
}

/* What the engine starts us again for (FN_BUILDER_FLAG in engine/engine.h), and nobody else: the
 * arguments are a device, a kernel family, the cache and a folder of kernels or "". */
static int build_kernels(char **arguments) {
    struct fn_error err;
    const char *kernel_dir = *arguments[3] ? arguments[3] : NULL;
    const struct fn_engine_options options = {.device = arguments[0],
                                              .kernel_family = arguments[1],
                                              .cache_dir = arguments[2],
                                              .kernel_dir = kernel_dir};
    const struct fn_detector_place place = {
        .device = arguments[0], .kernel_dir = kernel_dir, .cache_dir = arguments[2]};
    bool of_detector = strcmp(arguments[1], FN_DETECTOR_FAMILY) == 0;
    fn_status status = of_detector ? fn_detector_build_kernels(&place, &err)
                                   : fn_engine_build_kernels(&options, &err);
    if (status == FN_OK) return 0;
    (void)fprintf(stderr, "facenetd: %s\n", err.text);
    return 1;
}

int main(int argc, char **argv) {
    struct fn_flags flags = {0};
    struct fn_error err;
    int exit_status;
    if (argc == 6 && strcmp(argv[1], FN_BUILDER_FLAG) == 0) return build_kernels(argv + 2);
    if (!fn_flags_read(argc, argv, &flags, &exit_status)) return exit_status;
    fn_status status = run(&flags, &err);
    if (fn_errands_left_behind()) _exit(status == FN_OK ? 0 : 1);
    if (status == FN_OK) return 0;
    (void)fprintf(stderr, "facenetd: %s\n", err.text);
    return status == FN_USAGE ? 2 : 1;
}
