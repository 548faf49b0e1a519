/* SPDX-License-Identifier: Apache-2.0
 *
 * paths.c -- see paths.h. The order of a listing is that of bytes, whatever the locale and the
 * file system, because calibration sums and digests follow it. */
#include "model/paths.h"

#include <errno.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

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
        case FTS_F:
            status = append(paths, &capacity, entry->fts_path, err);
            break;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
            status = fn_fail(err, FN_IO, "%s: %s", entry->fts_path, strerror(entry->fts_errno));
            break;
        default:
            break; /* directories, broken links, cycles, devices */
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
