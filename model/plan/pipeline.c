/* SPDX-License-Identifier: Apache-2.0
 *
 * pipeline.c -- see pipeline.h. */
#include "model/plan/pipeline.h"

#include <math.h>

#include "engine/cleanup.h"
#include "engine/opencl/fpga_pack.h"

FN_DEFINE_CLEANUP(struct fn_fpga_layout *, fn_fpga_layout_free)

const char *const fn_stage_names[FN_N_STAGES] = {"fetch", "weigh", "array", "finish", "write"};

bool fn_pipeline_is_array(int vec, int lane) {
    return vec >= 4 && vec <= FN_FPGA_BURST && (vec & (vec - 1)) == 0 && lane >= vec &&
           lane <= 128 && lane % vec == 0 && lane * vec % FN_FPGA_BURST == 0;
}

static int max(int a, int b) {
    return a > b ? a : b;
}

fn_status fn_pipeline_make(const struct fn_model *model, int vec, int lane, int form, int max_batch,
                           struct fn_pipeline *ret, struct fn_error *err) {
    if (!fn_pipeline_is_array(vec, lane))
        return fn_fail(
            err, FN_USAGE,
            "the kernels make no array of %d x %d: expected VEC 4, 8, 16, 32 or 64, LANE "
            "a multiple of it up to 128, their product a multiple of %d",
            vec, lane, FN_FPGA_BURST);
    const struct fn_network *network = &model->network;
    FN_CLEANUP(fn_fpga_layout_free) struct fn_fpga_layout *layout = NULL;
    ret->sizes = (struct fn_fpga_sizes){.vec = vec,
                                        .lane = lane,
                                        .band = FN_FPGA_BAND_OF(vec),
                                        .weights = FN_FPGA_WEIGHTS_OF(vec),
                                        .form = form};
    ret->n_layers = network->n_layers;
    fn_status status = fn_fpga_layout_make(network, &ret->sizes, max_batch, false, &layout, err);
    if (status != FN_OK) return status;
    for (int i = 0; i < network->n_layers; i++) {
        fn_fpga_pack_describe(model, layout, &ret->sizes, i, &ret->layers[i]);
        ret->macs[i] = fn_layer_macs(network, &network->layers[i]);
        ret->sizes.band = max(ret->sizes.band, ret->layers[i].band);
        ret->sizes.weights = max(ret->sizes.weights, ret->layers[i].weight_vectors);
    }
    for (int i = 0; i < network->n_layers && status == FN_OK; i++)
        status =
            fn_fpga_pack_check(&network->layers[i], &ret->layers[i], &ret->sizes, max_batch, err);
    return status;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* Rows of the picture in the bands of all output rows: those above and below it are not read. */
static int64_t rows_read(const struct fn_fpga_layer *l) {
    int64_t rows = 0;
    for (int y = 0; y < l->out_height; y++)
        for (int k = 0; k < l->kernel_h; k++) {
            int at = y * l->stride - l->pad_h + k;
            rows += at >= 0 && at < l->in_height;
        }
    return rows;
}

/* fn_array_layer(): blocks, in each of which the next one's weights arrive. */
static int64_t array_clocks(const struct fn_pipeline *p, int layer, int pictures) {
    const struct fn_fpga_layer *l = &p->layers[layer];
    bool per_layer = p->sizes.form == FN_FPGA_PER_LAYER;
    int64_t parts = (int64_t)p->sizes.lane * p->sizes.vec / FN_FPGA_BURST;
    int64_t used = (int64_t)pictures * l->out_height * l->row_vectors;
    int64_t load = l->weight_vectors * parts + FN_FPGA_GAP, next = FN_FPGA_GAP;
    if (!per_layer && layer + 1 < p->n_layers) next += p->layers[layer + 1].weight_vectors * parts;
    return (per_layer || layer == 0 ? load : 0) + (l->blocks - 1) * larger(used, load) +
           larger(used, next);
}

void fn_pipeline_count(const struct fn_pipeline *pipeline, int layer, int pictures,
                       struct fn_pipeline_count *ret) {
    const struct fn_fpga_layer *l = &pipeline->layers[layer];
    int64_t lane = pipeline->sizes.lane, parts = lane * pipeline->sizes.vec / FN_FPGA_BURST;
    int64_t batch = pictures, blocks = l->blocks;
    int64_t burst = FN_FPGA_BURST, number = sizeof(fn_fpga_int);
    int64_t rows = blocks * batch * l->out_height, pixels = rows * l->out_width;
    int64_t planes = (blocks - 1) * l->planes + l->last_planes;
    int64_t written = burst * planes * batch * l->out_height * l->out_row;
    int64_t weights = blocks * l->weight_vectors * parts;
    int64_t band = l->band + FN_FPGA_GAP;
    bool is_head = l->op == FN_FPGA_HEAD;
    *ret = (struct fn_pipeline_count){
        .clocks = {[FN_STAGE_FETCH] = band + rows * larger(l->row_vectors, band),
                   [FN_STAGE_WEIGH] = weights,
                   [FN_STAGE_ARRAY] = array_clocks(pipeline, layer, pictures),
                   [FN_STAGE_FINISH] = pixels,
                   [FN_STAGE_WRITE] = is_head ? 0 : pixels},
        .bytes = {[FN_STAGE_FETCH] =
                      burst * blocks * batch * rows_read(l) * l->in_row * l->in_planes,
                  [FN_STAGE_WEIGH] = burst * weights,
                  [FN_STAGE_FINISH] = (l->op == FN_FPGA_POOL ? 0 : blocks * 2 * lane * number) +
                                      (l->residual >= 0 ? written : 0) +
                                      (is_head ? blocks * batch * lane * number : 0),
                  [FN_STAGE_WRITE] = is_head ? 0 : written},
    };
}

void fn_pipeline_cost(const struct fn_pipeline *pipeline, const struct fn_pipeline_speed *speed,
                      int layer, int pictures, struct fn_cost *ret) {
    struct fn_pipeline_count count;
    fn_pipeline_count(pipeline, layer, pictures, &count);
    *ret = (struct fn_cost){0};
    for (int stage = 0; stage < FN_N_STAGES; stage++) {
        ret->clocks = fmax(ret->clocks, (double)count.clocks[stage]);
        ret->bytes += (double)count.bytes[stage];
    }
    ret->seconds =
        fmax(ret->clocks / speed->hertz, ret->bytes / speed->bytes_per_second) + speed->launch;
    ret->utilisation =
        (double)pictures * (double)pipeline->macs[layer] /
        (pipeline->sizes.vec * (double)pipeline->sizes.lane * speed->hertz * ret->seconds);
}

void fn_pipeline_total(const struct fn_pipeline *pipeline, const struct fn_pipeline_speed *speed,
                       int pictures, struct fn_cost *ret) {
    *ret = (struct fn_cost){0};
    for (int i = 0; i < pipeline->n_layers; i++) {
        struct fn_cost cost;
        fn_pipeline_cost(pipeline, speed, i, pictures, &cost);
        ret->clocks += cost.clocks;
        ret->bytes += cost.bytes;
        ret->seconds += cost.seconds;
        ret->utilisation += cost.utilisation * cost.seconds;
    }
    ret->utilisation /= ret->seconds;
}
