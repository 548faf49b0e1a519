/* SPDX-License-Identifier: Apache-2.0
 *
 * fpga_program.h -- which platforms are FPGAs, and the program of the family fpga on them. */
#ifndef FN_OPENCL_FPGA_PROGRAM_H
#define FN_OPENCL_FPGA_PROGRAM_H

#include "engine/engine.h"
#include "engine/opencl/cl.h"
#include "engine/opencl/fpga_layout.h"

enum fn_fpga_platform { FN_FPGA_NOT_ONE, FN_FPGA_INTEL, FN_FPGA_EMULATOR, FN_FPGA_XILINX };

/* By parts of the platform's name that have stayed the same over the vendors' versions. */
enum fn_fpga_platform fn_fpga_platform(const struct fn_cl_info *info);

/* Load the program of options->program, or build it from source where the platform can: Intel's
 * emulator, and `fused` everywhere. Asks it what it was compiled for and checks that this is what
 * the host can pack for. FN_USAGE when a program file is needed, FN_DEVICE_FAILED when it is not
 * ours or not for this host. */
FN_MUST fn_status fn_fpga_program_open(struct fn_cl *cl, const struct fn_engine_options *options,
                                       bool fused, int timeout_ms, struct fn_fpga_sizes *ret_sizes,
                                       struct fn_error *err);

#endif
