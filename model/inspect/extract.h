/* SPDX-License-Identifier: Apache-2.0
 *
 * extract.h -- a source as a folder of .npy files under TensorFlow scopes, with a manifest. The
 * folder is a source again (source_extract.c) that gives the same network bit for bit. */
#ifndef FN_EXTRACT_H
#define FN_EXTRACT_H

#include "model/sources/source.h"

#define FN_EXTRACT_FORMAT   "facenetd-extract"
#define FN_EXTRACT_VERSION  1
#define FN_EXTRACT_MANIFEST "manifest.json"

/* Write all parts of the layers of `network` to the folder `directory`, which must not exist or be
 * empty. It appears whole or not at all. FN_IO, FN_USAGE, FN_NO_MEMORY. */
FN_MUST fn_status fn_extract_write(const struct fn_source *source, const struct fn_network *network,
                                   const char *directory, struct fn_error *err);

#endif
