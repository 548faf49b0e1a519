/* SPDX-License-Identifier: Apache-2.0
 *
 * mtcnn.c -- the table of layers. */
#include "engine/detect/mtcnn.h"

const struct fn_mtcnn_layer fn_mtcnn_layers[FN_MTCNN_LAYERS] = {
    {"pnet/conv1", FN_PNET, 3, 3, 3, 10, true},      {"pnet/conv2", FN_PNET, 3, 3, 10, 16, true},
    {"pnet/conv3", FN_PNET, 3, 3, 16, 32, true},     {"pnet/conv4-1", FN_PNET, 1, 1, 32, 2, false},
    {"pnet/conv4-2", FN_PNET, 1, 1, 32, 4, false},   {"rnet/conv1", FN_RNET, 3, 3, 3, 28, true},
    {"rnet/conv2", FN_RNET, 3, 3, 28, 48, true},     {"rnet/conv3", FN_RNET, 2, 2, 48, 64, true},
    {"rnet/conv4", FN_RNET, 3, 3, 64, 128, true},    {"rnet/conv5-1", FN_RNET, 1, 1, 128, 2, false},
    {"rnet/conv5-2", FN_RNET, 1, 1, 128, 4, false},  {"onet/conv1", FN_ONET, 3, 3, 3, 32, true},
    {"onet/conv2", FN_ONET, 3, 3, 32, 64, true},     {"onet/conv3", FN_ONET, 3, 3, 64, 64, true},
    {"onet/conv4", FN_ONET, 2, 2, 64, 128, true},    {"onet/conv5", FN_ONET, 3, 3, 128, 256, true},
    {"onet/conv6-1", FN_ONET, 1, 1, 256, 2, false},  {"onet/conv6-2", FN_ONET, 1, 1, 256, 4, false},
    {"onet/conv6-3", FN_ONET, 1, 1, 256, 10, false},
};

int fn_mtcnn_first_layer(enum fn_mtcnn_net net) {
    int i = 0;
    while (i < FN_MTCNN_LAYERS && fn_mtcnn_layers[i].net < net) i++;
    return i;
}

size_t fn_mtcnn_kernel_count(const struct fn_mtcnn_layer *layer) {
    return (size_t)layer->out_channels * (size_t)layer->kernel_h * (size_t)layer->kernel_w *
           (size_t)layer->in_channels;
}
