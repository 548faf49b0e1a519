/* SPDX-License-Identifier: Apache-2.0
 *
 * embedded.h -- files that the programs carry within them. Tables are made by
 * scripts/embed-files.sh and end with a NULL name. */
#ifndef FN_EMBEDDED_H
#define FN_EMBEDDED_H

#include <stddef.h>

struct fn_embedded_file {
    const char *name;           /* "generic.cl": without folders */
    const char *digest;         /* of the bytes: 32 hex digits */
    const unsigned char *bytes; /* [size], and a NUL behind them */
    size_t size;
};

extern const struct fn_embedded_file fn_kernel_sources[]; /* kernels/ */
extern const struct fn_embedded_file fn_page_files[];     /* daemon/page/ */

#endif
