/* SPDX-License-Identifier: Apache-2.0
 *
 * cl.c -- devices, programs, buffers and launches on the first queue; cl.h has the contract. With
 * cl_tasks.c the only file that knows the OpenCL API. OpenCL 1.2 throughout. */
#include "engine/opencl/cl.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/cleanup.h"
#include "engine/opencl/cl_private.h"
#include "engine/opencl/program_cache.h"

#define MAX_PLATFORMS 16
#define MAX_DEVICES   32      /* of one platform */
#define NO_PLATFORM   (-1001) /* CL_PLATFORM_NOT_FOUND_KHR of cl_khr_icd */

FN_DEFINE_CLEANUP(struct fn_cl *, fn_cl_close)

/* ---- errors ---- */

const char *fn_cl_error_name(cl_int code) {
    static const struct {
        cl_int code;
        const char *name;
    } names[] = {
#define NAME(n) {n, #n}
        NAME(CL_DEVICE_NOT_FOUND),
        NAME(CL_DEVICE_NOT_AVAILABLE),
        NAME(CL_COMPILER_NOT_AVAILABLE),
        NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE),
        NAME(CL_OUT_OF_RESOURCES),
        NAME(CL_OUT_OF_HOST_MEMORY),
        NAME(CL_PROFILING_INFO_NOT_AVAILABLE),
        NAME(CL_BUILD_PROGRAM_FAILURE),
        NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET),
        NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
        NAME(CL_INVALID_VALUE),
        NAME(CL_INVALID_PLATFORM),
        NAME(CL_INVALID_DEVICE),
        NAME(CL_INVALID_CONTEXT),
        NAME(CL_INVALID_COMMAND_QUEUE),
        NAME(CL_INVALID_MEM_OBJECT),
        NAME(CL_INVALID_BINARY),
        NAME(CL_INVALID_BUILD_OPTIONS),
        NAME(CL_INVALID_PROGRAM),
        NAME(CL_INVALID_PROGRAM_EXECUTABLE),
        NAME(CL_INVALID_KERNEL_NAME),
        NAME(CL_INVALID_KERNEL),
        NAME(CL_INVALID_ARG_INDEX),
        NAME(CL_INVALID_ARG_VALUE),
        NAME(CL_INVALID_ARG_SIZE),
        NAME(CL_INVALID_KERNEL_ARGS),
        NAME(CL_INVALID_WORK_GROUP_SIZE),
        NAME(CL_INVALID_GLOBAL_WORK_SIZE),
        NAME(CL_INVALID_EVENT),
        NAME(CL_INVALID_OPERATION),
        NAME(CL_INVALID_BUFFER_SIZE),
#undef NAME
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].code == code) return names[i].name;
    return "OpenCL error";
}

fn_status fn_cl_check(cl_int code, const char *call, struct fn_error *err) {
    if (code == CL_SUCCESS) return FN_OK;
    return fn_fail(err, FN_DEVICE_FAILED, "%s: %s (%d)", call, fn_cl_error_name(code), code);
}

/* ---- choosing a device ---- */

/* What a walk over all devices looks for, and what it has seen. */
struct search {
    const char *wanted;
    bool automatic;
    cl_platform_id platform;
    cl_device_id device; /* NULL until found */
    bool is_accelerator;
    int n_seen;
    char seen[200]; /* for people: "platform / device, ..." */
};

static bool contains(const char *text, const char *part) {
    size_t length = strlen(part);
    for (; *text; text++)
        if (strncasecmp(text, part, length) == 0) return true;
    return false;
}

static void consider(struct search *search, cl_platform_id platform, const char *platform_name,
                     cl_device_id device) {
    char name[FN_CL_TEXT_SIZE] = "?";
    cl_device_type type = 0;
    (void)clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof name, name, NULL);
    (void)clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    size_t used = strlen(search->seen);
    (void)snprintf(search->seen + used, sizeof search->seen - used, "%s%s / %s",
                   search->n_seen ? ", " : "", platform_name, name);
    search->n_seen++;
    bool accelerator = (type & CL_DEVICE_TYPE_ACCELERATOR) != 0, better;
    if (search->automatic)
        better = !search->device || (accelerator && !search->is_accelerator);
    else
        better = !search->device &&
                 (contains(name, search->wanted) || contains(platform_name, search->wanted));
    if (!better) return;
    search->platform = platform;
    search->device = device;
    search->is_accelerator = accelerator;
}

