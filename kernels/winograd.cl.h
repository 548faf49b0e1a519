/* SPDX-License-Identifier: Apache-2.0
 *
 * winograd.cl.h -- 3x3 convolutions of stride 1 with 4 multiplications an output in place of 9, for
 * AVX2: Winograd's F(2x2, 3x3), in exact integers.
 *
 * A tile is 2x2 outputs. Its 4x4 inputs d become V = B'dB, 16 sums of at most four bytes; the host
 * has made U = (2G)g(2G)' of the weights, of at most 9 * 127 (engine/opencl/winograd.c). Sums of
 * U * V over the input channels at each of 16 places, M, give 4 times the outputs as A'MA: every
 * step is an integer below 2^31, so the shift by two is exact, and the bits are those of conv.cl.h.
 * 16-bit products cost twice what those of bytes do, but nothing has to be proved of the weights.
 *
 * Tiles are counted over all pictures; where height or width is odd, the last tile overlaps the one
 * before and computes the same outputs again. Channels of the input are whole vectors of 16. */

#if FN_CONV_TILE != 4
#error the four outputs of a tile are finished as a tile of `conv`
#endif

#define FN_WINOGRAD_SIDE 4 /* places a side */
#define FN_PLACES        (FN_WINOGRAD_SIDE * FN_WINOGRAD_SIDE)

/* Where the tiles of a block are, by lane: the row of the first input, and offsets. */
struct fn_tiles {
    int16 x, y, top, at, to;
};

static inline struct fn_tiles fn_find_tiles(const struct fn_layer_params *l, int16 index) {
    const int16 line = fn_divide(index, l->tiles_x_inverse);
    const int16 picture = fn_divide(line, l->tiles_y_inverse);
    struct fn_tiles t;
    t.x = min(2 * (index - line * l->tiles_x), (int16)(l->out_width - 2));
    t.y = min(2 * (line - picture * l->tiles_y), (int16)(l->out_height - 2));
    t.top = t.y - l->pad_h;
    t.at = l->input + picture * l->in_picture + t.top * l->in_row + (t.x - l->pad_w) * l->in_pitch;
    t.to = picture * l->out_picture + t.y * l->out_row + t.x * l->out_pitch;
    return t;
}

static inline short16 fn_load_wide(__global const char *from) {
    struct __attribute__((packed)) unaligned {
        char16 lanes;
    };
    return convert_short16(((__global const struct unaligned *)from)->lanes);
}

/* V of one tile: to[place * FN_WINOGRAD_TILES * channels + channel]. */
static inline void fn_transform_tile(const struct fn_layer_params *l, __global const char *arena,
                                     int top, int at, int channels, short *to) {
    __global const char *rows[FN_WINOGRAD_SIDE];
    const int step = FN_WINOGRAD_TILES * channels, pitch = l->in_pitch;
    for (int i = 0; i < FN_WINOGRAD_SIDE; i++) {
        const bool inside = (uint)(top + i) < (uint)l->in_height;
        rows[i] = arena + (inside ? at + i * l->in_row : 0); /* 0: where zeros are */
    }
    for (int c = 0; c < channels; c += FN_LANES) {
        short16 sums[FN_WINOGRAD_SIDE][FN_WINOGRAD_SIDE];
#pragma unroll
        for (int j = 0; j < FN_WINOGRAD_SIDE; j++) {
            const short16 a = fn_load_wide(rows[0] + j * pitch + c);
            const short16 b = fn_load_wide(rows[1] + j * pitch + c);
            const short16 d = fn_load_wide(rows[2] + j * pitch + c);
            const short16 e = fn_load_wide(rows[3] + j * pitch + c);
            sums[0][j] = a - d;
            sums[1][j] = b + d;
            sums[2][j] = d - b;
            sums[3][j] = b - e;
        }
#pragma unroll
        for (int i = 0; i < FN_WINOGRAD_SIDE; i++) {
            short *const line = to + i * FN_WINOGRAD_SIDE * step + c;
            *(short16 *)line = sums[i][0] - sums[i][2];
            *(short16 *)(line + step) = sums[i][1] + sums[i][2];
            *(short16 *)(line + 2 * step) = sums[i][2] - sums[i][1];
            *(short16 *)(line + 3 * step) = sums[i][1] - sums[i][3];
        }
    }
}

static inline int8 fn_add_products(int8 sum, int two, int8 weights) {
    const fn_shorts16 x = __builtin_astype((int8)two, fn_shorts16);
    return sum + __builtin_astype(
                     __builtin_ia32_pmaddwd256(x, __builtin_astype(weights, fn_shorts16)), int8);
}

/* M of one place for four tiles. pairs: of input channels; v: of the first tile; m: [4][16]. */
static inline void fn_multiply_place(__global const int8 *u, const int *v, int pairs, int8 *m) {
    int8 low[4], high[4];
#pragma unroll
    for (int t = 0; t < 4; t++) low[t] = high[t] = 0;
    for (int pair = 0; pair < pairs; pair++, u += 2) {
        const int8 first = u[0], second = u[1];
        fn_prefetch(u);
#pragma unroll
        for (int t = 0; t < 4; t++) {
            low[t] = fn_add_products(low[t], v[t * pairs + pair], first);
            high[t] = fn_add_products(high[t], v[t * pairs + pair], second);
        }
    }
#pragma unroll
    for (int t = 0; t < 4; t++) {
        m[2 * t] = low[t];
        m[2 * t + 1] = high[t];
    }
}

