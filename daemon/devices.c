/* SPDX-License-Identifier: Apache-2.0
 *
 * devices.c -- see devices.h.
 *
 * A place is open or closed. An open one is the submitter's to use and to close; a closed one is
 * the mender's to open. The lock guards which is which, and what others read. */
#include "daemon/devices.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/clock.h"
#include "daemon/cost.h"
#include "daemon/log.h"
#include "daemon/runner.h"
#include "daemon/thread.h"
#include "engine/cleanup.h"

#define OPEN_PATIENCE_NS (300 * FN_NS_PER_S) /* compilers of kernels take minutes */
#define MEASURE_BUDGET   1000.0 /* ms for batch sizes between the smallest and largest */
#define CHECK_BUDGET     50.0   /* ms that a test in passing may take */
#define TIMES_COST       20     /* slower than measured by this: it hangs */
#define MAX_STUCK        2      /* threads a device may keep: then it is given up */

struct place {
    char *name;                   /* as configured, owned */
    struct fn_device_names names; /* label "" before it was first open */
    struct fn_runner *runner;     /* NULL: closed; guarded by lock */
    struct fn_cost cost;          /* guarded by lock */
    int64_t retry_ns;             /* when to open it again; guarded by lock */
    int n_stuck;                  /* runners left behind; guarded by lock */
    bool is_reference;
};

struct fn_devices {
    struct fn_engine_options options;
    const struct fn_model *model;
    struct fn_metrics *metrics;
    int64_t retry_ns, timeout_ns, check_every_ns;
    double objective_ms;
    int n;
    struct place places[1 + FN_MAX_FALLBACKS];
    int64_t check_ns; /* when the next test is due; the submitter's */
    pthread_t mender;
    bool mending;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;         /* guarded by lock */
    atomic_bool giving_up; /* nobody waits for a device any more */
    int serving; /* index of the place that computed last, -1: none could; guarded by lock */
};

/* ---- opening ---- */

static fn_status test(struct fn_devices *d, struct fn_runner *runner, int n, int64_t patience_ns,
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
    fn_status status = test(d, runner, 1, OPEN_PATIENCE_NS, cost, err);
    /* The first run of a device is not like the others: measured again. */
    if (status == FN_OK) status = test(d, runner, 1, OPEN_PATIENCE_NS, cost, err);
    if (status == FN_OK && most > 1) status = test(d, runner, most, OPEN_PATIENCE_NS, cost, err);
    for (int n = 2; status == FN_OK && n < most; n *= 2) {
        spent += fn_cost_ms(cost, n);
        if (spent > MEASURE_BUDGET) break;
        status = test(d, runner, n, OPEN_PATIENCE_NS, cost, err);
    }
    return status;
}

