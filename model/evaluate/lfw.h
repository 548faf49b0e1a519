/* SPDX-License-Identifier: Apache-2.0
 *
 * lfw.h -- the pairs file of Labeled Faces in the Wild, and the pictures it names.
 *
 * First line: "<folds><TAB><n>", or "<n>" for one set. Then for each fold n lines of one person,
 * "<name><TAB><i><TAB><j>", and n of two people, "<name><TAB><i><TAB><name><TAB><j>". Picture i of
 * a person is <name>/<name>_<i, at least four digits>.jpg under the folder of pictures (or .png,
 * .jpeg, .webp, looked for in this order). */
#ifndef FN_LFW_H
#define FN_LFW_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/status.h"
#include "model/commands/paths.h"

#define FN_LFW_MAX_FOLDS 100
#define FN_LFW_MAX_PAIRS 1000000

struct fn_lfw_pair {
    size_t a, b; /* pictures, by index */
    bool same;   /* of one person */
    int fold;
};

struct fn_lfw_picture {
    char *key;     /* "<name>/<name>_0001", owned */
    size_t person; /* equal numbers, equal names */
    int line;      /* of the pairs file that names it first; 0: none does */
};

struct fn_lfw {
    int n_folds;               /* as the file states them */
    struct fn_lfw_pair *pairs; /* [n_pairs], owned, in the file's order */
    size_t n_pairs;
    struct fn_lfw_picture *pictures; /* [n_pictures], owned, sorted by key */
    size_t n_pictures;
};

/* Parse `size` bytes of text; `name` stands in messages, which name the line. FN_BAD_SOURCE. */
FN_MUST fn_status fn_lfw_parse(const char *name, const char *text, size_t size,
                               struct fn_lfw *ret_lfw, struct fn_error *err);
FN_MUST fn_status fn_lfw_read(const char *path, struct fn_lfw *ret_lfw, struct fn_error *err);
void fn_lfw_done(struct fn_lfw *lfw);

/* Find the files of all pictures under `dir`; ret_paths is parallel to the pictures. A picture that
 * is not there is an error that names file and line. everyone: first add every other picture under
 * `dir` whose name has LFW's form. */
FN_MUST fn_status fn_lfw_find(const char *pairs_path, const char *dir, bool everyone,
                              struct fn_lfw *lfw, struct fn_paths *ret_paths, struct fn_error *err);

static inline void fn_lfw_done_cleanup(struct fn_lfw *lfw) {
    fn_lfw_done(lfw);
}

#endif