static fn_status find_device(struct search *search, struct fn_error *err) {
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint n_platforms = 0;
    cl_int code = clGetPlatformIDs(MAX_PLATFORMS, platforms, &n_platforms);
    if (code == NO_PLATFORM || (code == CL_SUCCESS && n_platforms == 0))
        return fn_fail(err, FN_NO_DEVICE,
                       "no OpenCL platform is installed (on Debian: apt install pocl-opencl-icd)");
    fn_status status = fn_cl_check(code, "clGetPlatformIDs", err);
    if (status != FN_OK) return status;
    if (n_platforms > MAX_PLATFORMS) n_platforms = MAX_PLATFORMS;
    for (cl_uint i = 0; i < n_platforms; i++) {
        char name[FN_CL_TEXT_SIZE] = "?";
        cl_device_id devices[MAX_DEVICES];
        cl_uint n = 0;
        (void)clGetPlatformInfo(platforms[i], CL_PLATFORM_NAME, sizeof name, name, NULL);
        code = clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, MAX_DEVICES, devices, &n);
        if (code == CL_DEVICE_NOT_FOUND) continue;
        status = fn_cl_check(code, "clGetDeviceIDs", err);
        if (status != FN_OK) return status;
        for (cl_uint k = 0; k < n && k < MAX_DEVICES; k++)
            consider(search, platforms[i], name, devices[k]);
    }
    if (search->device) return FN_OK;
    if (search->n_seen == 0)
        return fn_fail(err, FN_NO_DEVICE, "the OpenCL platforms have no device");
    return fn_fail(err, FN_NO_DEVICE, "no OpenCL device matches '%.60s'; there are: %s",
                   search->wanted, search->seen);
}

static fn_status read_info(struct fn_cl *cl, struct fn_error *err) {
    cl_device_type type = 0;
    cl_uint units = 0, ints = 0;
    cl_ulong max_buffer = 0;
    cl_device_fp_config floats = 0, wanted = CL_FP_DENORM | CL_FP_INF_NAN | CL_FP_ROUND_TO_NEAREST;
    const struct {
        cl_device_info what;
        size_t size;
        void *to;
    } facts[] = {
        {CL_DEVICE_NAME, sizeof cl->device_name, cl->device_name},
        {CL_DEVICE_VERSION, sizeof cl->device_version, cl->device_version},
        {CL_DRIVER_VERSION, sizeof cl->driver, cl->driver},
        {CL_DEVICE_TYPE, sizeof type, &type},
        {CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units},
        {CL_DEVICE_NATIVE_VECTOR_WIDTH_INT, sizeof ints, &ints},
        {CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof max_buffer, &max_buffer},
        {CL_DEVICE_SINGLE_FP_CONFIG, sizeof floats, &floats},
    };
    fn_status status = FN_OK;
    for (size_t i = 0; i < sizeof facts / sizeof facts[0] && status == FN_OK; i++)
        status = fn_cl_check(
            clGetDeviceInfo(cl->device, facts[i].what, facts[i].size, facts[i].to, NULL),
            "clGetDeviceInfo", err);
    if (status == FN_OK)
        status = fn_cl_check(clGetPlatformInfo(cl->platform, CL_PLATFORM_NAME,
                                               sizeof cl->platform_name, cl->platform_name, NULL),
                             "clGetPlatformInfo", err);
    if (status == FN_OK)
        status =
            fn_cl_check(clGetPlatformInfo(cl->platform, CL_PLATFORM_VERSION,
                                          sizeof cl->platform_version, cl->platform_version, NULL),
                        "clGetPlatformInfo", err);
    cl->info = (struct fn_cl_info){.platform = cl->platform_name,
                                   .device = cl->device_name,
                                   .driver = cl->driver,
                                   .is_cpu = (type & CL_DEVICE_TYPE_CPU) != 0,
                                   .is_accelerator = (type & CL_DEVICE_TYPE_ACCELERATOR) != 0,
                                   .is_ieee754 = (floats & wanted) == wanted,
                                   .compute_units = (int)units,
                                   .vector_ints = (int)ints,
                                   .max_buffer = (size_t)max_buffer};
    return status;
}

