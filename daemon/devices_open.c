/* SPDX-License-Identifier: Apache-2.0
 *
 * devices_open.c -- see devices_private.h: opening devices, mending those that failed, closing. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/devices_private.h"
#include "daemon/log.h"
#include "engine/cleanup.h"
#include "engine/clock.h"
#include "engine/thread.h"

#define OPEN_PATIENCE_NS  (300 * FN_NS_PER_S) /* compilers of kernels take minutes */
#define CLOSE_PATIENCE_NS (10 * FN_NS_PER_S)
#define MEASURE_BUDGET    1000.0 /* ms for batch sizes between the smallest and largest */
#define MAX_STUCK         2      /* threads a device may keep: then it is given up */
#define ENGINE_TIMEOUT_MS 60000  /* an engine's own, after ours: it ends what is left behind */

/* ---- opening ---- */

fn_status fn_place_test(struct fn_devices *d, struct fn_runner *runner, int n, int64_t patience_ns,
                        struct fn_cost *cost, struct fn_error *err) {
    int64_t started = fn_now_ns();
    fn_status status = fn_runner_self_test(runner, n, patience_ns, err);
    if (status == FN_OK)
        fn_cost_note(cost, n, fn_ms(fn_now_ns() - started));
    else
        atomic_fetch_add(&d->metrics->selftest_failures, 1);
    return status;
}

/* The known answer at the smallest and the largest size, and what the sizes between cost. */
static fn_status test_all(struct fn_devices *d, struct fn_runner *runner, struct fn_cost *cost,
                          struct fn_error *err) {
    int most = d->options.max_batch;
    double spent = 0;
    fn_status status = fn_place_test(d, runner, 1, OPEN_PATIENCE_NS, cost, err);
    /* The first run of a device is not like the others: measured again. */
    if (status == FN_OK) status = fn_place_test(d, runner, 1, OPEN_PATIENCE_NS, cost, err);
    if (status == FN_OK && most > 1)
        status = fn_place_test(d, runner, most, OPEN_PATIENCE_NS, cost, err);
    for (int n = 2; status == FN_OK && n < most; n *= 2) {
        spent += fn_cost_ms(cost, n);
        if (spent > MEASURE_BUDGET) break;
        status = fn_place_test(d, runner, n, OPEN_PATIENCE_NS, cost, err);
    }
    return status;
}

static void describe(struct fn_place *place, const struct fn_engine_description *description) {
    struct fn_device_names *names = &place->names;
    (void)snprintf(names->backend, sizeof names->backend, "%s", description->backend);
    (void)snprintf(names->kernel_family, sizeof names->kernel_family, "%s",
                   description->kernel_family);
    (void)snprintf(names->platform, sizeof names->platform, "%s", description->platform);
    (void)snprintf(names->device, sizeof names->device, "%s", description->device);
    (void)snprintf(names->driver, sizeof names->driver, "%s", description->driver);
    (void)snprintf(names->label, sizeof names->label, "%s", description->label);
    if (*description->note)
        fn_log(FN_LOG_WARNING, "event=kernels_passed_over chosen=%s reason=\"%s\"",
               description->kernel_family, description->note);
}

fn_status fn_place_open(struct fn_devices *d, struct fn_place *place, struct fn_error *err) {
    struct fn_engine_options options = d->options;
    struct fn_runner *runner;
    struct fn_cost cost = {.factor = 0};
    options.device = place->name;
    /* A fallback runs on other hardware than the family was chosen for. */
    if (place != d->places) options.kernel_family = options.program = NULL;
    int64_t started = fn_now_ns();
    bool left = false;
    fn_status status =
        fn_runner_open(d->model, &options, OPEN_PATIENCE_NS, &d->giving_up, &runner, &left, err);
    if (status == FN_OK) {
        /* Of the reference, which is the definition and slow, one known answer is enough. */
        status = place->is_reference && place != d->places
                     ? fn_place_test(d, runner, 1, FN_ERRAND_FOREVER, &cost, err)
                     : test_all(d, runner, &cost, err);
        if (status != FN_OK) left = !fn_runner_close(runner, CLOSE_PATIENCE_NS);
    }
    if (status != FN_OK) {
        pthread_mutex_lock(&d->lock);
        place->n_stuck += left;
        pthread_mutex_unlock(&d->lock);
        return status;
    }
    pthread_mutex_lock(&d->lock);
    if (!place->names.label[0]) describe(place, fn_runner_describe(runner));
    place->cost = cost;
    place->runner = runner;
    pthread_mutex_unlock(&d->lock);
    fn_log(FN_LOG_INFO, "event=self_test result=passed backend=\"%s\" ms=%.0f", place->names.label,
           fn_ms(fn_now_ns() - started));
    return FN_OK;
}

