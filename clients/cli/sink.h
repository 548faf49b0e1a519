/* SPDX-License-Identifier: Apache-2.0
 *
 * sink.h -- where `facenet dir` puts what it learns. A picture's record is written whole or not at
 * all, and is in the file before the next begins, so that an interrupted run can be gone on with.
 *
 * csv    a table, one row a face, one for a picture without any; docs in facenet(1)
 * jsonl  the server's answers, one a line
 * npy    FILE, an array of float32 [faces][numbers], and FILE.csv, the table without the numbers */
#ifndef CLI_SINK_H
#define CLI_SINK_H

#include "clients/cli/args.h"
#include "clients/cli/names.h"

struct cli_sink;

/* Open args->output (NULL: stdout) for the embeddings of a model. What it already has is added to
 * ret_have, sorted; half a record at its end is cut off. NULL: stderr says why: it is in use, is
 * not of this format, or is of another model. */
struct cli_sink *cli_sink_open(const struct cli_args *args, const char *model,
                               size_t embedding_size, struct cli_names *ret_have);
/* False: nothing was written, stderr says why, and no more should be. */
bool cli_sink_write(struct cli_sink *sink, const char *name, const struct facenet_faces *faces);
/* False when it could not be brought to disk. NULL is a no-op. */
bool cli_sink_close(struct cli_sink *sink);

#endif
