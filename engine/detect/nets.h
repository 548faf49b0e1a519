/* SPDX-License-Identifier: Apache-2.0
 *
 * nets.h -- private to the detector: the three networks, computed by this CPU or on an OpenCL
 * device, behind one set of calls. */
#ifndef FN_DETECT_NETS_H
#define FN_DETECT_NETS_H

#include "engine/detect/on_device.h"

/* Read-only after fn_nets_open() and fn_nets_move(). */
struct fn_nets {
    const struct fn_conv_kernels *kernels;
    struct fn_pnet pnet;
    struct fn_refiner rnet, onet;
    struct fn_net_device *device; /* computes instead of the CPU, or NULL; owned */
};

/* Buffers of one caller. Zero it before fn_nets_desk_new(). */
struct fn_nets_desk {
    struct fn_pnet_rows rows;
    struct fn_refine_maps maps;
    struct fn_device_desk device;
};

FN_MUST fn_status fn_nets_open(const struct fn_conv_kernels *kernels,
                               const struct fn_mtcnn_weights *weights, struct fn_nets *ret_nets,
                               struct fn_error *err);
/* Have a device compute from now on, after a known-answer test: all networks on a generated
 * picture, held against the CPU's to the bit. FN_DEVICE_FAILED when they differ. */
FN_MUST fn_status fn_nets_move(struct fn_nets *nets, const struct fn_detector_place *place,
                               struct fn_error *err);
void fn_nets_done(struct fn_nets *nets);
/* "avx2", "opencl:..."; borrowed. */
const char *fn_nets_label(const struct fn_nets *nets);

FN_MUST fn_status fn_nets_desk_new(struct fn_nets_desk *ret_desk, struct fn_error *err);
void fn_nets_desk_done(struct fn_nets_desk *desk);

/* The first network over one level: fn_pnet_run(). */
FN_MUST fn_status fn_nets_slide(const struct fn_nets *nets, struct fn_nets_desk *desk,
                                const struct fn_picture *picture, double scale, float threshold,
                                struct fn_candidates *candidates, struct fn_error *err);

/* Pieces that the second or third network takes at a time. */
size_t fn_nets_batch(const struct fn_nets *nets, enum fn_mtcnn_net net);
/* Look at that many or fewer. ret_out: outputs, borrowed from the desk, *ret_pitch floats from
 * piece to piece. */
FN_MUST fn_status fn_nets_look(const struct fn_nets *nets, enum fn_mtcnn_net net,
                               struct fn_nets_desk *desk, const struct fn_picture *picture,
                               const struct fn_rect *pieces, size_t n, const float **ret_out,
                               size_t *ret_pitch, struct fn_error *err);

#endif
