/* SPDX-License-Identifier: Apache-2.0
 *
 * ndrange.h -- what the kernel families of ndrange.c differ in. */
#ifndef FN_OPENCL_NDRANGE_H
#define FN_OPENCL_NDRANGE_H

#include "engine/opencl/family.h"

struct fn_ndrange_form {
    const char *flags;    /* for the compiler, beside the sizes below */
    int blocks;           /* of 16 output channels that most work-items compute at once */
    int tile;             /* and pixels */
    int tail_tile;        /* pixels where that wastes less */
    int narrow_tile;      /* pixels of work-items with one block */
    int signed_tile;      /* pixels of work-items on signed inputs */
    bool ordered;         /* weights in the order of order.h, for FN_ORDERED */
    bool winograd;        /* 3x3 kernels of stride 1 by kernels/winograd.cl.h */
    bool one_launch;      /* all steps of a run in one launch, kernels/run.cl.h */
    bool unsigned_inputs; /* kernels add 128 to signed inputs (pack.h) */
};

/* What suits a device of which no more is known (generic.c). */
struct fn_ndrange_form fn_generic_form(const struct fn_cl_info *info);

/* The functions of struct fn_family, whose `form` is a struct fn_ndrange_form, or NULL for
 * fn_generic_form(). */
fn_status fn_ndrange_build(const struct fn_family *family, const struct fn_engine_options *options,
                           struct fn_cl *cl, struct fn_error *err);
fn_status fn_ndrange_open(const struct fn_family *family, const struct fn_model *model,
                          const struct fn_engine_options *options, struct fn_cl *cl,
                          void **ret_state, struct fn_error *err);
int fn_ndrange_slots(const void *state);
fn_status fn_ndrange_submit(void *state, int slot, const int8_t *input, int n,
                            struct fn_error *err);
fn_status fn_ndrange_collect(void *state, int slot, int n, int32_t *ret_accumulators,
                             struct fn_error *err);
fn_status fn_ndrange_read_tensor(void *state, int tensor, int picture, int8_t *ret_values,
                                 struct fn_error *err);
const double *fn_ndrange_profile(const void *state);
void fn_ndrange_close(void *state);

#endif
