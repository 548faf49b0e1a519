/* SPDX-License-Identifier: Apache-2.0
 *
 * opencl.c -- the OpenCL back end: a device and the kernel family that runs the model on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/backend.h"
#include "engine/cleanup.h"
#include "engine/opencl/family.h"

/* `auto` takes the first that does not refuse the device. */
static const struct fn_family *const families[] = {
    &fn_family_fpga,         &fn_family_fpga_fused, &fn_family_x86_avx512_vnni,
    &fn_family_x86_avx_vnni, &fn_family_x86_avx2,   &fn_family_generic};
#define N_FAMILIES (sizeof families / sizeof families[0])

struct opencl {
    struct fn_cl *cl;               /* owned */
    const struct fn_family *family; /* static */
    void *state;                    /* the family's, owned; NULL until it is open */
    char label[600];
    char note[sizeof((struct fn_error *)0)->text];
};

static void opencl_close(void *state) {
    struct opencl *o = state;
    if (!o) return;
    if (o->state) o->family->close(o->state);
    fn_cl_close(o->cl);
    free(o);
}
FN_DEFINE_CLEANUP(struct opencl *, opencl_close)

static bool is_automatic(const char *wanted) {
    return !wanted || !*wanted || strcmp(wanted, "auto") == 0;
}

/* "x86" stands for every family whose name begins with "x86-". */
static bool is_wanted(const struct fn_family *family, const char *wanted) {
    size_t length = strlen(wanted);
    return strncmp(family->name, wanted, length) == 0 &&
           (family->name[length] == '\0' || family->name[length] == '-');
}

/* FN_USAGE for a name that no family has, FN_NO_DEVICE when those that have it refuse the device.
 */
static fn_status fail_choice(const struct opencl *o, const char *wanted, const char *reason,
                             struct fn_error *err) {
    if (reason)
        return fn_fail(err, FN_NO_DEVICE, "kernel family '%.40s' does not run on %s: %s", wanted,
                       fn_cl_info(o->cl)->device, reason);
    char names[200] = "auto";
    for (size_t i = 0; i < N_FAMILIES; i++) {
        size_t used = strlen(names);
        (void)snprintf(names + used, sizeof names - used, ", %s", families[i]->name);
    }
    return fn_fail(err, FN_USAGE, "there is no kernel family '%.40s', expected one of %s", wanted,
                   names);
}

/* Open the first family that is wanted and does not refuse the device. One that the device's
 * compiler cannot build is passed over only when the choice is ours. */
static fn_status open_family(struct opencl *o, const struct fn_model *model,
                             const struct fn_engine_options *options, struct fn_error *err) {
    const char *wanted = options->kernel_family, *reason = NULL;
    bool automatic = is_automatic(wanted);
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (automatic ? families[i]->asked_only : !is_wanted(families[i], wanted)) continue;
        const char *refusal = families[i]->refuse(fn_cl_info(o->cl));
        if (refusal) {
            reason = refusal;
            continue;
        }
        o->family = families[i];
        fn_status status = o->family->open(o->family, model, options, o->cl, &o->state, err);
        if (status != FN_DEVICE_FAILED || !automatic || families[i]->is_final ||
            i + 1 == N_FAMILIES)
            return status;
        if (!*o->note && err) (void)snprintf(o->note, sizeof o->note, "%s", err->text);
        fn_cl_close(o->cl); /* with whatever the family has left on it */
        o->cl = NULL;
        status = fn_cl_open(options->device, options->profile, &o->cl, err);
        if (status != FN_OK) return status;
    }
    return fail_choice(o, wanted, reason, err);
}

static fn_status opencl_open(const struct fn_model *model, const struct fn_engine_options *options,
                             void **ret_state, struct fn_error *err) {
    if (model->network.is_wide)
        return fn_fail(err, FN_NO_DEVICE,
                       "this model's residual stream is wide (16 bits), which only "
                       "the reference engine computes (device reference)");
    FN_CLEANUP(opencl_close) struct opencl *o = calloc(1, sizeof *o);
    if (!o) return fn_fail(err, FN_NO_MEMORY, "no memory for the OpenCL engine");
    fn_status status = fn_cl_open(options->device, options->profile, &o->cl, err);
    if (status == FN_OK) status = open_family(o, model, options, err);
    if (status != FN_OK) return status;
    (void)snprintf(o->label, sizeof o->label, "opencl:%s:%s", o->family->name,
                   fn_cl_info(o->cl)->device);
    *ret_state = FN_TAKE(o);
    return FN_OK;
}

fn_status fn_engine_build_kernels(const struct fn_engine_options *options, struct fn_error *err) {
    struct fn_cl *cl = NULL;
    const struct fn_family *family = NULL;
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i]->name, options->kernel_family) == 0) family = families[i];
    if (!family || !family->build)
        return fn_fail(err, FN_USAGE, "'%.40s' is no kernel family that is built",
                       options->kernel_family);
    fn_status status = fn_cl_open(options->device, false, &cl, err);
    if (status == FN_OK) status = family->build(family, options, cl, err);
    fn_cl_close(cl);
    return status;
}

static int opencl_slots(const void *state) {
    const struct opencl *o = state;
    return o->family->slots(o->state);
}

static fn_status opencl_submit(void *state, int slot, const int8_t *input, int n,
                               struct fn_error *err) {
    struct opencl *o = state;
    return o->family->submit(o->state, slot, input, n, err);
}

static fn_status opencl_collect(void *state, int slot, int n, int32_t *ret_accumulators,
                                struct fn_error *err) {
    struct opencl *o = state;
    return o->family->collect(o->state, slot, n, ret_accumulators, err);
}

static fn_status opencl_read_tensor(void *state, int tensor, int picture, int8_t *ret_values,
                                    struct fn_error *err) {
    struct opencl *o = state;
    return o->family->read_tensor(o->state, tensor, picture, ret_values, err);
}

static const double *opencl_profile(const void *state) {
    const struct opencl *o = state;
    return o->family->profile(o->state);
}

static void opencl_describe(const void *state, struct fn_engine_description *ret) {
    const struct opencl *o = state;
    const struct fn_cl_info *info = fn_cl_info(o->cl);
    *ret = (struct fn_engine_description){.backend = "opencl",
                                          .kernel_family = o->family->name,
                                          .platform = info->platform,
                                          .device = info->device,
                                          .driver = info->driver,
                                          .label = o->label,
                                          .note = o->note};
}

const struct fn_backend fn_backend_opencl = {
    .open = opencl_open,
    .slots = opencl_slots,
    .submit = opencl_submit,
    .collect = opencl_collect,
    .read_tensor = opencl_read_tensor,
    .describe = opencl_describe,
    .profile = opencl_profile,
    .close = opencl_close,
};
