/* SPDX-License-Identifier: Apache-2.0
 *
 * roc_plot.c -- see roc_plot.h. gnuplot reads its script from one memory file and writes the
 * picture to another, so no pipe can fill up and no name of ours reaches its parser. */
#include "model/evaluate/roc_plot.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/cleanup.h"
#include "engine/file.h"

/* A vertex for every impostor at which more same pairs come in, and the ends: at most n_same + 2,
 * however many impostors there are. */
static void write_curve(FILE *script, const struct fn_roc *roc) {
    size_t accepted = 0, last = SIZE_MAX;
    for (size_t k = 1; k <= roc->n_impostors; k++) {
        double threshold = k < roc->n_impostors ? roc->impostors[k] : INFINITY;
        while (accepted < roc->n_same && roc->same[accepted] < threshold) accepted++;
        if (accepted == last && k != roc->n_impostors) continue;
        last = accepted;
        (void)fprintf(script, "%.9g %.9g\n", (double)k / (double)roc->n_impostors,
                      (double)accepted / (double)roc->n_same);
    }
}

static void write_title(FILE *script, const char *title) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 "
                                "-.,:%()";
    for (const char *c = title; *c; c++) (void)fputc(strchr(plain, *c) ? *c : ' ', script);
}

static void write_script(FILE *script, const struct fn_roc_curve *curves, size_t n_curves) {
    (void)fputs("set terminal svg size 800,600 noenhanced font 'sans,14' background 'white'\n"
                "set logscale x\nset format x '%g'\nset grid\nset key bottom right\n"
                "set xlabel 'false accept rate'\nset ylabel 'true accept rate'\n"
                "set yrange [0:1.01]\n",
                script);
    for (size_t i = 0; i < n_curves; i++) {
        (void)fprintf(script, "$curve%zu << EOD\n", i);
        write_curve(script, curves[i].roc);
        (void)fputs("EOD\n", script);
    }
    for (size_t i = 0; i < n_curves; i++) {
        (void)fprintf(script, "%s $curve%zu using 1:2 with steps lw 2 title '", i ? "," : "plot",
                      i);
        write_title(script, curves[i].title);
        (void)fputc('\'', script);
    }
    (void)fputc('\n', script);
}

/* Run gnuplot with those files as standard input and output. */
static fn_status run_gnuplot(int script, int picture, struct fn_error *err) {
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return fn_fail(err, FN_NO_MEMORY, "no memory to start gnuplot");
    char name[] = "gnuplot";
    char *const arguments[] = {name, NULL};
    pid_t child;
    int failed = posix_spawn_file_actions_adddup2(&actions, script, STDIN_FILENO);
    if (!failed) failed = posix_spawn_file_actions_adddup2(&actions, picture, STDOUT_FILENO);
    if (!failed) failed = posix_spawnp(&child, name, &actions, NULL, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (failed)
        return fn_fail(err, FN_IO,
                       "gnuplot cannot be started (%s); on Debian: apt install "
                       "gnuplot-nox",
                       strerror(failed));
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return fn_fail(err, FN_IO, "gnuplot: %s", strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fn_fail(err, FN_IO, "gnuplot failed (status %d)",
                       WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    return FN_OK;
}

static fn_status copy_picture(int picture, const char *path, struct fn_error *err) {
    struct stat info;
    if (fstat(picture, &info) != 0 || info.st_size <= 0)
        return fn_fail(err, FN_IO, "%s: gnuplot drew nothing", path);
    size_t size = (size_t)info.st_size;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, picture, 0);
    if (bytes == MAP_FAILED) return fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
    const struct fn_piece piece = {bytes, size};
    fn_status status = memmem(bytes, size, "</svg>", 6)
                           ? fn_file_write(path, &piece, 1, err)
                           : fn_fail(err, FN_IO, "%s: gnuplot's picture is not complete", path);
    (void)munmap(bytes, size);
    return status;
}

fn_status fn_roc_plot(const char *path, const struct fn_roc_curve *curves, size_t n_curves,
                      struct fn_error *err) {
    int picture = memfd_create("roc.svg", MFD_CLOEXEC);
    if (picture < 0) return fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
    int script = memfd_create("roc.gnuplot", MFD_CLOEXEC);
    FILE *stream = script < 0 ? NULL : fdopen(script, "w");
    if (!stream) {
        fn_status status = fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
        if (script >= 0) (void)close(script);
        (void)close(picture);
        return status;
    }
    write_script(stream, curves, n_curves);
    fn_status status = fflush(stream) != 0 || lseek(script, 0, SEEK_SET) != 0
                           ? fn_fail(err, FN_IO, "%s: %s", path, strerror(errno))
                           : run_gnuplot(script, picture, err);
    if (status == FN_OK) status = copy_picture(picture, path, err);
    (void)fclose(stream);
    (void)close(picture);
    return status;
}
