/* SPDX-License-Identifier: Apache-2.0
 *
 * hdf5.h -- the floating-point datasets of an HDF5 file, by libhdf5 in a process of its own.
 *
 * libhdf5 is not made for files from strangers: damaged ones crash it. So a child with limits on
 * memory and time reads the file and hands over plain records; if it dies, the file is damaged, and
 * nothing else happened. Links to other files, data kept in other files and filter plugins are not
 * followed or loaded. */
#ifndef FN_HDF5_H
#define FN_HDF5_H

#include "model/sources/tensor.h"

/* Called for each dataset: its path without the leading '/'. Keras 3 keeps a layer's variables in a
 * folder "vars": such a path becomes "vars/<layer's name>/0", or "vars:<the folder's folder>/0"
 * when the file does not name the layer. */
typedef fn_status (*fn_hdf5_visit)(void *context, const struct fn_raw_tensor *tensor,
                                   struct fn_error *err);

/* A file by its path, or its bytes, when `image` is not NULL; both borrowed. */
struct fn_hdf5_input {
    const char *path;
    const void *image; /* [size] */
    size_t size;
};

/* Visit the datasets of float16,
 * float32 or float64 in the order of their paths; the numbers are of the source. *ret_config: the
 * text of the root's "model_config", of the source, or NULL. FN_BAD_SOURCE, FN_IO. */
FN_MUST fn_status fn_hdf5_read(struct fn_source *source, const struct fn_hdf5_input *input,
                               fn_hdf5_visit visit, void *context, const char **ret_config,
                               struct fn_error *err);

#endif
