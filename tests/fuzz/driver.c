/* SPDX-License-Identifier: Apache-2.0
 *
 * driver.c -- runs a libFuzzer target without libFuzzer, so that any compiler can fuzz a little.
 *
 *     fuzz_x CORPUS [MUTATIONS]
 *
 * CORPUS is a folder of seeds or one file. Every seed is run as it is, then MUTATIONS (0) times
 * changed by bit flips, bytes of interest, cuts, and pieces of its neighbours. The changes follow
 * from the seed's name and the number alone, so a failure comes back. Each seed runs in a process
 * of its own, which ends at its first failure; the input that did it is kept as
 * crash-TARGET-SEED-NUMBER in the working folder. Exit 0 when nothing failed. */
#include <dirent.h>
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/prng.h"

#define INPUT_LIMIT  ((size_t)1 << 20) /* bytes; longer seeds are refused, mutations cut */
#define MAX_SEEDS    4096
#define TIME_LIMIT_S 30 /* for one input, under sanitizers on a busy machine */
#define EXIT_TROUBLE 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seed {
    char *name;     /* owned */
    uint8_t *bytes; /* owned */
    size_t size;
};

static struct seed seeds[MAX_SEEDS];
static size_t n_seeds;

/* What the child works on; outlives it, in memory shared with the parent. */
static struct {
    long number; /* of the mutation, 0: the seed itself */
    size_t size;
    uint8_t bytes[INPUT_LIMIT];
} * present;

/* ---- seeds -------------------------------------------------------------------------------- */

static void read_seed(const char *path, const char *name) {
    if (n_seeds == MAX_SEEDS) errx(EXIT_TROUBLE, "more than %d seeds", MAX_SEEDS);
    FILE *file = fopen(path, "rb");
    if (!file) err(EXIT_TROUBLE, "%s", path);
    struct seed *seed = &seeds[n_seeds++];
    seed->size = fread(present->bytes, 1, INPUT_LIMIT, file);
    if (ferror(file) || fgetc(file) != EOF)
        errx(EXIT_TROUBLE, "%s: cannot be read, or over %zu bytes", path, INPUT_LIMIT);
    (void)fclose(file);
    seed->name = strdup(name);
    seed->bytes = malloc(seed->size + 1);
    if (!seed->name || !seed->bytes) errx(EXIT_TROUBLE, "out of memory");
    memcpy(seed->bytes, present->bytes, seed->size);
}

static void read_corpus(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) err(EXIT_TROUBLE, "%s", path);
    if (!S_ISDIR(status.st_mode)) {
        const char *slash = strrchr(path, '/');
        read_seed(path, slash ? slash + 1 : path);
        return;
    }
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0) err(EXIT_TROUBLE, "%s", path);
    for (int i = 0; i < n; i++) {
        char whole[4096];
        (void)snprintf(whole, sizeof whole, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') read_seed(whole, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    if (n_seeds == 0) errx(EXIT_TROUBLE, "%s: no seeds", path);
}

/* ---- mutations ------------------------------------------------------------------------------- */

static size_t below(struct fn_prng *prng, size_t n) {
    return n == 0 ? 0 : (size_t)(fn_prng_next(prng) % n);
}

/* Put n bytes in at `at`, where room for them has been seen to. */
static void insert(size_t at, const uint8_t *bytes, size_t n) {
    memmove(present->bytes + at + n, present->bytes + at, present->size - at);
    memcpy(present->bytes + at, bytes, n);
    present->size += n;
}

static void splice(struct fn_prng *prng, bool replace) {
    const struct seed *other = &seeds[below(prng, n_seeds)];
    size_t n = below(prng, other->size < 4096 ? other->size + 1 : 4096);
    size_t from = below(prng, other->size - n + 1), at = below(prng, present->size + 1);
    if (replace) {
        if (n > present->size - at) n = present->size - at;
        memcpy(present->bytes + at, other->bytes + from, n);
    } else if (n <= INPUT_LIMIT - present->size) {
        insert(at, other->bytes + from, n);
    }
}

static void cut(struct fn_prng *prng, bool tail) {
    size_t at = below(prng, present->size + 1);
    size_t n = tail ? present->size - at : below(prng, present->size - at + 1);
    memmove(present->bytes + at, present->bytes + at + n, present->size - at - n);
    present->size -= n;
}

static void change_byte(struct fn_prng *prng, bool flip) {
    static const uint8_t of_interest[] = {0, 1, 2, 0x10, 0x20, 0x40, 0x7f, 0x80, 0xc0, 0xfe, 0xff};
    if (present->size == 0) return;
    uint8_t *byte = &present->bytes[below(prng, present->size)];
    if (flip)
        *byte ^= (uint8_t)(1U << below(prng, 8));
    else
        *byte = of_interest[below(prng, sizeof of_interest)];
}

static void mutate(struct fn_prng *prng) {
    for (size_t n = 1 + below(prng, 4); n > 0; n--) {
        switch (below(prng, 12)) {
        case 0:
            cut(prng, true);
            break;
        case 1:
            cut(prng, false);
            break;
        case 2:
            splice(prng, false);
            break;
        case 3:
            splice(prng, true);
            break;
        default:
            change_byte(prng, below(prng, 2) == 0);
        }
    }
}

/* ---- runs -------------------------------------------------------------------------------------
 */

static uint64_t hash_name(const char *name) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *name; name++) hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return hash;
}