/* ---- mending ---- */

/* Close what failed, if anything did: with the lock, which is given up meanwhile. */
static bool close_failed(struct fn_devices *d) {
    for (int i = 0; i < d->n; i++) {
        struct fn_runner *failed = FN_TAKE(d->places[i].failed);
        if (!failed) continue;
        pthread_mutex_unlock(&d->lock);
        bool left = !fn_runner_close(failed, CLOSE_PATIENCE_NS);
        pthread_mutex_lock(&d->lock);
        d->places[i].n_stuck += left;
        return true;
    }
    return false;
}

static bool can_open(const struct fn_devices *d, const struct fn_place *place) {
    /* "auto" may have chosen what a fallback names. The reference is the submitter's to open. */
    bool fallback = place != d->places;
    bool same = fallback && strcasestr(d->places[0].names.platform, place->name);
    return !place->runner && !same && !(fallback && place->is_reference) &&
           place->n_stuck < MAX_STUCK;
}

/* The closed place better than what serves that is due first; NULL: there is none. */
static struct fn_place *find_broken(struct fn_devices *d) {
    struct fn_place *first = NULL;
    for (int i = 0; i < d->n && !d->places[i].runner; i++)
        if (can_open(d, &d->places[i]) && (!first || d->places[i].retry_ns < first->retry_ns))
            first = &d->places[i];
    return first;
}

static void mend_one(struct fn_devices *d, struct fn_place *place) {
    struct fn_error err;
    fn_status status = fn_place_open(d, place, &err);
    pthread_mutex_lock(&d->lock);
    place->retry_ns = fn_now_ns() + d->retry_ns;
    pthread_mutex_unlock(&d->lock);
    if (status == FN_OK)
        fn_log(FN_LOG_WARNING, "event=device_back device=\"%s\" backend=\"%s\"", place->name,
               place->names.label);
    else
        fn_log(FN_LOG_WARNING, "event=device_still_down device=\"%s\" code=%s detail=\"%s\"",
               place->name, fn_status_code(status), err.text);
}

