/* SPDX-License-Identifier: Apache-2.0
 *
 * temporary.h -- a directory that goes away with the test. */
#ifndef FN_TESTS_TEMPORARY_H
#define FN_TESTS_TEMPORARY_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char temporary_dir[1024];

static inline int temporary_make(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    (void)snprintf(temporary_dir, sizeof temporary_dir, "%s/facenetd-test-XXXXXX",
                   base ? base : P_tmpdir);
    return mkdtemp(temporary_dir) ? 0 : -1;
}

static inline int temporary_remove_one(const char *path, const struct stat *info, int type,
                                       struct FTW *where) {
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static inline int temporary_remove(void **state) {
    (void)state;
    return nftw(temporary_dir, temporary_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* "<directory>/<name>" in a static buffer. */
static inline const char *temporary_path(const char *name) {
    static char path[sizeof temporary_dir + 64];
    (void)snprintf(path, sizeof path, "%s/%s", temporary_dir, name);
    return path;
}

#endif
