/* SPDX-License-Identifier: Apache-2.0
 *
 * file.h -- read a file whole, write a file whole or not at all. */
#ifndef FN_FILE_H
#define FN_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/status.h"

/* Read a regular file of at most `max_size` bytes. The buffer is 8-byte aligned, has one NUL after
 * its last byte and is the caller's to free(). FN_IO or FN_NO_MEMORY; the text names the file. */
FN_MUST fn_status fn_file_read(const char *path, size_t max_size, uint8_t **ret_bytes,
                               size_t *ret_size, struct fn_error *err);

/* A piece of a file to write; borrowed. */
struct fn_piece {
    const void *bytes;
    size_t size;
};

/* Write the pieces one after another to a temporary file beside `path`, then rename it over `path`.
 * On failure (FN_IO) nothing is left behind and an older file stays as it was. */
FN_MUST fn_status fn_file_write(const char *path, const struct fn_piece *pieces, size_t n_pieces,
                                struct fn_error *err);

#endif
