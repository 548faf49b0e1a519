/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel_text.h -- one OpenCL source text out of the files of kernels/. */
#ifndef FN_KERNEL_TEXT_H
#define FN_KERNEL_TEXT_H

#include "engine/status.h"

/* The text of `name` with every `#include "file"` line replaced by that file's text, as often as it
 * is included. dir: NULL for the files built into the program, else where to read them from.
 * ret_text: owned. FN_NO_DEVICE when there is no such family, FN_IO or FN_NO_MEMORY. */
FN_MUST fn_status fn_kernel_text(const char *dir, const char *name, char **ret_text,
                                 struct fn_error *err);

#endif
