/* SPDX-License-Identifier: Apache-2.0
 *
 * cl_tasks.c -- several in-order queues and the events between them: what Intel's and Xilinx's
 * runtimes and pocl all run.
 *
 * OpenCL has no wait that ends by itself. An event's callback cannot be withdrawn and would come
 * late into memory that is gone, so fn_cl_wait() looks at the events, first often and then less. */
#include <stdlib.h>
#include <time.h>

#include "engine/opencl/cl_private.h"

#define MIN_PAUSE_NS 20000
#define MAX_PAUSE_NS 1000000
#define NS_PER_S     1000000000L

static fn_status check_alive(const struct fn_cl *cl, struct fn_error *err) {
    if (!cl->hung) return FN_OK;
    return fn_fail(err, FN_DEVICE_FAILED, "%s hangs since an earlier batch", cl->device_name);
}

fn_status fn_cl_add_queue(struct fn_cl *cl, int *ret_queue, struct fn_error *err) {
    if (cl->n_queues == FN_CL_MAX_HANDLES)
        return fn_fail(err, FN_INTERNAL, "more than %d queues", FN_CL_MAX_HANDLES);
    cl_int code;
    cl->queues[cl->n_queues] = clCreateCommandQueue(cl->context, cl->device, 0, &code);
    fn_status status = fn_cl_check(code, "clCreateCommandQueue", err);
    if (status == FN_OK) *ret_queue = ++cl->n_queues;
    return status;
}

static cl_command_queue queue_of(const struct fn_cl *cl, int queue) {
    return queue == FN_CL_FIRST_QUEUE ? cl->queue : cl->queues[queue - 1];
}

/* Room for one more task. */
static fn_status reserve(struct fn_cl *cl, struct fn_error *err) {
    fn_status status = check_alive(cl, err);
    if (status != FN_OK || cl->n_tasks < cl->tasks_capacity) return status;
    size_t capacity = 2 * cl->tasks_capacity + 64;
    cl_event *tasks = realloc(cl->tasks, capacity * sizeof *tasks);
    if (!tasks) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu tasks", capacity);
    cl->tasks = tasks;
    cl->tasks_capacity = capacity;
    return FN_OK;
}

/* The events of `after`; the list lives as long as the call it is made for. */
#define MAX_AFTER 8
struct list {
    cl_uint n;
    cl_event events[MAX_AFTER];
};

static struct list make_list(const struct fn_cl *cl, const int *after, int n_after) {
    struct list list = {0};
    for (int i = 0; i < n_after && i < MAX_AFTER; i++) list.events[list.n++] = cl->tasks[after[i]];
    return list;
}

static const cl_event *events_of(const struct list *list) {
    return list->n ? list->events : NULL;
}

static fn_status add_task(struct fn_cl *cl, cl_int code, const char *call, int *ret_task,
                          struct fn_error *err) {
    fn_status status = fn_cl_check(code, call, err);
    if (status == FN_OK) *ret_task = (int)cl->n_tasks++;
    return status;
}

fn_status fn_cl_task(struct fn_cl *cl, int queue, int kernel, const int *after, int n_after,
                     int *ret_task, struct fn_error *err) {
    fn_status status = reserve(cl, err);
    if (status != FN_OK) return status;
    struct list list = make_list(cl, after, n_after);
    return add_task(cl,
                    clEnqueueTask(queue_of(cl, queue), cl->kernels[kernel], list.n,
                                  events_of(&list), &cl->tasks[cl->n_tasks]),
                    "clEnqueueTask", ret_task, err);
}

fn_status fn_cl_task_write(struct fn_cl *cl, int queue, int buffer, size_t offset,
                           const void *bytes, size_t size, int *ret_task, struct fn_error *err) {
    fn_status status = reserve(cl, err);
    if (status != FN_OK) return status;
    return add_task(cl,
                    clEnqueueWriteBuffer(queue_of(cl, queue), cl->buffers[buffer], CL_FALSE, offset,
                                         size, bytes, 0, NULL, &cl->tasks[cl->n_tasks]),
                    "clEnqueueWriteBuffer", ret_task, err);
}

fn_status fn_cl_task_read(struct fn_cl *cl, int queue, int buffer, size_t offset, void *bytes,
                          size_t size, const int *after, int n_after, int *ret_task,
                          struct fn_error *err) {
    fn_status status = reserve(cl, err);
    if (status != FN_OK) return status;
    struct list list = make_list(cl, after, n_after);
    return add_task(cl,
                    clEnqueueReadBuffer(queue_of(cl, queue), cl->buffers[buffer], CL_FALSE, offset,
                                        size, bytes, list.n, events_of(&list),
                                        &cl->tasks[cl->n_tasks]),
                    "clEnqueueReadBuffer", ret_task, err);
}

fn_status fn_cl_flush(struct fn_cl *cl, struct fn_error *err) {
    fn_status status = check_alive(cl, err);
    for (int i = 0; i <= cl->n_queues && status == FN_OK; i++)
        status = fn_cl_check(clFlush(queue_of(cl, i)), "clFlush", err);
    return status;
}

static int64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Whether a task has ended; *ret_code < 0 when it failed. */
static bool has_ended(cl_event task, cl_int *ret_code) {
    cl_int state = CL_QUEUED;
    cl_int code =
        clGetEventInfo(task, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    *ret_code = code != CL_SUCCESS ? code : state < 0 ? state : CL_SUCCESS;
    return code != CL_SUCCESS || state <= CL_COMPLETE;
}

static void release_events(struct fn_cl *cl) {
    for (size_t i = 0; i < cl->n_tasks; i++) (void)clReleaseEvent(cl->tasks[i]);
    cl->n_tasks = 0;
}

fn_status fn_cl_wait(struct fn_cl *cl, int timeout_ms, struct fn_error *err) {
    fn_status status = fn_cl_flush(cl, err);
    if (status != FN_OK) return status;
    int64_t began = now_ns(), timeout_ns = (int64_t)timeout_ms * 1000000;
    for (size_t i = 0; i < cl->n_tasks; i++) {
        cl_int code = CL_SUCCESS;
        while (!has_ended(cl->tasks[i], &code)) {
            int64_t waited = now_ns() - began;
            if (waited > timeout_ns) {
                cl->hung = true;
                return fn_fail(err, FN_DEVICE_FAILED,
                               "%s: a batch did not end in %d ms; %zu of %zu tasks had",
                               cl->device_name, timeout_ms, i, cl->n_tasks);
            }
            int64_t pause = waited / 16;
            if (pause < MIN_PAUSE_NS) pause = MIN_PAUSE_NS;
            if (pause > MAX_PAUSE_NS) pause = MAX_PAUSE_NS;
            (void)nanosleep(&(struct timespec){.tv_nsec = (long)pause}, NULL);
        }
        if (code != CL_SUCCESS && status == FN_OK) status = fn_cl_check(code, "a task", err);
    }
    release_events(cl);
    return status;
}

bool fn_cl_release_tasks(struct fn_cl *cl) {
    if (cl->hung) return false;
    for (int i = 0; i < cl->n_queues; i++) {
        (void)clFinish(cl->queues[i]);
        (void)clReleaseCommandQueue(cl->queues[i]);
    }
    release_events(cl);
    free(cl->tasks);
    return true;
}
