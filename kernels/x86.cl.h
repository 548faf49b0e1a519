/* SPDX-License-Identifier: Apache-2.0
 *
 * x86.cl.h -- the innermost arithmetic on x86 CPUs, in place of dot.cl.h (which says what fn_dot()
 * and fn_dot_signed() compute). FN_X86 says which instructions the host has found:
 *   512  AVX-512 VNNI: vpdpbusd on 16 lanes
 *   256  AVX-VNNI: the same on 8 lanes
 * They stand as inline assembly, since the compiler's idea of the CPU may be an older one. */

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

#endif

/* x + 128 is unsigned; the host has taken 128 times each lane's weights off its bias. */
static inline fn_sums fn_dot_signed(fn_sums acc, fn_quads w, uint four, fn_ones one, int all) {
    return fn_dot(acc, w, four ^ 0x80808080u, one, all);
}
