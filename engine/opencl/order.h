/* SPDX-License-Identifier: Apache-2.0
 *
 * order.h -- which products may be added in 16 bits. */
#ifndef FN_OPENCL_ORDER_H
#define FN_OPENCL_ORDER_H

#include <stdint.h>

/* Copy one row of a kernel, its quads in the order of kernels/params.h: first runs of four, then of
 * two, whose sums of pairs stay within int16 for every input 0...127, then the rest. weights,
 * ret_weights: [n_quads][16 lanes][4], apart. ret_order: 3 + n_quads ints. */
void fn_order_row(const int8_t *weights, int n_quads, int8_t *ret_weights, int32_t *ret_order);

#endif
