/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_wrap.h -- lets the nth allocation of our own code fail in a test that is linked with
 * --wrap=malloc and its kin. Foreign libraries allocate undisturbed; jansson too, unless told. */
#ifndef FN_TESTS_MEMORY_WRAP_H
#define FN_TESTS_MEMORY_WRAP_H

#include <stdbool.h>

/* Let the nth allocation from now on fail, and with `forever` all after it; 0: none. */
void fn_memory_fail(int nth, bool forever);
/* Whether that allocation was reached. */
bool fn_memory_has_failed(void);
/* Whether jansson allocates through here as well. */
void fn_memory_wrap_jansson(bool wrap);

#endif
