/* SPDX-License-Identifier: Apache-2.0
 *
 * engine.h -- run a model on a device. Back ends: "reference" (plain C, the definition of the
 * arithmetic) and "opencl". All give the same bits for every batch size and thread count. */
#ifndef FN_ENGINE_H
#define FN_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/model.h"
#include "engine/status.h"

#define FN_MAX_BATCH 32
#define FN_MAX_SLOTS 2 /* batches in flight on one device */

struct fn_engine; /* opaque */

struct fn_engine_options {
    /* "reference"; "auto" or "" (OpenCL: an FPGA if there is one, else the first CPU or GPU); or a
     * substring, any case, of an OpenCL platform or device name. Never a silent fallback. */
    const char *device;
    const char *kernel_family; /* NULL or "auto": the best for the device; else "generic", "x86", */
                               /* "x86-avx2", ...: that one or an error */
    const char *kernel_dir;    /* NULL: kernels built into the program; else read *.cl from there */
    const char *cache_dir;     /* NULL: no cache of built programs on disk */
    const char *builder;       /* NULL, or the program for FN_BUILDER_FLAG below */
    const char *program;       /* NULL, or a file with the device's program (.aocx, .xclbin) */
    int device_timeout_ms;     /* a batch that takes longer on an FPGA has failed; 0 means 60000 */
    int max_batch;             /* 1...FN_MAX_BATCH pictures; 0 means 16 */
    int slots;         /* batches in flight, 1...FN_MAX_SLOTS; 0, keep_tensors, profile: 1 */
    bool keep_tensors; /* every tensor keeps its own buffer, for fn_engine_read_tensor() */
    bool profile;      /* measure each layer, for fn_engine_profile(); runs become slower */
};

/* What runs, for answers, metrics and logs. Strings borrowed from the engine. */
struct fn_engine_description {
    const char *backend;       /* "reference" or "opencl" */
    const char *kernel_family; /* "reference", "generic", ... */
    const char *platform;      /* OpenCL platform name, or "C" */
    const char *device;        /* OpenCL device name, or the CPU's */
    const char *driver;        /* OpenCL driver version, or "" */
    const char *label;         /* one token for answers: "opencl:generic:<device>" */
    const char *note;          /* why a better kernel family was passed over, or "" */
};

/* Open `model` (borrowed; must outlive the engine) on a device. FN_NO_DEVICE says which devices
 * there are; FN_DEVICE_FAILED carries the device's own message. */
FN_MUST fn_status fn_engine_open(const struct fn_model *model,
                                 const struct fn_engine_options *options,
                                 struct fn_engine **ret_engine, struct fn_error *err);

/* A compiler may abort, and with it the process that it is in. With `builder` and `cache_dir`,
 * kernels that are not in the cache are built by
 * `BUILDER FN_BUILDER_FLAG DEVICE FAMILY CACHE_DIR KERNEL_DIR` (the last "" for those built in),
 * which is to call this function with what it is given (FN_DETECTOR_FAMILY in detector.h has one of
 * its own); when a signal ends it, the family does not build. */
#define FN_BUILDER_FLAG "--build-kernels"
FN_MUST fn_status fn_engine_build_kernels(const struct fn_engine_options *options,
                                          struct fn_error *err);

/* Embed n pictures, 1 <= n <= max_batch. crops: [n][160][160][3] RGB bytes.
 * ret_embeddings: [n][embedding_size], L2-normalised. ret_accumulators: [n][embedding_size] int32
 * of the Bottleneck, or NULL. One call at a time per engine, and none in flight. FN_NOT_UNIT when a
 * picture's output is all zero: then its embedding is all zeros, and those of the others stand.
 * FN_DEVICE_FAILED when the device failed. */
FN_MUST fn_status fn_engine_run(struct fn_engine *engine, const uint8_t *crops, int n,
                                float *ret_embeddings, int32_t *ret_accumulators,
                                struct fn_error *err);

/* fn_engine_run() in two calls, so that the device has its next batch before it is done with this
 * one: submit gives it the pictures (free again on return), collect waits for the batch that was
 * submitted first. fn_engine_slots() batches may be in flight; one more is FN_USAGE, as is
 * collecting when there is none. A batch whose collect fails is no longer in flight. The bits are
 * those of fn_engine_run(). */
int fn_engine_slots(const struct fn_engine *engine); /* as many as asked for, or fewer */
FN_MUST fn_status fn_engine_submit(struct fn_engine *engine, const uint8_t *crops, int n,
                                   struct fn_error *err);
FN_MUST fn_status fn_engine_collect(struct fn_engine *engine, float *ret_embeddings,
                                    int32_t *ret_accumulators, struct fn_error *err);

/* The integer part alone: tensor 0 in, accumulators out ([n][embedding_size], or NULL for a network
 * without a head). input: [n][height][width][channels] of tensor 0. */
FN_MUST fn_status fn_engine_run_tensors(struct fn_engine *engine, const int8_t *input, int n,
                                        int32_t *ret_accumulators, struct fn_error *err);

/* Copy tensor `tensor` of picture `picture` of the last run; the engine was opened with
 * keep_tensors. ret_values: [height][width][channels]. */
FN_MUST fn_status fn_engine_read_tensor(struct fn_engine *engine, int tensor, int picture,
                                        int8_t *ret_values, struct fn_error *err);

/* Seconds that each layer of the last run took on the device, borrowed until the next run; NULL
 * when the engine was opened without `profile` or its back end does not measure. */
const double *fn_engine_profile(const struct fn_engine *engine);

/* Run the model's golden picture at batch size 1 and max_batch and compare both digests. */
FN_MUST fn_status fn_engine_self_test(struct fn_engine *engine, struct fn_error *err);
/* The same at one batch size, 1...max_batch, the golden picture last. */
FN_MUST fn_status fn_engine_self_test_at(struct fn_engine *engine, int n, struct fn_error *err);

void fn_engine_describe(const struct fn_engine *engine, struct fn_engine_description *ret);
const struct fn_model *fn_engine_model(const struct fn_engine *engine);

/* NULL is a no-op. */
void fn_engine_close(struct fn_engine *engine);

#endif
