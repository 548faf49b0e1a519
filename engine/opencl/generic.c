/* SPDX-License-Identifier: Apache-2.0
 *
 * generic.c -- the kernel family of any OpenCL 1.2 device. */
#include "engine/opencl/ndrange.h"

/* 8 times 16 sums fit the 32 vector registers of AVX-512, 4 times the 16 of everything before. The
 * tail tiles go into the 9 positions of the last tensors. */
struct fn_ndrange_form fn_generic_form(const struct fn_cl_info *info) {
    bool large = info->is_cpu && info->vector_ints >= 16;
    return (struct fn_ndrange_form){.flags = info->is_cpu ? "-DFN_WIDE" : "",
                                    .blocks = 1,
                                    .tile = large ? 8 : 4,
                                    .tail_tile = large ? 9 : 3,
                                    .narrow_tile = 4,
                                    .signed_tile = 4};
}

static const char *refuse_nothing(const struct fn_cl_info *info) {
    (void)info;
    return NULL;
}

const struct fn_family fn_family_generic = {
    .name = "generic",
    .refuse = refuse_nothing,
    .build = fn_ndrange_build,
    .open = fn_ndrange_open,
    .slots = fn_ndrange_slots,
    .submit = fn_ndrange_submit,
    .collect = fn_ndrange_collect,
    .read_tensor = fn_ndrange_read_tensor,
    .profile = fn_ndrange_profile,
    .close = fn_ndrange_close,
};
