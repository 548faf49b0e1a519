/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.h -- places in one buffer for things that are not all needed at the same time. */
#ifndef FN_OPENCL_ARENA_H
#define FN_OPENCL_ARENA_H

#include <stdint.h>

struct fn_life {
    int64_t size;    /* in any unit, alignment already in it */
    int first, last; /* steps that first and last need it, both inclusive */
    int64_t offset;  /* set by fn_arena_place() */
};

/* Give each an offset of at least `floor`, so that no two overlap that are needed at the same step.
 * Returns where the last one ends. */
int64_t fn_arena_place(struct fn_life *lives, int n, int64_t floor);

#endif
