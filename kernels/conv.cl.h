/* SPDX-License-Identifier: Apache-2.0
 *
 * conv.cl.h -- convolution, bias, residual add, rounding shift and ReLU in one kernel. Included
 * once per variant with these set:
 *   FN_CONV  the kernel's name
 *   FN_TILE  output pixels that a work-item computes at once
 *   FN_DOT   fn_dot, or fn_dot_signed for inputs below zero
 *
 * A work-item owns one block of 16 output channels (dimension 0) and `tiles_per_item` tiles in a
 * row (dimension 1). Pixels are counted over all pictures of the batch, so a tile may straddle rows
 * and pictures and only the last tile of a batch is ever incomplete; it computes its last pixel
 * several times and stores it once. */

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
FN_CONV(__global char *arena, __global const char *weights, __global const int16 *channels,
        __global const struct fn_layer_params *layers, __global const fn_ones *ones, int all,
        int layer, int pictures, int tiles_per_item) {
    __global const struct fn_layer_params *l = layers + layer;
    const int block = get_global_id(0);
    const int out_width = l->out_width, out_height = l->out_height;
    const int in_width = l->in_width, in_height = l->in_height, pitch = l->in_pitch;
    const int kernel_h = l->kernel_h, kernel_w = l->kernel_w, stride = l->stride;
    const int pad_h = l->pad_h, pad_w = l->pad_w;
    const int n_pixels = pictures * out_height * out_width;
    /* Without padding left and right, a kernel's row is one run of bytes. */
    const int run = pad_w == 0 ? kernel_w : 1;
    const int n_quads = l->quads * run;
    __global const fn_quads *block_weights =
        (__global const fn_quads *)(weights + l->weights) + block * kernel_h * kernel_w * l->quads;
    const int16 bias = channels[l->channels + block * 3];
    const int16 s = channels[l->channels + block * 3 + 1];
    const int16 r = channels[l->channels + block * 3 + 2];

    int pixel = get_global_id(1) * tiles_per_item * FN_TILE;
    const int end = min(pixel + tiles_per_item * FN_TILE, n_pixels);
    int x = pixel % out_width, y = pixel / out_width % out_height;
    int picture = pixel / out_width / out_height;
    while (pixel < end) {
        const int n = min(FN_TILE, end - pixel);
        int16 acc[FN_TILE];
        int at[FN_TILE], top[FN_TILE], left[FN_TILE];
#pragma unroll
        for (int p = 0; p < FN_TILE; p++) {
            acc[p] = bias;
            top[p] = y * stride - pad_h;
            left[p] = x * stride - pad_w;
            at[p] = l->input + ((picture * in_height + top[p]) * in_width + left[p]) * pitch;
            if (p + 1 < n || n == FN_TILE) {
                x++;
                if (x == out_width) x = 0, y++;
                if (y == out_height) y = 0, picture++;
            }
        }
        __global const fn_quads *w = block_weights;
        for (int ky = 0; ky < kernel_h; ky++)
            for (int kx = 0; kx < kernel_w; kx += run) {
                __global const char *source[FN_TILE];
#pragma unroll
                for (int p = 0; p < FN_TILE; p++) {
                    bool inside = (uint)(top[p] + ky) < (uint)in_height &&
                                  (uint)(left[p] + kx) < (uint)in_width;
                    source[p] = arena + (inside ? at[p] + (ky * in_width + kx) * pitch : 0);
                }
                for (int q = 0; q < n_quads; q++, w++) {
                    const fn_quads lanes = *w;
                    const fn_ones one = ones[q >> 30]; /* always ones[0] */
#pragma unroll
                    for (int p = 0; p < FN_TILE; p++)
                        acc[p] += FN_DOT(lanes, ((__global const uint *)source[p])[q], one, all);
                }
            }
        const int first = block * FN_LANES, n_lanes = min(FN_LANES, l->out_channels - first);
#pragma unroll
        for (int p = 0; p < FN_TILE; p++) {
            if (p < n) { /* not `break`: the sums stay in registers only if this unrolls */
                int16 sum = acc[p];
                const int at_pixel = pixel + p;
                if (l->residual >= 0)
                    sum += convert_int16(vload16(0, arena + l->residual +
                                                        at_pixel * l->residual_pitch + first))
                           << r;
                fn_store_lanes(fn_requantize(sum, s, l->low),
                               arena + l->output + at_pixel * l->out_pitch + first, n_lanes);
            }
        }
        pixel += n;
    }
}

#undef FN_CONV
#undef FN_TILE
#undef FN_DOT
