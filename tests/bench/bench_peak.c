/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_peak.c -- int8 multiply-accumulates a second that cores could do if nothing but arithmetic
 * took time: the instructions of a kernel family on registers alone.
 *
 * Usage: bench_peak FAMILY THREADS
 * Prints GMAC/s of all threads together, the best of several short runs; 0 for a family whose
 * instructions it does not know. The CPU must have them. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS      100000
#define RUNS        50
#define MAX_THREADS 64

#if defined(__x86_64__)
#include <immintrin.h>

/* Enough independent sums to keep two units busy for four to five cycles each. */
#define EACH(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11)

__attribute__((target("avx512f,avx512vnni"))) static void run_avx512_vnni(void) {
    __m512i x = _mm512_set1_epi8(1);
#define SUM(i) __m512i sum##i = x;
    EACH(SUM)
#undef SUM
    for (int round = 0; round < ROUNDS; round++) {
#define STEP(i) __asm__ volatile("vpdpbusd %1, %1, %0" : "+v"(sum##i) : "v"(x));
        EACH(STEP)
#undef STEP
    }
}

__attribute__((target("avx2"))) static void run_avx_vnni(void) {
    __m256i x = _mm256_set1_epi8(1);
#define SUM(i) __m256i sum##i = x;
    EACH(SUM)
#undef SUM
    for (int round = 0; round < ROUNDS; round++) {
#define STEP(i) __asm__ volatile("%{vex%} vpdpbusd %1, %1, %0" : "+x"(sum##i) : "x"(x));
        EACH(STEP)
#undef STEP
    }
}

/* Eight products added in 16 bits before they are widened: five of nine instructions multiply. */
__attribute__((target("avx2"))) static void run_avx2(void) {
    __m256i x = _mm256_set1_epi8(1);
#define SUM(i) __m256i sum##i = x, part##i, pairs##i;
    EACH(SUM)
#undef SUM
    for (int round = 0; round < ROUNDS; round++) {
#define STEP(i)                                                                                    \
    __asm__ volatile("vpmaddubsw %3, %3, %1\n\t"                                                   \
                     "vpmaddubsw %3, %3, %2\n\t"                                                   \
                     "vpaddw %1, %2, %1\n\t"                                                       \
                     "vpmaddubsw %3, %3, %2\n\t"                                                   \
                     "vpaddw %1, %2, %1\n\t"                                                       \
                     "vpmaddubsw %3, %3, %2\n\t"                                                   \
                     "vpaddw %1, %2, %1\n\t"                                                       \
                     "vpmaddwd %3, %1, %1\n\t"                                                     \
                     "vpaddd %1, %0, %0"                                                           \
                     : "+x"(sum##i), "=&x"(pairs##i), "=&x"(part##i)                               \
                     : "x"(x));
        EACH(STEP)
#undef STEP
    }
}

static const struct kind {
    const char *family;
    void (*run)(void);
    double macs; /* of one run */
} kinds[] = {
    {"x86-avx512vnni", run_avx512_vnni, 12.0 * 64 * ROUNDS},
    {"x86-avxvnni", run_avx_vnni, 12.0 * 32 * ROUNDS},
    {"x86-avx2", run_avx2, 12.0 * 128 * ROUNDS},
    {"generic", NULL, 0},
};
#else
static const struct kind {
    const char *family;
    void (*run)(void);
    double macs;
} kinds[] = {{"generic", NULL, 0}};
#endif

struct worker {
    pthread_t thread;
    const struct kind *kind;
    double best; /* MAC/s */
};

static atomic_int
    running; /* threads that have not done their runs: nobody stops while one measures */

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *work(void *context) {
    struct worker *w = context;
    for (int i = 0; i < RUNS; i++) {
        double start = now();
        w->kind->run();
        double rate = w->kind->macs / (now() - start);
        if (rate > w->best) w->best = rate;
    }
    (void)atomic_fetch_sub(&running, 1);
    while (atomic_load(&running) > 0) w->kind->run();
    return NULL;
}

int main(int argc, char **argv) {
    struct worker workers[MAX_THREADS] = {0};
    const struct kind *kind = NULL;
    long n = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (n < 1 || n > MAX_THREADS) {
        (void)fprintf(stderr, "usage: bench_peak FAMILY THREADS\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].family, argv[1]) == 0) kind = &kinds[i];
    double total = 0;
    if (kind && kind->run) {
        atomic_store(&running, (int)n);
        for (long i = 0; i < n; i++) {
            workers[i].kind = kind;
            if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) return 1;
        }
        for (long i = 0; i < n; i++) {
            (void)pthread_join(workers[i].thread, NULL);
            total += workers[i].best;
        }
    }
    (void)printf("%.1f\n", 1e-9 * total);
    return 0;
}
