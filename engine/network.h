/* SPDX-License-Identifier: Apache-2.0
 *
 * network.h -- Inception-ResNet-v1 as a list of layers over a list of tensors.
 *
 * The shape of the graph is fixed (Szegedy et al. 2016, arXiv:1602.07261, as built by
 * davidsandberg/facenet); every width comes from the weights. Both halves of the project walk this
 * list: the quantizer, the float network, the reference engine and the OpenCL engine. Engines take
 * any list that satisfies the field comments below, so that tests can run single layers of odd
 * sizes through them. */
#ifndef FN_NETWORK_H
#define FN_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/status.h"

#define FN_CROP_SIDE    160   /* pixels; the picture is 160 x 160 x 3, RGB */
#define FN_CROP_SIZE    76800 /* bytes of one crop */
#define FN_MAX_TENSORS  128
#define FN_MAX_LAYERS   160
#define FN_MAX_CHANNELS 8192
#define FN_NAME_SIZE    80
#define FN_ROOT         "InceptionResnetV1"
_Static_assert(FN_CROP_SIZE == FN_CROP_SIDE * FN_CROP_SIDE * 3, "three bytes a pixel");

enum fn_op {
    FN_OP_CONV, /* convolution, bias, residual add, rounding shift, ReLU in one */
    FN_OP_POOL, /* 3x3/2 maximum, VALID, brought to the output's fractional bits */
    FN_OP_HEAD, /* sum over all positions, then Bottleneck: int32 accumulators, no shift */
};

/* An activation: [height][width][channels], one count of fractional bits for all of it. */
struct fn_tensor {
    char name[FN_NAME_SIZE]; /* scope of what makes it; a concat is "<block>/concat" */
    int height, width, channels;
    bool is_signed;    /* -128...127 (the picture, Block8's output); otherwise 0...127 */
    bool is_remainder; /* what rounding to bytes left of another tensor: see fn_network_widen() */
};

struct fn_layer {
    enum fn_op op;
    char name[FN_NAME_SIZE]; /* TensorFlow-slim scope: weights are "<name>/weights" */
    int input, output;       /* tensor indices; the head has output = -1 */
    int output_offset;       /* first channel of the output tensor that this layer writes */
    int residual;            /* tensor added before the shift, of the output's shape; or -1 */
    /* Remainders, which only a wide network has; 0, the picture's index, is none. */
    int residual_remainder; /* of `residual`, added with it */
    int remainder;          /* of `output`, written with it */
    int kernel_h, kernel_w, stride;
    int pad_h, pad_w; /* zeros on every side; 0 is VALID, (k - 1) / 2 with stride 1 is SAME */
    int in_channels, out_channels;
    bool relu;
    double residual_scale; /* up-projections: 0.17, 0.10, 0.20 or 1.0; others 0 (see model/) */
};

/* Tensor 0 is the picture. Layers are in an order of execution; each output channel of each tensor
 * is written exactly once, before it is read. */
struct fn_network {
    int n_tensors, n_layers;
    struct fn_tensor tensors[FN_MAX_TENSORS];
    struct fn_layer layers[FN_MAX_LAYERS];
    int embedding_size; /* out_channels of the head */
    bool is_wide;       /* fn_network_widen() was here */
};

/* Where the widths come from: the shape [oc][kh][kw][ic] of "<scope>/weights". Returns false when
 * there is no such tensor. The Bottleneck's shape is [embedding][1][1][channels]. */
struct fn_shapes {
    bool (*find)(const void *context, const char *scope, int64_t ret_shape[4]);
    const void *context; /* borrowed */
    bool widths_only;    /* only ret_shape[0] is meant: the rest is as the topology has it */
};

/* Build the network for the widths of `shapes`. FN_BAD_SOURCE names the first scope that is missing
 * or whose shape does not fit, what was found and what was expected. */
FN_MUST fn_status fn_network_build(const struct fn_shapes *shapes, struct fn_network *ret_network,
                                   struct fn_error *err);

/* Give the sums between residual blocks up to 16 bits: a block whose output the next one adds keeps
 * what rounding that output to bytes leaves, as one more tensor, "<block>/remainder", and the next
 * block adds both. Convolutions read the bytes, as ever. A remainder's f is 1...8 more than its
 * output's. */
void fn_network_widen(struct fn_network *network);

/* Multiply-accumulates of one layer for one picture (0 for a pool). */
int64_t fn_layer_macs(const struct fn_network *network, const struct fn_layer *layer);

/* Values of one picture's tensor: height * width * channels. */
static inline size_t fn_tensor_size(const struct fn_tensor *tensor) {
    return (size_t)tensor->height * (size_t)tensor->width * (size_t)tensor->channels;
}

/* Weights of one output channel: kernel_h * kernel_w * in_channels. */
static inline size_t fn_layer_kernel_size(const struct fn_layer *layer) {
    return (size_t)layer->kernel_h * (size_t)layer->kernel_w * (size_t)layer->in_channels;
}

/* Index of the tensor of that name, or -1. */
int fn_network_find_tensor(const struct fn_network *network, const char *name);

#endif
