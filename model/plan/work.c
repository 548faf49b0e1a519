/* SPDX-License-Identifier: Apache-2.0
 *
 * work.c -- see work.h. */
#include "model/plan/work.h"

static struct fn_work work_of_layer(const struct fn_network *network,
                                    const struct fn_layer *layer) {
    const struct fn_tensor *in = &network->tensors[layer->input];
    struct fn_work work = {.name = layer->name,
                           .kind = layer->op == FN_OP_POOL ? FN_WORK_POOL : FN_WORK_CONV,
                           .in_height = in->height,
                           .in_width = in->width,
                           .in_channels = layer->in_channels,
                           .out_channels = layer->out_channels,
                           .kernel_h = layer->kernel_h,
                           .kernel_w = layer->kernel_w};
    if (layer->op == FN_OP_HEAD) {
        /* The same weights at every position, all summed: a kernel as large as the picture. */
        work.kernel_h = in->height;
        work.kernel_w = in->width;
        work.out_height = work.out_width = 1;
    } else {
        work.out_height = network->tensors[layer->output].height;
        work.out_width = network->tensors[layer->output].width;
    }
    if (layer->op != FN_OP_POOL)
        work.weights = (int64_t)fn_layer_kernel_size(layer) * layer->out_channels;
    if (layer->residual >= 0)
        work.residual = (int64_t)work.out_height * work.out_width * work.out_channels;
    return work;
}

int fn_work_of_network(const struct fn_network *network, struct fn_work *ret) {
    for (int i = 0; i < network->n_layers; i++)
        ret[i] = work_of_layer(network, &network->layers[i]);
    return network->n_layers;
}

int64_t fn_work_macs(const struct fn_work *work) {
    if (work->kind != FN_WORK_CONV) return 0;
    return (int64_t)work->out_height * work->out_width * work->in_channels * work->out_channels *
           work->kernel_h * work->kernel_w;
}
