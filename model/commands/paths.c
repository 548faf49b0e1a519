/* SPDX-License-Identifier: Apache-2.0
 *
 * paths.c -- see paths.h. The order of a listing is that of bytes, whatever the locale and the
 * file system, because calibration sums and digests follow it. */
#include "model/commands/paths.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_DEPTH 32

FN_DEFINE_CLEANUP(DIR *, closedir)

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

static fn_status walk(const char *dir, int depth, struct fn_paths *paths, size_t *capacity,
                      struct fn_error *err);

/* A file is listed, a folder walked, anything else passed over. */
static fn_status visit(const char *dir, const char *name, int depth, struct fn_paths *paths,
                       size_t *capacity, struct fn_error *err) {
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s%s%s", dir, strcmp(dir, "/") == 0 ? "" : "/", name);
    if (length < 0 || (size_t)length >= sizeof path)
        return fn_fail(err, FN_IO, "%.200s...: path is too long", path);
    struct stat info;
    if (stat(path, &info) != 0) {
        if (errno == ENOENT) return FN_OK; /* a link to nothing */
        return fn_fail(err, FN_IO, "%s: %s", path, strerror(errno));
    }
    if (S_ISREG(info.st_mode)) return append(paths, capacity, path, err);
    return S_ISDIR(info.st_mode) ? walk(path, depth + 1, paths, capacity, err) : FN_OK;
}

static fn_status walk(const char *dir, int depth, struct fn_paths *paths, size_t *capacity,
                      struct fn_error *err) {
    if (depth > MAX_DEPTH)
        return fn_fail(err, FN_IO, "%s: more than %d folders deep (a link that leads back?)", dir,
                       MAX_DEPTH);
    FN_CLEANUP(closedir) DIR *stream = opendir(dir);
    if (!stream) return fn_fail(err, FN_IO, "%s: %s", dir, strerror(errno));
    for (;;) {
        errno = 0;
        /* The stream is this call's own, so readdir() is safe in threads. */
        const struct dirent *entry = readdir(stream);
        if (!entry) return errno ? fn_fail(err, FN_IO, "%s: %s", dir, strerror(errno)) : FN_OK;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        fn_status status = visit(dir, entry->d_name, depth, paths, capacity, err);
        if (status != FN_OK) return status;
    }
}

fn_status fn_paths_list(const char *dir, struct fn_paths *ret_paths, struct fn_error *err) {
    FN_CLEANUP_FREE char *root = strdup(dir);
    if (!root) return fn_fail(err, FN_NO_MEMORY, "no memory for a path");
    for (size_t end = strlen(root); end > 1 && root[end - 1] == '/'; end--) root[end - 1] = '\0';
    struct fn_paths paths = {0};
    size_t capacity = 0;
    fn_status status = walk(root, 0, &paths, &capacity, err);
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
