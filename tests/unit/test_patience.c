/* SPDX-License-Identifier: Apache-2.0
 *
 * test_patience.c -- the end of every phase of a connection. */
#include "daemon/http/patience.h"

#include "engine/clock.h"
#include "tests/unit/support/cmocka_all.h"

static const struct fn_http_limits options = {.header_timeout_ms = 5000,
                                              .body_timeout_ms = 10000,
                                              .idle_timeout_ms = 30000,
                                              .min_rate = 1000};

#define MS(...) (fn_patience_ns(&(struct fn_patience){__VA_ARGS__}, &options) / FN_NS_PER_MS)

static void a_connection_without_a_request_has_as_long_as_headers(void **state) {
    (void)state;
    assert_int_equal(MS(.phase = FN_PHASE_IDLE, .fresh = true), 5000);
    assert_int_equal(MS(.phase = FN_PHASE_IDLE, .fresh = true, .crowded = true), 5000);
    assert_int_equal(MS(.phase = FN_PHASE_HEADERS), 5000);
}

static void idle_connections_make_room_in_a_crowd(void **state) {
    (void)state;
    assert_int_equal(MS(.phase = FN_PHASE_IDLE), 30000);
    assert_int_equal(MS(.phase = FN_PHASE_IDLE, .crowded = true), 1000);
}

static void bytes_that_move_buy_time_at_the_least_rate(void **state) {
    (void)state;
    assert_int_equal(MS(.phase = FN_PHASE_BODY), 10000);
    assert_int_equal(MS(.phase = FN_PHASE_BODY, .moved = 2000), 12000);
    assert_int_equal(MS(.phase = FN_PHASE_REPLY, .moved = 500), 10500);
    assert_int_equal(MS(.phase = FN_PHASE_BODY, .moved = (size_t)1 << 40) > 0, 1);
}

static void a_departed_client_is_not_waited_for(void **state) {
    (void)state;
    assert_int_equal(MS(.phase = FN_PHASE_IDLE, .departed = true), 100);
    assert_int_equal(MS(.phase = FN_PHASE_HEADERS, .departed = true), 100);
    assert_int_equal(MS(.phase = FN_PHASE_BODY, .departed = true, .moved = 99999), 100);
    assert_int_equal(MS(.phase = FN_PHASE_REPLY, .departed = true), 10000);
}

static void work_ends_by_its_deadline_alone(void **state) {
    (void)state;
    struct fn_patience work = {.phase = FN_PHASE_WORK, .crowded = true, .draining = true};
    assert_true(fn_patience_ns(&work, &options) == INT64_MAX);
    work.phase = FN_PHASE_RESUMED;
    assert_true(fn_patience_ns(&work, &options) == INT64_MAX);
}

static void draining_ends_what_is_idle_and_waits_for_what_moves(void **state) {
    (void)state;
    assert_int_equal(MS(.phase = FN_PHASE_IDLE, .draining = true), 0);
    assert_int_equal(MS(.phase = FN_PHASE_IDLE, .draining = true, .fresh = true), 1000);
    assert_int_equal(MS(.phase = FN_PHASE_HEADERS, .draining = true), 5000);
    assert_int_equal(MS(.phase = FN_PHASE_BODY, .draining = true), 10000);
}

static void stopping_waits_for_replies_only(void **state) {
    (void)state;
    assert_int_equal(MS(.phase = FN_PHASE_IDLE, .fresh = true, .stopping = true), 0);
    assert_int_equal(MS(.phase = FN_PHASE_HEADERS, .stopping = true), 0);
    assert_int_equal(MS(.phase = FN_PHASE_REPLY, .stopping = true), 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_without_a_request_has_as_long_as_headers),
        cmocka_unit_test(idle_connections_make_room_in_a_crowd),
        cmocka_unit_test(bytes_that_move_buy_time_at_the_least_rate),
        cmocka_unit_test(a_departed_client_is_not_waited_for),
        cmocka_unit_test(work_ends_by_its_deadline_alone),
        cmocka_unit_test(draining_ends_what_is_idle_and_waits_for_what_moves),
        cmocka_unit_test(stopping_waits_for_replies_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
