/* SPDX-License-Identifier: Apache-2.0
 *
 * float_pass.h -- all pictures through the float network, for sums over what it computes.
 *
 * Pictures go in FN_LOTS lots, whatever the number of threads; each lot sums for itself, in the
 * order of its pictures, and lots are added in their order. So sums do not depend on threads. */
#ifndef FN_FLOAT_PASS_H
#define FN_FLOAT_PASS_H

#include "model/quantize/float_net.h"

#define FN_LOTS 16

struct fn_float_pass {
    const struct fn_network *network; /* all borrowed */
    const struct fn_float_net *net;
    enum fn_preprocessing preprocessing;
    const uint8_t *crops; /* [n][160][160][3] */
    size_t n;
    int n_threads;
};

/* After each picture; `run` holds all its tensors. Only one thread at a time has a lot. */
typedef void (*fn_float_visit)(void *context, int lot, const struct fn_float_run *run);

/* `name`: of the work, for the progress line. */
FN_MUST fn_status fn_float_pass_run(const struct fn_float_pass *pass, const char *name,
                                    fn_float_visit visit, void *context, struct fn_error *err);

#endif
