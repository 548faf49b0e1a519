/* SPDX-License-Identifier: Apache-2.0
 *
 * cmocka_all.h -- cmocka with the headers it wants before it. */
#ifndef FN_TESTS_CMOCKA_ALL_H
#define FN_TESTS_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Fail with the engine's own words. */
#define assert_ok(expression, err)                                                                 \
    do {                                                                                           \
        if ((expression) != FN_OK) fail_msg("%s: %s", #expression, (err).text);                    \
    } while (0)

#endif
