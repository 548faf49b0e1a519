/* SPDX-License-Identifier: Apache-2.0
 *
 * correct_bias.c -- see correct_bias.h. Means are linear: one pass sums, for each layer, the
 * windows of its inputs, and the weights are applied to the sum. */
#include "model/quantize/correct_bias.h"

#include <math.h>
#include <string.h>

#include "engine/fixed.h"

#define UNIT_BITS 6

fn_status fn_corrections_new(const struct fn_network *network, struct fn_corrections *ret,
                             struct fn_error *err) {
    struct fn_corrections made = {0};
    for (int i = 0; i < network->n_layers; i++) {
        if (network->layers[i].op == FN_OP_POOL) continue;
        made.units[i] = calloc((size_t)network->layers[i].out_channels, sizeof *made.units[i]);
        if (made.units[i]) continue;
        fn_corrections_done(&made);
        return fn_fail(err, FN_NO_MEMORY, "no memory for corrections of biases");
    }
    *ret = made;
    return FN_OK;
}

void fn_corrections_done(struct fn_corrections *corrections) {
    for (int i = 0; i < FN_MAX_LAYERS; i++) free(corrections->units[i]);
    *corrections = (struct fn_corrections){0};
}

int fn_correction_frac_bits(const struct fn_layer *layer, const int8_t *frac_bits) {
    return frac_bits[layer->output < 0 ? layer->input : layer->output] + UNIT_BITS;
}

/* Where a layer's sums lie in a lot: its window [kh][kw][ic], then what is added to it, [oc]. */
struct place {
    size_t window, added;
};

struct sums {
    const struct fn_network *network;
    struct place places[FN_MAX_LAYERS];
    size_t size;  /* doubles of a lot */
    double *sums; /* [lots][size] */
};

static void add_row(const float *row, size_t n, double *restrict sum) {
    for (size_t i = 0; i < n; i++) sum[i] += (double)row[i];
}

/* The position as a part of every window it lies in. */
static void add_to_windows(const struct fn_layer *layer, const struct fn_tensor *out, int y, int x,
                           const float *row, double *window) {
    size_t channels = (size_t)layer->in_channels;
    for (int ky = 0; ky < layer->kernel_h; ky++)
        for (int kx = 0; kx < layer->kernel_w; kx++, window += channels) {
            int oy = y + layer->pad_h - ky, ox = x + layer->pad_w - kx;
            if (oy < 0 || ox < 0 || oy % layer->stride || ox % layer->stride) continue;
            if (oy / layer->stride >= out->height || ox / layer->stride >= out->width) continue;
            add_row(row, channels, window);
        }
}

/* Every position of a tensor, to all layers that read or add it. */
static void visit_tensor(const struct sums *s, double *sums, int tensor, const float *x) {
    const struct fn_network *network = s->network;
    const struct fn_tensor *t = &network->tensors[tensor];
    static const struct fn_tensor one = {.height = 1, .width = 1};
    for (int p = 0; p < t->height * t->width; p++) {
        const float *row = x + (size_t)p * (size_t)t->channels;
        for (int i = 0; i < network->n_layers; i++) {
            const struct fn_layer *layer = &network->layers[i];
            const struct place *place = &s->places[i];
            if (layer->op != FN_OP_POOL && layer->input == tensor) {
                bool head = layer->op == FN_OP_HEAD; /* every position meets its one window */
                const struct fn_tensor *out = head ? &one : &network->tensors[layer->output];
                int py = head ? 0 : p / t->width, px = head ? 0 : p % t->width;
                add_to_windows(layer, out, py, px, row, sums + place->window);
            }
            if (layer->op == FN_OP_CONV && layer->residual == tensor)
                add_row(row + layer->output_offset, (size_t)layer->out_channels,
                        sums + place->added);
        }
    }
}

static void visit(void *context, int lot, const struct fn_float_run *run) {
    const struct sums *s = context;
    for (int t = 0; t < s->network->n_tensors; t++)
        visit_tensor(s, s->sums + (size_t)lot * s->size, t, fn_float_run_tensor(run, t));
}

