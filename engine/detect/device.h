/* SPDX-License-Identifier: Apache-2.0
 *
 * device.h -- private to the detector: the three networks on an OpenCL device, many square pieces
 * at a time. The first network, which slides, sees a level of the pyramid as tiles that overlap.
 *
 * The device must give the very bits of conv.h: one without denormal numbers is refused here, and
 * detector.c holds every network against the CPU's before it is used. Any number of threads may
 * share a device; it computes for one of them at a time, as an errand (engine/errand.h): a device
 * that hangs fails all of them and holds up none for longer than the place's patience. */
#ifndef FN_DETECT_DEVICE_H
#define FN_DETECT_DEVICE_H

#include "engine/detect/detector.h"
#include "engine/detect/pnet.h"
#include "engine/detect/refine.h"

#define FN_NET_OUT 16 /* floats of each output: the head's, and zeros up to a whole block */

#define FN_NET_MOST 64 /* pieces that any network takes at a time */

/* Of the first network's tiles: outputs a side, and the pixels that they see. */
#define FN_NET_TILE_CELLS 32
#define FN_NET_TILES      16 /* at a time */
#define FN_NET_TILE_SIDE  (FN_PNET_STRIDE * (FN_NET_TILE_CELLS - 1) + FN_PNET_CELL)

/* Columns and rows of a piece's first map that take part in its pool. */
struct fn_net_limit {
    int32_t columns, rows;
};

struct fn_net_device; /* opaque */

/* Weights are copied out of the packed networks. FN_NO_DEVICE, also when it does not compute as
 * IEEE 754 asks; FN_DEVICE_FAILED. */
FN_MUST fn_status fn_net_device_open(const struct fn_detector_place *place,
                                     const struct fn_pnet *pnet, const struct fn_refiner *rnet,
                                     const struct fn_refiner *onet,
                                     struct fn_net_device **ret_device, struct fn_error *err);
void fn_net_device_close(struct fn_net_device *device); /* NULL is a no-op */

/* To be called once every kernel has run: the built program is stored, and calls have no longer the
 * time of a compiler but the place's patience. */
void fn_net_device_keep(struct fn_net_device *device);

/* "opencl:" and the device's name; borrowed. */
const char *fn_net_device_label(const struct fn_net_device *device);

/* Pixels a side of a network's pieces, how many it takes at a time, and its outputs a piece. */
size_t fn_net_side(enum fn_mtcnn_net net);
size_t fn_net_batch(enum fn_mtcnn_net net);
size_t fn_net_outputs(enum fn_mtcnn_net net);

/* Compute n pieces, 1...fn_net_batch(). pieces: [n][side][side][3]; limits: [n], or NULL for whole
 * pieces. ret_out: [n][outputs][FN_NET_OUT]. FN_DEVICE_FAILED. */
FN_MUST fn_status fn_net_device_run(struct fn_net_device *device, enum fn_mtcnn_net net,
                                    const float *pieces, const struct fn_net_limit *limits,
                                    size_t n, float *ret_out, struct fn_error *err);

#endif
