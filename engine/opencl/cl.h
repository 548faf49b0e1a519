/* SPDX-License-Identifier: Apache-2.0
 *
 * cl.h -- one OpenCL device, as much of it as a back end needs. cl.c and cl_tasks.c are the only
 * files that know the OpenCL API.
 *
 * A device has one in-order queue, one program, and a few kernels and buffers that are named by
 * small integers and released together. A family whose kernels run at the same time adds queues and
 * gives tasks to them. Every failure is FN_DEVICE_FAILED with the call and the
 * OpenCL error's name. One thread at a time per device. */
#ifndef FN_CL_H
#define FN_CL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/status.h"

struct fn_cl; /* opaque */

/* Strings borrowed from the device. */
struct fn_cl_info {
    const char *platform, *device, *driver;
    bool is_cpu, is_accelerator;
    bool is_ieee754; /* floats: rounded to nearest, with denormal numbers and infinities */
    int compute_units;
    int vector_ints;   /* native width of int vectors */
    size_t max_buffer; /* bytes of the largest single buffer */
};

/* Open the first device whose platform or device name contains `wanted`, any case. "auto" or "":
 * an accelerator (FPGA) if there is one, else the first CPU or GPU. FN_NO_DEVICE says that there is
 * no platform, or which devices there are. profile: measure launches. */
FN_MUST fn_status fn_cl_open(const char *wanted, bool profile, struct fn_cl **ret_cl,
                             struct fn_error *err);
/* NULL is a no-op. Waits for what runs. What a device that hangs, or does not say that it is idle,
 * may still use is left to the end of the process. */
void fn_cl_close(struct fn_cl *cl);

const struct fn_cl_info *fn_cl_info(const struct fn_cl *cl);

/* Take the device's program from cache_dir, if one was stored there that was built from the same
 * source with the same options for the same device and driver. */
bool fn_cl_load_cached(struct fn_cl *cl, const char *source, const char *options,
                       const char *cache_dir);
/* The same, or build it from source. cache_dir: NULL for no cache. */
FN_MUST fn_status fn_cl_build(struct fn_cl *cl, const char *source, const char *options,
                              const char *cache_dir, struct fn_error *err);

/* Take the device's program from a binary in place of building it (.aocx, .xclbin, or what a driver
 * gave). name: for messages. FN_DEVICE_FAILED when it is not one for this device. */
FN_MUST fn_status fn_cl_load(struct fn_cl *cl, const char *name, const uint8_t *binary, size_t size,
                             struct fn_error *err);

/* Store the program in cache_dir, where fn_cl_load_cached() has not found it. To be called after
 * each kernel has run, as some drivers finish compiling only then. */
void fn_cl_store_program(struct fn_cl *cl, const char *cache_dir);

/* Find a kernel of the program. */
FN_MUST fn_status fn_cl_kernel(struct fn_cl *cl, const char *name, int *ret_kernel,
                               struct fn_error *err);

/* Make a buffer of `size` >= 1 bytes; bytes (copied): its first contents, or NULL for all zero. */
FN_MUST fn_status fn_cl_buffer(struct fn_cl *cl, size_t size, const void *bytes, int *ret_buffer,
                               struct fn_error *err);

FN_MUST fn_status fn_cl_set_buffer(struct fn_cl *cl, int kernel, int argument, int buffer,
                                   struct fn_error *err);
FN_MUST fn_status fn_cl_set_int(struct fn_cl *cl, int kernel, int argument, int value,
                                struct fn_error *err);

/* Queue a kernel over n_items work-items. add_seconds: NULL, or on a profiling device
 * where the time it took is added, for which the call waits. */
FN_MUST fn_status fn_cl_launch(struct fn_cl *cl, int kernel, size_t n_items, double *add_seconds,
                               struct fn_error *err);

/* Queue zeros for a whole buffer of `size` bytes. */
FN_MUST fn_status fn_cl_clear(struct fn_cl *cl, int buffer, size_t size, struct fn_error *err);

/* Copy to or from a buffer, after everything that is queued; both wait. */
FN_MUST fn_status fn_cl_write(struct fn_cl *cl, int buffer, size_t offset, const void *bytes,
                              size_t size, struct fn_error *err);
FN_MUST fn_status fn_cl_read(struct fn_cl *cl, int buffer, size_t offset, void *ret_bytes,
                             size_t size, struct fn_error *err);

/* ---- tasks: kernels and copies that run at the same time (cl_tasks.c) ----
 *
 * A task belongs to the batch, 0...FN_CL_BATCHES - 1, that was begun last, and is named by a number
 * until that batch has been waited for. Queues are in order, and start nothing for certain before
 * fn_cl_flush(). */

#define FN_CL_FIRST_QUEUE 0 /* the one that every device has */
#define FN_CL_BATCHES     2

/* The batch's earlier tasks have been waited for. */
void fn_cl_begin(struct fn_cl *cl, int batch);

/* Host memory for tasks to copy from and to: `size` >= 1 zeros on a page of their own, borrowed
 * from the device until it is closed. */
FN_MUST fn_status fn_cl_host_memory(struct fn_cl *cl, size_t size, void **ret_memory,
                                    struct fn_error *err);

FN_MUST fn_status fn_cl_add_queue(struct fn_cl *cl, int *ret_queue, struct fn_error *err);

/* Queue one work-item of a kernel. after: tasks that must have ended, [n_after]. */
FN_MUST fn_status fn_cl_task(struct fn_cl *cl, int queue, int kernel, const int *after, int n_after,
                             int *ret_task, struct fn_error *err);
/* Copy to or from a buffer; bytes: of fn_cl_host_memory(), or anything that stays. */
FN_MUST fn_status fn_cl_task_write(struct fn_cl *cl, int queue, int buffer, size_t offset,
                                   const void *bytes, size_t size, int *ret_task,
                                   struct fn_error *err);
FN_MUST fn_status fn_cl_task_read(struct fn_cl *cl, int queue, int buffer, size_t offset,
                                  void *bytes, size_t size, const int *after, int n_after,
                                  int *ret_task, struct fn_error *err);
/* Start everything that is queued. */
FN_MUST fn_status fn_cl_flush(struct fn_cl *cl, struct fn_error *err);

/* Wait until all tasks of a batch have ended: timeout_ms at most, for as long as it takes when 0.
 * FN_DEVICE_FAILED when a task failed, or when time was up: then the device is given up and every
 * later task fails. */
FN_MUST fn_status fn_cl_wait(struct fn_cl *cl, int batch, int timeout_ms, struct fn_error *err);

#endif