static fn_status allocate(struct sums *s, struct fn_float_means *means, struct fn_error *err) {
    for (int i = 0; i < s->network->n_layers; i++) {
        const struct fn_layer *layer = &s->network->layers[i];
        if (layer->op == FN_OP_POOL) continue;
        size_t kernel = fn_layer_kernel_size(layer), channels = (size_t)layer->out_channels;
        s->places[i] = (struct place){s->size, s->size + kernel};
        s->size += kernel + channels;
        means->means[i] = calloc(channels, sizeof(double));
        if (!means->means[i]) return fn_fail(err, FN_NO_MEMORY, "no memory for mean windows");
    }
    s->sums = calloc(FN_LOTS * s->size + 1, sizeof *s->sums);
    return s->sums ? FN_OK : fn_fail(err, FN_NO_MEMORY, "no memory for mean windows");
}

/* Lot 0 becomes the sum of all, in their order. */
static void add_lots(struct sums *s) {
    for (size_t lot = 1; lot < FN_LOTS; lot++)
        for (size_t i = 0; i < s->size; i++) s->sums[i] += s->sums[lot * s->size + i];
}

static fn_status find_layer(const struct sums *s, int index, size_t n_pictures,
                            const struct fn_source *source, double *ret_means,
                            struct fn_error *err) {
    const struct fn_layer *layer = &s->network->layers[index];
    size_t kernel = fn_layer_kernel_size(layer), channels = (size_t)layer->out_channels;
    const struct fn_tensor *at =
        &s->network->tensors[layer->output < 0 ? layer->input : layer->output];
    double n = (double)n_pictures * at->height * at->width;
    FN_CLEANUP_FREE double *weights = malloc(channels * kernel * sizeof *weights);
    FN_CLEANUP_FREE double *bias = malloc(channels * sizeof *bias);
    if (!weights || !bias) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", layer->name);
    fn_status status = fn_source_fold(source, layer, weights, bias, err);
    if (status != FN_OK) return status;
    for (size_t oc = 0; oc < channels; oc++) {
        double sum = s->sums[s->places[index].added + oc];
        for (size_t k = 0; k < kernel; k++)
            sum += weights[oc * kernel + k] * s->sums[s->places[index].window + k];
        ret_means[oc] = sum / n + bias[oc];
    }
    return FN_OK;
}

fn_status fn_float_means_find(const struct fn_float_pass *pass, const struct fn_source *source,
                              struct fn_float_means *ret, struct fn_error *err) {
    struct sums s = {.network = pass->network};
    struct fn_float_means found = {0};
    fn_status status = allocate(&s, &found, err);
    if (status == FN_OK) status = fn_float_pass_run(pass, "means", visit, &s, err);
    if (status == FN_OK) add_lots(&s);
    for (int i = 0; i < pass->network->n_layers && status == FN_OK; i++)
        if (found.means[i]) status = find_layer(&s, i, pass->n, source, found.means[i], err);
    free(s.sums);
    if (status == FN_OK)
        *ret = found;
    else
        fn_float_means_done(&found);
    return status;
}

void fn_float_means_done(struct fn_float_means *means) {
    for (int i = 0; i < FN_MAX_LAYERS; i++) free(means->means[i]);
    *means = (struct fn_float_means){0};
}

void fn_correct_bias(const struct fn_equalisation *scales, const struct fn_model *model, int layer,
                     const double *float_means, const double *accumulators, int32_t *ret_units) {
    const struct fn_layer *l = &model->network.layers[layer];
    for (int oc = 0; oc < l->out_channels; oc++) {
        int step = !scales || l->output < 0 ? 0 : scales->steps[l->output][l->output_offset + oc];
        int f = model->frac_bits[l->input] + model->params[layer].frac_bits[oc];
        double lacking =
            float_means[oc] * fn_equalisation_factor(step) - ldexp(accumulators[oc], -f);
        double units = fn_quantize_real(lacking, fn_correction_frac_bits(l, model->frac_bits));
        ret_units[oc] = (int32_t)fmin(fmax(units, -FN_CORRECTION_MAX), FN_CORRECTION_MAX);
    }
}
