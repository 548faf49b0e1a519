/* SPDX-License-Identifier: Apache-2.0
 *
 * test_opencl_layers.c -- single layers on the kernel families of this machine's default device. */
#include "tests/unit/support/layer_cases.h"

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_of_this_machine_open_or_the_rest_is_skipped),
        LAYER_CASES,
    };
    return cmocka_run_group_tests_name("opencl layers", tests, make_cache, temporary_remove);
}
