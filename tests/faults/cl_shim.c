/* SPDX-License-Identifier: Apache-2.0
 *
 * cl_shim.c -- see cl_shim.h. Every function that engine/opencl/cl.c calls is defined here and
 * found before the library's own; what is not interfered with goes on to it. */
#include "tests/faults/cl_shim.h"

#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_RECORDED 20000
#define MAX_QUEUES   16
#define MAX_READS    16

enum action { NOTHING, FAIL, SKIP, FLIP, HANG, SLOW, COST };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char call[40];
    long first, last;
    enum action action;
    long number, each, copy;
    long matched;
    unsigned version;
} plan;                                        /* guarded by lock */
static const char *recorded[MAX_RECORDED];     /* guarded by lock */
static int n_calls;                            /* guarded by lock */
static struct timespec seen = {.tv_nsec = -1}; /* of the plan's file; guarded by lock */

/* The device of known cost: when it has done what was queued, in us. Guarded by lock. */
static struct {
    cl_command_queue queue;
    int64_t done;
} queues[MAX_QUEUES];
static int64_t copied, computed;             /* the last batch's pictures; the last batch */
static size_t picture_written, picture_size; /* bytes of one picture's, and of its answer */
/* Batches that were computed while a cost was in force; guarded by lock. */
static struct answer {
    uint64_t digest; /* of what was written */
    bool taken;      /* by a batch in flight, or for good */
    size_t size;
    unsigned char *bytes; /* what was read then; NULL: not yet */
} answers[64];
static struct answer *answer; /* of the batch that is being queued; NULL: it is forgotten */
static uint64_t digest;       /* of what was written of it */
/* Reads that nobody has waited for yet; guarded by lock. */
static struct read {
    cl_event event; /* NULL: free */
    unsigned char *bytes;
    size_t size;
    bool flips;
    int64_t due;
    struct answer *answer; /* to take, or to remember; or NULL */
} reads[MAX_READS];

static void read_plan(const char *line) {
    static const char *const actions[] = {"", "error", "skip", "flip", "hang", "slow", "cost"};
    char text[128], *rest = text, *words[6] = {NULL};
    unsigned version = plan.version;
    memset(&plan, 0, sizeof plan);
    plan.version = version + 1;
    n_calls = 0;
    (void)snprintf(text, sizeof text, "%s", line);
    for (int i = 0; i < 6; i++) words[i] = strtok_r(i == 0 ? text : NULL, " \n", &rest);
    if (!words[0]) return;
    (void)snprintf(plan.call, sizeof plan.call, "%s", words[0]);
    plan.first = plan.last = words[1] ? strtol(words[1], NULL, 10) : 0;
    if (words[1] && strchr(words[1], '+')) plan.last = LONG_MAX;
    for (int i = FAIL; words[2] && i <= COST; i++)
        if (strcmp(words[2], actions[i]) == 0) plan.action = (enum action)i;
    plan.number = words[3] ? strtol(words[3], NULL, 10) : 0;
    plan.each = words[4] ? strtol(words[4], NULL, 10) : 0;
    plan.copy = words[5] ? strtol(words[5], NULL, 10) : 0;
    if (plan.action == NOTHING || plan.first < 1) {
        (void)fprintf(stderr, "cl_shim: no plan: %s\n", line);
        abort();
    }
}

static void look_at_file(void) {
    const char *path = getenv("FN_SHIM_PLAN");
    struct stat status;
    char line[128] = "";
    if (!path || stat(path, &status) != 0 || memcmp(&status.st_mtim, &seen, sizeof seen) == 0)
        return;
    seen = status.st_mtim;
    FILE *file = fopen(path, "r");
    if (!file) return;
    if (!fgets(line, sizeof line, file)) line[0] = '\0';
    (void)fclose(file);
    read_plan(line);
}

void fn_shim_plan(const char *line) {
    pthread_mutex_lock(&lock);
    read_plan(line);
    pthread_mutex_unlock(&lock);
}

