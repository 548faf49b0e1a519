/* SPDX-License-Identifier: Apache-2.0
 *
 * compiler_pages.c -- pocl is linked against all of LLVM and clang: to start them touches 55 MB of
 * their code, twice the weights of the network, and once the program is built or found in the cache
 * none of it runs again. The system would take such pages back only when memory is short. */
#include "engine/opencl/compiler_pages.h"

#include <link.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Segments that nobody may write to hold what the file holds: relocations are in others. */
static int release_code(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size;
    (void)unused;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (!strstr(info->dlpi_name, "/libLLVM") && !strstr(info->dlpi_name, "/libclang")) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W)) continue;
        uintptr_t begin = (info->dlpi_addr + segment->p_vaddr + page - 1) / page * page;
        uintptr_t end = (info->dlpi_addr + segment->p_vaddr + segment->p_filesz) / page * page;
        if (begin < end) (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
    return 0;
}

void fn_compiler_pages_release(void) {
    (void)dl_iterate_phdr(release_code, NULL);
    (void)malloc_trim(0);
}
