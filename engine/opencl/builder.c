/* SPDX-License-Identifier: Apache-2.0
 *
 * builder.c -- a runtime's compiler is a library in the process that calls it: when it aborts, the
 * process is gone, and what it has allocated stays until then (120 MB with pocl). A process of its
 * own contains both. */
#include "engine/opencl/builder.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 300 /* a busy machine takes half a minute */
#define TICK_NS    5000000L

/* No signal blocked, whatever the calling thread blocks. */
static int spawn(const char *const argv[], pid_t *ret_child) {
    posix_spawnattr_t attributes;
    sigset_t none;
    (void)sigemptyset(&none);
    int failed = posix_spawnattr_init(&attributes);
    if (failed) return failed;
    failed = posix_spawnattr_setsigmask(&attributes, &none);
    if (!failed) failed = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    /* posix_spawn() changes nothing; its type is older than const. */
    char *arguments[8] = {NULL};
    memcpy(arguments, argv, sizeof arguments);
    if (!failed) failed = posix_spawn(ret_child, argv[0], NULL, &attributes, arguments, environ);
    (void)posix_spawnattr_destroy(&attributes);
    return failed;
}

/* False: it has not ended in time, and has been killed. */
static bool wait_for(pid_t child, int *ret_status) {
    const struct timespec tick = {.tv_nsec = TICK_NS};
    for (long i = 0; i < PATIENCE_S * (1000000000L / TICK_NS); i++) {
        pid_t ended = waitpid(child, ret_status, WNOHANG);
        if (ended == child) return true;
        if (ended < 0 && errno != EINTR) {
            *ret_status = 0; /* somebody else has waited for it */
            return true;
        }
        (void)nanosleep(&tick, NULL);
    }
    (void)kill(child, SIGKILL);
    (void)waitpid(child, ret_status, 0);
    return false;
}

/* FN_OK when it has ended by itself, whatever it says: the cache shows what it did. */
static fn_status run(const struct fn_engine_options *options, const char *family,
                     struct fn_error *err) {
    const char *const argv[8] = {
        options->builder, FN_BUILDER_FLAG,    options->device,
        family,           options->cache_dir, options->kernel_dir ? options->kernel_dir : ""};
    pid_t child;
    int status = 0;
    if (spawn(argv, &child) != 0) return FN_OK; /* then it is built here */
    if (!wait_for(child, &status))
        return fn_fail(err, FN_DEVICE_FAILED, "the compiler of %s took more than %d s", family,
                       PATIENCE_S);
    if (!WIFSIGNALED(status)) return FN_OK;
    return fn_fail(err, FN_DEVICE_FAILED, "the compiler of %s was ended by signal %d (%s)", family,
                   WTERMSIG(status), strsignal(WTERMSIG(status)));
}

fn_status fn_builder_build(const struct fn_engine_options *options, const char *family,
                           struct fn_cl *cl, const char *source, const char *flags,
                           struct fn_error *err) {
    fn_status status = FN_OK;
    if (options->cache_dir && options->builder) {
        if (fn_cl_load_cached(cl, source, flags, options->cache_dir)) return FN_OK;
        status = run(options, family, err);
    }
    return status == FN_OK ? fn_cl_build(cl, source, flags, options->cache_dir, err) : status;
}
