/* SPDX-License-Identifier: Apache-2.0
 *
 * blas.c -- the adapter of OpenBLAS: nothing else includes cblas.h. */
#include "model/quantize/blas.h"

#include <cblas.h>

void fn_blas_single_thread(void) {
    openblas_set_num_threads(1);
}

void fn_blas_product(size_t rows, size_t columns, size_t depth, const float *a, size_t a_stride,
                     const float *b, size_t b_stride, float *c, size_t c_stride) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows, (blasint)columns,
                (blasint)depth, 1.0F, a, (blasint)a_stride, b, (blasint)b_stride, 0.0F, c,
                (blasint)c_stride);
}

const char *fn_blas_core(void) {
    return openblas_get_corename();
}
