/* SPDX-License-Identifier: Apache-2.0
 *
 * mtcnn.h -- the layers of the face detector's three networks and where their weights lie.
 *
 * MTCNN (Zhang et al. 2016, arXiv:1604.02878) as David Sandberg's facenet carries it. Widths are
 * fixed, unlike those of the embedding network: nobody trains this one anew. In a model file the
 * tensors are "MTCNN/<layer>/weights" F32 [oc][kh][kw][ic], "/bias" F32 [oc] and, for layers that
 * end in PReLU, "/alpha" F32 [oc]; fully-connected layers are convolutions that cover their input.
 * Rows are the picture's rows: the exchange of x and y in published weights is undone on import. */
#ifndef FN_MTCNN_H
#define FN_MTCNN_H

#include <stdbool.h>
#include <stddef.h>

#define FN_MTCNN_LAYERS 19
#define FN_MTCNN_PREFIX "MTCNN/"

enum fn_mtcnn_net { FN_PNET, FN_RNET, FN_ONET, FN_MTCNN_NETS };

struct fn_mtcnn_layer {
    const char *name; /* "pnet/conv4-1" */
    enum fn_mtcnn_net net;
    int kernel_h, kernel_w, in_channels, out_channels;
    bool prelu;
};

/* In order of net, then execution. */
extern const struct fn_mtcnn_layer fn_mtcnn_layers[FN_MTCNN_LAYERS];

/* Where a net's layers begin in that list; fn_mtcnn_first_layer(FN_MTCNN_NETS) is the end. */
int fn_mtcnn_first_layer(enum fn_mtcnn_net net);

/* Numbers in a layer's kernel. */
size_t fn_mtcnn_kernel_count(const struct fn_mtcnn_layer *layer);

struct fn_mtcnn_params {
    const float *weights; /* [oc][kh][kw][ic] */
    const float *bias;    /* [oc] */
    const float *alpha;   /* [oc], or NULL without PReLU */
};

/* All layers; arrays borrowed from a model file or a draft. Every number is finite. */
struct fn_mtcnn_weights {
    struct fn_mtcnn_params layers[FN_MTCNN_LAYERS];
};

#endif
