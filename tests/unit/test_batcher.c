/* SPDX-License-Identifier: Apache-2.0
 *
 * test_batcher.c -- batches over a device that the test holds in its hand. */
#include <string.h>

#include <pthread.h>

#include "daemon/batcher.h"
#include "engine/clock.h"
#include "engine/network.h"
#include "tests/unit/support/cmocka_all.h"

#define MAX_ITEMS 40
#define NO_UNIT   250 /* a crop of this byte has no embedding */

/* The device: waits for permission, notes what it got, answers with the crop's first byte. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int slots, permits, running, most_running, n_batches, n_checks, checked_while_running;
    int64_t check_every_ns;
    double cost_ms;                                /* of any batch */
    bool fails_over;                               /* it gives the next batch on */
    struct fn_device_batch *flights[FN_MAX_SLOTS]; /* oldest first, [running] */
    int sizes[MAX_ITEMS];
    uint8_t seen[MAX_ITEMS][32];
    fn_status status;
} device;

static struct job {
    struct fn_batch_item item;
    uint8_t crop[FN_CROP_SIZE];
    float embedding[2];
    atomic_bool gone;
    fn_status status;
    int done; /* times; guarded by the device's lock */
} jobs[MAX_ITEMS];

static struct fn_batcher *batcher;
static struct fn_metrics metrics;

static void begin_batch(void *context, struct fn_device_batch *batch) {
    (void)context;
    pthread_mutex_lock(&device.lock);
    device.flights[device.running++] = batch;
    if (device.running > device.most_running) device.most_running = device.running;
    pthread_cond_broadcast(&device.changed);
    pthread_mutex_unlock(&device.lock);
}

static fn_status collect(void *context, float *embeddings, const char **backend, int64_t *began_ns,
                         struct fn_error *err) {
    (void)context;
    fn_status status = FN_OK;
    *backend = "test";
    *began_ns = fn_now_ns();
    pthread_mutex_lock(&device.lock);
    while (device.permits == 0) pthread_cond_wait(&device.changed, &device.lock);
    device.permits--;
    struct fn_device_batch *batch = device.flights[0];
    pthread_mutex_unlock(&device.lock);
    if (device.fails_over) batch->review(batch);
    pthread_mutex_lock(&device.lock);
    int n = batch->n, at = device.n_batches++ % MAX_ITEMS;
    for (int i = 0; i < n; i++) {
        uint8_t byte = batch->crops[i][0];
        device.seen[at][i] = byte;
        *embeddings++ = byte == NO_UNIT ? 0.0F : (float)byte;
        *embeddings++ = byte == NO_UNIT ? 0.0F : (float)batch->crops[i][FN_CROP_SIZE - 1];
        if (byte == NO_UNIT) status = fn_fail(err, FN_NOT_UNIT, "picture %d", i);
    }
    device.sizes[at] = n;
    device.running--;
    memmove(device.flights, device.flights + 1, sizeof device.flights[0]);
    if (device.status != FN_OK) status = fn_fail(err, device.status, "as told");
    if (n == 0) status = fn_fail(err, FN_DEADLINE_EXCEEDED, "nothing is left");
    pthread_mutex_unlock(&device.lock);
    return status;
}

static int count_slots(void *context) {
    (void)context;
    return device.slots;
}

static double tell_cost(void *context, int n) {
    (void)context;
    (void)n;
    return device.cost_ms;
}

static int64_t check(void *context) {
    (void)context;
    pthread_mutex_lock(&device.lock);
    device.n_checks++;
    device.checked_while_running += device.running;
    pthread_mutex_unlock(&device.lock);
    return fn_now_ns() + device.check_every_ns;
}

static void note_done(struct fn_batch_item *item, fn_status status) {
    pthread_mutex_lock(&device.lock);
    struct job *job = item->context;
    job->status = status;
    job->done++;
    pthread_cond_broadcast(&device.changed);
    pthread_mutex_unlock(&device.lock);
}