fn_status fn_cl_open(const char *wanted, bool profile, struct fn_cl **ret_cl,
                     struct fn_error *err) {
    FN_CLEANUP(fn_cl_close) struct fn_cl *cl = calloc(1, sizeof *cl);
    if (!cl) return fn_fail(err, FN_NO_MEMORY, "no memory for an OpenCL device");
    struct search search = {.wanted = wanted,
                            .automatic = !*wanted || strcasecmp(wanted, "auto") == 0};
    fn_status status = find_device(&search, err);
    if (status != FN_OK) return status;
    cl->platform = search.platform;
    cl->device = search.device;
    cl->profile = profile;
    fn_cl_begin(cl, 0);
    status = read_info(cl, err);
    if (status != FN_OK) return status;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                (cl_context_properties)cl->platform, 0};
    cl_int code;
    cl->context = clCreateContext(properties, 1, &cl->device, NULL, NULL, &code);
    status = fn_cl_check(code, "clCreateContext", err);
    if (status != FN_OK) return status;
    cl->queue = clCreateCommandQueue(cl->context, cl->device,
                                     profile ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
    status = fn_cl_check(code, "clCreateCommandQueue", err);
    if (status == FN_OK) *ret_cl = FN_TAKE(cl);
    return status;
}

void fn_cl_close(struct fn_cl *cl) {
    static _Atomic(struct fn_cl *) left_behind; /* held, so that it is not lost but kept */
    if (!cl) return;
    if (!fn_cl_is_idle(cl)) {
        cl->next = atomic_exchange(&left_behind, cl);
        return;
    }
    fn_cl_release_tasks(cl);
    for (int i = 0; i < cl->n_kernels; i++) (void)clReleaseKernel(cl->kernels[i]);
    for (int i = 0; i < cl->n_buffers; i++) (void)clReleaseMemObject(cl->buffers[i]);
    if (cl->program) (void)clReleaseProgram(cl->program);
    if (cl->queue) (void)clReleaseCommandQueue(cl->queue);
    if (cl->context) (void)clReleaseContext(cl->context);
    free(cl);
}

const struct fn_cl_info *fn_cl_info(const struct fn_cl *cl) {
    return &cl->info;
}

/* ---- the program ---- */

static bool make_key(const struct fn_cl *cl, const char *source, const char *options,
                     char ret_key[FN_SHA256_HEX_SIZE]) {
    struct fn_sha256 *sha = fn_sha256_new();
    if (!sha) return false;
    const char *parts[] = {source,
                           options,
                           cl->platform_name,
                           cl->platform_version,
                           cl->device_name,
                           cl->device_version,
                           cl->driver};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        fn_sha256_add(sha, parts[i], strlen(parts[i]) + 1);
    fn_sha256_finish(sha, ret_key);
    return true;
}