/* The child: runs the seed and its mutations, and dies of the first failure. */
static void run_seed(const struct seed *seed, long n_mutations) {
    for (long number = 0; number <= n_mutations; number++) {
        present->number = number;
        present->size = seed->size;
        memcpy(present->bytes, seed->bytes, seed->size);
        struct fn_prng prng = {hash_name(seed->name) + (uint64_t)number};
        if (number > 0) mutate(&prng);
        /* An allocation of its own, so that sanitizers see a read past the end. */
        uint8_t *input = malloc(present->size ? present->size : 1);
        if (!input) errx(EXIT_TROUBLE, "out of memory");
        memcpy(input, present->bytes, present->size);
        (void)alarm(TIME_LIMIT_S);
        (void)LLVMFuzzerTestOneInput(input, present->size);
        free(input);
    }
}

static void keep_input(const char *target, const struct seed *seed, const char *how, int what) {
    const char *slash = strrchr(target, '/');
    char path[512];
    (void)snprintf(path, sizeof path, "crash-%s-%s-%ld", slash ? slash + 1 : target, seed->name,
                   present->number);
    FILE *file = fopen(path, "wb");
    bool kept = file && fwrite(present->bytes, 1, present->size, file) == present->size;
    if (file && fclose(file) != 0) kept = false;
    warnx("%s, mutation %ld: %s %d; the input %s %s", seed->name, present->number, how, what,
          kept ? "is kept as" : "could not be kept as", path);
}

/* Whether the seed and all its mutations passed. */
static bool run_apart(const char *target, const struct seed *seed, long n_mutations) {
    (void)fflush(NULL);
    pid_t child = fork();
    if (child < 0) err(EXIT_TROUBLE, "fork");
    if (child == 0) {
        run_seed(seed, n_mutations);
        exit(0); /* not _exit(): LeakSanitizer looks at the end */
    }
    int ended;
    if (waitpid(child, &ended, 0) != child) err(EXIT_TROUBLE, "waitpid");
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) return true;
    bool killed = WIFSIGNALED(ended);
    keep_input(target, seed, killed ? "signal" : "exit",
               killed ? WTERMSIG(ended) : WEXITSTATUS(ended));
    return false;
}

static long read_number(const char *text) {
    char *end;
    long number = strtol(text, &end, 10);
    if (*text == 0 || *end || number < 0 || number > 1000000000)
        errx(EXIT_TROUBLE, "MUTATIONS is a number, not \"%s\"", text);
    return number;
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) errx(EXIT_TROUBLE, "usage: %s CORPUS [MUTATIONS]", argv[0]);
    long n_mutations = argc == 3 ? read_number(argv[2]) : 0;
    present =
        mmap(NULL, sizeof *present, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (present == MAP_FAILED) err(EXIT_TROUBLE, "mmap");
    read_corpus(argv[1]);
    long passed = 0, failed = 0;
    for (size_t i = 0; i < n_seeds; i++) {
        bool all = run_apart(argv[0], &seeds[i], n_mutations);
        passed += all ? n_mutations + 1 : present->number;
        failed += !all;
    }
    for (size_t i = 0; i < n_seeds; i++) {
        free(seeds[i].name);
        free(seeds[i].bytes);
    }
    (void)munmap(present, sizeof *present);
    printf("%ld passed, %ld failed\n", passed, failed);
    return failed > 0;
}
