/* SPDX-License-Identifier: Apache-2.0
 *
 * program_cache.c -- file format: a line "facenetd program 1 <sha256 of the rest>\n", the rest. */
#include "engine/opencl/program_cache.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/cleanup.h"
#include "engine/file.h"
#include "engine/sha256.h"

#define MAGIC       "facenetd program 1 "
#define HEAD_SIZE   (sizeof MAGIC - 1 + FN_SHA256_HEX_SIZE) /* with the newline */
#define MAX_PROGRAM ((size_t)1 << 30)

static bool make_path(const char *dir, const char *key, char ret_path[PATH_MAX]) {
    int length = snprintf(ret_path, PATH_MAX, "%s/%s.clbin", dir, key);
    return length > 0 && length < PATH_MAX;
}

static void make_head(const uint8_t *bytes, size_t size, char ret_head[HEAD_SIZE + 1]) {
    char digest[FN_SHA256_HEX_SIZE];
    fn_sha256_hex(bytes, size, digest);
    (void)snprintf(ret_head, HEAD_SIZE + 1, MAGIC "%s\n", digest);
}

bool fn_program_cache_load(const char *dir, const char *key, uint8_t **ret_bytes,
                           size_t *ret_size) {
    char path[PATH_MAX], head[HEAD_SIZE + 1];
    FN_CLEANUP_FREE uint8_t *bytes = NULL;
    size_t size = 0;
    if (!make_path(dir, key, path) ||
        fn_file_read(path, MAX_PROGRAM, &bytes, &size, NULL) != FN_OK || size <= HEAD_SIZE)
        return false;
    make_head(bytes + HEAD_SIZE, size - HEAD_SIZE, head);
    if (memcmp(bytes, head, HEAD_SIZE) != 0) return false;
    memmove(bytes, bytes + HEAD_SIZE, size - HEAD_SIZE);
    *ret_size = size - HEAD_SIZE;
    *ret_bytes = FN_TAKE(bytes);
    return true;
}

void fn_program_cache_store(const char *dir, const char *key, const uint8_t *bytes, size_t size) {
    char path[PATH_MAX], head[HEAD_SIZE + 1];
    if (!make_path(dir, key, path)) return;
    make_head(bytes, size, head);
    (void)mkdir(dir, 0700);
    const struct fn_piece pieces[] = {{head, HEAD_SIZE}, {bytes, size}};
    if (fn_file_write(path, pieces, 2, NULL) != FN_OK) return;
}