static void *mend(void *arg) {
    struct fn_devices *d = arg;
    pthread_mutex_lock(&d->lock);
    while (!d->stopping) {
        if (close_failed(d)) continue;
        struct fn_place *broken = find_broken(d);
        if (!broken) {
            pthread_cond_wait(&d->changed, &d->lock);
        } else if (fn_now_ns() < broken->retry_ns) {
            struct timespec until = fn_timespec(broken->retry_ns);
            (void)pthread_cond_clockwait(&d->changed, &d->lock, CLOCK_MONOTONIC, &until);
        } else {
            pthread_mutex_unlock(&d->lock);
            mend_one(d, broken);
            pthread_mutex_lock(&d->lock);
        }
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* ---- start and end ---- */

static fn_status add_place(struct fn_devices *d, const char *name, struct fn_error *err) {
    for (int i = 0; i < d->n; i++)
        if (strcasecmp(d->places[i].name, name) == 0) return FN_OK;
    struct fn_place *place = &d->places[d->n];
    place->name = strdup(name);
    if (!place->name) return fn_fail(err, FN_NO_MEMORY, "no memory for devices");
    place->is_reference = strcmp(name, "reference") == 0;
    d->n++;
    return FN_OK;
}

static fn_status set_places(struct fn_devices *d, const struct fn_config *config,
                            struct fn_error *err) {
    fn_status status = add_place(d, config->device, err);
    for (int i = 0; status == FN_OK && i < config->n_fallback; i++)
        status = add_place(d, config->fallback[i], err);
    return status;
}

/* A board that is gone is a device that fails; a machine without any is not set up yet, and is
 * better told so than served by the slowest. What is wrong with the configuration is wrong with
 * every device. */
static bool may_be_replaced(const struct fn_place *place, fn_status status) {
    return status == FN_DEVICE_FAILED ||
           (status == FN_NO_DEVICE && strcasecmp(place->name, "auto") != 0);
}

/* Open the first device that works; the mender opens those before it. When none works, the first's
 * failure tells most. */
static fn_status open_first(struct fn_devices *d, struct fn_error *err) {
    struct fn_error later;
    fn_status status = fn_place_open(d, &d->places[0], err);
    for (int i = 1; i < d->n && status != FN_OK && may_be_replaced(&d->places[0], status); i++) {
        d->places[i - 1].retry_ns = fn_now_ns() + d->retry_ns;
        if (fn_place_open(d, &d->places[i], &later) != FN_OK) continue;
        fn_log(FN_LOG_ERROR, "event=device_failed device=\"%s\" at=start code=%s detail=\"%s\"",
               d->places[0].name, fn_status_code(status), err->text);
        fn_devices_set_serving(d, i);
        status = FN_OK;
    }
    return status;
}

fn_status fn_devices_open(const struct fn_config *config, const struct fn_model *model,
                          struct fn_metrics *metrics, struct fn_devices **ret_devices,
                          struct fn_error *err) {
    struct fn_devices *d = calloc(1, sizeof *d);
    if (!d) return fn_fail(err, FN_NO_MEMORY, "no memory for devices");
    d->options = (struct fn_engine_options){.kernel_family = config->kernel_family,
                                            .kernel_dir = config->kernel_dir,
                                            .cache_dir = config->cache_dir,
                                            .builder = FN_BUILDER,
                                            .program = config->program,
                                            .max_batch = (int)config->max_batch,
                                            .slots = FN_MAX_SLOTS};
    if (config->device_stall_ms > ENGINE_TIMEOUT_MS)
        d->options.device_timeout_ms = (int)config->device_stall_ms;
    d->model = model;
    d->metrics = metrics;
    d->retry_ns = config->device_retry_ms * FN_NS_PER_MS;
    d->timeout_ns = config->device_stall_ms * FN_NS_PER_MS;
    d->check_every_ns = config->self_test_ms * FN_NS_PER_MS;
    d->objective_ms = (double)config->latency_objective_ms;
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_cond_init(&d->changed, NULL);
    fn_status status = set_places(d, config, err);
    if (status == FN_OK) status = open_first(d, err);
    d->check_ns = fn_now_ns() + d->check_every_ns;
    if (status == FN_OK && fn_thread_start(&d->mender, mend, d) == 0)
        d->mending = true;
    else if (status == FN_OK)
        status = fn_fail(err, FN_IO, "cannot start the thread that mends devices");
    if (status == FN_OK)
        *ret_devices = d;
    else
        (void)fn_devices_close(d);
    return status;
}

bool fn_devices_close(struct fn_devices *d) {
    bool all = true;
    if (!d) return true;
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    atomic_store(&d->giving_up, true);
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
    if (d->mending) (void)pthread_join(d->mender, NULL);
    for (int i = 0; i < d->n; i++) {
        all = fn_runner_close(d->places[i].runner, CLOSE_PATIENCE_NS) && all;
        all = fn_runner_close(d->places[i].failed, CLOSE_PATIENCE_NS) && all;
        all = all && (d->places[i].n_stuck == 0 || fn_errands_left_behind() == 0);
        free(d->places[i].name);
    }
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d);
    return all;
}
