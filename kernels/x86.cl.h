/* SPDX-License-Identifier: Apache-2.0
 *
 * x86.cl.h -- the innermost arithmetic on x86 CPUs, in place of dot.cl.h (which says what fn_dot()
 * and fn_dot_signed() compute). FN_X86 says which instructions the host has found:
 *   512  AVX-512 VNNI: vpdpbusd on 16 lanes
 *   256  AVX-VNNI: the same on 8 lanes
 *   2    AVX2: vpmaddubsw
 * The first two stand as inline assembly, since the compiler's idea of the CPU may be an older one.
 */

typedef char fn_quads __attribute__((ext_vector_type(64)));
typedef int fn_ones; /* of no use here */

/* At batch size 1 the last layers use each weight once, from the last cache or memory; what the CPU
 * fetches ahead by itself ends with the page. On a Zen 5, their speed is 200 GMAC/s without this,
 * 270 with 4 KiB, 300 with 8 KiB and no better with more. */
#define fn_prefetch(p) __builtin_prefetch((__global const char *)(p) + 8192)

#if FN_X86 == 512

typedef int16 fn_sums;
#define fn_sums_of(ints)  (ints)
#define fn_sums_all(sums) (sums)

/* Four unsigned bytes times four signed ones, added to 32 bits without saturation. */
static inline fn_sums fn_dot(fn_sums acc, fn_quads w, uint four, fn_ones one, int all) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"((uint16)four), "v"(w));
    return acc;
}

#elif FN_X86 == 256

typedef struct {
    int8 lo, hi;
} fn_sums;

static inline fn_sums fn_sums_of(int16 ints) {
    return (fn_sums){ints.lo, ints.hi};
}

static inline int16 fn_sums_all(fn_sums sums) {
    return (int16)(sums.lo, sums.hi);
}

static inline fn_sums fn_dot(fn_sums acc, fn_quads w, uint four, fn_ones one, int all) {
    const uint8 x = four;
    const int16 lanes = __builtin_astype(w, int16);
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc.lo) : "x"(x), "x"(lanes.lo));
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc.hi) : "x"(x), "x"(lanes.hi));
    return acc;
}

#elif FN_X86 == 2

typedef struct {
    int8 lo, hi;
} fn_sums;
typedef char fn_bytes32 __attribute__((__vector_size__(32)));
typedef short fn_shorts16 __attribute__((__vector_size__(32)));

static inline fn_sums fn_sums_of(int16 ints) {
    return (fn_sums){ints.lo, ints.hi};
}

static inline int16 fn_sums_all(fn_sums sums) {
    return (int16)(sums.lo, sums.hi);
}

/* Unsigned times signed bytes, neighbours added: at most 2 * 128 * 127, so nothing saturates. */
static inline fn_shorts16 fn_pairs(uint four, int8 lanes) {
    return __builtin_ia32_pmaddubsw256(__builtin_astype((uint8)four, fn_bytes32),
                                       __builtin_astype(lanes, fn_bytes32));
}

static inline int8 fn_add_pairs(fn_shorts16 pairs) {
    const fn_shorts16 ones = __builtin_astype((short16)1, fn_shorts16);
    return __builtin_astype(__builtin_ia32_pmaddwd256(pairs, ones), int8);
}

/* For 8 lanes and n words (1, 2 or 4), whose pairs are added in 16 bits: the host has proved that
 * they fit (engine/opencl/order.c). w: of the first quad's first lane of the 8. */
static inline __attribute__((always_inline)) int8 fn_dot_half(int8 acc, __global const int8 *w,
                                                              __global const uint *x, int n) {
    fn_shorts16 sum = fn_pairs(x[0], w[0]);
    if (n > 1) sum += fn_pairs(x[1], w[2]);
    if (n > 2) sum += fn_pairs(x[2], w[4]) + fn_pairs(x[3], w[6]);
    return acc + fn_add_pairs(sum);
}

/* Nothing loaded before is kept in registers, of which AVX2 has 16. */
#define FN_LOAD_AGAIN() __asm__ volatile("" ::: "memory")

static inline fn_sums fn_dot(fn_sums acc, fn_quads w, uint four, fn_ones one, int all) {
    const int16 lanes = __builtin_astype(w, int16);
    return (fn_sums){acc.lo + fn_add_pairs(fn_pairs(four, lanes.lo)),
                     acc.hi + fn_add_pairs(fn_pairs(four, lanes.hi))};
}

/* Positive and negative parts apart, -128 becoming 128. */
static inline fn_sums fn_dot_signed(fn_sums acc, fn_quads w, uint four, fn_ones one, int all) {
    const char4 x = as_char4(four);
    const fn_sums sums = fn_dot(acc, w, as_uint(max(x, (char4)0)), one, all);
    const fn_sums minus = fn_dot((fn_sums){0, 0}, w, as_uint((char4)(-min(x, (char4)0))), one, all);
    return (fn_sums){sums.lo - minus.lo, sums.hi - minus.hi};
}

#endif

#if FN_X86 != 2
/* x + 128 is unsigned; the host has taken 128 times each lane's weights off its bias. */
static inline fn_sums fn_dot_signed(fn_sums acc, fn_quads w, uint four, fn_ones one, int all) {
    return fn_dot(acc, w, four ^ 0x80808080u, one, all);
}
#endif