static int begin_with(int slots, int64_t check_every_ns) {
    struct fn_error err;
    struct fn_batcher_options options = {.submit = begin_batch,
                                         .collect = collect,
                                         .slots = slots > 1 ? count_slots : NULL,
                                         .check = check_every_ns ? check : NULL,
                                         .cost_ms = tell_cost,
                                         .metrics = &metrics,
                                         .embedding_size = 2,
                                         .max_batch = 4,
                                         .max_queue = 8};
    memset(&device, 0, sizeof device);
    memset(jobs, 0, sizeof jobs);
    device.slots = slots;
    device.check_every_ns = check_every_ns;
    (void)pthread_mutex_init(&device.lock, NULL);
    (void)pthread_cond_init(&device.changed, NULL);
    return fn_batcher_new(&options, &batcher, &err) == FN_OK ? 0 : -1;
}

static int begin(void **state) {
    (void)state;
    return begin_with(1, 0);
}

static int begin_two(void **state) {
    (void)state;
    return begin_with(2, 0);
}

static int begin_checked(void **state) {
    (void)state;
    return begin_with(2, FN_NS_PER_MS);
}

static void permit(int n) {
    pthread_mutex_lock(&device.lock);
    device.permits += n;
    pthread_cond_broadcast(&device.changed);
    pthread_mutex_unlock(&device.lock);
}

static int end(void **state) {
    (void)state;
    permit(1000);
    fn_batcher_free(batcher);
    return 0;
}

static fn_status submit(int i, int n) {
    struct fn_batch_item *items[MAX_ITEMS];
    struct fn_error err;
    for (int k = i; k < i + n; k++) {
        if (jobs[k].crop[0] == 0) memset(jobs[k].crop, k + 1, FN_CROP_SIZE);
        jobs[k].item.crop = jobs[k].crop;
        jobs[k].item.embedding = jobs[k].embedding;
        jobs[k].item.gone = &jobs[k].gone;
        jobs[k].item.done = note_done;
        jobs[k].item.context = &jobs[k];
        if (jobs[k].item.deadline_ns == 0) jobs[k].item.deadline_ns = INT64_MAX;
        items[k - i] = &jobs[k].item;
    }
    return fn_batcher_submit(batcher, items, n, &err);
}

static void wait_flying(int n) {
    pthread_mutex_lock(&device.lock);
    while (device.running < n) pthread_cond_wait(&device.changed, &device.lock);
    pthread_mutex_unlock(&device.lock);
}

static void wait_running(void) {
    wait_flying(1);
}

static void wait_done(int i) {
    pthread_mutex_lock(&device.lock);
    while (!jobs[i].done) pthread_cond_wait(&device.changed, &device.lock);
    pthread_mutex_unlock(&device.lock);
}

static void what_comes_while_the_device_is_busy_is_the_next_batch(void **state) {
    (void)state;
    assert_int_equal(submit(0, 1), FN_OK);
    wait_running();
    for (int i = 1; i < 8; i++) assert_int_equal(submit(i, 1), FN_OK);
    permit(3);
    for (int i = 0; i < 8; i++) wait_done(i);
    assert_int_equal(device.n_batches, 3);
    assert_int_equal(device.sizes[0], 1);
    assert_int_equal(device.sizes[1], 4);
    assert_int_equal(device.sizes[2], 3);
    for (int i = 0; i < 4; i++) assert_int_equal(device.seen[1][i], i + 2);
    for (int i = 0; i < 3; i++) assert_int_equal(device.seen[2][i], i + 6);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(jobs[i].status, FN_OK);
        assert_int_equal(jobs[i].done, 1);
        assert_true(jobs[i].embedding[0] == (float)(i + 1));
        assert_true(jobs[i].embedding[1] == (float)(i + 1));
    }
    assert_int_equal(jobs[3].item.batch_size, 4);
}

static void a_full_queue_counts_pictures_not_faces(void **state) {
    (void)state;
    struct fn_batcher_stats stats;
    assert_int_equal(submit(0, 1), FN_OK);
    wait_running();
    assert_int_equal(submit(1, 7), FN_OK); /* a picture of seven faces */
    for (int i = 8; i < 15; i++) assert_int_equal(submit(i, 1), FN_OK);
    assert_int_equal(submit(15, 3), FN_OVERLOADED);
    assert_int_equal(submit(15, 1), FN_OVERLOADED);
    fn_batcher_get_stats(batcher, &stats);
    assert_int_equal(stats.queued, 14);
    assert_int_equal(stats.pictures_queued, 8);
    permit(10);
    for (int i = 0; i < 15; i++) wait_done(i);
    assert_int_equal(jobs[15].done, 0);
    fn_batcher_get_stats(batcher, &stats);
    assert_int_equal(stats.queued, 0);
    assert_int_equal(stats.pictures_queued, 0);
}

