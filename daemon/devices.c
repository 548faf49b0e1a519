/* SPDX-License-Identifier: Apache-2.0
 *
 * devices.c -- see devices.h: which device computes, and what others ask about it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/devices_private.h"
#include "daemon/log.h"
#include "engine/clock.h"

#define CHECK_BUDGET 50.0 /* ms that a test in passing may take */
#define TIMES_COST   20   /* slower than measured by this: it hangs */

void fn_devices_set_serving(struct fn_devices *d, int index) {
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

/* ---- serving ---- */

/* The best open place, opening the reference where nothing else is left; NULL: none. */
static struct fn_place *choose(struct fn_devices *d) {
    struct fn_place *reference = NULL, *chosen = NULL;
    struct fn_error err;
    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < d->n && !chosen; i++) {
        if (d->places[i].runner) chosen = &d->places[i];
        if (d->places[i].is_reference && i > 0) reference = &d->places[i];
    }
    pthread_mutex_unlock(&d->lock);
    if (!chosen && reference) {
        fn_status status = fn_place_open(d, reference, &err);
        if (status == FN_OK) return reference;
        fn_log(FN_LOG_ERROR, "event=device_failed device=reference code=%s detail=\"%s\"",
               fn_status_code(status), err.text);
    }
    return chosen;
}

