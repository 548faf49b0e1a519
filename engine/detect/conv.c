/* SPDX-License-Identifier: Apache-2.0
 *
 * conv.c -- packing, and the same loops for every instruction set (conv_kernel.h).
 *
 * A CPU without fused multiply-add gets the same bits in double: a product of two floats is exact
 * there, and a sum that is rounded to odd rounds to float as if it had been rounded once. */
#include "engine/detect/conv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

/* ---- packing -------------------------------------------------------------------------------- */

static void pack_layer(const struct fn_mtcnn_layer *layer, const struct fn_mtcnn_params *params,
                       int at, struct fn_conv *conv) {
    size_t taps = (size_t)conv->kernel_h * (size_t)conv->run;
    for (int i = 0; i < layer->out_channels; i++) {
        size_t block = (size_t)(at + i) / FN_CONV_BLOCK, lane = (size_t)(at + i) % FN_CONV_BLOCK;
        float *to = conv->weights + block * taps * FN_CONV_BLOCK + lane;
        for (size_t k = 0; k < taps; k++)
            to[k * FN_CONV_BLOCK] = params->weights[(size_t)i * taps + k];
        conv->bias[at + i] = params->bias[i];
        if (params->alpha) conv->alpha[at + i] = params->alpha[i];
    }
}

fn_status fn_conv_pack(const struct fn_mtcnn_weights *weights, int first, int n,
                       struct fn_conv *ret_conv, struct fn_error *err) {
    const struct fn_mtcnn_layer *layer = &fn_mtcnn_layers[first];
    struct fn_conv conv = {.kernel_h = layer->kernel_h,
                           .run = layer->kernel_w * layer->in_channels};
    for (int i = 0; i < n; i++) conv.out_channels += layer[i].out_channels;
    conv.n_blocks = (conv.out_channels + FN_CONV_BLOCK - 1) / FN_CONV_BLOCK;
    size_t lanes = (size_t)conv.n_blocks * FN_CONV_BLOCK;
    size_t taps = (size_t)conv.kernel_h * (size_t)conv.run;
    size_t size = lanes * (taps + 2) * sizeof *conv.weights; /* a multiple of 64 */
    conv.weights = aligned_alloc(64, size);
    if (!conv.weights)
        return fn_fail(err, FN_NO_MEMORY, "no memory for the detector's layer %s", layer->name);
    memset(conv.weights, 0, size);
    conv.bias = conv.weights + lanes * taps;
    conv.alpha = conv.bias + lanes;
    for (size_t i = 0; i < lanes; i++) conv.alpha[i] = 1;
    for (int i = 0, at = 0; i < n; at += layer[i++].out_channels)
        pack_layer(&layer[i], &weights->layers[first + i], at, &conv);
    *ret_conv = conv;
    return FN_OK;
}

void fn_conv_done(struct fn_conv *conv) {
    free(conv->weights);
    *conv = (struct fn_conv){0};
}

/* ---- any CPU -------------------------------------------------------------------------------- */

struct lanes {
    float f[FN_CONV_BLOCK];
};

INLINE float fuse(float a, float b, float c) {
#if defined(__FP_FAST_FMAF)
    return fmaf(a, b, c);
#else
    double product = (double)a * b, sum = product + c;
    double back = sum - product, rest = (product - (sum - back)) + (c - back);
    int64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if (rest != 0 && !(bits & 1) && isfinite(sum)) {
        bits += (rest > 0) == (sum > 0) ? 1 : -1;
        memcpy(&sum, &bits, sizeof sum);
    }
    return (float)sum;
#endif
}

INLINE struct lanes portable_load(const float *from) {
    struct lanes v;
    memcpy(&v, from, sizeof v);
    return v;
}

INLINE void portable_store(float *to, struct lanes v) {
    memcpy(to, &v, sizeof v);
}

INLINE struct lanes portable_spread(float x) {
    struct lanes v;
    for (int i = 0; i < FN_CONV_BLOCK; i++) v.f[i] = x;
    return v;
}

INLINE struct lanes portable_fma(struct lanes a, struct lanes b, struct lanes c) {
    for (int i = 0; i < FN_CONV_BLOCK; i++) c.f[i] = fuse(a.f[i], b.f[i], c.f[i]);
    return c;
}

INLINE struct lanes portable_max(struct lanes a, struct lanes b) {
    for (int i = 0; i < FN_CONV_BLOCK; i++) a.f[i] = a.f[i] > b.f[i] ? a.f[i] : b.f[i];
    return a;
}

