/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_target.h -- every word that differs between the compilers the family `fpga` is written for.
 * The build says which one it is; nothing is guessed from a compiler's own macros.
 *
 *   FN_TARGET_INTEL       OpenCL C, aoc and Intel's FPGA emulator: channels, one launch a batch
 *   FN_TARGET_XILINX_CL   OpenCL C, v++ to 2023.1: pipes, one launch a layer
 *   FN_TARGET_XILINX_HLS  C++, Vitis HLS: streams, one launch a layer
 *   FN_TARGET_PLAIN       OpenCL C without FIFOs, pocl and oclgrind: arrays, stages in turn
 *
 * A stage names its FIFOs as parameters by FN_IN and FN_OUT, which are nothing where FIFOs are
 * global names; FN_CURSOR comes first in a stage, once for each FIFO. A FIFO is read in one place
 * and written in one place. */
#ifndef FN_FPGA_TARGET_H
#define FN_FPGA_TARGET_H

#include "fpga_params.h"

/* For the simulation that the planner is held against (tests/hls): FN_CLOCK begins the body of each
 * pipelined loop, FN_MOVED stands where bytes come from or go to off-chip memory. */
#ifndef FN_CLOCK
#define FN_CLOCK(stage)
#define FN_MOVED(stage, bytes)
#endif

#define FN_PRAGMA_(text) _Pragma(#text)
#define FN_PRAGMA(text)  FN_PRAGMA_(text) /* macros within are expanded first */

#if defined(FN_TARGET_XILINX_HLS)

#include <hls_stream.h>
#define FN_FORM   FN_FPGA_PER_LAYER
#define FN_KERNEL extern "C" void
#define FN_GLOBAL
#define FN_SHARED
#define restrict __restrict__
#define FN_IN(type, name)  , hls::stream<type> &name
#define FN_OUT(type, name) , hls::stream<type> &name
#define FN_CURSOR(name)
#define FN_GET(name, value) value = name.read()
#define FN_PUT(name, value) name.write(value)
#define FN_UNROLL           FN_PRAGMA(HLS unroll)
#define FN_PIPELINE         FN_PRAGMA(HLS pipeline II = 1)
#define FN_SAFE(name)                                                                              \
    FN_PRAGMA(HLS dependence variable = name inter RAW distance = FN_FPGA_GAP true)
#define FN_PARTITION(name, dimension)                                                              \
    FN_PRAGMA(HLS array_partition variable = name complete dim = dimension)
#define FN_PARTITIONED(dimension)

#else /* OpenCL C 1.2 */

#define FN_KERNEL                                                                                  \
    __kernel __attribute__((max_global_work_dim(0)))                                               \
    __attribute__((reqd_work_group_size(1, 1, 1))) void
#define FN_GLOBAL __global

#if defined(FN_TARGET_INTEL)

#pragma OPENCL EXTENSION cl_intel_channels : enable
#define FN_FORM             FN_FPGA_PER_BATCH
#define FN_TOKENS           1
/* Not cached in the kernel that reads: another kernel of this launch writes. */
#define FN_SHARED           volatile
#define FN_FIFO(type, name) channel type name __attribute__((depth(FN_FPGA_FIFO)))
#define FN_IN(type, name)
#define FN_OUT(type, name)
#define FN_CURSOR(name)
#define FN_GET(name, value) value = read_channel_intel(name)
#define FN_PUT(name, value) write_channel_intel(name, value)
#define FN_FENCE            mem_fence(CLK_GLOBAL_MEM_FENCE | CLK_CHANNEL_MEM_FENCE)
#define FN_UNROLL           FN_PRAGMA(unroll)
#define FN_PIPELINE         FN_PRAGMA(ii 1)
#define FN_SAFE(name)       FN_PRAGMA(ivdep array(name) safelen(FN_FPGA_GAP))
#define FN_PARTITION(name, dimension)
#define FN_PARTITIONED(dimension)

#elif defined(FN_TARGET_XILINX_CL)

#define FN_FORM FN_FPGA_PER_LAYER
#define FN_SHARED
#define FN_FIFO(type, name) pipe type name __attribute__((xcl_reqd_pipe_depth(FN_FPGA_FIFO)))
#define FN_IN(type, name)
#define FN_OUT(type, name)
#define FN_CURSOR(name)
#define FN_GET(name, value) read_pipe_block(name, &value)
#define FN_PUT(name, value) write_pipe_block(name, &value)
#define FN_UNROLL           __attribute__((opencl_unroll_hint))
#define FN_PIPELINE         __attribute__((xcl_pipeline_loop(1)))
#define FN_SAFE(name)
#define FN_PARTITION(name, dimension)
#define FN_PARTITIONED(dimension) __attribute__((xcl_array_partition(complete, dimension)))

#elif defined(FN_TARGET_PLAIN)

#define FN_FORM FN_FPGA_FUSED
#define FN_SHARED
#define FN_IN(type, name)   , __global const type *restrict name
#define FN_OUT(type, name)  , __global type *restrict name
#define FN_CURSOR(name)     int name##_at = 0
#define FN_GET(name, value) value = name[name##_at++]
#define FN_PUT(name, value) name[name##_at++] = (value)
#define FN_UNROLL           FN_PRAGMA(unroll)
#define FN_PIPELINE
#define FN_SAFE(name)
#define FN_PARTITION(name, dimension)
#define FN_PARTITIONED(dimension)

#else
#error "define one of FN_TARGET_INTEL, FN_TARGET_XILINX_CL, FN_TARGET_XILINX_HLS, FN_TARGET_PLAIN"
#endif
#endif

/* Two products in one multiplier, where it is wide enough and the compiler will not find out. */
#ifndef FN_FPGA_PACKED
#if defined(FN_TARGET_XILINX_HLS) || defined(FN_TARGET_XILINX_CL)
#define FN_FPGA_PACKED 1
#else
#define FN_FPGA_PACKED 0
#endif
#endif

#endif
