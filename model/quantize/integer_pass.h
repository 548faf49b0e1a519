/* SPDX-License-Identifier: Apache-2.0
 *
 * integer_pass.h -- all calibration pictures through the quantized network, one layer after the
 * other: a layer can be quantized by what the layers before it really make of the pictures.
 *
 * The integers are the reference engine's, bit for bit. They are computed with OpenBLAS all the
 * same, in pieces short enough that float32 holds every sum, so they and all that is said of them
 * are the same on every machine and for any number of threads. */
#ifndef FN_INTEGER_PASS_H
#define FN_INTEGER_PASS_H

#include "engine/cleanup.h"
#include "engine/model.h"

struct fn_integer_pass; /* opaque: the tensors that are still to be read, of all pictures */

/* The pictures ready for layer 0. network: borrowed; crops ([n][160][160][3]): during the call. */
FN_MUST fn_status fn_integer_pass_new(const struct fn_network *network,
                                      enum fn_preprocessing preprocessing, const uint8_t *crops,
                                      size_t n, int n_threads, struct fn_integer_pass **ret_pass,
                                      struct fn_error *err);
void fn_integer_pass_free(struct fn_integer_pass *pass); /* NULL is a no-op */

/* Covariance of the values in a window that `layer` (no pool) reads, over positions spread over all
 * pictures, in units of the input's grid. The head's window is a position. ret: [kernel][kernel],
 * kernel = fn_layer_kernel_size(). Layers before `layer` have been run. */
FN_MUST fn_status fn_integer_pass_covariance(const struct fn_integer_pass *pass, int layer,
                                             float *ret, struct fn_error *err);

/* Mean of each output channel's accumulator over all positions of all pictures, what is added to it
 * included; the head's is a position's share. ret: [oc]. */
FN_MUST fn_status fn_integer_pass_means(const struct fn_integer_pass *pass,
                                        const struct fn_model *model, int layer, double *ret,
                                        struct fn_error *err);

/* Compute what a layer writes; drop what nobody will read. For the head nothing is computed. */
FN_MUST fn_status fn_integer_pass_run(struct fn_integer_pass *pass, const struct fn_model *model,
                                      int layer, struct fn_error *err);

/* A picture's tensor that has been written and is still to be read: [height][width][channels],
 * borrowed; NULL otherwise. */
const int8_t *fn_integer_pass_tensor(const struct fn_integer_pass *pass, int tensor,
                                     size_t picture);

FN_DEFINE_CLEANUP(struct fn_integer_pass *, fn_integer_pass_free)

#endif
