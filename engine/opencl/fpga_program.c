/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_program.c -- see fpga_program.h. */
#include "engine/opencl/fpga_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/file.h"
#include "engine/opencl/kernel_text.h"

#define MAX_PROGRAM ((size_t)1 << 30)
/* Of Intel's emulator: a FIFO of 16 tokens costs it milliseconds a token, a deep one next to
 * nothing. */
#define EMULATOR_FIFO 4096
/* Kernels that run at once, and two more threads that its runtime wants. */
#define EMULATOR_WORKERS (5 + 2)
#define WORKERS_VARIABLE "CL_CONFIG_CPU_TBB_NUM_WORKERS"

enum fn_fpga_platform fn_fpga_platform(const struct fn_cl_info *info) {
    static const struct {
        const char *part;
        enum fn_fpga_platform platform;
    } parts[] = {
        {"FPGA Emulation Platform for OpenCL", FN_FPGA_EMULATOR},
        {"FPGA SDK for OpenCL", FN_FPGA_INTEL},
        {"Altera SDK for OpenCL", FN_FPGA_INTEL},
        {"Xilinx", FN_FPGA_XILINX},
    };
    for (size_t i = 0; info->is_accelerator && i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(info->platform, parts[i].part)) return parts[i].platform;
    return FN_FPGA_NOT_ONE;
}

/* With fewer threads than kernels the emulator waits for ever. */
static fn_status check_workers(struct fn_error *err) {
    const char *text = getenv(WORKERS_VARIABLE);
    if (!text || !*text) return FN_OK;
    char *end;
    long workers = strtol(text, &end, 10);
    if (*end == '\0' && workers >= EMULATOR_WORKERS) return FN_OK;
    return fn_fail(err, FN_USAGE,
                   "%s is '%.20s': Intel's FPGA emulator hangs with fewer threads than kernels run "
                   "at once; unset it, or set %d or more",
                   WORKERS_VARIABLE, text, EMULATOR_WORKERS);
}

static fn_status load(struct fn_cl *cl, const char *path, struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *binary = NULL;
    size_t size;
    fn_status status = fn_file_read(path, MAX_PROGRAM, &binary, &size, err);
    return status == FN_OK ? fn_cl_load(cl, path, binary, size, err) : status;
}

static fn_status build(struct fn_cl *cl, const struct fn_engine_options *options, bool fused,
                       struct fn_error *err) {
    FN_CLEANUP_FREE char *source = NULL;
    fn_status status = fn_kernel_text(options->kernel_dir, "fpga.cl", &source, err);
    if (status != FN_OK) return status;
    char flags[80]; /* -w: compilers of CPUs do not know the attributes of FPGAs */
    (void)snprintf(flags, sizeof flags, "-w -DFN_TARGET_%s -DFN_FPGA_FIFO=%d",
                   fused ? "PLAIN" : "INTEL", EMULATOR_FIFO);
    return fn_cl_build(cl, source, flags, options->cache_dir, err);
}

static fn_status ask(struct fn_cl *cl, int timeout_ms, struct fn_fpga_sizes *ret_sizes,
                     struct fn_error *err) {
    int about[FN_FPGA_N_ABOUT] = {0}, kernel, buffer, task, read;
    fn_status status = fn_cl_kernel(cl, "fn_about", &kernel, err);
    if (status == FN_OK) status = fn_cl_buffer(cl, sizeof about, about, &buffer, err);
    if (status == FN_OK) status = fn_cl_set_buffer(cl, kernel, 0, buffer, err);
    if (status == FN_OK) status = fn_cl_task(cl, FN_CL_FIRST_QUEUE, kernel, NULL, 0, &task, err);
    if (status == FN_OK)
        status = fn_cl_task_read(cl, FN_CL_FIRST_QUEUE, buffer, 0, about, sizeof about, &task, 1,
                                 &read, err);
    if (status == FN_OK) status = fn_cl_wait(cl, 0, timeout_ms, err);
    if (status != FN_OK) return status;
    *ret_sizes = (struct fn_fpga_sizes){
        .layout = about[FN_FPGA_ABOUT_LAYOUT],
        .vec = about[FN_FPGA_ABOUT_VEC],
        .lane = about[FN_FPGA_ABOUT_LANE],
        .band = about[FN_FPGA_ABOUT_BAND],
        .weights = about[FN_FPGA_ABOUT_WEIGHTS],
        .fifo = about[FN_FPGA_ABOUT_FIFO],
        .layer_size = about[FN_FPGA_ABOUT_LAYER_SIZE],
        .form = about[FN_FPGA_ABOUT_FORM],
    };
    return FN_OK;
}

/* The rules of kernels/fpga_params.h, for a program that was compiled elsewhere. */
static fn_status check(const struct fn_fpga_sizes *s, bool fused, struct fn_error *err) {
    if (s->layout != FN_FPGA_LAYOUT || s->layer_size != (int)sizeof(struct fn_fpga_layer))
        return fn_fail(err, FN_DEVICE_FAILED,
                       "the program has layout %d with layers of %d bytes, expected %d and %zu: "
                       "compile it from this version's kernels",
                       s->layout, s->layer_size, FN_FPGA_LAYOUT, sizeof(struct fn_fpga_layer));
    bool vec = s->vec >= 4 && s->vec <= FN_FPGA_BURST && (s->vec & (s->vec - 1)) == 0;
    bool lane = vec && s->lane >= s->vec && s->lane <= 128 && s->lane % s->vec == 0 &&
                s->lane * s->vec % FN_FPGA_BURST == 0;
    bool form = fused ? s->form == FN_FPGA_FUSED
                      : s->form == FN_FPGA_PER_BATCH || s->form == FN_FPGA_PER_LAYER;
    if (lane && form && s->band > 0 && s->weights > 0) return FN_OK;
    return fn_fail(err, FN_DEVICE_FAILED,
                   "the program has VEC %d, LANE %d, BAND %d, WEIGHTS %d, form %d: not one that "
                   "the kernels' sources allow here",
                   s->vec, s->lane, s->band, s->weights, s->form);
}

fn_status fn_fpga_program_open(struct fn_cl *cl, const struct fn_engine_options *options,
                               bool fused, int timeout_ms, struct fn_fpga_sizes *ret_sizes,
                               struct fn_error *err) {
    const struct fn_cl_info *info = fn_cl_info(cl);
    enum fn_fpga_platform platform = fn_fpga_platform(info);
    fn_status status = platform == FN_FPGA_EMULATOR ? check_workers(err) : FN_OK;
    if (status != FN_OK) return status;
    if (options->program)
        status = load(cl, options->program, err);
    else if (fused || platform == FN_FPGA_EMULATOR)
        status = build(cl, options, fused, err);
    else
        return fn_fail(err, FN_USAGE,
                       "%s compiles nothing by itself: name a program file (.aocx, .xclbin) as "
                       "\"program\"",
                       info->platform);
    struct fn_fpga_sizes sizes = {0};
    if (status == FN_OK) status = ask(cl, timeout_ms, &sizes, err);
    if (status == FN_OK) status = check(&sizes, fused, err);
    if (status == FN_OK) *ret_sizes = sizes;
    return status;
}
