/* SPDX-License-Identifier: Apache-2.0
 *
 * load.c -- see load.h. */
#include "daemon/load.h"

#define NEW_SHARE 0.1 /* of a new measurement */

void fn_load_init(struct fn_load *load) {
    *load = (struct fn_load){.faces_per_picture = 1};
    (void)pthread_mutex_init(&load->lock, NULL);
}

void fn_load_destroy(struct fn_load *load) {
    pthread_mutex_destroy(&load->lock);
}

static void learn(double *known, double value) {
    *known = *known > 0 ? (1 - NEW_SHARE) * *known + NEW_SHARE * value : value;
}

void fn_load_note(struct fn_load *load, size_t bytes, double pixels, int faces, int64_t ns) {
    if (bytes == 0 || pixels <= 0) return;
    double megapixels = pixels / 1e6;
    pthread_mutex_lock(&load->lock);
    learn(&load->megapixels_per_byte, megapixels / (double)bytes);
    learn(&load->ns_per_megapixel, (double)ns / megapixels);
    load->faces_per_picture += NEW_SHARE * (faces - load->faces_per_picture);
    pthread_mutex_unlock(&load->lock);
}

int64_t fn_load_estimate_ns(struct fn_load *load, int64_t bytes) {
    pthread_mutex_lock(&load->lock);
    double ns = (double)bytes * load->megapixels_per_byte * load->ns_per_megapixel;
    pthread_mutex_unlock(&load->lock);
    return bytes > 0 ? (int64_t)ns : 0;
}

void fn_load_enter(struct fn_load *load, int64_t estimate_ns) {
    pthread_mutex_lock(&load->lock);
    load->ahead_ns += estimate_ns;
    load->n_ahead++;
    pthread_mutex_unlock(&load->lock);
}

void fn_load_leave(struct fn_load *load, int64_t estimate_ns) {
    pthread_mutex_lock(&load->lock);
    load->ahead_ns -= estimate_ns;
    load->n_ahead--;
    pthread_mutex_unlock(&load->lock);
}

struct fn_load_ahead fn_load_ahead(struct fn_load *load) {
    pthread_mutex_lock(&load->lock);
    struct fn_load_ahead ahead = {.ms = (double)load->ahead_ns / 1e6,
                                  .n = load->n_ahead,
                                  .crops = load->n_ahead * load->faces_per_picture};
    pthread_mutex_unlock(&load->lock);
    return ahead;
}

double fn_load_predict_ms(double worker_ms, double own_ms, int n_workers, double device_ms,
                          double batch_ms) {
    double decoded_ms = worker_ms / n_workers + own_ms;
    return decoded_ms + batch_ms > device_ms ? decoded_ms + batch_ms : device_ms;
}
