/* SPDX-License-Identifier: Apache-2.0
 *
 * pairs.h -- lists of picture pairs, each of one person or of two, and who is who.
 *
 * Two formats, told apart by the first line: that of LFW's pairs.txt (lfw.h; pictures are .jpg),
 * and CSV, lines "a.jpg,b.jpg,1" with 1, true or same, or 0, false or different; a first line whose
 * names have neither dot nor slash is a heading. People of a CSV are the folders of its pictures;
 * pictures outside folders are joined by the pairs that are the same. */
#ifndef FN_PAIRS_H
#define FN_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cleanup.h"
#include "engine/status.h"

#define FN_MAX_PAIRS    5000000
#define FN_MAX_PICTURES 200000

struct fn_pair {
    uint32_t a, b; /* pictures */
    bool same;
};

struct fn_pairs {
    char **pictures;  /* [n_pictures], names relative to a folder; owned */
    uint32_t *people; /* [n_pictures]: 0 ... n_people - 1; owned */
    size_t n_pictures;
    uint32_t n_people;
    struct fn_pair *pairs; /* [n_pairs], owned */
    size_t n_pairs;
};

/* Parse a list in memory, of `size` bytes. FN_BAD_SOURCE names the line and what was expected
 * there. */
FN_MUST fn_status fn_pairs_parse(const char *name, const char *text, size_t size,
                                 struct fn_pairs *ret_pairs, struct fn_error *err);
void fn_pairs_done(struct fn_pairs *pairs);

static inline void fn_pairs_done_cleanup(struct fn_pairs *pairs) {
    fn_pairs_done(pairs);
}

#endif
