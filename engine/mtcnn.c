/* SPDX-License-Identifier: Apache-2.0
 *
 * mtcnn.c -- the table of layers. */
#include "engine/mtcnn.h"

const struct fn_mtcnn_layer fn_mtcnn_layers[FN_MTCNN_LAYERS] = {
    {FN_PNET, "pnet/conv1", 3, 3, 3, 10, true},      {FN_PNET, "pnet/conv2", 3, 3, 10, 16, true},
    {FN_PNET, "pnet/conv3", 3, 3, 16, 32, true},     {FN_PNET, "pnet/conv4-1", 1, 1, 32, 2, false},
    {FN_PNET, "pnet/conv4-2", 1, 1, 32, 4, false},   {FN_RNET, "rnet/conv1", 3, 3, 3, 28, true},
    {FN_RNET, "rnet/conv2", 3, 3, 28, 48, true},     {FN_RNET, "rnet/conv3", 2, 2, 48, 64, true},
    {FN_RNET, "rnet/conv4", 3, 3, 64, 128, true},    {FN_RNET, "rnet/conv5-1", 1, 1, 128, 2, false},
    {FN_RNET, "rnet/conv5-2", 1, 1, 128, 4, false},  {FN_ONET, "onet/conv1", 3, 3, 3, 32, true},
    {FN_ONET, "onet/conv2", 3, 3, 32, 64, true},     {FN_ONET, "onet/conv3", 3, 3, 64, 64, true},
    {FN_ONET, "onet/conv4", 2, 2, 64, 128, true},    {FN_ONET, "onet/conv5", 3, 3, 128, 256, true},
    {FN_ONET, "onet/conv6-1", 1, 1, 256, 2, false},  {FN_ONET, "onet/conv6-2", 1, 1, 256, 4, false},
    {FN_ONET, "onet/conv6-3", 1, 1, 256, 10, false},
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
