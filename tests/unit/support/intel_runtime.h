/* SPDX-License-Identifier: Apache-2.0
 *
 * intel_runtime.h -- tests on Intel's OpenCL runtime, which `make fpga-emulator` fetches: its CPU
 * and its FPGA emulator. Include it first.
 *
 * The runtime takes over the process (it leaks, and starts threads), so tests run in a child, and
 * not under sanitizers. A child that takes too long is killed. Where a machine is so loaded that the
 * engine's deadline ends a program's first batch, that is told and tried again; any other failure
 * is one. */
#ifndef FN_TESTS_INTEL_RUNTIME_H
#define FN_TESTS_INTEL_RUNTIME_H

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/status.h"

#define INTEL_VENDORS "build/fpga-emulator/vendors"
#define HUNG          75 /* EX_TEMPFAIL */
#define MAX_TRIES     3
#define MAX_SECONDS   900
#define FULL_SECONDS  3600 /* with FPGA_FULL */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* An engine that did not open: of a hung emulator, begin again. */
static inline void end_if_hung(const struct fn_error *err) {
    if (!strstr(err->text, "did not end in")) return;
    (void)fprintf(stderr, "%s\n", err->text);
    (void)fflush(NULL);
    _exit(HUNG);
}
#define TEST_OPEN_FAILED(err) end_if_hung(err)

/* The exit status for main(): of `run`, or 0 with a line that says what is missing. */
static inline int intel_runtime_run(const char *name, int (*run)(void)) {
    char vendors[PATH_MAX];
#ifdef SANITIZED
    (void)printf("%s: skipped under a sanitizer\n", name);
    return 0;
#endif
    if (!realpath(INTEL_VENDORS, vendors)) {
        (void)printf("%s: skipped, no %s (make fpga-emulator)\n", name, INTEL_VENDORS);
        return 0;
    }
    (void)setenv("OCL_ICD_VENDORS", vendors, 1);
    (void)fflush(NULL);
    for (int try = 1;; try++) {
        pid_t child = fork();
        if (child == 0) {
            (void)alarm(getenv("FPGA_FULL") ? FULL_SECONDS : MAX_SECONDS);
            int failed = run();
            (void)fflush(NULL);
            _exit(failed ? 1 : 0); /* not exit(): the runtime's destructors wait for its threads */
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child) return 1;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != HUNG || try == MAX_TRIES)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        (void)printf("%s: the emulator hung, try %d of %d\n", name, try + 1, MAX_TRIES);
    }
}

#endif