/* Batches hold four: a crowd of six before two single faces and a pair. */
static void a_crowd_gets_half_of_a_batch_while_others_wait(void **state) {
    (void)state;
    static const uint8_t expected[3][4] = {{2, 3, 8, 9}, {4, 5, 10, 11}, {6, 7}};
    static const char crowd, single, other, pair;
    for (int i = 1; i < 7; i++) jobs[i].item.owner = &crowd;
    jobs[7].item.owner = &single;
    jobs[8].item.owner = &other;
    jobs[9].item.owner = jobs[10].item.owner = &pair;
    assert_int_equal(submit(0, 1), FN_OK);
    wait_running();
    assert_int_equal(submit(1, 6), FN_OK);
    assert_int_equal(submit(7, 1), FN_OK);
    assert_int_equal(submit(8, 1), FN_OK);
    assert_int_equal(submit(9, 2), FN_OK);
    permit(10);
    for (int i = 0; i < 11; i++) wait_done(i);
    assert_int_equal(device.n_batches, 4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(device.sizes[i + 1], i < 2 ? 4 : 2);
        assert_memory_equal(device.seen[i + 1], expected[i], (size_t)device.sizes[i + 1]);
    }
}

static void a_crowd_alone_fills_the_batch(void **state) {
    (void)state;
    static const char crowd;
    for (int i = 1; i < 7; i++) jobs[i].item.owner = &crowd;
    assert_int_equal(submit(0, 1), FN_OK);
    wait_running();
    assert_int_equal(submit(1, 6), FN_OK);
    permit(10);
    for (int i = 0; i < 7; i++) wait_done(i);
    assert_int_equal(device.n_batches, 3);
    assert_int_equal(device.sizes[1], 4);
    assert_int_equal(device.sizes[2], 2);
}

static void expired_and_abandoned_work_is_not_computed(void **state) {
    (void)state;
    assert_int_equal(submit(0, 1), FN_OK);
    wait_running();
    jobs[1].item.deadline_ns = fn_now_ns() - 1;
    atomic_store(&jobs[2].gone, true);
    assert_int_equal(submit(1, 3), FN_OK);
    permit(2);
    for (int i = 0; i < 4; i++) wait_done(i);
    assert_int_equal(jobs[1].status, FN_DEADLINE_EXCEEDED);
    assert_int_equal(jobs[2].status, FN_DEADLINE_EXCEEDED);
    assert_int_equal(jobs[3].status, FN_OK);
    assert_int_equal(device.n_batches, 2);
    assert_int_equal(device.sizes[1], 1);
    assert_int_equal(device.seen[1][0], 4);
}

static void one_picture_without_an_embedding_fails_alone(void **state) {
    (void)state;
    assert_int_equal(submit(0, 1), FN_OK);
    wait_running();
    memset(jobs[2].crop, NO_UNIT, FN_CROP_SIZE);
    assert_int_equal(submit(1, 3), FN_OK);
    permit(10);
    for (int i = 0; i < 4; i++) wait_done(i);
    assert_int_equal(jobs[1].status, FN_OK);
    assert_int_equal(jobs[2].status, FN_NOT_UNIT);
    assert_int_equal(jobs[3].status, FN_OK);
    assert_true(jobs[1].embedding[0] == 2);
    assert_true(jobs[3].embedding[0] == 4);
}

