/* SPDX-License-Identifier: Apache-2.0
 *
 * model_check.h -- what must hold before a model may compute. */
#ifndef FN_MODEL_CHECK_H
#define FN_MODEL_CHECK_H

#include "engine/limits.h"
#include "engine/model.h"

/* The parts that decide one output channel of one layer, ready for limits.h. */
void fn_channel_describe(const struct fn_network *network, const int8_t *tensor_frac_bits,
                         const struct fn_params *params, int layer, int output_channel,
                         struct fn_channel *ret_channel);

/* Fractional bits in range, no weight of -128, every channel within its limits, every pool's shift
 * in range. FN_BAD_MODEL names layer, channel and figure. `name` stands in messages. */
FN_MUST fn_status fn_model_check(const struct fn_model *model, const char *name,
                                 struct fn_error *err);

/* Model id: sha256 over every stored tensor (name, dtype, shape, bytes, in name order), then the
 * fractional bits, the embedding size and the preprocessing; docs/model-format.md has the bytes.
 * The tensors are in name order already. */
struct fn_stored_tensor;
FN_MUST fn_status fn_model_compute_id(const struct fn_model *model,
                                      const struct fn_stored_tensor *tensors, size_t n_tensors,
                                      char ret_id[FN_MODEL_ID_SIZE], struct fn_error *err);

#endif
