/* SPDX-License-Identifier: Apache-2.0
 *
 * source_folder.h -- a folder for sources of several files, removed when the target ends. */
#ifndef FN_SOURCE_FOLDER_H
#define FN_SOURCE_FOLDER_H

#include "tests/unit/support/temporary.h"

static inline void remove_folder(void) {
    (void)temporary_remove(NULL);
}

static inline void make_folder(void) {
    if (temporary_make(NULL) != 0 || atexit(remove_folder) != 0) abort();
}

static inline void write_file(const char *name, const void *bytes, size_t size) {
    FILE *file = fopen(temporary_path(name), "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) abort();
}

#endif
