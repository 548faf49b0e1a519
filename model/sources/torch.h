/* SPDX-License-Identifier: Apache-2.0
 *
 * torch.h -- the tensors of a PyTorch state dict, from either layout of torch.save(): a ZIP file
 * with data.pkl and one member per storage, or the older stream of pickles followed by storages. */
#ifndef FN_TORCH_H
#define FN_TORCH_H

#include <stddef.h>
#include <stdint.h>

#include "model/sources/tensor.h"

/* Called for each tensor of the state dict, in its order; anything but FN_OK stops. */
typedef fn_status (*fn_torch_visit)(void *context, const struct fn_raw_tensor *tensor,
                                    struct fn_error *err);

/* Whether the first bytes are those of either layout. */
bool fn_torch_recognise(const uint8_t *head, size_t size);

/* Visit the tensors; they borrow from `bytes`. Tensors of integers are passed over. `name` stands
 * in messages. FN_BAD_SOURCE. */
FN_MUST fn_status fn_torch_read(const char *name, const uint8_t *bytes, size_t size,
                                fn_torch_visit visit, void *context, struct fn_error *err);

#endif