INLINE struct lanes portable_prelu(struct lanes x, struct lanes alpha) {
    for (int i = 0; i < FN_CONV_BLOCK; i++) {
        float above = x.f[i] > 0 ? x.f[i] : 0, below = x.f[i] < 0 ? x.f[i] : 0;
        x.f[i] = above + alpha.f[i] * below;
    }
    return x;
}

#define NAME(verb) portable_##verb
#define TARGET
#define VECTOR        struct lanes
#define PIXELS        2
#define EACH_PIXEL(X) X(0) X(1)
#include "engine/detect/conv_kernel.h"

static const struct fn_conv_kernels portable = {"portable", portable_convolve, portable_pool};

#if defined(__x86_64__)

/* ---- AVX2: 6 pixels by 2 registers is what 16 registers hold -------------------------------- */

#define AVX2 __attribute__((target("avx2,fma")))

struct halves {
    __m256 low, high;
};

AVX2 INLINE struct halves avx2_load(const float *from) {
    return (struct halves){_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}

AVX2 INLINE void avx2_store(float *to, struct halves v) {
    _mm256_storeu_ps(to, v.low);
    _mm256_storeu_ps(to + 8, v.high);
}

AVX2 INLINE __m256 avx2_spread(float x) {
    return _mm256_set1_ps(x);
}

AVX2 INLINE struct halves avx2_fma(struct halves a, __m256 b, struct halves c) {
    return (struct halves){_mm256_fmadd_ps(a.low, b, c.low), _mm256_fmadd_ps(a.high, b, c.high)};
}

AVX2 INLINE struct halves avx2_max(struct halves a, struct halves b) {
    return (struct halves){_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}

AVX2 INLINE __m256 avx2_prelu_half(__m256 x, __m256 alpha) {
    __m256 zero = _mm256_setzero_ps();
    __m256 below = _mm256_mul_ps(alpha, _mm256_min_ps(x, zero));
    return _mm256_add_ps(_mm256_max_ps(x, zero), below);
}

AVX2 INLINE struct halves avx2_prelu(struct halves x, struct halves alpha) {
    return (struct halves){avx2_prelu_half(x.low, alpha.low), avx2_prelu_half(x.high, alpha.high)};
}

#define NAME(verb)    avx2_##verb
#define TARGET        AVX2
#define VECTOR        struct halves
#define PIXELS        6
#define EACH_PIXEL(X) X(0) X(1) X(2) X(3) X(4) X(5)
#include "engine/detect/conv_kernel.h"

static const struct fn_conv_kernels avx2 = {"avx2", avx2_convolve, avx2_pool};

/* ---- AVX-512 -------------------------------------------------------------------------------- */

#define AVX512 __attribute__((target("avx512f")))

AVX512 INLINE __m512 avx512_load(const float *from) {
    return _mm512_loadu_ps(from);
}

AVX512 INLINE void avx512_store(float *to, __m512 v) {
    _mm512_storeu_ps(to, v);
}

AVX512 INLINE __m512 avx512_spread(float x) {
    return _mm512_set1_ps(x);
}

AVX512 INLINE __m512 avx512_fma(__m512 a, __m512 b, __m512 c) {
    return _mm512_fmadd_ps(a, b, c);
}

AVX512 INLINE __m512 avx512_max(__m512 a, __m512 b) {
    return _mm512_max_ps(a, b);
}

AVX512 INLINE __m512 avx512_prelu(__m512 x, __m512 alpha) {
    __m512 zero = _mm512_setzero_ps();
    __m512 below = _mm512_mul_ps(alpha, _mm512_min_ps(x, zero));
    return _mm512_add_ps(_mm512_max_ps(x, zero), below);
}

#define NAME(verb)    avx512_##verb
#define TARGET        AVX512
#define VECTOR        __m512
#define PIXELS        9 /* the 3 x 3 maps of R- and O-Net are one round */
#define EACH_PIXEL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#include "engine/detect/conv_kernel.h"

static const struct fn_conv_kernels avx512 = {"avx512", avx512_convolve, avx512_pool};

#endif

/* ---- choice --------------------------------------------------------------------------------- */

const struct fn_conv_kernels *fn_conv_kernels_at(size_t i) {
    const struct fn_conv_kernels *able[3] = {&portable};
    size_t n = 1;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) able[n++] = &avx2;
    if (__builtin_cpu_supports("avx512f")) able[n++] = &avx512;
#endif
    return i < n ? able[i] : NULL;
}

const struct fn_conv_kernels *fn_conv_kernels_choose(void) {
    const struct fn_conv_kernels *best = fn_conv_kernels_at(0);
    for (size_t i = 1; fn_conv_kernels_at(i); i++) best = fn_conv_kernels_at(i);
    return best;
}
