/* SPDX-License-Identifier: Apache-2.0
 *
 * conv.cl.h -- convolution, bias, residual add, rounding shift and ReLU in one kernel. Included
 * once per variant with these set:
 *   FN_CONV    the kernel's name; FN_CONV_item() is one work-item of it
 *   FN_TILE    output pixels that are computed at once, at most FN_LANES
 *   FN_BLOCKS  blocks of 16 output channels that are computed at once: a group
 *   FN_DOT     fn_dot, or fn_dot_signed for inputs below zero
 *   FN_ORDERED set where weights come in runs of four quads, of two and of one (params.h)
 *
 * Pixels are counted over all pictures of the batch, so a tile may straddle rows and pictures and
 * only a batch's last tile is ever incomplete; it computes and stores its last pixel several times.
 * What is done once a tile is done for all 16 lanes of a vector, though a tile may have fewer. */

#ifdef FN_ORDERED
/* `count` runs of n quads, the first 8 lanes of all pixels and then the others. */
static inline __attribute__((always_inline)) __global const fn_quads *
FN_NAME(FN_CONV, multiply_runs)(__global const fn_quads *w, __global const int *first, int count,
                                int n, __global const uint *const source[FN_TILE],
                                fn_sums acc[FN_TILE][FN_BLOCKS]) {
    for (int i = 0; i < count; i++, w += n) {
        __global const int8 *const halves = (__global const int8 *)w;
        fn_prefetch(w);
        if (n > 1) fn_prefetch(w + 1);
        if (n > 2) fn_prefetch(w + 2), fn_prefetch(w + 3);
#pragma unroll
        for (int p = 0; p < FN_TILE; p++)
            acc[p][0].lo = fn_dot_half(acc[p][0].lo, halves, source[p] + first[i], n);
        FN_LOAD_AGAIN();
#pragma unroll
        for (int p = 0; p < FN_TILE; p++)
            acc[p][0].hi = fn_dot_half(acc[p][0].hi, halves + 1, source[p] + first[i], n);
        FN_LOAD_AGAIN();
    }
    return w;
}

/* One row of a kernel. order: how many runs of each length there are, and where they begin. */
static inline __attribute__((always_inline)) __global const fn_quads *
FN_NAME(FN_CONV, multiply_row)(__global const fn_quads *w, __global const int *order,
                               __global const uint *const source[FN_TILE],
                               fn_sums acc[FN_TILE][FN_BLOCKS]) {
    const int fours = order[0], twos = order[1], ones = order[2];
    order += 3;
    w = FN_NAME(FN_CONV, multiply_runs)(w, order, fours, 4, source, acc);
    w = FN_NAME(FN_CONV, multiply_runs)(w, order + fours, twos, 2, source, acc);
    return FN_NAME(FN_CONV, multiply_runs)(w, order + fours + twos, ones, 1, source, acc);
}
#endif

/* Sums of one tile and one group. w: the group's weights; order: of its rows; top, at: the row and
 * the place of each pixel's window. */
static inline __attribute__((always_inline)) void
FN_NAME(FN_CONV, multiply)(const struct fn_layer_params *l, __global const char *arena,
                           __global const fn_quads *w, __global const int *order,
                           __global const fn_ones *ones, int all, int16 top, int16 at,
                           fn_sums acc[FN_TILE][FN_BLOCKS]) {
    const int run = l->quads * l->kernel_w; /* words in a kernel's row */
    for (int ky = 0; ky < l->kernel_h; ky++) {
        const int16 inside = as_uint16(top + ky) < (uint16)l->in_height;
        const int16 places = (at + ky * l->in_row) & inside; /* 0: where zeros are */
        const int *place = (const int *)&places;
        __global const uint *source[FN_TILE];
#pragma unroll
        for (int p = 0; p < FN_TILE; p++) source[p] = (__global const uint *)(arena + place[p]);
#ifdef FN_ORDERED
        w = FN_NAME(FN_CONV, multiply_row)(w, order, source, acc);
        order += 3 + run;
#else
        for (int q = 0; q < run; q++, w += FN_BLOCKS) {
            const fn_ones one = ones[q >> 30]; /* always ones[0] */
            fn_quads lanes[FN_BLOCKS];
#pragma unroll
            for (int b = 0; b < FN_BLOCKS; b++) {
                fn_prefetch(w + b);
                lanes[b] = w[b];
            }
#pragma unroll
            for (int p = 0; p < FN_TILE; p++) {
                const uint four = source[p][q];
#pragma unroll
                for (int b = 0; b < FN_BLOCKS; b++)
                    acc[p][b] = FN_DOT(acc[p][b], lanes[b], four, one, all);
            }
        }
#endif
    }
}

/* Residual, shift, ReLU and store of one block. channels: of this block; to: of each pixel's first
 * output; first: the block's first channel. */
