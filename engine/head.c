/* SPDX-License-Identifier: Apache-2.0
 *
 * head.c -- the only floating-point arithmetic between picture and answer. The build forbids
 * contraction (-ffp-contract=off), so that every machine rounds alike. */
#include "engine/head.h"

#include <math.h>

fn_status fn_head_embed(const struct fn_model *model, const int32_t *accumulators,
                        float *ret_embedding, struct fn_error *err) {
    int head = model->network.n_layers - 1, size = model->network.embedding_size;
    int f_in = model->frac_bits[model->network.layers[head].input];
    const int8_t *f_w = model->params[head].frac_bits;
    double sum = 0;
    for (int o = 0; o < size; o++) {
        double v = ldexp((double)accumulators[o], -f_in - f_w[o]);
        sum += v * v;
    }
    double norm = sqrt(sum);
    if (!(norm > 0))
        return fn_fail(err, FN_NOT_UNIT, "all %d outputs of the network are zero", size);
    for (int o = 0; o < size; o++)
        ret_embedding[o] = (float)(ldexp((double)accumulators[o], -f_in - f_w[o]) / norm);
    return FN_OK;
}
