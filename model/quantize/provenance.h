/* SPDX-License-Identifier: Apache-2.0
 *
 * provenance.h -- what a model file says of its calibration: how many pictures, which, how they
 * were cropped, and the CPU whose order of sums the float network's activations came from. */
#ifndef FN_PROVENANCE_H
#define FN_PROVENANCE_H

#include "model/crops.h"
#include "model/quantize/frac_bits.h"

/* Compact JSON. The digest is over the pixels of all crops in their order. */
FN_MUST fn_status fn_provenance_describe(const struct fn_crops *crops,
                                         const struct fn_crop_way *way,
                                         char ret_json[FN_PROVENANCE_SIZE], struct fn_error *err);

/* FN_BAD_SOURCE when `json` is of other pictures than these. `path` stands in the message. */
FN_MUST fn_status fn_provenance_check(const char *path, const char *json,
                                      const struct fn_crops *crops, struct fn_error *err);

#endif
