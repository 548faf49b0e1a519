/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/backend.h"

static fn_status opencl_open(const struct fn_model *model, const struct fn_engine_options *options,
                             void **ret_state, struct fn_error *err) {
    (void)model;
    (void)ret_state;
    return fn_fail(err, FN_NO_DEVICE, "the OpenCL back end is not in this build (device \"%s\")",
                   options->device);
}

const struct fn_backend fn_backend_opencl = {.open = opencl_open};
