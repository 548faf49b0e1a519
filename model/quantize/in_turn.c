/* SPDX-License-Identifier: Apache-2.0
 *
 * in_turn.c -- see in_turn.h. */
#include "model/quantize/in_turn.h"

#include <string.h>

#include "model/commands/progress.h"
#include "model/quantize/integer_pass.h"
#include "model/quantize/joint_rounding.h"

fn_status fn_in_turn_choose(const uint8_t *all, size_t n, uint8_t **ret_crops, size_t *ret_n,
                            struct fn_error *err) {
    size_t taken = n < FN_IN_TURN_PICTURES ? n : FN_IN_TURN_PICTURES;
    uint8_t *crops = malloc(taken * FN_CROP_SIZE + 1);
    if (!crops) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu pictures", taken);
    for (size_t i = 0; i < taken; i++)
        memcpy(crops + i * FN_CROP_SIZE, all + i * n / taken * FN_CROP_SIZE, FN_CROP_SIZE);
    *ret_crops = crops;
    *ret_n = taken;
    return FN_OK;
}

struct work {
    const struct fn_in_turn *how;
    struct fn_integer_pass *pass;
    struct fn_model_draft *draft;
    const struct fn_model *view; /* of the draft */
    struct fn_corrections *corrections;
};

/* Bring the means of a layer that has been quantized to the float network's, by other biases. */
static fn_status correct_layer(const struct work *work, const struct fn_quantize_layer *layer,
                               struct fn_error *err) {
    const struct fn_in_turn *how = work->how;
    const struct fn_layer *l = &work->draft->network.layers[layer->index];
    FN_CLEANUP_FREE double *accumulators = malloc((size_t)l->out_channels * sizeof *accumulators);
    if (!accumulators) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", l->name);
    fn_status status =
        fn_integer_pass_means(work->pass, work->view, layer->index, accumulators, err);
    if (status != FN_OK) return status;
    fn_correct_bias(how->plan.scales, work->view, layer->index, how->means->means[layer->index],
                    accumulators, work->corrections->units[layer->index]);
    struct fn_quantize_plan corrected = how->plan;
    corrected.corrections = work->corrections;
    struct fn_quantize_layer again = *layer;
    again.plan = &corrected;
    again.keeps_weights = true;
    return fn_quantize_layer_run(&again, how->n_threads, err);
}

static fn_status quantize_layer(const struct work *work, const struct fn_quantize_layer *opened,
                                struct fn_error *err) {
    struct fn_quantize_layer layer = *opened;
    const struct fn_layer *l = &work->draft->network.layers[layer.index];
    size_t kernel = fn_layer_kernel_size(l);
    FN_CLEANUP_FREE float *covariance = NULL;
    fn_status status = FN_OK;
    if (work->how->jointly) {
        covariance = malloc(kernel * kernel * sizeof *covariance);
        if (!covariance) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", l->name);
        status = fn_integer_pass_covariance(work->pass, layer.index, covariance, err);
        if (status != FN_OK) return status;
        fn_joint_rounding_shrink(covariance, kernel);
        layer.covariance = covariance;
    }
    status = fn_quantize_layer_run(&layer, work->how->n_threads, err);
    return status == FN_OK && work->how->means ? correct_layer(work, &layer, err) : status;
}

static fn_status quantize_layers(const struct work *work, struct fn_error *err) {
    struct fn_progress progress;
    int n = work->draft->network.n_layers;
    fn_progress_start(&progress, "quantizing", (size_t)n);
    fn_status status = FN_OK;
    for (int i = 0; i < n && status == FN_OK; i++) {
        if (work->draft->network.layers[i].op != FN_OP_POOL) {
            struct fn_quantize_layer layer = {0};
            status = fn_quantize_layer_open(work->how->source, &work->how->plan, work->draft, i,
                                            &layer, err);
            if (status == FN_OK) status = quantize_layer(work, &layer, err);
            fn_quantize_layer_done(&layer);
        }
        if (status == FN_OK) status = fn_integer_pass_run(work->pass, work->view, i, err);
        fn_progress_step(&progress);
    }
    fn_progress_end(&progress);
    return status;
}

fn_status fn_quantize_in_turn(const struct fn_in_turn *how, struct fn_model_draft *draft,
                              struct fn_corrections *ret_corrections, struct fn_error *err) {
    FN_CLEANUP(fn_integer_pass_free) struct fn_integer_pass *pass = NULL;
    FN_CLEANUP_FREE struct fn_model *view = NULL;
    fn_status status = fn_model_draft_view(draft, &view, err);
    if (status == FN_OK)
        status = fn_integer_pass_new(&draft->network, draft->preprocessing, how->crops, how->n,
                                     how->n_threads, &pass, err);
    if (status != FN_OK) return status;
    const struct work work = {how, pass, draft, view, ret_corrections};
    return quantize_layers(&work, err);
}
