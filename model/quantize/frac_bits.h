/* SPDX-License-Identifier: Apache-2.0
 *
 * frac_bits.h -- all that calibration chooses, in a JSON file, so that a model can be made again
 * with the same bytes on any CPU:
 *
 *     {"calibration": {"pictures": 128, ...}, "frac_bits": {"image": 7, "<tensor>": 4, ...},
 *      "scales": {"<layer>": "iijh...", ...}, "corrections": {"<layer>": [-3, 0, ...], ...},
 *      "rounding": "joint"}
 *
 * `calibration` says how they were chosen and goes into the model as it is. In `frac_bits` every
 * tensor of the network is named once, and nothing else is; in the others, which may be absent like
 * `calibration`, the layers (equalise.h, correct_bias.h). `rounding`, if there, says that weights
 * were rounded together by the pictures, which are then needed once more. */
#ifndef FN_FRAC_BITS_H
#define FN_FRAC_BITS_H

#include "model/quantize/correct_bias.h"
#include "model/quantize/equalise.h"

#define FN_PROVENANCE_SIZE 512

struct fn_frac_bits {
    int8_t f[FN_MAX_TENSORS];            /* by tensor */
    char provenance[FN_PROVENANCE_SIZE]; /* `calibration` as compact JSON, or "" */
    bool has_scales, has_corrections, jointly;
    struct fn_equalisation scales; /* owned, like: */
    struct fn_corrections corrections;
};
void fn_frac_bits_done(struct fn_frac_bits *bits);

/* FN_IO or FN_BAD_SOURCE. input_frac_bits: what the preprocessing gives the picture. */
FN_MUST fn_status fn_frac_bits_read(const char *path, const struct fn_network *network,
                                    int input_frac_bits, struct fn_frac_bits *ret,
                                    struct fn_error *err);
FN_MUST fn_status fn_frac_bits_write(const char *path, const struct fn_network *network,
                                     const struct fn_frac_bits *bits, struct fn_error *err);

#endif
