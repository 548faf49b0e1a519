/* SPDX-License-Identifier: Apache-2.0
 *
 * backend.h -- what a back end gives engine.c. Private to engine/. reference.c is the documented
 * example. A back end computes integers only; preprocessing and the head's division, square root
 * and rounding to float are done once for all in engine.c. */
#ifndef FN_BACKEND_H
#define FN_BACKEND_H

#include "engine/engine.h"

struct fn_backend {
    /* Build the plan, allocate everything, move the weights. */
    fn_status (*open)(const struct fn_model *model, const struct fn_engine_options *options,
                      void **ret_state, struct fn_error *err);
    /* See fn_engine_run_tensors(); n has been checked. */
    fn_status (*run)(void *state, const int8_t *input, int n, int32_t *ret_accumulators,
                     struct fn_error *err);
    /* See fn_engine_read_tensor(); indices have been checked. */
    fn_status (*read_tensor)(void *state, int tensor, int picture, int8_t *ret_values,
                             struct fn_error *err);
    /* See fn_engine_profile(); the pointer itself NULL for a back end that cannot measure. */
    const double *(*profile)(const void *state);
    void (*describe)(const void *state, struct fn_engine_description *ret);
    void (*close)(void *state);
};

extern const struct fn_backend fn_backend_reference; /* reference.c */
extern const struct fn_backend fn_backend_opencl;    /* opencl/opencl.c */

#endif
