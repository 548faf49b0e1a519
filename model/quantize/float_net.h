/* SPDX-License-Identifier: Apache-2.0
 *
 * float_net.h -- the float32 forward pass over a network: what quantization is measured against,
 * and where calibration sees the activations.
 *
 * Convolution is im2col and one matrix product per layer. A net is read-only after it is made and
 * may be shared by threads, each with a run of its own. Results do not depend on the number of
 * threads; they do depend on the CPU, by the order of sums in OpenBLAS. */
#ifndef FN_FLOAT_NET_H
#define FN_FLOAT_NET_H

#include <stdint.h>

#include "model/sources/source.h"

struct fn_float_net; /* opaque: float weights and biases by layer */
struct fn_float_run; /* opaque: every tensor of one picture, and the im2col buffer */

/* Fold and round the weights of `source` for `network`. Both borrowed: the source during the call,
 * the network as long as the net lives. */
FN_MUST fn_status fn_float_net_new(const struct fn_network *network, const struct fn_source *source,
                                   struct fn_float_net **ret_net, struct fn_error *err);
void fn_float_net_free(struct fn_float_net *net); /* NULL is a no-op */

FN_MUST fn_status fn_float_run_new(const struct fn_float_net *net, struct fn_float_run **ret_run,
                                   struct fn_error *err);
void fn_float_run_free(struct fn_float_run *run); /* NULL is a no-op */

/* Run every layer. image: [height][width][channels] of tensor 0. ret_embedding: L2-normalised
 * [embedding_size], or NULL. FN_NOT_UNIT when the output is zero or not finite. */
FN_MUST fn_status fn_float_net_run(struct fn_float_run *run, const float *image,
                                   float *ret_embedding, struct fn_error *err);

/* A tensor of the last run: [height][width][channels], borrowed from the run. */
const float *fn_float_run_tensor(const struct fn_float_run *run, int tensor);

/* A crop as the network sees it. ret_image: [160][160][3]. */
void fn_float_preprocess(enum fn_preprocessing preprocessing, const uint8_t *crop,
                         float *ret_image);

FN_DEFINE_CLEANUP(struct fn_float_net *, fn_float_net_free)
FN_DEFINE_CLEANUP(struct fn_float_run *, fn_float_run_free)

#endif
