/* SPDX-License-Identifier: Apache-2.0
 *
 * devices_private.h -- what devices.c (which device computes) and devices_open.c (opening, mending
 * and closing them) share. Nobody else includes it.
 *
 * A place is open or closed. An open one is the submitter's to use; a closed one is the mender's to
 * open, and what failed its to close, which may take a driver long. The lock guards which is which,
 * and what others read. */
#ifndef FN_DEVICES_PRIVATE_H
#define FN_DEVICES_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/cost.h"
#include "daemon/devices.h"
#include "daemon/runner.h"
#include "engine/engine.h"

struct fn_place {
    char *name;                   /* as configured, owned */
    struct fn_device_names names; /* label "" before it was first open */
    struct fn_runner *runner;     /* NULL: closed; guarded by lock */
    struct fn_runner *failed;     /* to be closed, or NULL; guarded by lock */
    struct fn_cost cost;          /* guarded by lock */
    int64_t retry_ns;             /* when to open it again; guarded by lock */
    int n_stuck;                  /* runners left behind; guarded by lock */
    bool is_reference;
};

/* A batch that was submitted and not collected yet. */
struct fn_flight {
    struct fn_device_batch *batch; /* borrowed */
    struct fn_place *place;        /* where it is in flight; NULL: nowhere */
    int64_t since_ns;              /* there */
};

struct fn_devices {
    struct fn_engine_options options;
    const struct fn_model *model;
    struct fn_metrics *metrics;
    int64_t retry_ns, timeout_ns, check_every_ns;
    double objective_ms;
    int n;
    struct fn_place places[1 + FN_MAX_FALLBACKS];
    /* The submitter's. */
    int64_t check_ns;                       /* when the next test is due */
    struct fn_flight flights[FN_MAX_SLOTS]; /* oldest first */
    int n_flights;
    int64_t collected_ns; /* when the device was done with the last batch */
    pthread_t mender;
    bool mending;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;         /* guarded by lock */
    atomic_bool giving_up; /* nobody waits for a device any more */
    int serving; /* index of the place that computed last, -1: none could; guarded by lock */
};

/* Open a closed place, test it and measure what batches cost there. */
FN_MUST fn_status fn_place_open(struct fn_devices *d, struct fn_place *place, struct fn_error *err);
/* The known answer at batch size n, and in *cost what it took. */
FN_MUST fn_status fn_place_test(struct fn_devices *d, struct fn_runner *runner, int n,
                                int64_t patience_ns, struct fn_cost *cost, struct fn_error *err);
/* places[index] computes from now on; -1: none can. */
void fn_devices_set_serving(struct fn_devices *d, int index);

#endif
