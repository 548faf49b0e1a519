/* SPDX-License-Identifier: Apache-2.0
 *
 * published.h -- what other people measured on their boards, and the networks they measured it
 * with: the only measurements that our predictions can be held against. */
#ifndef FN_PUBLISHED_H
#define FN_PUBLISHED_H

#include "model/plan/array.h"

#define FN_PUBLISHED_MAX_WORKS 160

enum fn_engine_family {
    FN_ENGINE_PIPECNN, /* doonny/PipeCNN, FPT 2017: vec x lane, weights streamed, as ours */
    FN_ENGINE_CHAIDNN, /* Xilinx/CHaiDNN v2, 2018: 4 maps x 16 kernels x pixels, tiled */
    FN_N_ENGINES,
};

struct fn_published {
    int row; /* its number in docs/fpga.md */
    enum fn_engine_family family;
    const char *board;
    const char *network; /* "AlexNet", "VGG16", "VGG16 convolutions", "GoogLeNet", "ResNet-50" */
    int vec, lane, pixels, batch;
    double megahertz;
    double gigabytes;           /* per second: nominal rate of the board's memory */
    double pictures_per_second; /* measured by those who published it */
    bool held_out;              /* never fitted to */
};

extern const struct fn_published fn_published_rows[];
extern const int fn_published_n_rows;

/* The layers of a published network by name. ret: [FN_PUBLISHED_MAX_WORKS]. Returns how many. */
int fn_published_network(const char *name, struct fn_work *ret);

#endif
