/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.c -- the largest first, each at the lowest place where it overlaps none that is needed when
 * it is. */
#include "engine/opencl/arena.h"

#include <stdbool.h>

#define UNPLACED (-1)

/* The lowest offset from `floor` on where `i` collides with none that is placed. */
static int64_t find_place(const struct fn_life *lives, int n, int i, int64_t floor) {
    int64_t at = floor;
    for (int k = 0; k < n; k++) {
        const struct fn_life *other = &lives[k];
        bool together = other->first <= lives[i].last && lives[i].first <= other->last;
        if (other->offset == UNPLACED || !together) continue;
        if (at >= other->offset + other->size || other->offset >= at + lives[i].size) continue;
        at = other->offset + other->size;
        k = -1; /* one looked at before may be in the way of the new place */
    }
    return at;
}

static int find_largest_unplaced(const struct fn_life *lives, int n) {
    int largest = -1;
    for (int i = 0; i < n; i++)
        if (lives[i].offset == UNPLACED && (largest < 0 || lives[i].size > lives[largest].size))
            largest = i;
    return largest;
}

int64_t fn_arena_place(struct fn_life *lives, int n, int64_t floor) {
    int64_t end = floor;
    for (int i = 0; i < n; i++) lives[i].offset = UNPLACED;
    for (int i; (i = find_largest_unplaced(lives, n)) >= 0;) {
        lives[i].offset = find_place(lives, n, i, floor);
        if (lives[i].offset + lives[i].size > end) end = lives[i].offset + lives[i].size;
    }
    return end;
}
