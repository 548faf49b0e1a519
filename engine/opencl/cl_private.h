/* SPDX-License-Identifier: Apache-2.0
 *
 * cl_private.h -- what cl.c and cl_tasks.c share. Nobody else includes it. */
#ifndef FN_CL_PRIVATE_H
#define FN_CL_PRIVATE_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "engine/opencl/cl.h"
#include "engine/sha256.h"

#define FN_CL_MAX_HANDLES 16 /* kernels, buffers, and further queues, of one device */
#define FN_CL_TEXT_SIZE   512

struct fn_cl {
    cl_platform_id platform;
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;
    cl_program program;
    char key[FN_SHA256_HEX_SIZE]; /* of the program in the cache; "" when it need not be stored */
    bool profile;
    int n_kernels, n_buffers;
    cl_kernel kernels[FN_CL_MAX_HANDLES];
    cl_mem buffers[FN_CL_MAX_HANDLES];
    struct fn_cl_info info;
    char platform_name[FN_CL_TEXT_SIZE], platform_version[FN_CL_TEXT_SIZE];
    char device_name[FN_CL_TEXT_SIZE], device_version[FN_CL_TEXT_SIZE], driver[FN_CL_TEXT_SIZE];
    /* cl_tasks.c */
    int n_queues;
    cl_command_queue queues[FN_CL_MAX_HANDLES];
    struct fn_cl_tasks {
        cl_event *events; /* owned */
        size_t n, capacity;
    } batches[FN_CL_BATCHES], *batch; /* batch: the one begun last */
    bool hung; /* a batch did not end in time: nothing of it may be touched any more */
    int n_host;
    void *host[FN_CL_MAX_HANDLES]; /* owned, as they were allocated */
    struct fn_cl *next;            /* left behind before this one */
};

/* FN_OK, or FN_DEVICE_FAILED with the call and the error's name. */
fn_status fn_cl_check(cl_int code, const char *call, struct fn_error *err);
const char *fn_cl_error_name(cl_int code);

/* Wait for all queues. False when the device hangs or does not say that it is idle. */
bool fn_cl_is_idle(struct fn_cl *cl);
/* Release tasks, further queues and host memory of a device that is idle. */
void fn_cl_release_tasks(struct fn_cl *cl);

#endif
