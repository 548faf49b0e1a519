/* SPDX-License-Identifier: Apache-2.0
 *
 * reference.h -- the layers of the reference engine, one call each: the definition of the
 * arithmetic, plain loops, nothing clever. Any other implementation is right when it gives these
 * bytes. */
#ifndef FN_REFERENCE_H
#define FN_REFERENCE_H

#include <stdint.h>

#include "engine/model.h"

/* Run layer `layer` for one picture. tensors: by tensor index, [height][width][channels]; the
 * layer's inputs are read, its output channels are written. ret_accumulators: [embedding_size] for
 * the head, unused otherwise. */
void fn_reference_layer(const struct fn_model *model, int layer, int8_t *const *tensors,
                        int32_t *ret_accumulators);

#endif
