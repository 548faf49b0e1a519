/* SPDX-License-Identifier: Apache-2.0
 *
 * load.h -- how much work the workers have before them, in time, judged before it is read.
 *
 * All that a request's headers tell is the size of its body. What a byte means is learned from the
 * pictures that were decoded: megapixels a byte, time a megapixel (decoding and looking for faces),
 * faces a picture. Before the first picture nothing is known and nothing is refused. Thread-safe.
 */
#ifndef FN_LOAD_H
#define FN_LOAD_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct fn_load {
    pthread_mutex_t lock; /* guards all below */
    double megapixels_per_byte, ns_per_megapixel, faces_per_picture;
    int64_t ahead_ns; /* of the requests counted in, together */
    int n_ahead;
};

struct fn_load_ahead {
    double ms;    /* of one worker's time, in all */
    int n;        /* requests */
    double crops; /* expected of them */
};

void fn_load_init(struct fn_load *load);
void fn_load_destroy(struct fn_load *load);

/* A picture of so many bytes and pixels took ns and gave so many faces. */
void fn_load_note(struct fn_load *load, size_t bytes, double pixels, int faces, int64_t ns);
/* What a body of so many bytes will take in a worker. */
int64_t fn_load_estimate_ns(struct fn_load *load, int64_t bytes);

/* Count in a request whose pictures are still to be decoded, and out again, with the same number.
 */
void fn_load_enter(struct fn_load *load, int64_t estimate_ns);
void fn_load_leave(struct fn_load *load, int64_t estimate_ns);
struct fn_load_ahead fn_load_ahead(struct fn_load *load);

/* When a request will be done that has worker_ms of work before it and own_ms of its own, on n
 * workers, and then the device, which a crop would leave after device_ms if it came now and which
 * takes batch_ms for a batch: the two work at the same time. */
double fn_load_predict_ms(double worker_ms, double own_ms, int n_workers, double device_ms,
                          double batch_ms);

#endif
