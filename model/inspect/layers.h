/* SPDX-License-Identifier: Apache-2.0
 *
 * layers.h -- the network of a source for people and programs: a tree, JSON, or a Graphviz picture,
 * with what the source lacks and has too much of. */
#ifndef FN_LAYERS_H
#define FN_LAYERS_H

#include <stdio.h>

#include "model/sources/source.h"

/* Parts that every layer must have and this source has not, as "<scope>: <name expected>"; [n],
 * owned by the caller. Empty: fn_source_network() can only fail over shapes. */
struct fn_missing {
    char **names;
    size_t n;
};
FN_MUST fn_status fn_layers_missing(const struct fn_source *source, struct fn_missing *ret,
                                    struct fn_error *err);
void fn_missing_done(struct fn_missing *missing);

/* Numbers that the source holds for a layer. */
int64_t fn_layers_parameters(const struct fn_source *source, const struct fn_layer *layer);

/* `all`: every block, not the first of equal ones with a count. */
void fn_layers_print_tree(FILE *to, const struct fn_source *source,
                          const struct fn_network *network, bool all);
void fn_layers_print_dot(FILE *to, const struct fn_network *network);
FN_MUST fn_status fn_layers_print_json(FILE *to, const struct fn_source *source,
                                       const struct fn_network *network, struct fn_error *err);

#endif
