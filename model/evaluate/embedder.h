/* SPDX-License-Identifier: Apache-2.0
 *
 * embedder.h -- crops to embeddings, by the fixed-point model on a device or by the float network,
 * behind one call. */
#ifndef FN_EMBEDDER_H
#define FN_EMBEDDER_H

#include "engine/engine.h"
#include "model/commands/progress.h"
#include "model/quantize/float_net.h"

struct fn_embedder; /* opaque */

/* On a device (engine.h names them). The model is borrowed. The reference back end computes one
 * picture at a time, so n_threads of them are opened. */
FN_MUST fn_status fn_embedder_on_device(const struct fn_model *model, const char *device,
                                        int n_threads, struct fn_embedder **ret_embedder,
                                        struct fn_error *err);
/* The float network; borrowed. */
FN_MUST fn_status fn_embedder_in_float(const struct fn_float_net *net, int embedding_size,
                                       enum fn_preprocessing preprocessing, int n_threads,
                                       struct fn_embedder **ret_embedder, struct fn_error *err);
void fn_embedder_free(struct fn_embedder *embedder); /* NULL is a no-op */

int fn_embedder_size(const struct fn_embedder *embedder);
/* What computes: "opencl:generic:...", "float32". Borrowed from the embedder. */
const char *fn_embedder_label(const struct fn_embedder *embedder);

/* crops: [n][160][160][3]. ret_embeddings: [n][size]. progress (or NULL) moves by one a batch */
FN_MUST fn_status fn_embedder_run(struct fn_embedder *embedder, const uint8_t *crops, size_t n,
                                  struct fn_progress *progress, float *ret_embeddings,
                                  struct fn_error *err);

FN_DEFINE_CLEANUP(struct fn_embedder *, fn_embedder_free)

#endif
