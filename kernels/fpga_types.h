/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_types.h -- numbers, bursts and tokens of the pipeline.
 *
 *   fetch -> vectors -> array <- weights          tokens are whole vectors
 *                         |
 *                       sums -> finish -> bytes -> write
 *
 * Each stage (fpga_fetch.h, fpga_array.h, fpga_finish.h, fpga_write.h) works on one layer and a
 * whole batch; the same text is OpenCL C and C++ (fpga_target.h). It is one flat loop that starts
 * an iteration every cycle: positions are kept in counters that are added to and compared, nothing
 * is divided; a buffer is filled for the next step while the step before it is used. All stages
 * walk block, picture, row, column in this order, so tokens need no addresses. */
#ifndef FN_FPGA_TYPES_H
#define FN_FPGA_TYPES_H

#include "fpga_params.h"
#include "fpga_target.h"

#ifdef FN_TARGET_XILINX_HLS

typedef int8_t fn_s8;
typedef int32_t fn_s32;
typedef int64_t fn_s64;
typedef uint32_t fn_u32;
typedef struct {
    fn_u32 word[FN_FPGA_WORDS];
} fn_burst;

static inline void fn_unpack(const fn_burst burst, fn_u32 *words) {
    FN_UNROLL
    for (int i = 0; i < FN_FPGA_WORDS; i++) words[i] = burst.word[i];
}

static inline fn_burst fn_pack(const fn_u32 *words) {
    fn_burst burst;
    FN_UNROLL
    for (int i = 0; i < FN_FPGA_WORDS; i++) burst.word[i] = words[i];
    return burst;
}

#else

typedef char fn_s8;
typedef int fn_s32;
typedef long fn_s64;
typedef uint fn_u32;
typedef uint16 fn_burst; /* the type both vendors' compilers make one 512-bit access of */
#define fn_unpack(burst, words) vstore16(burst, 0, words)
#define fn_pack(words)          vload16(0, words)

#endif

typedef struct {
    fn_u32 q[FN_FPGA_QUADS]; /* FN_FPGA_VEC signed bytes, first lowest */
} fn_vector;
typedef struct {
    fn_s32 lane[FN_FPGA_LANE];
} fn_sums;
typedef struct {
    fn_u32 q[FN_FPGA_PLANES * FN_FPGA_QUADS];
} fn_bytes;

#ifdef FN_FIFO
FN_FIFO(fn_vector, vector_fifo);
FN_FIFO(fn_burst, weight_fifo);
FN_FIFO(fn_sums, sum_fifo);
FN_FIFO(fn_bytes, byte_fifo);
#endif

static inline fn_s32 fn_byte(fn_u32 word, int k) {
    return (fn_s8)(word >> 8 * k);
}

static inline fn_s32 fn_max(fn_s32 a, fn_s32 b) {
    return a > b ? a : b;
}

#endif