int fn_shim_calls(void) {
    pthread_mutex_lock(&lock);
    int n = n_calls;
    pthread_mutex_unlock(&lock);
    return n;
}

const char *fn_shim_call_name(int nth) {
    pthread_mutex_lock(&lock);
    const char *name = nth >= 1 && nth <= n_calls && nth <= MAX_RECORDED ? recorded[nth - 1] : NULL;
    pthread_mutex_unlock(&lock);
    return name;
}

static void sleep_us(long us) {
    struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    (void)nanosleep(&time, NULL);
}

static void hang(unsigned version) {
    bool same = true;
    while (same) {
        sleep_us(5000);
        pthread_mutex_lock(&lock);
        look_at_file();
        same = plan.version == version;
        pthread_mutex_unlock(&lock);
    }
}

/* What is to become of this call. FAIL, SKIP: *ret_code is its result. FLIP: the caller's to do. */
static enum action meet(const char *name, cl_int *ret_code) {
    pthread_mutex_lock(&lock);
    look_at_file();
    if (n_calls < MAX_RECORDED) recorded[n_calls] = name;
    n_calls++;
    bool meant = plan.action != NOTHING &&
                 (strcmp(plan.call, "*") == 0 || strcmp(plan.call, name) == 0) &&
                 ++plan.matched >= plan.first && plan.matched <= plan.last;
    enum action action = meant ? plan.action : NOTHING;
    long number = plan.number;
    unsigned version = plan.version;
    pthread_mutex_unlock(&lock);
    *ret_code = action == FAIL ? (cl_int)number : CL_SUCCESS;
    if (action == HANG) hang(version);
    if (action == SLOW) sleep_us(number);
    return action;
}

/* ---- the device of known cost ---- */

static int64_t now_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void sleep_until(int64_t us) {
    int64_t left = us - now_us();
    if (left > 0) sleep_us((long)left);
}

