/* SPDX-License-Identifier: Apache-2.0
 *
 * family.h -- a kernel family: one way to run a model on one sort of OpenCL device.
 *
 * All families compute the same bits; they differ in kernels, in how they pack weights and in how
 * they split the work. opencl.c chooses one, ndrange.c is the documented example. */
#ifndef FN_OPENCL_FAMILY_H
#define FN_OPENCL_FAMILY_H

#include "engine/engine.h"
#include "engine/opencl/cl.h"

struct fn_family {
    const char *name; /* "generic", "x86-avx2": in options, answers and labels */
    const void *form; /* of the file whose functions these are, when several families share them */
    bool asked_only;  /* `auto` never takes it */
    bool is_final;    /* where it does not refuse, `auto` takes no other, whatever happens */
    /* NULL when it can run on the device, else why not, for people. */
    const char *(*refuse)(const struct fn_cl_info *info);
    /* Build the program and put it into the cache. NULL for a family whose programs are files. */
    fn_status (*build)(const struct fn_family *family, const struct fn_engine_options *options,
                       struct fn_cl *cl, struct fn_error *err);
    /* Build the program, allocate everything, move the weights. cl: fresh, borrowed, outlives the
     * state. FN_DEVICE_FAILED lets `auto` go on to the next family, with a note of it. */
    fn_status (*open)(const struct fn_family *family, const struct fn_model *model,
                      const struct fn_engine_options *options, struct fn_cl *cl, void **ret_state,
                      struct fn_error *err);
    /* The rest as in backend.h. */
    int (*slots)(const void *state);
    fn_status (*submit)(void *state, int slot, const int8_t *input, int n, struct fn_error *err);
    fn_status (*collect)(void *state, int slot, int n, int32_t *ret_accumulators,
                         struct fn_error *err);
    fn_status (*read_tensor)(void *state, int tensor, int picture, int8_t *ret_values,
                             struct fn_error *err);
    const double *(*profile)(const void *state);
    void (*close)(void *state);
};

extern const struct fn_family fn_family_fpga;            /* fpga.c */
extern const struct fn_family fn_family_fpga_fused;      /* fpga.c */
extern const struct fn_family fn_family_generic;         /* generic.c */
extern const struct fn_family fn_family_x86_avx512_vnni; /* x86.c */
extern const struct fn_family fn_family_x86_avx_vnni;    /* x86.c */
extern const struct fn_family fn_family_x86_avx2;        /* x86.c */

#endif
