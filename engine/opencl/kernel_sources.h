/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel_sources.h -- the files of kernels/, built into the program (scripts/embed-kernels.sh). */
#ifndef FN_KERNEL_SOURCES_H
#define FN_KERNEL_SOURCES_H

struct fn_kernel_source {
    const char *name, *text; /* "generic.cl" and its whole text */
};

/* Ends with a NULL name. */
extern const struct fn_kernel_source fn_kernel_sources[];

#endif
