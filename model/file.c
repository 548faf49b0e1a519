/* SPDX-License-Identifier: Apache-2.0
 *
 * file.c -- see file.h. Output goes to a temporary and is renamed, so that a reader of the final
 * name sees the old file or the new one, whole, and an error or a Ctrl-C leaves nothing behind. */
#include "model/file.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_cleanup(int *fd) {
    if (*fd >= 0) (void)close(*fd);
}

static fn_status read_all(int fd, const char *path, char *bytes, size_t size,
                          struct fn_error *err) {
    size_t have = 0;
    while (have < size) {
        ssize_t got = read(fd, bytes + have, size - have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
        if (got == 0)
            return fn_fail(err, FN_IO, "%s: the file shrank to %zu of %zu bytes while it was read",
                           path, have, size);
        have += (size_t)got;
    }
    return FN_OK;
}

fn_status fn_file_read(const char *path, size_t max_size, void **ret_bytes, size_t *ret_size,
                       struct fn_error *err) {
    /* O_NONBLOCK: opening a FIFO must not wait for a writer; it is refused just below. */
    __attribute__((cleanup(close_cleanup))) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) != 0) return fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode)) return fn_fail(err, FN_IO, "%s: not a regular file", path);
    if ((uintmax_t)st.st_size > max_size)
        return fn_fail(err, FN_IO, "%s: %jd bytes, at most %zu are read", path,
                       (intmax_t)st.st_size, max_size);
    size_t size = (size_t)st.st_size;
    FN_CLEANUP_FREE char *bytes = malloc(size + 1);
    if (!bytes) return fn_fail(err, FN_NO_MEMORY, "%s: no memory for %zu bytes", path, size);
    fn_status status = read_all(fd, path, bytes, size, err);
    if (status != FN_OK) return status;
    bytes[size] = '\0';
    *ret_bytes = FN_TAKE(bytes);
    *ret_size = size;
    return FN_OK;
}

const char *fn_path_base(const char *path) {
    const char *base = path;
    for (const char *p = path; *p; p++)
        if (p[0] == '/' && p[1] != '\0' && p[1] != '/') base = p + 1;
    return base;
}

static int compare_paths(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static fn_status append(struct fn_paths *paths, size_t *capacity, const char *path,
                        struct fn_error *err) {
    if (paths->n == *capacity) {
        size_t more = *capacity ? 2 * *capacity : 256;
        char **grown = reallocarray(paths->path, more, sizeof *grown);
        if (!grown) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu paths", more);
        paths->path = grown;
        *capacity = more;
    }
    char *copy = strdup(path);
    if (!copy) return fn_fail(err, FN_NO_MEMORY, "no memory for a path");
    paths->path[paths->n++] = copy;
    return FN_OK;
}

static fn_status walk(FTS *tree, struct fn_paths *paths, struct fn_error *err) {
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        FTSENT *entry = fts_read(tree);
        if (!entry) return errno ? fn_fail(err, FN_IO, "%s", strerror(errno)) : FN_OK;
        fn_status status = FN_OK;
        switch (entry->fts_info) {
        case FTS_F: status = append(paths, &capacity, entry->fts_path, err); break;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
            status = fn_fail(err, FN_IO, "%s: %s", entry->fts_path, strerror(entry->fts_errno));
            break;
        default: break; /* directories, broken links, cycles, devices */
        }
        if (status != FN_OK) return status;
    }
}

fn_status fn_paths_list(const char *dir, struct fn_paths *ret_paths, struct fn_error *err) {
    struct stat st;
    if (stat(dir, &st) != 0) return fn_fail(err, FN_IO, "%s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode)) return fn_fail(err, FN_IO, "%s: not a directory", dir);
    FN_CLEANUP_FREE char *root = strdup(dir);
    if (!root) return fn_fail(err, FN_NO_MEMORY, "no memory for a path");
    for (size_t end = strlen(root); end > 1 && root[end - 1] == '/'; end--) root[end - 1] = '\0';
    char *const roots[] = {root, NULL};
    FTS *tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    if (!tree) return fn_fail(err, FN_IO, "%s: %s", dir, strerror(errno));
    struct fn_paths paths = {0};
    fn_status status = walk(tree, &paths, err);
    (void)fts_close(tree);
    if (status != FN_OK) {
        fn_paths_done(&paths);
        return status;
    }
    if (paths.n) qsort(paths.path, paths.n, sizeof *paths.path, compare_paths);
    *ret_paths = paths;
    return FN_OK;
}

void fn_paths_done(struct fn_paths *paths) {
    for (size_t i = 0; i < paths->n; i++) free(paths->path[i]);
    free(paths->path);
    *paths = (struct fn_paths){0};
}

struct fn_output {
    FILE *stream;
    char *path, *temporary;
};

static void free_output(struct fn_output *output) {
    free(output->path);
    free(output->temporary);
    free(output);
}

fn_status fn_output_open(const char *path, struct fn_output **ret_output, struct fn_error *err) {
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return fn_fail(err, FN_IO, "%s: not a regular file; it would be replaced", path);
    FN_CLEANUP(fn_output_abandon) struct fn_output *output = calloc(1, sizeof *output);
    if (!output) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", path);
    output->path = strdup(path);
    if (!output->path || asprintf(&output->temporary, "%s.XXXXXX", path) < 0) {
        output->temporary = NULL;
        return fn_fail(err, FN_NO_MEMORY, "%s: no memory", path);
    }
    int fd = mkostemp(output->temporary, O_CLOEXEC);
    if (fd < 0) {
        int reason = errno;
        free(output->temporary);
        output->temporary = NULL; /* there is nothing to remove */
        return fn_fail(err, FN_IO, "%s: %s", path, strerror(reason));
    }
    /* mkostemp makes it private; a model is as public as any file its user makes. */
    mode_t mask = umask(0);
    (void)umask(mask);
    (void)fchmod(fd, 0666 & ~mask);
    output->stream = fdopen(fd, "w");
    if (!output->stream) {
        int reason = errno;
        (void)close(fd);
        return fn_fail(err, FN_IO, "%s: %s", path, strerror(reason));
    }
    *ret_output = FN_TAKE(output);
    return FN_OK;
}

FILE *fn_output_stream(struct fn_output *output) {
    return output->stream;
}

fn_status fn_output_commit(struct fn_output *output, struct fn_error *err) {
    FN_CLEANUP(fn_output_abandon) struct fn_output *owned = output;
    if (ferror(owned->stream) || fflush(owned->stream) != 0 || fsync(fileno(owned->stream)) != 0)
        return fn_fail(err, FN_IO, "%s: %s", owned->path, strerror(errno));
    if (rename(owned->temporary, owned->path) != 0)
        return fn_fail(err, FN_IO, "%s: %s", owned->path, strerror(errno));
    (void)fclose(owned->stream);
    free_output(FN_TAKE(owned));
    return FN_OK;
}

void fn_output_abandon(struct fn_output *output) {
    if (!output) return;
    if (output->stream) (void)fclose(output->stream);
    if (output->temporary) (void)unlink(output->temporary);
    free_output(output);
}
