/* SPDX-License-Identifier: Apache-2.0
 *
 * gnuplot.c -- see gnuplot.h. */
#include "model/gnuplot.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/file.h"

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

fn_status fn_gnuplot_begin(const char *path, int width, int height, struct fn_gnuplot *ret,
                           struct fn_error *err) {
    bool png = ends_with(path, ".png");
    if (!png && !ends_with(path, ".svg"))
        return fn_fail(err, FN_USAGE, "%s: expected a name in .svg or .png", path);
    int picture = memfd_create("picture", MFD_CLOEXEC);
    if (picture < 0) return fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
    int script = memfd_create("script", MFD_CLOEXEC);
    FILE *stream = script < 0 ? NULL : fdopen(script, "w");
    if (!stream) {
        fn_status status = fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
        if (script >= 0) (void)close(script);
        (void)close(picture);
        return status;
    }
    (void)fprintf(stream, "set terminal %s size %d,%d noenhanced font 'sans,14' background '%s'\n",
                  png ? "pngcairo" : "svg", width, height, png ? "#ffffff" : "white");
    *ret = (struct fn_gnuplot){stream, picture, path, png};
    return FN_OK;
}

void fn_gnuplot_quote(const struct fn_gnuplot *plot, const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 "
                                "-.,:%()/_";
    (void)fputc('\'', plot->script);
    for (const char *c = text; *c; c++) (void)fputc(strchr(plain, *c) ? *c : ' ', plot->script);
    (void)fputc('\'', plot->script);
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
                       "gnuplot cannot be started (%s); on Debian: apt install gnuplot-nox",
                       strerror(failed));
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return fn_fail(err, FN_IO, "gnuplot: %s", strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fn_fail(err, FN_IO, "gnuplot failed (status %d)",
                       WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    return FN_OK;
}

static fn_status copy_picture(const struct fn_gnuplot *plot, struct fn_error *err) {
    struct stat info;
    if (fstat(plot->picture, &info) != 0 || info.st_size <= 0)
        return fn_fail(err, FN_IO, "%s: gnuplot drew nothing", plot->path);
    size_t size = (size_t)info.st_size;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, plot->picture, 0);
    if (bytes == MAP_FAILED) return fn_fail(err, FN_IO, "%s: %s", plot->path, strerror(errno));
    const struct fn_piece piece = {bytes, size};
    const char *end = plot->png ? "IEND" : "</svg>";
    fn_status status =
        memmem(bytes, size, end, strlen(end))
            ? fn_file_write(plot->path, &piece, 1, err)
            : fn_fail(err, FN_IO, "%s: gnuplot's picture is not complete", plot->path);
    (void)munmap(bytes, size);
    return status;
}

fn_status fn_gnuplot_finish(struct fn_gnuplot *plot, struct fn_error *err) {
    int script = fileno(plot->script);
    fn_status status = fflush(plot->script) != 0 || lseek(script, 0, SEEK_SET) != 0
                           ? fn_fail(err, FN_IO, "%s: %s", plot->path, strerror(errno))
                           : run_gnuplot(script, plot->picture, err);
    if (status == FN_OK) status = copy_picture(plot, err);
    (void)fclose(plot->script);
    (void)close(plot->picture);
    return status;
}