static void a_failing_device_fails_the_batch_and_no_other(void **state) {
    (void)state;
    device.status = FN_DEVICE_FAILED;
    permit(1);
    assert_int_equal(submit(0, 2), FN_OK);
    wait_done(0);
    wait_done(1);
    assert_int_equal(jobs[1].status, FN_DEVICE_FAILED);
    pthread_mutex_lock(&device.lock);
    device.status = FN_OK;
    pthread_mutex_unlock(&device.lock);
    permit(1);
    assert_int_equal(submit(2, 1), FN_OK);
    wait_done(2);
    assert_int_equal(jobs[2].status, FN_OK);
    assert_string_equal(jobs[2].item.backend, "test");
}

static void stopping_computes_what_waits_and_takes_no_more(void **state) {
    (void)state;
    assert_int_equal(submit(0, 1), FN_OK);
    wait_running();
    assert_int_equal(submit(1, 6), FN_OK);
    permit(3);
    fn_batcher_stop(batcher);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(jobs[i].done, 1);
        assert_int_equal(jobs[i].status, FN_OK);
    }
    assert_int_equal(submit(7, 1), FN_DRAINING);
    assert_int_equal(jobs[7].done, 0);
}

static void what_waits_and_what_is_computed_is_ahead(void **state) {
    (void)state;
    assert_int_equal(fn_batcher_ahead(batcher), 0);
    assert_int_equal(submit(0, 1), FN_OK);
    wait_running();
    assert_int_equal(submit(1, 3), FN_OK);
    assert_int_equal(fn_batcher_ahead(batcher), 4);
    permit(10);
    for (int i = 0; i < 4; i++) wait_done(i);
}

static void two_full_batches_fly_together_and_keep_their_order(void **state) {
    (void)state;
    struct fn_batcher_stats stats;
    assert_int_equal(submit(0, 12), FN_OK);
    wait_flying(2);
    fn_batcher_get_stats(batcher, &stats);
    assert_int_equal(stats.computing, 8);
    assert_int_equal(stats.queued, 4);
    assert_int_equal(fn_batcher_ahead(batcher), 12);
    permit(3);
    for (int i = 0; i < 12; i++) wait_done(i);
    assert_int_equal(device.most_running, 2);
    assert_int_equal(device.n_batches, 3);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(device.seen[i / 4][i % 4], i + 1);
        assert_true(jobs[i].embedding[0] == (float)(i + 1));
    }
    fn_batcher_get_stats(batcher, &stats);
    assert_int_equal(stats.computing, 0);
}

/* Behind a batch on the device nothing could be taken back. */
static void what_may_be_late_before_its_turn_is_not_queued_behind_a_batch(void **state) {
    (void)state;
    device.cost_ms = 2e6;
    int64_t now = fn_now_ns();
    for (int i = 0; i < 12; i++) jobs[i].item.deadline_ns = now + 9000 * FN_NS_PER_S;
    for (int i = 4; i < 12; i += 2) jobs[i].item.deadline_ns = now + 1000 * FN_NS_PER_S;
    assert_int_equal(submit(0, 12), FN_OK);
    wait_flying(2);
    atomic_store(&jobs[8].gone, true);
    permit(10);
    for (int i = 0; i < 12; i++) wait_done(i);
    assert_int_equal(device.n_batches, 3);
    for (int i = 0; i < 4; i++) assert_int_equal(device.seen[1][i], 2 * i + 6);
    assert_int_equal(device.sizes[2], 3);
    assert_int_equal(jobs[8].status, FN_DEADLINE_EXCEEDED);
    for (int i = 0; i < 12; i++)
        if (i != 8) assert_int_equal(jobs[i].status, FN_OK);
}

static void what_nobody_waits_for_is_not_given_to_the_next_device(void **state) {
    (void)state;
    struct fn_batcher_stats stats;
    device.fails_over = true;
    assert_int_equal(submit(0, 3), FN_OK);
    wait_running();
    atomic_store(&jobs[0].gone, true);
    atomic_store(&jobs[2].gone, true);
    permit(1);
    for (int i = 0; i < 3; i++) wait_done(i);
    assert_int_equal(device.sizes[0], 1);
    assert_int_equal(device.seen[0][0], 2);
    assert_int_equal(jobs[0].status, FN_DEADLINE_EXCEEDED);
    assert_int_equal(jobs[1].status, FN_OK);
    assert_true(jobs[1].embedding[0] == 2);
    assert_int_equal(jobs[2].status, FN_DEADLINE_EXCEEDED);
    unsigned long long failed = atomic_load(&metrics.pictures_failed);
    assert_int_equal(submit(3, 1), FN_OK);
    wait_running();
    atomic_store(&jobs[3].gone, true);
    permit(1);
    wait_done(3);
    assert_int_equal(jobs[3].status, FN_DEADLINE_EXCEEDED);
    assert_int_equal(atomic_load(&metrics.pictures_failed), failed);
    fn_batcher_get_stats(batcher, &stats);
    assert_int_equal(stats.computing + stats.queued, 0);
}

