/* SPDX-License-Identifier: Apache-2.0
 *
 * aligned.h -- host memory that a device can fetch by itself. XRT copies what does not begin on a
 * page (UG1393), Intel's runtime wants 64 bytes: a page serves both. */
#ifndef FN_OPENCL_ALIGNED_H
#define FN_OPENCL_ALIGNED_H

#include <stdlib.h>
#include <string.h>

#define FN_DEVICE_PAGE 4096

/* `size` >= 1 bytes of zeros, to be given to free(); NULL when there is no memory. */
static inline void *fn_aligned_calloc(size_t size) {
    void *bytes = NULL;
    if (posix_memalign(&bytes, FN_DEVICE_PAGE, size) != 0) return NULL;
    memset(bytes, 0, size);
    return bytes;
}

#endif
