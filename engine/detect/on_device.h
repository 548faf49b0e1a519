/* SPDX-License-Identifier: Apache-2.0
 *
 * on_device.h -- private to the detector: what pnet.h and refine.h do, with the networks on an
 * OpenCL device (device.h). Stretching, candidates and boxes stay on the host. */
#ifndef FN_DETECT_ON_DEVICE_H
#define FN_DETECT_ON_DEVICE_H

#include "engine/detect/device.h"

/* Buffers of one caller. Zero it before the first use. */
struct fn_device_desk {
    struct fn_scaler scaler;
    float *pieces, *out; /* of the largest batch; owned */
    float *band;         /* rows of a level that one row of tiles sees, [rows][width][3]; owned */
    float *cells;        /* outputs of a level, [rows][columns][FN_PNET_OUT]; owned */
    size_t pieces_size, out_size, band_size, cells_size;
};

/* As fn_pnet_run(), the same candidates. */
FN_MUST fn_status fn_pnet_run_on(struct fn_net_device *device, const struct fn_picture *picture,
                                 double scale, float threshold, struct fn_device_desk *desk,
                                 struct fn_candidates *candidates, struct fn_error *err);

/* As fn_refiner_run(), for n pieces of 1...fn_net_batch(net); desk->out has the outputs,
 * [n][FN_NET_OUT]. */
FN_MUST fn_status fn_refiner_run_on(struct fn_net_device *device, enum fn_mtcnn_net net,
                                    const struct fn_picture *picture, const struct fn_rect *pieces,
                                    size_t n, struct fn_device_desk *desk, struct fn_error *err);

void fn_device_desk_done(struct fn_device_desk *desk);

#endif
