/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel_copy.h -- the kernels' sources in a directory, one of them with a line in front of it. */
#ifndef FN_TESTS_KERNEL_COPY_H
#define FN_TESTS_KERNEL_COPY_H

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/embedded.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"

/* "<temporary>/<name>" with all kernels in it; the path is written to ret_dir. */
static inline void kernel_copy(const char *name, const char *changed, const char *line,
                               char ret_dir[PATH_MAX]) {
    char path[PATH_MAX + 64];
    (void)snprintf(ret_dir, PATH_MAX, "%s", temporary_path(name));
    assert_int_equal(mkdir(ret_dir, 0700), 0);
    for (const struct fn_embedded_file *s = fn_kernel_sources; s->name; s++) {
        (void)snprintf(path, sizeof path, "%s/%s", ret_dir, s->name);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        if (strcmp(s->name, changed) == 0) assert_true(fprintf(file, "%s\n", line) > 0);
        assert_true(fwrite(s->bytes, 1, s->size, file) == s->size);
        assert_int_equal(fclose(file), 0);
    }
}

#endif
