/* SPDX-License-Identifier: Apache-2.0
 *
 * cl_tasks.c -- several in-order queues and the events between them: what Intel's and Xilinx's
 * runtimes and pocl all run.
 *
 * OpenCL has no wait that ends by itself. An event's callback cannot be withdrawn and would come
 * late into memory that is gone, so fn_cl_wait() looks at the events, first often and then less. */
#include <stdlib.h>
#include <time.h>

#include "engine/opencl/aligned.h"
#include "engine/opencl/cl_private.h"

#define MIN_PAUSE_NS 20000
#define MAX_PAUSE_NS 1000000
#define NS_PER_S     1000000000L

static fn_status check_alive(const struct fn_cl *cl, struct fn_error *err) {
    if (!cl->hung) return FN_OK;
    return fn_fail(err, FN_DEVICE_FAILED, "%s hangs since an earlier batch", cl->device_name);
}

fn_status fn_cl_host_memory(struct fn_cl *cl, size_t size, void **ret_memory,
                            struct fn_error *err) {
    if (cl->n_host == FN_CL_MAX_HANDLES)
        return fn_fail(err, FN_INTERNAL, "more than %d pieces of memory", FN_CL_MAX_HANDLES);
    char *memory =
        calloc(1, size + FN_DEVICE_PAGE); /* untouched, so nothing but addresses so far */
    if (!memory) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu bytes to copy", size);
    cl->host[cl->n_host++] = memory;
    *ret_memory = memory + (FN_DEVICE_PAGE - (uintptr_t)memory % FN_DEVICE_PAGE);
    return FN_OK;
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

void fn_cl_begin(struct fn_cl *cl, int batch) {
    cl->batch = &cl->batches[batch];
}

static cl_command_queue queue_of(const struct fn_cl *cl, int queue) {
    return queue == FN_CL_FIRST_QUEUE ? cl->queue : cl->queues[queue - 1];
}

/* Room for one more task. */
static fn_status reserve(struct fn_cl *cl, struct fn_error *err) {
    fn_status status = check_alive(cl, err);
    struct fn_cl_tasks *batch = cl->batch;
    if (status != FN_OK || batch->n < batch->capacity) return status;
    size_t capacity = 2 * batch->capacity + 64;
    cl_event *events = realloc(batch->events, capacity * sizeof *events);
    if (!events) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu tasks", capacity);
    batch->events = events;
    batch->capacity = capacity;
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
    for (int i = 0; i < n_after && i < MAX_AFTER; i++)
        list.events[list.n++] = cl->batch->events[after[i]];
    return list;
}

static const cl_event *events_of(const struct list *list) {
    return list->n ? list->events : NULL;
}

static fn_status add_task(struct fn_cl *cl, cl_int code, const char *call, int *ret_task,
                          struct fn_error *err) {
    fn_status status = fn_cl_check(code, call, err);
    if (status == FN_OK) *ret_task = (int)cl->batch->n++;
    return status;
}

fn_status fn_cl_task(struct fn_cl *cl, int queue, int kernel, const int *after, int n_after,
                     int *ret_task, struct fn_error *err) {
    fn_status status = reserve(cl, err);
    if (status != FN_OK) return status;
    struct list list = make_list(cl, after, n_after);
    return add_task(cl,
                    clEnqueueTask(queue_of(cl, queue), cl->kernels[kernel], list.n,
                                  events_of(&list), &cl->batch->events[cl->batch->n]),
                    "clEnqueueTask", ret_task, err);
}

fn_status fn_cl_task_write(struct fn_cl *cl, int queue, int buffer, size_t offset,
                           const void *bytes, size_t size, int *ret_task, struct fn_error *err) {
    fn_status status = reserve(cl, err);
    if (status != FN_OK) return status;
    return add_task(cl,
                    clEnqueueWriteBuffer(queue_of(cl, queue), cl->buffers[buffer], CL_FALSE, offset,
                                         size, bytes, 0, NULL, &cl->batch->events[cl->batch->n]),
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
                                        &cl->batch->events[cl->batch->n]),
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

static void release_events(struct fn_cl_tasks *batch) {
    for (size_t i = 0; i < batch->n; i++) (void)clReleaseEvent(batch->events[i]);
    batch->n = 0;
}

/* Look at a task until it has ended or `until_ns` is past; false: it is. */
static bool wait_looking(cl_event task, int64_t began_ns, int64_t until_ns, cl_int *ret_code) {
    while (!has_ended(task, ret_code)) {
        int64_t now = now_ns();
        if (now > until_ns) return false;
        int64_t pause = (now - began_ns) / 16;
        if (pause < MIN_PAUSE_NS) pause = MIN_PAUSE_NS;
        if (pause > MAX_PAUSE_NS) pause = MAX_PAUSE_NS;
        (void)nanosleep(&(struct timespec){.tv_nsec = (long)pause}, NULL);
    }
    return true;
}

fn_status fn_cl_wait(struct fn_cl *cl, int batch, int timeout_ms, struct fn_error *err) {
    struct fn_cl_tasks *tasks = &cl->batches[batch];
    fn_status status = fn_cl_flush(cl, err);
    if (status != FN_OK) return status;
    int64_t began = now_ns(), until = began + (int64_t)timeout_ms * 1000000;
    if (timeout_ms == 0 && tasks->n > 0)
        status =
            fn_cl_check(clWaitForEvents((cl_uint)tasks->n, tasks->events), "clWaitForEvents", err);
    for (size_t i = 0; i < tasks->n && timeout_ms > 0; i++) {
        cl_int code = CL_SUCCESS;
        if (!wait_looking(tasks->events[i], began, until, &code)) {
            cl->hung = true;
            return fn_fail(err, FN_DEVICE_FAILED,
                           "%s: a batch did not end in %d ms; %zu of %zu tasks had",
                           cl->device_name, timeout_ms, i, tasks->n);
        }
        if (code != CL_SUCCESS && status == FN_OK) status = fn_cl_check(code, "a task", err);
    }
    release_events(tasks);
    return status;
}

bool fn_cl_is_idle(struct fn_cl *cl) {
    bool idle = !cl->hung && (!cl->queue || clFinish(cl->queue) == CL_SUCCESS);
    for (int i = 0; i < cl->n_queues && idle; i++) idle = clFinish(cl->queues[i]) == CL_SUCCESS;
    return idle;
}

void fn_cl_release_tasks(struct fn_cl *cl) {
    for (int i = 0; i < cl->n_queues; i++) (void)clReleaseCommandQueue(cl->queues[i]);
    for (int i = 0; i < FN_CL_BATCHES; i++) {
        release_events(&cl->batches[i]);
        free(cl->batches[i].events);
    }
    for (int i = 0; i < cl->n_host; i++) free(cl->host[i]);
}
