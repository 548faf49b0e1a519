/* SPDX-License-Identifier: Apache-2.0
 *
 * blas.h -- the one product of matrices the float network needs, by OpenBLAS. */
#ifndef FN_BLAS_H
#define FN_BLAS_H

#include <stddef.h>

/* Let OpenBLAS use the calling thread alone: pictures run in parallel instead, so that sums do not
 * depend on the number of threads. Call before the first product. */
void fn_blas_single_thread(void);

/* c[i][j] = sum_k a[i][k] * b[j][k] for i < rows, j < columns, k < depth. Rows of a are a_stride
 * floats apart, those of b and c likewise. Any thread. Of integers whose sums of absolute products
 * stay within 2^24 it is exact, whatever the order of the sums. */
void fn_blas_product(size_t rows, size_t columns, size_t depth, const float *a, size_t a_stride,
                     const float *b, size_t b_stride, float *c, size_t c_stride);

/* Name of the kernels OpenBLAS chose for this CPU: sums differ between them. Static. */
const char *fn_blas_core(void);

#endif
