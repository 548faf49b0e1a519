/* SPDX-License-Identifier: Apache-2.0
 *
 * hold_cpu.c -- answers the breakpoints that hold.py has put in the place of `cpuid`: preloaded
 * into a peer of `make bench`, it says what the CPU says, less all that came after AVX2. */
#if defined(__x86_64__)
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ucontext.h>

/* Bits of leaf 7, by their number as compilers' names for them differ. EBX: AVX-512 F, DQ, IFMA,
 * CD, BW, VL; ECX: VBMI, VBMI2, GFNI, VNNI, BITALG, VPOPCNTDQ; EDX: 4VNNIW, 4FMAPS, VP2INTERSECT,
 * AMX-BF16, AVX-512 FP16, AMX-TILE, AMX-INT8. */
#define AFTER_AVX2_B  (1u << 16 | 1u << 17 | 1u << 21 | 1u << 28 | 1u << 30 | 1u << 31)
#define AFTER_AVX2_C  (1u << 1 | 1u << 6 | 1u << 8 | 1u << 11 | 1u << 12 | 1u << 14)
#define AFTER_AVX2_D  (1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25)
#define LEAF_FEATURES 7
#define LEAF_AVX10    0x24

static void answer(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint32_t leaf = (uint32_t)registers[REG_RAX], subleaf = (uint32_t)registers[REG_RCX];
    uint32_t a, b, c, d;
    __cpuid_count(leaf, subleaf, a, b, c, d);
    if (leaf == LEAF_FEATURES && subleaf == 0) {
        b &= ~AFTER_AVX2_B;
        c &= ~AFTER_AVX2_C;
        d &= ~AFTER_AVX2_D;
    }
    /* Subleaf 1 has AVX-VNNI and its like, and nothing that AVX2's CPUs had. */
    if ((leaf == LEAF_FEATURES && subleaf > 0) || leaf == LEAF_AVX10) a = b = c = d = 0;
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
}

__attribute__((constructor)) static void begin(void) {
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_RESTART};
    (void)sigaction(SIGTRAP, &action, NULL);
}
#else
typedef int fn_nothing_to_hold; /* as a file of C may not be empty */
#endif
