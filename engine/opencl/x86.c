/* SPDX-License-Identifier: Apache-2.0
 *
 * x86.c -- the kernel families of x86-64 CPUs under pocl, one for each sort of integer dot product.
 *
 * pocl compiles for an older CPU than it runs on, so what the kernels may use is found here: by
 * CPUID what the CPU has, by XCR0 what the system saves of it, and by the width of the device's
 * vectors what registers the compiler knows. */
#include <stdint.h>
#include <string.h>

#include "engine/opencl/ndrange.h"

#if defined(__x86_64__)
#include <cpuid.h>

#define XCR0_AVX    0x06u /* xmm, ymm */
#define XCR0_AVX512 0xe6u /* and zmm, mask registers */

struct features {
    bool avx2, avx_vnni, avx512_vnni;
};

static uint32_t read_xcr0(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static struct features find_features(void) {
    uint32_t a, b, c, d, a1, b1, c1, d1;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return (struct features){0};
    uint32_t xcr0 = read_xcr0();
    if ((xcr0 & XCR0_AVX) != XCR0_AVX || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return (struct features){0};
    bool avx512 = (xcr0 & XCR0_AVX512) == XCR0_AVX512 && (b & bit_AVX512F);
    bool more = __get_cpuid_count(7, 1, &a1, &b1, &c1, &d1);
    return (struct features){.avx2 = (b & bit_AVX2) != 0,
                             .avx_vnni = more && (a1 & bit_AVXVNNI),
                             .avx512_vnni = avx512 && (c & bit_AVX512VNNI)};
}
#else
struct features {
    bool avx2, avx_vnni, avx512_vnni;
};

static struct features find_features(void) {
    return (struct features){0};
}
#endif

static const char *refuse(const struct fn_cl_info *info, bool has_instructions, int vector_ints) {
    if (!info->is_cpu || !strstr(info->platform, "Portable Computing Language"))
        return "it is not this machine's CPU under pocl";
    if (!has_instructions) return "the CPU, or the system, lacks the instructions";
    if (info->vector_ints < vector_ints) return "the device's compiler has narrower registers";
    return NULL;
}

static const char *refuse_avx512_vnni(const struct fn_cl_info *info) {
    return refuse(info, find_features().avx512_vnni, 16);
}

static const char *refuse_avx_vnni(const struct fn_cl_info *info) {
    return refuse(info, find_features().avx_vnni, 8);
}

static const char *refuse_avx2(const struct fn_cl_info *info) {
    return refuse(info, find_features().avx2, 8);
}

/* 8 pixels of 32 channels are 16 of 32 registers, and two multiplications for each load. */
static const struct fn_ndrange_form avx512_vnni = {.flags = "-DFN_X86=512",
                                                   .blocks = 2,
                                                   .tile = 8,
                                                   .tail_tile = 9,
                                                   .narrow_tile = 12,
                                                   .signed_tile = 8,
                                                   .one_launch = true,
                                                   .unsigned_inputs = true};
/* 6 pixels of 16 channels are 12 of 16 registers. */
static const struct fn_ndrange_form avx_vnni = {.flags = "-DFN_X86=256",
                                                .blocks = 1,
                                                .tile = 6,
                                                .tail_tile = 5,
                                                .narrow_tile = 6,
                                                .signed_tile = 6,
                                                .one_launch = true,
                                                .unsigned_inputs = true};

/* 4 pixels of 16 channels are 8 of 16 registers; four more hold what is added in 16 bits. */
static const struct fn_ndrange_form avx2 = {.flags = "-DFN_X86=2",
                                            .blocks = 1,
                                            .tile = 4,
                                            .tail_tile = 3,
                                            .narrow_tile = 4,
                                            .signed_tile = 4,
                                            .one_launch = true,
                                            .ordered = true,
                                            .winograd = true};

#define FAMILY(family, its_name, its_form, its_refuse)                                             \
    const struct fn_family family = {.name = its_name,                                             \
                                     .form = its_form,                                             \
                                     .refuse = its_refuse,                                         \
                                     .build = fn_ndrange_build,                                    \
                                     .open = fn_ndrange_open,                                      \
                                     .slots = fn_ndrange_slots,                                    \
                                     .submit = fn_ndrange_submit,                                  \
                                     .collect = fn_ndrange_collect,                                \
                                     .read_tensor = fn_ndrange_read_tensor,                        \
                                     .profile = fn_ndrange_profile,                                \
                                     .close = fn_ndrange_close}

FAMILY(fn_family_x86_avx512_vnni, "x86-avx512vnni", &avx512_vnni, refuse_avx512_vnni);
FAMILY(fn_family_x86_avx_vnni, "x86-avxvnni", &avx_vnni, refuse_avx_vnni);
FAMILY(fn_family_x86_avx2, "x86-avx2", &avx2, refuse_avx2);
