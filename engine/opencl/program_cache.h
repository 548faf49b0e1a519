/* SPDX-License-Identifier: Apache-2.0
 *
 * program_cache.h -- built device programs on disk, so that the second start is quick.
 *
 * One file a program, named by a key that digests everything the binary depends on. The contents
 * carry their own digest: a truncated or altered file is no file. Programs are machine code that
 * the process will run, so the directory must be writable by nobody else. */
#ifndef FN_PROGRAM_CACHE_H
#define FN_PROGRAM_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Read the program stored under `key`, which goes into the file's name. ret_bytes: owned. False
 * when there is none, or what is there is damaged. */
bool fn_program_cache_load(const char *dir, const char *key, uint8_t **ret_bytes, size_t *ret_size);

/* Store a program, making the directory (its parent must exist). A cache that cannot be written is
 * no error: the next start takes as long as this one. */
void fn_program_cache_store(const char *dir, const char *key, const uint8_t *bytes, size_t size);

#endif
