/* SPDX-License-Identifier: Apache-2.0
 *
 * conv_kernel.h -- convolution and pooling once more for every instruction set: included by
 * conv.c, which defines before
 *     NAME(verb)      the name of a function in this set
 *     TARGET          attribute that permits the instructions
 *     VECTOR          16 floats, with NAME(load), store, spread (one float to all), fma(a, b, c),
 *                     prelu(x, alpha) and max(a, b)
 *     PIXELS          outputs computed together, and
 *     EACH_PIXEL(X)   X(0) X(1) ... X(PIXELS - 1)
 * The accumulators are single variables by macro because gcc keeps arrays of them in memory. */

TARGET static void NAME(convolve)(const struct fn_conv *conv, const float *base,
                                  const uint32_t *offsets, const ptrdiff_t *row_offsets, size_t n,
                                  float *out) {
    size_t run = (size_t)conv->run, rows = (size_t)conv->kernel_h;
    size_t channels = (size_t)conv->out_channels;
    for (size_t first = 0; first < n; first += PIXELS) {
        size_t count = n - first < PIXELS ? n - first : PIXELS;
        /* Downwards: what the partial last block stores too much is overwritten later. */
        for (size_t block = (size_t)conv->n_blocks; block-- > 0;) {
            const float *weights = conv->weights + block * rows * run * FN_CONV_BLOCK;
            VECTOR bias = NAME(load)(conv->bias + block * FN_CONV_BLOCK);
            VECTOR alpha = NAME(load)(conv->alpha + block * FN_CONV_BLOCK);
#define BEGIN(p) VECTOR sum##p = bias;
            EACH_PIXEL(BEGIN)
            for (size_t ky = 0; ky < rows; ky++) {
                const float *row = base + row_offsets[ky];
#define POINT(p) const float *in##p = row + offsets[first + (p < count ? p : count - 1)];
                EACH_PIXEL(POINT)
                for (size_t k = 0; k < run; k++, weights += FN_CONV_BLOCK) {
                    VECTOR w = NAME(load)(weights);
#define ADD(p) sum##p = NAME(fma)(w, NAME(spread)(in##p[k]), sum##p);
                    EACH_PIXEL(ADD)
                }
            }
            float *to = out + first * channels + block * FN_CONV_BLOCK;
#define STORE(p)                                                                                   \
    if (p < count) NAME(store)(to + p * channels, NAME(prelu)(sum##p, alpha));
            EACH_PIXEL(STORE)
        }
    }
}

TARGET static void NAME(pool)(const float *const *rows, int n_rows, int width, int channels,
                              int window, size_t n, float *out) {
    size_t step = (size_t)channels, columns = (size_t)width;
    size_t n_blocks = (step + FN_CONV_BLOCK - 1) / FN_CONV_BLOCK;
    for (size_t i = 0; i < n; i++) {
        size_t end = 2 * i + (size_t)window < columns ? 2 * i + (size_t)window : columns;
        for (size_t block = n_blocks; block-- > 0;) {
            size_t channel = block * FN_CONV_BLOCK;
            VECTOR best = NAME(load)(rows[0] + 2 * i * step + channel);
            for (int y = 0; y < n_rows; y++)
                for (size_t x = 2 * i; x < end; x++)
                    best = NAME(max)(best, NAME(load)(rows[y] + x * step + channel));
            NAME(store)(out + i * step + channel, best);
        }
    }
}

#undef BEGIN
#undef POINT
#undef ADD
#undef STORE
#undef NAME
#undef TARGET
#undef VECTOR
#undef PIXELS
#undef EACH_PIXEL
