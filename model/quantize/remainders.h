/* SPDX-License-Identifier: Apache-2.0
 *
 * remainders.h -- how many bits the remainders of a wide network get (network.h). */
#ifndef FN_REMAINDERS_H
#define FN_REMAINDERS_H

#include "model/quantize/quantize.h"

/* Set the f of each remainder of the draft, whose other activations' f are set: 8 bits more than
 * its output's, or as many as the shifts of the channels that write and add it leave for it when
 * they take their best f_w. At least 1, which the quantizer refuses where even that does not fit.
 */
FN_MUST fn_status fn_remainders_choose(const struct fn_source *source,
                                       const struct fn_quantize_plan *plan,
                                       struct fn_model_draft *draft, struct fn_error *err);

#endif
