/* SPDX-License-Identifier: Apache-2.0
 *
 * remainders.c -- see remainders.h. */
#include "model/quantize/remainders.h"

#include <stdlib.h>

#include "engine/fixed.h"

/* Lower `bits` of a remainder to what the shift from f_acc to its tensor leaves. */
static void lower(const struct fn_model_draft *draft, int remainder, int tensor, int f_acc,
                  int *bits) {
    int shift = f_acc - draft->frac_bits[tensor];
    if (remainder && shift < bits[remainder]) bits[remainder] = shift < 1 ? 1 : shift;
}

/* The best f_w of channel `oc`; of all together where they share it. */
static int best_frac_bits(const struct fn_quantize_layer *layer, size_t oc) {
    const struct fn_quantize_plan *plan = layer->plan;
    const struct fn_layer *l = &layer->draft->network.layers[layer->index];
    if (plan->is_fixed) return plan->fixed;
    size_t kernel = fn_layer_kernel_size(l);
    int smallest, largest;
    if (plan->per_tensor)
        fn_quantize_best(layer->weights, (size_t)l->out_channels * kernel, &smallest, &largest);
    else
        fn_quantize_best(layer->weights + oc * kernel, kernel, &smallest, &largest);
    return largest; /* all zeros have many */
}

static fn_status lower_for_layer(const struct fn_source *source,
                                 const struct fn_quantize_plan *plan, struct fn_model_draft *draft,
                                 int index, int *bits, struct fn_error *err) {
    const struct fn_layer *l = &draft->network.layers[index];
    struct fn_quantize_layer layer = {0};
    fn_status status = fn_quantize_layer_open(source, plan, draft, index, &layer, err);
    int n_grids = plan->per_tensor || plan->is_fixed ? 1 : l->out_channels;
    for (int oc = 0; oc < n_grids && status == FN_OK; oc++) {
        int f_acc = draft->frac_bits[l->input] + best_frac_bits(&layer, (size_t)oc);
        lower(draft, l->remainder, l->output, f_acc, bits);
        lower(draft, l->residual_remainder, l->residual, f_acc, bits);
    }
    fn_quantize_layer_done(&layer);
    return status;
}

fn_status fn_remainders_choose(const struct fn_source *source, const struct fn_quantize_plan *plan,
                               struct fn_model_draft *draft, struct fn_error *err) {
    const struct fn_network *network = &draft->network;
    int bits[FN_MAX_TENSORS];
    for (int t = 0; t < FN_MAX_TENSORS; t++) bits[t] = FN_REMAINDER_MAX;
    fn_status status = FN_OK;
    for (int i = 0; i < network->n_layers && status == FN_OK; i++)
        if (network->layers[i].remainder || network->layers[i].residual_remainder)
            status = lower_for_layer(source, plan, draft, i, bits, err);
    for (int i = 0; i < network->n_layers && status == FN_OK; i++) {
        const struct fn_layer *l = &network->layers[i];
        if (l->remainder)
            draft->frac_bits[l->remainder] =
                (int8_t)(draft->frac_bits[l->output] + bits[l->remainder]);
    }
    return status;
}
