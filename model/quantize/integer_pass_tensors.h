/* SPDX-License-Identifier: Apache-2.0
 *
 * integer_pass_tensors.h -- inside of an integer pass, for integer_pass.c and covariance.c only. */
#ifndef FN_INTEGER_PASS_TENSORS_H
#define FN_INTEGER_PASS_TENSORS_H

#include "model/quantize/integer_pass.h"

struct fn_integer_pass {
    const struct fn_network *network; /* borrowed */
    size_t n;                         /* pictures */
    int n_threads;
    int last_reader[FN_MAX_TENSORS]; /* layer after which a tensor goes */
    int8_t *tensors[FN_MAX_TENSORS]; /* [n][height][width][channels], owned, or NULL */
};

#endif