static int64_t latest(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* With the lock: when what is in a queue is done. */
static int64_t *done_of(cl_command_queue queue) {
    int i = 0;
    while (i < MAX_QUEUES - 1 && queues[i].queue && queues[i].queue != queue) i++;
    queues[i].queue = queue;
    return &queues[i].done;
}

/* With the lock: the place of a batch among the answers; NULL when all are taken by others. */
static struct answer *find_answer(void) {
    struct answer *free_one = NULL;
    for (struct answer *a = answers; a < answers + sizeof answers / sizeof answers[0]; a++) {
        if (a->bytes && a->digest == digest) return a;
        if (!a->taken && !free_one) free_one = a;
    }
    if (free_one) *free_one = (struct answer){.digest = digest};
    return free_one;
}

static void add_to_digest(const void *bytes, size_t size) {
    uint64_t word;
    digest += size;
    for (size_t i = 0; i + sizeof word <= size; i += sizeof word) {
        memcpy(&word, (const char *)bytes + i, sizeof word);
        digest = (digest ^ word) * 0x9e3779b97f4a7c15u;
        digest ^= digest >> 29;
    }
}

/* Pictures are what is written without waiting. The first are the self-test's, one alone, and tell
 * how large one is. */
static void note_write(cl_command_queue queue, bool blocking, const void *bytes, size_t size) {
    pthread_mutex_lock(&lock);
    answer = NULL;
    if (plan.action == COST && !blocking) {
        if (picture_written == 0) picture_written = size;
        int64_t *done = done_of(queue);
        long pictures = (long)((size + picture_written / 2) / picture_written);
        *done = copied = latest(now_us(), *done) + pictures * plan.copy;
        add_to_digest(bytes, size);
        answer = find_answer();
    }
    pthread_mutex_unlock(&lock);
}

static bool is_remembered(void) {
    pthread_mutex_lock(&lock);
    bool remembered = answer && answer->bytes && plan.action == COST;
    pthread_mutex_unlock(&lock);
    return remembered;
}

/* With the lock: when the batch whose answer is asked for is done. */
static int64_t charge(cl_command_queue queue, size_t size) {
    if (picture_written == 0) return 0; /* of something else */
    if (picture_size == 0) picture_size = size;
    int64_t *done = done_of(queue);
    int64_t start = latest(latest(now_us(), *done), latest(copied, computed));
    *done = computed = start + plan.number + (long)(size / picture_size) * plan.each;
    return computed;
}

/* ---- reads that were queued ---- */

static void note_read(cl_command_queue queue, cl_event event, void *bytes, size_t size,
                      enum action action) {
    pthread_mutex_lock(&lock);
    struct read *read = reads;
    while (read->event && read < reads + MAX_READS - 1) read++;
    *read = (struct read){.event = event, .bytes = bytes, .size = size, .flips = action == FLIP};
    if (action == COST) {
        read->due = charge(queue, size);
        read->answer = answer;
        if (answer) answer->taken = true;
        answer = NULL;
        digest = 0;
    }
    pthread_mutex_unlock(&lock);
}

/* A read has ended: what it brought is what it is to bring. */
static void finish_read(cl_event event) {
    pthread_mutex_lock(&lock);
    for (struct read *read = reads; read < reads + MAX_READS; read++) {
        if (read->event != event) continue;
        struct answer *a = read->answer;
        if (a && a->bytes && a->size == read->size) {
            memcpy(read->bytes, a->bytes, read->size);
        } else if (a && !a->bytes && (a->bytes = malloc(read->size))) {
            a->size = read->size;
            memcpy(a->bytes, read->bytes, read->size);
        }
        if (read->flips) read->bytes[read->size / 2] ^= 0x10;
        read->event = NULL;
    }
    pthread_mutex_unlock(&lock);
}

/* When a read is due, in us; 0: now. */
static int64_t due_of(cl_event event) {
    int64_t due = 0;
    pthread_mutex_lock(&lock);
    for (struct read *read = reads; read < reads + MAX_READS; read++)
        if (read->event == event) due = read->due;
    pthread_mutex_unlock(&lock);
    return due;
}

static void forget_read(cl_event event) {
    pthread_mutex_lock(&lock);
    for (struct read *read = reads; read < reads + MAX_READS; read++)
        if (read->event == event) {
            if (read->answer) read->answer->taken = read->answer->bytes;
            read->event = NULL;
        }
    pthread_mutex_unlock(&lock);
}

static void *find(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    void *library = found ? NULL : dlopen("libOpenCL.so.1", RTLD_NOW);
    if (library) found = dlsym(library, name);
    if (!found) abort();
    return found;
}

/* A function's own type, without a cast that the compiler would refuse. */
#define LOAD(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (!real) {                                                                                   \
        void *found = find(#name);                                                                 \
        memcpy(&real, &found, sizeof real);                                                        \
    }

#define STATUS_CALL(name, params, args)                                                            \
    cl_int name params {                                                                           \
        cl_int code;                                                                               \
        LOAD(name)                                                                                 \
        enum action action = meet(#name, &code);                                                   \
        return action == FAIL || action == SKIP ? code : real args;                                \
    }
/* What cannot fail meaningfully: a handle that was given is given back. */
#define RELEASE_CALL(name, type)                                                                   \
    cl_int name(type handle) {                                                                     \
        cl_int code;                                                                               \
        LOAD(name)                                                                                 \
        (void)meet(#name, &code);                                                                  \
        (void)real(handle);                                                                        \
        return code;                                                                               \
    }
#define HANDLE_CALL(type, name, params, args)                                                      \
    type name params {                                                                             \
        cl_int code;                                                                               \
        LOAD(name)                                                                                 \
        if (meet(#name, &code) != FAIL) return real args;                                          \
        if (ret_code) *ret_code = code;                                                            \
        return NULL;                                                                               \
    }

/* In place of a command that is not done: one that does nothing, for whoever waits for it. */
static cl_int skip(cl_command_queue queue, cl_uint n, const cl_event *wait, cl_event *event) {
    LOAD(clEnqueueMarkerWithWaitList)
    return event ? real(queue, n, wait, event) : CL_SUCCESS;
}

/* The standard's header has parameter names of its own. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
STATUS_CALL(clGetPlatformIDs, (cl_uint n, cl_platform_id *ids, cl_uint *ret_n), (n, ids, ret_n))
STATUS_CALL(clGetPlatformInfo,
            (cl_platform_id id, cl_platform_info what, size_t size, void *value, size_t *ret_size),
            (id, what, size, value, ret_size))
STATUS_CALL(clGetDeviceIDs,
            (cl_platform_id id, cl_device_type type, cl_uint n, cl_device_id *ids, cl_uint *ret_n),
            (id, type, n, ids, ret_n))
STATUS_CALL(clGetDeviceInfo,
            (cl_device_id id, cl_device_info what, size_t size, void *value, size_t *ret_size),
            (id, what, size, value, ret_size))
HANDLE_CALL(cl_context, clCreateContext,
            (const cl_context_properties *properties, cl_uint n, const cl_device_id *ids,
             void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *data,
             cl_int *ret_code),
            (properties, n, ids, notify, data, ret_code))
HANDLE_CALL(cl_command_queue, clCreateCommandQueue,
            (cl_context context, cl_device_id id, cl_command_queue_properties properties,
             cl_int *ret_code),
            (context, id, properties, ret_code))
HANDLE_CALL(cl_program, clCreateProgramWithSource,
            (cl_context context, cl_uint n, const char **texts, const size_t *sizes,
             cl_int *ret_code),
            (context, n, texts, sizes, ret_code))
HANDLE_CALL(cl_program, clCreateProgramWithBinary,
            (cl_context context, cl_uint n, const cl_device_id *ids, const size_t *sizes,
             const unsigned char **binaries, cl_int *statuses, cl_int *ret_code),
            (context, n, ids, sizes, binaries, statuses, ret_code))
STATUS_CALL(clBuildProgram,
            (cl_program program, cl_uint n, const cl_device_id *ids, const char *options,
             void(CL_CALLBACK *notify)(cl_program, void *), void *data),
            (program, n, ids, options, notify, data))
STATUS_CALL(clGetProgramBuildInfo,
            (cl_program program, cl_device_id id, cl_program_build_info what, size_t size,
             void *value, size_t *ret_size),
            (program, id, what, size, value, ret_size))
STATUS_CALL(clGetProgramInfo,
            (cl_program program, cl_program_info what, size_t size, void *value, size_t *ret_size),
            (program, what, size, value, ret_size))
HANDLE_CALL(cl_kernel, clCreateKernel, (cl_program program, const char *name, cl_int *ret_code),
            (program, name, ret_code))
HANDLE_CALL(cl_mem, clCreateBuffer,
            (cl_context context, cl_mem_flags flags, size_t size, void *bytes, cl_int *ret_code),
            (context, flags, size, bytes, ret_code))
STATUS_CALL(clSetKernelArg, (cl_kernel kernel, cl_uint i, size_t size, const void *value),
            (kernel, i, size, value))
STATUS_CALL(clEnqueueFillBuffer,
            (cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_size,
             size_t offset, size_t size, cl_uint n, const cl_event *wait, cl_event *event),
            (queue, buffer, pattern, pattern_size, offset, size, n, wait, event))
STATUS_CALL(clFinish, (cl_command_queue queue), (queue))
STATUS_CALL(clFlush, (cl_command_queue queue), (queue))
STATUS_CALL(clGetEventProfilingInfo,
            (cl_event event, cl_profiling_info what, size_t size, void *value, size_t *ret_size),
            (event, what, size, value, ret_size))
RELEASE_CALL(clReleaseKernel, cl_kernel)
RELEASE_CALL(clReleaseMemObject, cl_mem)
RELEASE_CALL(clReleaseProgram, cl_program)
RELEASE_CALL(clReleaseCommandQueue, cl_command_queue)
RELEASE_CALL(clReleaseContext, cl_context)

cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset,
                            size_t size, const void *bytes, cl_uint n, const cl_event *wait,
                            cl_event *event) {
    cl_int code;
    LOAD(clEnqueueWriteBuffer)
    enum action action = meet("clEnqueueWriteBuffer", &code);
    if (action == FAIL) return code;
    if (action == SKIP) return skip(queue, n, wait, event);
    note_write(queue, blocking, bytes, size);
    return real(queue, buffer, blocking, offset, size, bytes, n, wait, event);
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dim,
                              const size_t *offset, const size_t *global, const size_t *local,
                              cl_uint n, const cl_event *wait, cl_event *event) {
    cl_int code;
    LOAD(clEnqueueNDRangeKernel)
    enum action action = meet("clEnqueueNDRangeKernel", &code);
    if (action == FAIL) return code;
    if (action == SKIP || is_remembered()) return skip(queue, n, wait, event);
    return real(queue, kernel, dim, offset, global, local, n, wait, event);
}

cl_int clEnqueueTask(cl_command_queue queue, cl_kernel kernel, cl_uint n, const cl_event *wait,
                     cl_event *event) {
    cl_int code;
    LOAD(clEnqueueTask)
    enum action action = meet("clEnqueueTask", &code);
    if (action == FAIL) return code;
    if (action == SKIP || is_remembered()) return skip(queue, n, wait, event);
    return real(queue, kernel, n, wait, event);
}

/* What was queued without waiting is changed when somebody has waited for it. */
cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset,
                           size_t size, void *bytes, cl_uint n, const cl_event *wait,
                           cl_event *event) {
    cl_int code;
    LOAD(clEnqueueReadBuffer)
    enum action action = meet("clEnqueueReadBuffer", &code);
    if (action == FAIL) return code;
    if (action == SKIP) return skip(queue, n, wait, event);
    code = real(queue, buffer, blocking, offset, size, bytes, n, wait, event);
    if (code != CL_SUCCESS) return code;
    if (blocking && action == FLIP) ((unsigned char *)bytes)[size / 2] ^= 0x10;
    if (!blocking && event && (action == FLIP || action == COST))
        note_read(queue, *event, bytes, size, action);
    return code;
}

cl_int clWaitForEvents(cl_uint n, const cl_event *events) {
    cl_int code;
    LOAD(clWaitForEvents)
    enum action action = meet("clWaitForEvents", &code);
    if (action == FAIL || action == SKIP) return code;
    for (cl_uint i = 0; i < n; i++) sleep_until(due_of(events[i]));
    code = real(n, events);
    for (cl_uint i = 0; i < n && code == CL_SUCCESS; i++) finish_read(events[i]);
    return code;
}

cl_int clGetEventInfo(cl_event event, cl_event_info what, size_t size, void *value,
                      size_t *ret_size) {
    cl_int code;
    LOAD(clGetEventInfo)
    enum action action = meet("clGetEventInfo", &code);
    if (action == FAIL || action == SKIP) return code;
    code = real(event, what, size, value, ret_size);
    if (code != CL_SUCCESS || what != CL_EVENT_COMMAND_EXECUTION_STATUS) return code;
    cl_int state;
    memcpy(&state, value, sizeof state);
    if (state == CL_COMPLETE && now_us() < due_of(event)) {
        state = CL_RUNNING;
        memcpy(value, &state, sizeof state);
    } else if (state == CL_COMPLETE) {
        finish_read(event);
    }
    return code;
}

cl_int clReleaseEvent(cl_event event) {
    cl_int code;
    LOAD(clReleaseEvent)
    (void)meet("clReleaseEvent", &code);
    forget_read(event);
    (void)real(event);
    return code;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