/* FN_DEVICE_FAILED with the first line of the log that says what is wrong. */
static fn_status fail_build(struct fn_cl *cl, cl_int code, struct fn_error *err) {
    size_t size = 0;
    FN_CLEANUP_FREE char *log = NULL;
    if (clGetProgramBuildInfo(cl->program, cl->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) ==
            CL_SUCCESS &&
        size > 0)
        log = calloc(1, size + 1);
    if (log)
        (void)clGetProgramBuildInfo(cl->program, cl->device, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    const char *line = log ? strstr(log, "error") : NULL;
    while (line && line > log && line[-1] != '\n') line--;
    if (!line) line = log ? log : "";
    line += strspn(line, " \t\r\n");
    return fn_fail(err, FN_DEVICE_FAILED, "clBuildProgram: %s (%d) on %s: %.*s",
                   fn_cl_error_name(code), code, cl->device_name, (int)strcspn(line, "\r\n"), line);
}

bool fn_cl_load_cached(struct fn_cl *cl, const char *source, const char *options,
                       const char *cache_dir) {
    FN_CLEANUP_FREE uint8_t *binary = NULL;
    char key[FN_SHA256_HEX_SIZE];
    size_t size;
    if (!make_key(cl, source, options, key)) return false;
    memcpy(cl->key, key, sizeof key); /* for fn_cl_store_program(), until it is found */
    if (!fn_program_cache_load(cache_dir, key, &binary, &size)) return false;
    const unsigned char *binaries[] = {binary};
    cl_int status, code;
    cl->program =
        clCreateProgramWithBinary(cl->context, 1, &cl->device, &size, binaries, &status, &code);
    if (code == CL_SUCCESS && status == CL_SUCCESS &&
        clBuildProgram(cl->program, 1, &cl->device, options, NULL, NULL) == CL_SUCCESS) {
        cl->key[0] = '\0';
        return true;
    }
    /* A driver that no longer takes its own binary: build from source. */
    if (cl->program) (void)clReleaseProgram(cl->program);
    cl->program = NULL;
    return false;
}

fn_status fn_cl_build(struct fn_cl *cl, const char *source, const char *options,
                      const char *cache_dir, struct fn_error *err) {
    if (cache_dir && fn_cl_load_cached(cl, source, options, cache_dir)) return FN_OK;
    cl_int code;
    cl->program = clCreateProgramWithSource(cl->context, 1, &source, NULL, &code);
    fn_status status = fn_cl_check(code, "clCreateProgramWithSource", err);
    if (status != FN_OK) return status;
    code = clBuildProgram(cl->program, 1, &cl->device, options, NULL, NULL);
    return code == CL_SUCCESS ? FN_OK : fail_build(cl, code, err);
}

fn_status fn_cl_load(struct fn_cl *cl, const char *name, const uint8_t *binary, size_t size,
                     struct fn_error *err) {
    cl_int status = CL_SUCCESS, code;
    cl->program =
        clCreateProgramWithBinary(cl->context, 1, &cl->device, &size, &binary, &status, &code);
    if (code != CL_SUCCESS || status != CL_SUCCESS)
        return fn_fail(err, FN_DEVICE_FAILED, "%s is no program for %s: %s (%d)", name,
                       cl->device_name, fn_cl_error_name(code ? code : status),
                       code ? code : status);
    /* Needed by the API for binaries too; it compiles nothing. */
    code = clBuildProgram(cl->program, 1, &cl->device, "", NULL, NULL);
    return code == CL_SUCCESS ? FN_OK : fail_build(cl, code, err);
}

void fn_cl_store_program(struct fn_cl *cl, const char *cache_dir) {
    size_t size = 0;
    if (!cache_dir || !cl->key[0] ||
        clGetProgramInfo(cl->program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) !=
            CL_SUCCESS ||
        size == 0)
        return;
    FN_CLEANUP_FREE uint8_t *binary = malloc(size);
    unsigned char *binaries[] = {binary};
    if (binary && clGetProgramInfo(cl->program, CL_PROGRAM_BINARIES, sizeof binaries, binaries,
                                   NULL) == CL_SUCCESS)
        fn_program_cache_store(cache_dir, cl->key, binary, size);
}

fn_status fn_cl_kernel(struct fn_cl *cl, const char *name, int *ret_kernel, struct fn_error *err) {
    if (cl->n_kernels == FN_CL_MAX_HANDLES)
        return fn_fail(err, FN_INTERNAL, "more than %d kernels", FN_CL_MAX_HANDLES);
    cl_int code;
    cl->kernels[cl->n_kernels] = clCreateKernel(cl->program, name, &code);
    if (code != CL_SUCCESS)
        return fn_fail(err, FN_DEVICE_FAILED, "clCreateKernel '%s': %s (%d)", name,
                       fn_cl_error_name(code), code);
    *ret_kernel = cl->n_kernels++;
    return FN_OK;
}

/* ---- buffers and launches ---- */

fn_status fn_cl_buffer(struct fn_cl *cl, size_t size, const void *bytes, int *ret_buffer,
                       struct fn_error *err) {
    if (cl->n_buffers == FN_CL_MAX_HANDLES)
        return fn_fail(err, FN_INTERNAL, "more than %d buffers", FN_CL_MAX_HANDLES);
    if (size > cl->info.max_buffer)
        return fn_fail(err, FN_DEVICE_FAILED,
                       "a buffer of %zu bytes is needed, %s gives at most %zu", size,
                       cl->device_name, cl->info.max_buffer);
    cl_int code;
    int buffer = cl->n_buffers;
    cl->buffers[buffer] = clCreateBuffer(cl->context, CL_MEM_READ_WRITE, size, NULL, &code);
    fn_status status = fn_cl_check(code, "clCreateBuffer", err);
    if (status != FN_OK) return status;
    cl->n_buffers++;
    status =
        bytes ? fn_cl_write(cl, buffer, 0, bytes, size, err) : fn_cl_clear(cl, buffer, size, err);
    if (status == FN_OK) *ret_buffer = buffer;
    return status;
}

fn_status fn_cl_set_buffer(struct fn_cl *cl, int kernel, int argument, int buffer,
                           struct fn_error *err) {
    return fn_cl_check(clSetKernelArg(cl->kernels[kernel], (cl_uint)argument, sizeof(cl_mem),
                                      &cl->buffers[buffer]),
                       "clSetKernelArg", err);
}

fn_status fn_cl_set_int(struct fn_cl *cl, int kernel, int argument, int value,
                        struct fn_error *err) {
    cl_int v = value;
    return fn_cl_check(clSetKernelArg(cl->kernels[kernel], (cl_uint)argument, sizeof v, &v),
                       "clSetKernelArg", err);
}

/* Wait for a launch and add what it took. */
static fn_status add_time(cl_event event, double *add_seconds, struct fn_error *err) {
    cl_ulong start = 0, end = 0;
    fn_status status = fn_cl_check(clWaitForEvents(1, &event), "clWaitForEvents", err);
    if (status == FN_OK)
        status = fn_cl_check(
            clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL),
            "clGetEventProfilingInfo", err);
    if (status == FN_OK)
        status = fn_cl_check(
            clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL),
            "clGetEventProfilingInfo", err);
    if (status == FN_OK) *add_seconds += 1e-9 * (double)(end - start);
    return status;
}