static void describe(struct place *place, const struct fn_engine_description *description) {
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

static fn_status open_place(struct fn_devices *d, struct place *place, struct fn_error *err) {
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
                     ? test(d, runner, 1, FN_RUNNER_FOREVER, &cost, err)
                     : test_all(d, runner, &cost, err);
        if (status != FN_OK) left = !fn_runner_close(runner);
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

static fn_status add_place(struct fn_devices *d, const char *name, struct fn_error *err) {
    for (int i = 0; i < d->n; i++)
        if (strcasecmp(d->places[i].name, name) == 0) return FN_OK;
    struct place *place = &d->places[d->n];
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

/* ---- mending ---- */

static bool can_open(const struct fn_devices *d, const struct place *place) {
    /* "auto" may have chosen what a fallback names. The reference is the submitter's to open. */
    bool fallback = place != d->places;
    bool same = fallback && strcasestr(d->places[0].names.platform, place->name);
    return !place->runner && !same && !(fallback && place->is_reference) &&
           place->n_stuck < MAX_STUCK;
}

/* The closed place better than what serves that is due first; NULL: there is none. */
static struct place *find_broken(struct fn_devices *d) {
    struct place *first = NULL;
    for (int i = 0; i < d->n && !d->places[i].runner; i++)
        if (can_open(d, &d->places[i]) && (!first || d->places[i].retry_ns < first->retry_ns))
            first = &d->places[i];
    return first;
}

static void mend_one(struct fn_devices *d, struct place *place) {
    struct fn_error err;
    fn_status status = open_place(d, place, &err);
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
        struct place *broken = find_broken(d);
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

/* ---- serving ---- */

/* The best open place, opening the reference where nothing else is left; NULL: none. */
static struct place *choose(struct fn_devices *d) {
    struct place *reference = NULL, *chosen = NULL;
    struct fn_error err;
    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < d->n && !chosen; i++) {
        if (d->places[i].runner) chosen = &d->places[i];
        if (d->places[i].is_reference && i > 0) reference = &d->places[i];
    }
    pthread_mutex_unlock(&d->lock);
    if (!chosen && reference) {
        fn_status status = open_place(d, reference, &err);
        if (status == FN_OK) return reference;
        fn_log(FN_LOG_ERROR, "event=device_failed device=reference code=%s detail=\"%s\"",
               fn_status_code(status), err.text);
    }
    return chosen;
}

static void set_serving(struct fn_devices *d, int index) {
    pthread_mutex_lock(&d->lock);
    bool changed = d->serving != index;
    d->serving = index;
    pthread_mutex_unlock(&d->lock);
    if (!changed) return;
    atomic_fetch_add(&d->metrics->failovers, 1);
    if (index < 0)
        fn_log(FN_LOG_ERROR, "event=no_device_left");
    else
        fn_log(FN_LOG_WARNING, "event=serving_on device=\"%s\" backend=\"%s\"",
               d->places[index].name, d->places[index].names.label);
}

/* A device that failed is closed; the mender opens it again. */
static void take_out(struct fn_devices *d, struct place *place, const struct fn_error *why) {
    bool stuck = fn_runner_is_stuck(place->runner);
    pthread_mutex_lock(&d->lock);
    struct fn_runner *runner = FN_TAKE(place->runner);
    place->retry_ns = fn_now_ns() + d->retry_ns;
    pthread_mutex_unlock(&d->lock);
    fn_log(FN_LOG_ERROR,
           "event=device_failed device=\"%s\" backend=\"%s\" stalled=%s detail=\"%s\"", place->name,
           place->names.label, stuck ? "yes" : "no", why->text);
    if (stuck) atomic_fetch_add(&d->metrics->stalls, 1);
    bool left = !fn_runner_close(runner);
    pthread_mutex_lock(&d->lock);
    place->n_stuck += left;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static int64_t patience_ns(const struct fn_devices *d, const struct place *place, int n) {
    if (place->is_reference) return FN_RUNNER_FOREVER; /* plain C does not hang, and is the last */
    int64_t ns = (int64_t)(TIMES_COST * fn_cost_ms(&place->cost, n) * (double)FN_NS_PER_MS);
    return ns > d->timeout_ns ? ns : d->timeout_ns;
}

static void note_cost(struct fn_devices *d, struct place *place, int n, int64_t ns) {
    pthread_mutex_lock(&d->lock);
    fn_cost_follow(&place->cost, n, fn_ms(ns));
    pthread_mutex_unlock(&d->lock);
}

fn_status fn_devices_run(struct fn_devices *d, const uint8_t *crops, int n, float *ret_embeddings,
                         const char **ret_label, struct fn_error *err) {
    for (struct place *place; (place = choose(d));) {
        int64_t started = fn_now_ns();
        fn_status status =
            fn_runner_run(place->runner, crops, n, patience_ns(d, place, n), ret_embeddings, err);
        if (status == FN_OK || status == FN_NOT_UNIT) {
            note_cost(d, place, n, fn_now_ns() - started);
            set_serving(d, (int)(place - d->places));
            *ret_label = place->names.label;
            return status;
        }
        take_out(d, place, err);
    }
    set_serving(d, -1);
    return fn_fail(err, FN_NO_DEVICE, "no device works, the next attempt is under way");
}

int64_t fn_devices_check(struct fn_devices *d) {
    int64_t now = fn_now_ns();
    struct fn_error err;
    struct fn_cost unused = {.factor = 0};
    if (now < d->check_ns) return d->check_ns;
    struct place *place = choose(d);
    while (place) {
        int n = fn_cost_limit(&place->cost, d->options.max_batch, 2 * CHECK_BUDGET);
        if (test(d, place->runner, n, patience_ns(d, place, n), &unused, &err) == FN_OK) break;
        take_out(d, place, &err);
        place = choose(d);
    }
    set_serving(d, place ? (int)(place - d->places) : -1);
    /* With nothing left, whatever the mender brings back is to be noticed soon. */
    d->check_ns = fn_now_ns() + (place ? d->check_every_ns : FN_NS_PER_S / 10);
    return d->check_ns;
}

/* ---- what others ask ---- */

fn_status fn_devices_current(struct fn_devices *d, const struct fn_device_names **ret_names,
                             struct fn_error *err) {
    pthread_mutex_lock(&d->lock);
    int serving = d->serving;
    pthread_mutex_unlock(&d->lock);
    *ret_names = &d->places[serving < 0 ? 0 : serving].names;
    return serving < 0 ? fn_fail(err, FN_NO_DEVICE, "no device works") : FN_OK;
}

/* With the lock. */
static int find_limit(const struct fn_devices *d) {
    const struct place *place = &d->places[d->serving < 0 ? 0 : d->serving];
    return fn_cost_limit(&place->cost, d->options.max_batch, d->objective_ms);
}

int fn_devices_limit(struct fn_devices *d) {
    pthread_mutex_lock(&d->lock);
    int limit = find_limit(d);
    pthread_mutex_unlock(&d->lock);
    return limit;
}

double fn_devices_wait_ms(struct fn_devices *d, int ahead) {
    pthread_mutex_lock(&d->lock);
    const struct place *place = &d->places[d->serving < 0 ? 0 : d->serving];
    double ms = fn_cost_wait_ms(&place->cost, ahead, find_limit(d));
    pthread_mutex_unlock(&d->lock);
    return ms;
}

void fn_devices_write_metrics(struct fn_devices *d, FILE *out) {
    pthread_mutex_lock(&d->lock);
    fn_metrics_write_head(out, "device_up", "gauge",
                          "Whether a device is open and gave the known answer.");
    for (int i = 0; i < d->n; i++) {
        (void)fputs("facenetd_device_up{device=\"", out);
        fn_metrics_write_label(out, d->places[i].name);
        (void)fprintf(out, "\"} %d\n", d->places[i].runner != NULL);
    }
    fn_metrics_write_head(out, "device_serving", "gauge", "Whether a device computes what comes.");
    for (int i = 0; i < d->n; i++) {
        (void)fputs("facenetd_device_serving{device=\"", out);
        fn_metrics_write_label(out, d->places[i].name);
        (void)fprintf(out, "\"} %d\n", d->serving == i);
    }
    fn_metrics_write_one(out, "batch_size_limit", "gauge",
                         "Crops in a batch with which latency_objective_ms is kept.",
                         find_limit(d));
    fn_metrics_write_head(out, "batch_cost_seconds", "gauge",
                          "What a batch of a size takes on the device that serves, as measured.");
    const struct place *place = &d->places[d->serving < 0 ? 0 : d->serving];
    for (int n = 1; n <= d->options.max_batch; n++)
        if (place->cost.ms[n] > 0)
            (void)fprintf(out, "facenetd_batch_cost_seconds{size=\"%d\"} %.6f\n", n,
                          fn_cost_ms(&place->cost, n) / 1000);
    pthread_mutex_unlock(&d->lock);
}

/* ---- start and end ---- */

fn_status fn_devices_open(const struct fn_config *config, const struct fn_model *model,
                          struct fn_metrics *metrics, struct fn_devices **ret_devices,
                          struct fn_error *err) {
    struct fn_devices *d = calloc(1, sizeof *d);
    if (!d) return fn_fail(err, FN_NO_MEMORY, "no memory for devices");
    d->options = (struct fn_engine_options){.kernel_family = config->kernel_family,
                                            .kernel_dir = config->kernel_dir,
                                            .cache_dir = config->cache_dir,
                                            .builder = "/proc/self/exe",
                                            .program = config->program,
                                            .device_timeout_ms = (int)config->device_timeout_ms,
                                            .max_batch = (int)config->max_batch};
    d->model = model;
    d->metrics = metrics;
    d->retry_ns = config->device_retry_ms * FN_NS_PER_MS;
    d->timeout_ns = config->device_stall_ms * FN_NS_PER_MS;
    d->check_every_ns = config->self_test_ms * FN_NS_PER_MS;
    d->objective_ms = (double)config->latency_objective_ms;
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_cond_init(&d->changed, NULL);
    fn_status status = set_places(d, config, err);
    if (status == FN_OK) status = open_place(d, &d->places[0], err);
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
        all = fn_runner_close(d->places[i].runner) && all;
        all = all && d->places[i].n_stuck == 0;
        free(d->places[i].name);
    }
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d);
    return all;
}
