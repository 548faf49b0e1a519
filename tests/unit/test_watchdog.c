/* SPDX-License-Identifier: Apache-2.0
 *
 * test_watchdog.c -- what counts as standing still, and what the service manager hears. */
#include "daemon/watchdog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/notify.h"
#include "daemon/workers.h"
#include "engine/clock.h"
#include "tests/unit/support/cmocka_all.h"

static int64_t read_time(void *context) {
    return atomic_load((atomic_int_fast64_t *)context);
}

/* ---- the rule ---------------------------------------------------------------------------- */

static void what_has_nothing_to_do_does_not_stand_still(void **state) {
    (void)state;
    atomic_int_fast64_t idle = INT64_MAX;
    const struct fn_watchdog_part part = {"idle", read_time, &idle};
    assert_int_equal(fn_watchdog_find_stalled(&part, 1, INT64_MAX - 1, 0), -1);
}

static void what_moved_within_its_patience_does_not_stand_still(void **state) {
    (void)state;
    atomic_int_fast64_t since = 1000;
    const struct fn_watchdog_part part = {"busy", read_time, &since};
    assert_int_equal(fn_watchdog_find_stalled(&part, 1, 1500, 500), -1);
    assert_int_equal(fn_watchdog_find_stalled(&part, 1, 1501, 500), 0);
    assert_int_equal(fn_watchdog_find_stalled(&part, 1, 900, 500), -1);
}

static void one_part_that_stands_still_is_enough(void **state) {
    (void)state;
    atomic_int_fast64_t idle = INT64_MAX, moving = 950, stuck = 10;
    const struct fn_watchdog_part parts[] = {
        {"idle", read_time, &idle}, {"moving", read_time, &moving}, {"stuck", read_time, &stuck}};
    assert_int_equal(fn_watchdog_find_stalled(parts, 3, 1000, 500), 2);
}

/* ---- what the manager hears -------------------------------------------------------------- */

static int manager = -1;
static char manager_name[64];

static int open_manager(void **state) {
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 0, .tv_usec = 300000};
    int length = snprintf(manager_name, sizeof manager_name, "@facenetd-test-%d", (int)getpid());
    memcpy(address.sun_path + 1, manager_name + 1, (size_t)length - 1);
    manager = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length);
    if (manager < 0 || bind(manager, (struct sockaddr *)&address, size) != 0) return -1;
    if (setsockopt(manager, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) return -1;
    return setenv("NOTIFY_SOCKET", manager_name, 1);
}

static int close_manager(void **state) {
    (void)state;
    (void)unsetenv("NOTIFY_SOCKET");
    return close(manager);
}

static const char *hear(void) {
    static char message[600];
    ssize_t size = recv(manager, message, sizeof message - 1, 0);
    message[size > 0 ? size : 0] = '\0';
    return message;
}

static void a_message_is_one_datagram(void **state) {
    (void)state;
    fn_notify("READY=1\nSTATUS=%s", "as told");
    assert_string_equal(hear(), "READY=1\nSTATUS=as told");
}

static void a_message_that_is_too_long_is_cut(void **state) {
    (void)state;
    char text[1000];
    memset(text, 'x', sizeof text);
    fn_notify("STATUS=%.999s", text);
    assert_int_equal(strlen(hear()), 511);
}

static void a_manager_that_is_not_there_is_no_trouble(void **state) {
    (void)state;
    const char *const names[] = {"", "@", "relative", "/nonexistent/notify"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
        fn_notify("READY=1");
    }
    assert_int_equal(setenv("NOTIFY_SOCKET", manager_name, 1), 0);
    assert_string_equal(hear(), "");
}

static void the_watchdog_is_wanted_only_of_the_process_it_names(void **state) {
    (void)state;
    char pid[16];
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_true(fn_notify_watchdog_ns() == 0);
    (void)setenv("WATCHDOG_USEC", "30000000", 1);
    assert_true(fn_notify_watchdog_ns() == 30 * FN_NS_PER_S);
    (void)setenv("WATCHDOG_PID", "1", 1);
    assert_true(fn_notify_watchdog_ns() == 0);
    (void)setenv("WATCHDOG_PID", pid, 1);
    (void)setenv("WATCHDOG_USEC", "-1", 1);
    assert_true(fn_notify_watchdog_ns() == 0);
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

static void the_watchdog_falls_silent_while_something_stands_still(void **state) {
    (void)state;
    atomic_int_fast64_t since = INT64_MAX;
    const struct fn_watchdog_part part = {"part", read_time, &since};
    struct fn_watchdog *watchdog = NULL;
    struct fn_error err;
    assert_ok(fn_watchdog_start(100 * FN_NS_PER_MS, &part, 1, &watchdog, &err), err);
    assert_string_equal(hear(), "WATCHDOG=1");
    assert_string_equal(hear(), "WATCHDOG=1");
    atomic_store(&since, 1);
    while (strcmp(hear(), "") != 0) continue; /* what was sent before; then 300 ms of nothing */
    atomic_store(&since, INT64_MAX);
    assert_string_equal(hear(), "WATCHDOG=1");
    fn_watchdog_stop(watchdog);
}

/* ---- workers as a part ------------------------------------------------------------------- */

static struct gate {
    struct fn_task task;
    atomic_bool running, open;
} gates[2];

static void wait_at_gate(struct fn_task *task) {
    struct gate *gate = (struct gate *)(void *)task;
    atomic_store(&gate->running, true);
    while (!atomic_load(&gate->open)) (void)usleep(1000);
}

static void a_worker_that_is_stuck_is_seen_beside_one_that_moves(void **state) {
    (void)state;
    struct fn_workers *workers = NULL;
    struct fn_error err;
    assert_ok(fn_workers_new(2, &workers, &err), err);
    assert_true(fn_workers_stalled_since_ns(workers) == INT64_MAX);
    int64_t before = fn_now_ns();
    gates[0].task.run = gates[1].task.run = wait_at_gate;
    fn_workers_push(workers, &gates[0].task, FN_TASK_BEGIN);
    while (!atomic_load(&gates[0].running)) (void)usleep(1000);
    int64_t since = fn_workers_stalled_since_ns(workers);
    assert_true(since >= before && since <= fn_now_ns());
    atomic_store(&gates[1].open, true);
    fn_workers_push(workers, &gates[1].task, FN_TASK_BEGIN);
    while (!atomic_load(&gates[1].running)) (void)usleep(1000);
    assert_true(fn_workers_stalled_since_ns(workers) == since);
    atomic_store(&gates[0].open, true);
    fn_workers_free(workers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_nothing_to_do_does_not_stand_still),
        cmocka_unit_test(what_moved_within_its_patience_does_not_stand_still),
        cmocka_unit_test(one_part_that_stands_still_is_enough),
        cmocka_unit_test(a_message_is_one_datagram),
        cmocka_unit_test(a_message_that_is_too_long_is_cut),
        cmocka_unit_test(a_manager_that_is_not_there_is_no_trouble),
        cmocka_unit_test(the_watchdog_is_wanted_only_of_the_process_it_names),
        cmocka_unit_test(the_watchdog_falls_silent_while_something_stands_still),
        cmocka_unit_test(a_worker_that_is_stuck_is_seen_beside_one_that_moves),
    };
    return cmocka_run_group_tests(tests, open_manager, close_manager);
}
