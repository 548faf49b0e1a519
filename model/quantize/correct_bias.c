/* SPDX-License-Identifier: Apache-2.0
 *
 * correct_bias.c -- see correct_bias.h. One pass sums, for each layer, the windows of its inputs:
 * as they are, scaled to the grid, and as they are on the grid. */
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

/* Where a layer's sums lie in a lot: its window [kh][kw][ic] as it is and on the grid, then what is
 * added to it, [oc] as it is and on the grid. */
struct place {
    size_t real, grid, added_real, added_grid;
};

struct means {
    const struct fn_network *network;
    const struct fn_equalisation *scales;
    const int8_t *frac_bits;
    bool half_step; /* the picture's, which is in the first layer's bias exactly */
    struct place places[FN_MAX_LAYERS];
    size_t size;  /* doubles of a lot */
    double *sums; /* [lots][size] */
    float *rows;  /* [lots][3][channels of the widest tensor]: scales, real, on the grid */
    size_t widest;
};

/* One position's channels in units of the grid, and on it. */
static void put_on_grid(const struct fn_tensor *t, bool exact, const float *scales, const float *x,
                        float *ret_real, float *ret_grid) {
    float low = t->is_signed ? -128 : 0;
    for (int c = 0; c < t->channels; c++) {
        float y = x[c] * scales[c], inside = y < low ? low : y > 127 ? 127 : y;
        ret_real[c] = y;
        ret_grid[c] = exact ? y : (float)((int)(inside + 128.5F) - 128);
    }
}

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
static void visit_tensor(const struct means *m, double *sums, float *rows, int tensor,
                         const float *x) {
    const struct fn_network *network = m->network;
    const struct fn_tensor *t = &network->tensors[tensor];
    float *scales = rows, *real = rows + m->widest, *grid = rows + 2 * m->widest;
    bool exact = tensor == 0 && m->half_step;
    static const struct fn_tensor one = {.height = 1, .width = 1};
    for (int c = 0; c < t->channels; c++)
        scales[c] =
            (float)ldexp(fn_equalisation_factor(m->scales->steps[tensor][c]), m->frac_bits[tensor]);
    for (int p = 0; p < t->height * t->width; p++) {
        put_on_grid(t, exact, scales, x + (size_t)p * (size_t)t->channels, real, grid);
        for (int i = 0; i < network->n_layers; i++) {
            const struct fn_layer *layer = &network->layers[i];
            const struct place *place = &m->places[i];
            if (layer->op != FN_OP_POOL && layer->input == tensor) {
                bool head = layer->op == FN_OP_HEAD; /* every position meets its one window */
                const struct fn_tensor *out = head ? &one : &network->tensors[layer->output];
                int py = head ? 0 : p / t->width, px = head ? 0 : p % t->width;
                add_to_windows(layer, out, py, px, real, sums + place->real);
                add_to_windows(layer, out, py, px, grid, sums + place->grid);
            }
            if (layer->op == FN_OP_CONV && layer->residual == tensor) {
                size_t n = (size_t)layer->out_channels;
                add_row(real + layer->output_offset, n, sums + place->added_real);
                add_row(grid + layer->output_offset, n, sums + place->added_grid);
            }
        }
    }
}

static void visit(void *context, int lot, const struct fn_float_run *run) {
    const struct means *m = context;
    for (int t = 0; t < m->network->n_tensors; t++)
        visit_tensor(m, m->sums + (size_t)lot * m->size, m->rows + (size_t)lot * 3 * m->widest, t,
                     fn_float_run_tensor(run, t));
}