/* The four outputs of one tile, less the bias. m: its [16 lanes] of the first place. */
static inline void fn_gather_tile(const int16 *m, int16 ret_sums[4]) {
    int16 lines[2][FN_WINOGRAD_SIDE];
#pragma unroll
    for (int j = 0; j < FN_WINOGRAD_SIDE; j++) {
        const int16 a = m[j * FN_WINOGRAD_TILES], b = m[(4 + j) * FN_WINOGRAD_TILES];
        const int16 c = m[(8 + j) * FN_WINOGRAD_TILES], d = m[(12 + j) * FN_WINOGRAD_TILES];
        lines[0][j] = a + b + c;
        lines[1][j] = b - c - d;
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        ret_sums[2 * i] = (lines[i][0] + lines[i][1] + lines[i][2]) >> 2;
        ret_sums[2 * i + 1] = (lines[i][1] - lines[i][2] - lines[i][3]) >> 2;
    }
}

/* Zeros behind the rows that end with a tile, and before the first. n: channels from `first`. */
static inline void fn_store_tile_gaps(const struct fn_layer_params *l, __global char *arena,
                                      const struct fn_tiles *tiles, int n_tiles, bool is_first,
                                      int first, int n) {
    const int16 behind = tiles->to + 2 * l->out_pitch;
    for (int t = 0; t < n_tiles; t++)
        for (int row = 0; row < 2; row++)
            if (((const int *)&tiles->x)[t] + 2 == l->out_width)
                fn_store_gap(arena, l, first + ((const int *)&behind)[t] + row * l->out_row, n);
    if (is_first) fn_store_gap(arena, l, first - l->out_gap * l->out_pitch, n);
}

/* A work-item of a step, as in conv.cl.h: `spans` blocks of FN_WINOGRAD_TILES tiles. */
static inline void fn_winograd_item(const struct fn_memory *m,
                                    __global const struct fn_step_params *step, int item) {
    int16 sums[FN_PLACES * FN_WINOGRAD_TILES];
    short16 inputs[FN_PLACES * FN_WINOGRAD_TILES * FN_WINOGRAD_CHANNELS / FN_LANES];
    int member = 0;
    while (item >= step->ends[member]) member++;
    if (member > 0) item -= step->ends[member - 1];
    const struct fn_layer_params l = m->layers[step->members[member]];
    __global char *const arena = m->arena + step->arena;
    const int channels = l.quads * FN_QUAD, chunk = step->chunks[member];
    const int n_groups = (l.out_channels + FN_LANES - 1) / FN_LANES;
    const int n_chunks = (n_groups + chunk - 1) / chunk;
    const int first_group = item % n_chunks * chunk,
              last_group = min(first_group + chunk, n_groups);
    const int begin = item / n_chunks * step->spans[member] * FN_WINOGRAD_TILES;
    const int end = min(begin + step->spans[member] * FN_WINOGRAD_TILES,
                        step->pictures * l.tiles_x * l.tiles_y);
    for (int block = begin; block < end; block += FN_WINOGRAD_TILES) {
        const struct fn_tiles tiles = fn_find_tiles(&l, min(block + fn_count, (int16)(end - 1)));
        const int n_tiles = min(end - block, FN_WINOGRAD_TILES);
        for (int t = 0; t < ((n_tiles + 3) & ~3); t++) /* the last one again, to whole fours */
            fn_transform_tile(&l, arena, ((const int *)&tiles.top)[t], ((const int *)&tiles.at)[t],
                              channels, (short *)inputs + t * channels);
        for (int group = first_group; group < last_group; group++) {
            __global const int8 *u =
                (__global const int8 *)(m->weights + l.weights) + group * FN_PLACES * channels;
            for (int place = 0; place < FN_PLACES; place++, u += channels)
                for (int t = 0; t < n_tiles; t += 4)
                    fn_multiply_place(
                        u, (const int *)inputs + (place * FN_WINOGRAD_TILES + t) * channels / 2,
                        channels / 2, (int8 *)(sums + place * FN_WINOGRAD_TILES + t));
            for (int t = 0; t < n_tiles; t++) {
                __global const int16 *const group_channels = m->channels + l.channels + group * 3;
                const int to = ((const int *)&tiles.to)[t];
                int16 outputs[4], places = to;
                fn_gather_tile(sums + t, outputs);
                for (int i = 0; i < 4; i++) outputs[i] += group_channels[0];
                places.s1 += l.out_pitch;
                places.s2 += l.out_row;
                places.s3 += l.out_row + l.out_pitch;
                conv_finish(&l, arena, group_channels, places, group * FN_LANES, outputs);
            }
        }
        const int first = first_group * FN_LANES;
        if (l.out_gap > 0)
            fn_store_tile_gaps(&l, arena, &tiles, n_tiles, block == 0, first,
                               min(last_group * FN_LANES, l.out_channels) - first);
    }
}
