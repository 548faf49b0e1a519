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
    /* Batches that may be in flight, 1...FN_MAX_SLOTS. */
    int (*slots)(const void *state);
    /* Begin a batch of n pictures in a slot, 0...slots - 1, that is free; input (as in
     * fn_engine_run_tensors()) is not looked at after the return. All the work may as well be done
     * here. On failure nothing is in flight in that slot. */
    fn_status (*submit)(void *state, int slot, const int8_t *input, int n, struct fn_error *err);
    /* Wait for the slot's batch, which is the oldest in flight. ret_accumulators: as in
     * fn_engine_run_tensors(), n as submitted. */
    fn_status (*collect)(void *state, int slot, int n, int32_t *ret_accumulators,
                         struct fn_error *err);
    /* See fn_engine_read_tensor(); indices have been checked. */
    fn_status (*read_tensor)(void *state, int tensor, int picture, int8_t *ret_values,
                             struct fn_error *err);
    /* See fn_engine_profile(); the pointer itself NULL for a back end that cannot measure. */
    const double *(*profile)(const void *state);
    void (*describe)(const void *state, struct fn_engine_description *ret);
    /* Also with batches in flight. */
    void (*close)(void *state);
};

extern const struct fn_backend fn_backend_reference; /* reference.c */
extern const struct fn_backend fn_backend_opencl;    /* opencl/opencl.c */

#endif