/* A device that failed, and has lost what was in flight on it. */
static void take_out(struct fn_devices *d, struct fn_place *place, const struct fn_error *why) {
    struct fn_runner *runner = place->runner;
    bool stuck = fn_runner_is_stuck(runner);
    fn_log(FN_LOG_ERROR,
           "event=device_failed device=\"%s\" backend=\"%s\" stalled=%s detail=\"%s\"", place->name,
           place->names.label, stuck ? "yes" : "no", why->text);
    if (stuck) atomic_fetch_add(&d->metrics->stalls, 1);
    for (int i = 0; i < d->n_flights; i++)
        if (d->flights[i].place == place) d->flights[i].place = NULL;
    /* Left behind at once; what answers, though with errors, is closed by the mender. */
    bool left = stuck && !fn_runner_close(runner, 0);
    pthread_mutex_lock(&d->lock);
    place->runner = NULL;
    place->retry_ns = fn_now_ns() + d->retry_ns;
    place->n_stuck += left;
    if (!stuck) place->failed = runner;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static int64_t patience_ns(const struct fn_devices *d, const struct fn_place *place, int n) {
    if (place->is_reference) return FN_ERRAND_FOREVER; /* plain C does not hang, and is the last */
    int64_t ns = (int64_t)(TIMES_COST * fn_cost_ms(&place->cost, n) * (double)FN_NS_PER_MS);
    return ns > d->timeout_ns ? ns : d->timeout_ns;
}

static void note_cost(struct fn_devices *d, struct fn_place *place, int n, int64_t ns) {
    pthread_mutex_lock(&d->lock);
    fn_cost_follow(&place->cost, n, fn_ms(ns));
    pthread_mutex_unlock(&d->lock);
}

/* False when the device fails and has been taken out. */
static bool send_flight(struct fn_devices *d, struct fn_place *place, struct fn_flight *flight) {
    struct fn_device_batch *batch = flight->batch;
    struct fn_error err;
    if (batch->review) batch->review(batch);
    if (batch->n == 0) return true;
    flight->since_ns = fn_now_ns();
    if (fn_runner_submit(place->runner, batch->crops, batch->n, patience_ns(d, place, batch->n),
                         &err) == FN_OK) {
        flight->place = place;
        return true;
    }
    take_out(d, place, &err);
    return false;
}

/* Send flights that are nowhere to the device that works, oldest first. A device has as many as it
 * takes, and none while another has some: what comes back takes over between batches. */
static void send_flights(struct fn_devices *d) {
    for (int i = 0; i < d->n_flights;) {
        struct fn_flight *flight = &d->flights[i];
        struct fn_place *place = flight->place ? flight->place : choose(d);
        if (!place) return;
        if (!flight->place && i > 0 &&
            (d->flights[0].place != place || i >= fn_runner_slots(place->runner)))
            return;
        i = flight->place || send_flight(d, place, flight) ? i + 1 : 0;
    }
}

void fn_devices_submit(struct fn_devices *d, struct fn_device_batch *batch) {
    assert(d->n_flights < FN_MAX_SLOTS);
    d->flights[d->n_flights++] = (struct fn_flight){.batch = batch};
    send_flights(d);
}

static struct fn_flight take_first(struct fn_devices *d) {
    struct fn_flight first = d->flights[0];
    d->n_flights--;
    memmove(d->flights, d->flights + 1, (size_t)d->n_flights * sizeof first);
    return first;
}

fn_status fn_devices_collect(struct fn_devices *d, float *ret_embeddings, const char **ret_label,
                             int64_t *ret_began_ns, struct fn_error *err) {
    struct fn_flight *first = &d->flights[0];
    assert(d->n_flights > 0);
    int64_t asked = fn_now_ns();
    for (send_flights(d); first->place; send_flights(d)) {
        struct fn_place *place = first->place;
        int n = first->batch->n;
        fn_status status =
            fn_runner_collect(place->runner, n, patience_ns(d, place, n), ret_embeddings, err);
        if (status != FN_OK && status != FN_NOT_UNIT) {
            take_out(d, place, err);
            continue;
        }
        struct fn_flight done = take_first(d);
        bool behind = d->collected_ns > done.since_ns;
        *ret_began_ns = behind ? d->collected_ns : done.since_ns;
        d->collected_ns = fn_now_ns();
        note_cost(d, place, n, d->collected_ns - *ret_began_ns);
        fn_devices_set_serving(d, (int)(place - d->places));
        *ret_label = place->names.label;
        return status;
    }
    struct fn_flight nowhere = take_first(d);
    *ret_began_ns = asked;
    if (nowhere.batch->n == 0)
        return fn_fail(err, FN_DEADLINE_EXCEEDED, "nobody waits for the batch any more");
    fn_devices_set_serving(d, -1);
    return fn_fail(err, FN_NO_DEVICE, "no device works, the next attempt is under way");
}

int64_t fn_devices_check(struct fn_devices *d) {
    int64_t now = fn_now_ns();
    struct fn_error err;
    struct fn_cost unused = {.factor = 0};
    if (now < d->check_ns) return d->check_ns;
    struct fn_place *place = choose(d);
    while (place) {
        int n = fn_cost_limit(&place->cost, d->options.max_batch, 2 * CHECK_BUDGET);
        if (fn_place_test(d, place->runner, n, patience_ns(d, place, n), &unused, &err) == FN_OK)
            break;
        take_out(d, place, &err);
        place = choose(d);
    }
    fn_devices_set_serving(d, place ? (int)(place - d->places) : -1);
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

/* With the lock: the device that serves; the first, while none does. */
static const struct fn_place *find_place(const struct fn_devices *d) {
    return &d->places[d->serving < 0 ? 0 : d->serving];
}

/* With the lock. */
static int find_limit(const struct fn_devices *d) {
    return fn_cost_limit(&find_place(d)->cost, d->options.max_batch, d->objective_ms);
}

int fn_devices_limit(struct fn_devices *d) {
    pthread_mutex_lock(&d->lock);
    int limit = find_limit(d);
    pthread_mutex_unlock(&d->lock);
    return limit;
}

int fn_devices_slots(struct fn_devices *d) {
    pthread_mutex_lock(&d->lock);
    const struct fn_runner *runner = d->serving < 0 ? NULL : d->places[d->serving].runner;
    int slots = runner ? fn_runner_slots(runner) : 1;
    pthread_mutex_unlock(&d->lock);
    return slots;
}

double fn_devices_wait_ms(struct fn_devices *d, int ahead) {
    pthread_mutex_lock(&d->lock);
    double ms = fn_cost_wait_ms(&find_place(d)->cost, ahead, find_limit(d));
    pthread_mutex_unlock(&d->lock);
    return ms;
}

double fn_devices_cost_ms(struct fn_devices *d, int n) {
    pthread_mutex_lock(&d->lock);
    double ms = fn_cost_ms(&find_place(d)->cost, n);
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
    const struct fn_place *place = find_place(d);
    for (int n = 1; n <= d->options.max_batch; n++)
        if (place->cost.ms[n] > 0)
            (void)fprintf(out, "facenetd_batch_cost_seconds{size=\"%d\"} %.6f\n", n,
                          fn_cost_ms(&place->cost, n) / 1000);
    pthread_mutex_unlock(&d->lock);
}