static void what_does_not_fill_a_batch_waits_for_company(void **state) {
    (void)state;
    assert_int_equal(submit(0, 4), FN_OK);
    wait_flying(1);
    assert_int_equal(submit(4, 3), FN_OK);
    permit(1);
    wait_done(3);
    permit(1);
    wait_done(6);
    assert_int_equal(device.most_running, 1);
    assert_int_equal(device.sizes[1], 3);
}

static void a_device_that_fails_two_batches_fails_no_third(void **state) {
    (void)state;
    device.status = FN_DEVICE_FAILED;
    assert_int_equal(submit(0, 8), FN_OK);
    wait_flying(2);
    permit(2);
    for (int i = 0; i < 8; i++) {
        wait_done(i);
        assert_int_equal(jobs[i].status, FN_DEVICE_FAILED);
    }
    pthread_mutex_lock(&device.lock);
    device.status = FN_OK;
    pthread_mutex_unlock(&device.lock);
    permit(1);
    assert_int_equal(submit(8, 1), FN_OK);
    wait_done(8);
    assert_int_equal(jobs[8].status, FN_OK);
}

/* However much waits: the test that a device still answers rightly comes when it is due. */
static void the_device_is_looked_after_under_load_and_only_when_idle(void **state) {
    (void)state;
    permit(1000);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 12; i++) {
            jobs[i].done = 0;
            assert_int_equal(submit(i, 1), FN_OK);
            if (i > 4) wait_done(i - 4);
        }
        for (int i = 0; i < 12; i++) wait_done(i);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    pthread_mutex_lock(&device.lock);
    int n_checks = device.n_checks, meanwhile = device.checked_while_running;
    pthread_mutex_unlock(&device.lock);
    assert_true(n_checks > 1);
    assert_int_equal(meanwhile, 0);
}

static void stopping_collects_both_batches(void **state) {
    (void)state;
    assert_int_equal(submit(0, 10), FN_OK);
    wait_flying(2);
    permit(3);
    fn_batcher_stop(batcher);
    for (int i = 0; i < 10; i++) assert_int_equal(jobs[i].done, 1);
    assert_true(fn_batcher_stalled_since_ns(batcher) == INT64_MAX);
}

#define TEST(function)     cmocka_unit_test_setup_teardown(function, begin, end)
#define TEST_TWO(function) cmocka_unit_test_setup_teardown(function, begin_two, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_comes_while_the_device_is_busy_is_the_next_batch),
        TEST(a_full_queue_counts_pictures_not_faces),
        TEST(a_crowd_gets_half_of_a_batch_while_others_wait),
        TEST(a_crowd_alone_fills_the_batch),
        TEST(expired_and_abandoned_work_is_not_computed),
        TEST(one_picture_without_an_embedding_fails_alone),
        TEST(a_failing_device_fails_the_batch_and_no_other),
        TEST(stopping_computes_what_waits_and_takes_no_more),
        TEST(what_waits_and_what_is_computed_is_ahead),
        TEST_TWO(two_full_batches_fly_together_and_keep_their_order),
        TEST_TWO(what_may_be_late_before_its_turn_is_not_queued_behind_a_batch),
        TEST(what_nobody_waits_for_is_not_given_to_the_next_device),
        TEST_TWO(what_does_not_fill_a_batch_waits_for_company),
        TEST_TWO(a_device_that_fails_two_batches_fails_no_third),
        cmocka_unit_test_setup_teardown(the_device_is_looked_after_under_load_and_only_when_idle,
                                        begin_checked, end),
        TEST_TWO(stopping_collects_both_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