static fn_status allocate(struct means *m, struct fn_error *err) {
    for (int i = 0; i < m->network->n_layers; i++) {
        const struct fn_layer *layer = &m->network->layers[i];
        if (layer->op == FN_OP_POOL) continue;
        size_t kernel = fn_layer_kernel_size(layer), channels = (size_t)layer->out_channels;
        m->places[i] = (struct place){m->size, m->size + kernel, m->size + 2 * kernel,
                                      m->size + 2 * kernel + channels};
        m->size += 2 * (kernel + channels);
    }
    for (int t = 0; t < m->network->n_tensors; t++)
        if ((size_t)m->network->tensors[t].channels > m->widest)
            m->widest = (size_t)m->network->tensors[t].channels;
    m->sums = calloc(FN_LOTS * m->size + 1, sizeof *m->sums);
    m->rows = calloc((size_t)FN_LOTS * 3 * m->widest + 1, sizeof *m->rows);
    return m->sums && m->rows ? FN_OK : fn_fail(err, FN_NO_MEMORY, "no memory for mean windows");
}

/* Lot 0 becomes the sum of all, in their order. */
static void add_lots(struct means *m) {
    for (size_t lot = 1; lot < FN_LOTS; lot++)
        for (size_t i = 0; i < m->size; i++) m->sums[i] += m->sums[lot * m->size + i];
}

/* What the layer's channels lack on average, in the network's scaled units. */
static fn_status correct_layer(const struct means *m, int index, size_t n_pictures,
                               const struct fn_source *source, const struct fn_model_draft *draft,
                               int32_t *ret_units, struct fn_error *err) {
    const struct fn_layer *layer = &m->network->layers[index];
    const struct place *place = &m->places[index];
    size_t kernel = fn_layer_kernel_size(layer), channels = (size_t)layer->out_channels;
    const struct fn_tensor *at =
        &m->network->tensors[layer->output < 0 ? layer->input : layer->output];
    double n = (double)n_pictures * at->height * at->width;
    FN_CLEANUP_FREE double *weights = malloc(channels * kernel * sizeof *weights);
    FN_CLEANUP_FREE double *bias = malloc(channels * sizeof *bias);
    if (!weights || !bias) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", layer->name);
    fn_status status = fn_source_fold(source, layer, weights, bias, err);
    if (status != FN_OK) return status;
    fn_equalisation_apply(m->scales, layer, weights, bias);
    int f_in = m->frac_bits[layer->input];
    int f_added = layer->residual >= 0 ? m->frac_bits[layer->residual] : 0;
    for (size_t oc = 0; oc < channels; oc++) {
        const int8_t *q = draft->params[index].weights + oc * kernel;
        double real = 0, grid = 0;
        for (size_t k = 0; k < kernel; k++) {
            real += weights[oc * kernel + k] * m->sums[place->real + k];
            grid += q[k] * m->sums[place->grid + k];
        }
        double added = m->sums[place->added_real + oc] - m->sums[place->added_grid + oc];
        double lacking = ldexp(real, -f_in) -
                         ldexp(grid, -f_in - draft->params[index].frac_bits[oc]) +
                         ldexp(added, -f_added);
        double units = fn_quantize_real(lacking / n, fn_correction_frac_bits(layer, m->frac_bits));
        ret_units[oc] = (int32_t)fmin(fmax(units, -FN_CORRECTION_MAX), FN_CORRECTION_MAX);
    }
    return FN_OK;
}

fn_status fn_correct_bias(const struct fn_float_pass *pass, const struct fn_source *source,
                          const struct fn_equalisation *scales, const struct fn_model_draft *draft,
                          struct fn_corrections *ret, struct fn_error *err) {
    struct means m = {.network = pass->network,
                      .scales = scales,
                      .frac_bits = draft->frac_bits,
                      .half_step = pass->preprocessing == FN_PREPROCESSING_FIXED};
    struct fn_corrections made = {0};
    fn_status status = allocate(&m, err);
    if (status == FN_OK) status = fn_float_pass_run(pass, "mean errors", visit, &m, err);
    if (status == FN_OK) status = fn_corrections_new(pass->network, &made, err);
    if (status == FN_OK) add_lots(&m);
    for (int i = 0; i < pass->network->n_layers && status == FN_OK; i++)
        if (made.units[i])
            status = correct_layer(&m, i, pass->n, source, draft, made.units[i], err);
    free(m.sums);
    free(m.rows);
    if (status == FN_OK)
        *ret = made;
    else
        fn_corrections_done(&made);
    return status;
}
