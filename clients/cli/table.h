/* SPDX-License-Identifier: Apache-2.0
 *
 * table.h -- the CSV of `facenet dir`, written and read back. RFC 4180: a field with a comma, a
 * quote or a line end is quoted, so that every file name can stand in it. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdio.h>

#include "clients/cli/names.h"

struct facenet_faces;

/* The first line; `embedding_size` columns e0... at its end. */
void cli_table_write_header(FILE *to, size_t embedding_size);
/* One row a face: file,face,faces,x,y,width,height,score,model,crop. */
void cli_table_write(FILE *to, const char *name, const struct facenet_faces *faces,
                     bool with_embeddings);

/* What was read of a table that an earlier run may have left half written. */
struct cli_table {
    struct cli_names names; /* of pictures whose rows are all there; sorted */
    size_t good_size;       /* bytes up to the last of their rows */
    size_t n_faces;
    char model[80], crop[80]; /* of its rows, "" without any */
    bool mixed;               /* rows of several models or crops */
};
/* False: its first line is not that of such a table, or no memory. */
bool cli_table_read(const char *text, size_t size, size_t embedding_size,
                    struct cli_table *ret_table);

#endif
