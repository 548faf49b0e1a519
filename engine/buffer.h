/* SPDX-License-Identifier: Apache-2.0
 *
 * buffer.h -- arrays that are kept from call to call and replaced by larger ones when needed. */
#ifndef FN_BUFFER_H
#define FN_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Room for n elements of `element` bytes at *pointer; what was there is lost when it grows. The
 * pointer is reached by memcpy because it may point to any type. */
static inline bool fn_buffer_grow_bytes(void *pointer, size_t *size, size_t n, size_t element) {
    if (n <= *size) return true;
    void *old, *fresh = n > SIZE_MAX / element ? NULL : malloc(n * element);
    if (!fresh) return false;
    memcpy(&old, pointer, sizeof old);
    free(old);
    memcpy(pointer, &fresh, sizeof fresh);
    *size = n;
    return true;
}

/* Make *pointer hold at least n elements; *size is what it holds now. False: no memory, and nothing
 * has changed. */
#define fn_buffer_grow(pointer, size, n)                                                           \
    fn_buffer_grow_bytes((pointer), (size), (n), sizeof **(pointer))

#endif