static inline __attribute__((always_inline)) void
FN_NAME(FN_CONV, finish)(const struct fn_layer_params *l, __global char *arena,
                         __global const int16 *channels, int16 to, int first, int16 sums[FN_TILE]) {
    const int n_lanes = l->out_channels - first;
    const int16 s = channels[1], r = channels[2];
    const int *at = (const int *)&to;
    __global char *const output = arena + l->output + first;
    if (n_lanes <= 0) return;
    if (l->residual >= 0) {
        __global const char *const residual = arena + l->residual + first;
#pragma unroll
        for (int p = 0; p < FN_TILE; p++)
            sums[p] += convert_int16(vload16(0, residual + at[p])) << r;
    }
    if (n_lanes >= FN_LANES) {
#pragma unroll
        for (int p = 0; p < FN_TILE; p++)
            fn_store16(fn_requantize(sums[p], s, l->low), output + at[p]);
    } else {
#pragma unroll
        for (int p = 0; p < FN_TILE; p++)
            fn_store_some(fn_requantize(sums[p], s, l->low), output + at[p], n_lanes);
    }
}

/* A work-item of a step: `spans` tiles in a row for `chunks` groups of one of its layers. */
static inline __attribute__((always_inline)) void
FN_NAME(FN_CONV, item)(const struct fn_memory *m, __global const struct fn_step_params *step,
                       int item) {
    int member = 0;
    while (item >= step->ends[member]) member++;
    if (member > 0) item -= step->ends[member - 1];
    const struct fn_layer_params l = m->layers[step->members[member]];
    __global char *const arena = m->arena + step->arena;
    const int span = step->spans[member], chunk = step->chunks[member];
    const int n_groups = (l.out_channels + FN_BLOCKS * FN_LANES - 1) / (FN_BLOCKS * FN_LANES);
    const int n_chunks = (n_groups + chunk - 1) / chunk;
    const int first_group = item % n_chunks * chunk,
              last_group = min(first_group + chunk, n_groups);
    const int group_size = l.kernel_h * l.kernel_w * l.quads * FN_BLOCKS;
    const int begin = item / n_chunks * span * FN_TILE;
    const int end = min(begin + span * FN_TILE, step->pictures * l.out_width * l.out_height);
    for (int pixel = begin; pixel < end; pixel += FN_TILE) {
        /* A vector in place of `end - 1`: oclgrind 21.10 would give lane 0 alone its minimum. */
        const int16 index = min(pixel + fn_count, (int16)(end - 1));
        const int16 line = fn_divide(index, l.width_inverse);
        const int16 picture = fn_divide(line, l.height_inverse);
        const int16 x = index - line * l.out_width, y = line - picture * l.out_height;
        const int16 top = y * l.stride - l.pad_h;
        const int16 at = l.input + picture * l.in_picture + top * l.in_row +
                         (x * l.stride - l.pad_w) * l.in_pitch;
        const int16 to = picture * l.out_picture + y * l.out_row + x * l.out_pitch;
        for (int group = first_group; group < last_group; group++) {
            __global const int16 *const group_channels =
                m->channels + l.channels + group * FN_BLOCKS * 3;
            fn_sums acc[FN_TILE][FN_BLOCKS];
#pragma unroll
            for (int b = 0; b < FN_BLOCKS; b++)
#pragma unroll
                for (int p = 0; p < FN_TILE; p++) acc[p][b] = fn_sums_of(group_channels[b * 3]);
            FN_NAME(FN_CONV, multiply)
            (&l, arena, (__global const fn_quads *)(m->weights + l.weights) + group * group_size,
             m->order + l.order + group * l.kernel_h * (3 + l.kernel_w * l.quads), m->ones, m->all,
             top, at, acc);
#pragma unroll
            for (int b = 0; b < FN_BLOCKS; b++) {
                int16 sums[FN_TILE];
#pragma unroll
                for (int p = 0; p < FN_TILE; p++) sums[p] = fn_sums_all(acc[p][b]);
                FN_NAME(FN_CONV, finish)
                (&l, arena, group_channels + b * 3, to, (group * FN_BLOCKS + b) * FN_LANES, sums);
            }
        }
        if (l.out_gap > 0) {
            const int first = first_group * FN_BLOCKS * FN_LANES;
            const int n = min(last_group * FN_BLOCKS * FN_LANES, l.out_channels) - first;
            const int16 behind = to + l.out_pitch;
            for (int p = 0; p < FN_TILE; p++)
                if (((const int *)&x)[p] + 1 == l.out_width)
                    fn_store_gap(arena, &l, first + ((const int *)&behind)[p], n);
            if (pixel == 0) fn_store_gap(arena, &l, first - l.out_gap * l.out_pitch, n);
        }
    }
}

#undef FN_CONV
#undef FN_TILE
#undef FN_BLOCKS
#undef FN_DOT
#undef FN_ORDERED
