/* SPDX-License-Identifier: Apache-2.0
 *
 * names.h -- a growing list of file names, and whether one is in it. */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct cli_names {
    char **name; /* owned */
    size_t n, capacity;
};

/* The name is copied; false without memory. */
bool cli_names_add(struct cli_names *names, const char *name);
void cli_names_sort(struct cli_names *names);
/* Of a sorted list. */
bool cli_names_have(const struct cli_names *names, const char *name);
void cli_names_done(struct cli_names *names);

/* Sorted, relative to `folder`: every regular file in it and in its folders, and every link to one,
 * that begins like a JPEG, PNG or WebP picture. False: stderr says why. What cannot be opened is
 * told of and left out. */
bool cli_names_of_pictures(const char *folder, struct cli_names *ret_names);

#endif
