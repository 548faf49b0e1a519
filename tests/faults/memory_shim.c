/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_shim.c -- preloaded into a program, lets one of its own allocations fail. Those of its
 * libraries succeed: what they do without memory is theirs, and pocl aborts.
 *
 * $FN_MEMORY_PLAN names a file that may change while the program runs: "N" lets the Nth allocation
 * from then on fail, "N+" that and all after it, "" none. When one has failed, a file of that name
 * with ".fired" at its end is there. */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* glibc's own, so that nothing has to be looked up before the first allocation. */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static uintptr_t low, high; /* of the program itself */
static const char *plan_path;
static char fired_path[4096];
static atomic_llong seen_ns;           /* of the plan's file */
static atomic_long countdown, forever; /* countdown: 1 is the next; 0: no plan */

static int note_program(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size, (void)data;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X)) continue;
        low = info->dlpi_addr + header->p_vaddr;
        high = low + header->p_memsz;
    }
    return 1; /* the first entry is the program */
}

__attribute__((constructor)) static void begin(void) {
    (void)dl_iterate_phdr(note_program, NULL);
    plan_path = getenv("FN_MEMORY_PLAN");
    if (plan_path) (void)snprintf(fired_path, sizeof fired_path, "%s.fired", plan_path);
}

static void look_at_file(void) {
    struct stat status;
    char text[24] = "";
    if (!plan_path || stat(plan_path, &status) != 0) return;
    long long at = (long long)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    if (atomic_exchange(&seen_ns, at) == at) return;
    int fd = open(plan_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (read(fd, text, sizeof text - 1) < 0) text[0] = '\0';
    (void)close(fd);
    char *end;
    long n = strtol(text, &end, 10);
    atomic_store(&forever, *end == '+');
    atomic_store(&countdown, n);
}

static bool must_fail(const void *caller) {
    if ((uintptr_t)caller < low || (uintptr_t)caller >= high) return false;
    int before = errno;
    look_at_file();
    long left = atomic_load(&countdown);
    while (left > 0 && !atomic_compare_exchange_weak(&countdown, &left, left - 1)) continue;
    bool fails = left == 1;
    if (fails) {
        if (atomic_load(&forever)) atomic_store(&countdown, 1);
        int fd = open(fired_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0) (void)close(fd);
    }
    errno = fails ? ENOMEM : before;
    return fails;
}

#define CALLER __builtin_return_address(0)

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
void *malloc(size_t size) {
    return must_fail(CALLER) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
    return must_fail(CALLER) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size) {
    return must_fail(CALLER) ? NULL : __libc_realloc(old, size);
}

char *strdup(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = must_fail(CALLER) ? NULL : __libc_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