fn_status fn_cl_launch(struct fn_cl *cl, int kernel, size_t n_items, double *add_seconds,
                       struct fn_error *err) {
    bool timed = cl->profile && add_seconds;
    cl_event event = NULL;
    const size_t local = 1; /* as every kernel requires by its attribute */
    fn_status status =
        fn_cl_check(clEnqueueNDRangeKernel(cl->queue, cl->kernels[kernel], 1, NULL, &n_items,
                                           &local, 0, NULL, timed ? &event : NULL),
                    "clEnqueueNDRangeKernel", err);
    if (status == FN_OK && timed) status = add_time(event, add_seconds, err);
    if (event) (void)clReleaseEvent(event);
    return status;
}

fn_status fn_cl_write(struct fn_cl *cl, int buffer, size_t offset, const void *bytes, size_t size,
                      struct fn_error *err) {
    return fn_cl_check(clEnqueueWriteBuffer(cl->queue, cl->buffers[buffer], CL_TRUE, offset, size,
                                            bytes, 0, NULL, NULL),
                       "clEnqueueWriteBuffer", err);
}

fn_status fn_cl_clear(struct fn_cl *cl, int buffer, size_t size, struct fn_error *err) {
    const char zero = 0;
    return fn_cl_check(
        clEnqueueFillBuffer(cl->queue, cl->buffers[buffer], &zero, 1, 0, size, 0, NULL, NULL),
        "clEnqueueFillBuffer", err);
}

fn_status fn_cl_read(struct fn_cl *cl, int buffer, size_t offset, void *ret_bytes, size_t size,
                     struct fn_error *err) {
    return fn_cl_check(clEnqueueReadBuffer(cl->queue, cl->buffers[buffer], CL_TRUE, offset, size,
                                           ret_bytes, 0, NULL, NULL),
                       "clEnqueueReadBuffer", err);
}
