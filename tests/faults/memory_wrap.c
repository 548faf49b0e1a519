/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_wrap.c -- see memory_wrap.h. One thread at a time. */
#include "tests/faults/memory_wrap.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): ld's --wrap names them */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static int left;
static bool for_ever, has_failed;

void fn_memory_fail(int nth, bool forever) {
    left = nth;
    for_ever = forever;
    has_failed = false;
}

bool fn_memory_has_failed(void) {
    return has_failed;
}

static bool must_fail(void) {
    if (left == 0 || --left > 0) return false;
    if (for_ever) left = 1;
    has_failed = true;
    return true;
}

void *__wrap_malloc(size_t size) {
    return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
    return must_fail() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return must_fail() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = __wrap_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

void fn_memory_wrap_jansson(bool wrap) {
    json_set_alloc_funcs(wrap ? __wrap_malloc : __real_malloc, free);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
