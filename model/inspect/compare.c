/* SPDX-License-Identifier: Apache-2.0
 *
 * compare.c -- see compare.h. */
#include "model/inspect/compare.h"

#include <math.h>
#include <string.h>

#include "engine/fixed.h"
#include "model/inspect/bin.h"
#include "model/quantize/equalise.h"
#include "model/sources/naming.h"
#include "model/sources/tensor.h"

void fn_comparison_done(struct fn_comparison *comparison) {
    free(comparison->elements);
    comparison->elements = NULL;
}

/* Equal, '/' and '_' being the same, and the root and a ":0" being optional. */
static bool same_name(const char *wanted, const char *name) {
    size_t root = strlen(FN_ROOT);
    if (strncmp(wanted, FN_ROOT, root) != 0) name += root + 1;
    for (; *wanted && *name; wanted++, name++) {
        int a = *wanted == '/' ? '_' : *wanted, b = *name == '/' ? '_' : *name;
        if (a != b) return false;
    }
    return !*name && (!*wanted || strcmp(wanted, ":0") == 0);
}

static fn_status allocate(struct fn_comparison *c, size_t n, struct fn_error *err) {
    c->elements = calloc(n ? n : 1, sizeof *c->elements);
    c->n = n;
    return c->elements ? FN_OK : fn_fail(err, FN_NO_MEMORY, "%s: no memory", c->name);
}

/* ---- a source: the original method ---------------------------------------------------------- */

static fn_status find_part(const struct fn_source *source, const char *wanted,
                           const struct fn_source_array **ret, char *ret_name, size_t size,
                           struct fn_error *err) {
    char example[160] = "";
    for (size_t i = 0; i < source->n_scopes; i++)
        for (int p = 0; p < FN_PARTS; p++) {
            const struct fn_source_scope *scope = &source->scopes[i];
            if (!scope->part[p].data) continue;
            fn_naming_slim_part(scope->name, (enum fn_part)p, ret_name, size);
            if (same_name(wanted, ret_name)) {
                *ret = &scope->part[p];
                return FN_OK;
            }
            if (!example[0]) (void)snprintf(example, sizeof example, "%s", ret_name);
        }
    return fn_fail(err, FN_USAGE, "%s has no tensor %.80s; one that it has is %s", source->path,
                   wanted, example);
}

/* The numbers of a view, kernels in the order HWIO as they are shown. */
static void gather(const struct fn_source_array *a, double *out) {
    for (int64_t h = 0; h < a->shape[1]; h++)
        for (int64_t w = 0; w < a->shape[2]; w++)
            for (int64_t i = 0; i < a->shape[3]; i++)
                for (int64_t o = 0; o < a->shape[0]; o++)
                    *out++ = fn_tensor_number(a->dtype, a->data,
                                              (size_t)(o * a->stride[0] + h * a->stride[1] +
                                                       w * a->stride[2] + i * a->stride[3]));
}

static fn_status to_bits(double x, int n, struct fn_compared *ret, struct fn_error *err) {
    fn_status status = fn_float_to_bin(x, n, ret->bits, err);
    if (status == FN_OK) status = fn_bin_to_float(ret->bits, n, &ret->after, err);
    if (status != FN_OK) return status;
    ret->before = x;
    ret->clipped = fabs(x) > ldexp(127, -n) || (fabs(x) < ldexp(1, -n));
    return FN_OK;
}

static fn_status best_n(const double *values, size_t count, int *ret_n, struct fn_error *err) {
    double least = INFINITY;
    for (int n = 0; n <= 7; n++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++) {
            struct fn_compared element;
            fn_status status = to_bits(values[i], n, &element, err);
            if (status != FN_OK) return status;
            double error = element.after - element.before;
            sum += error * error;
        }
        if (sum < least) {
            least = sum;
            *ret_n = n;
        }
    }
    return FN_OK;
}

fn_status fn_compare_source(const struct fn_source *source, const char *name, int n,
                            struct fn_comparison *ret, struct fn_error *err) {
    struct fn_comparison c = {.has_before = true};
    const struct fn_source_array *a = NULL;
    fn_status status = find_part(source, name, &a, c.name, sizeof c.name, err);
    if (status != FN_OK) return status;
    size_t count = (size_t)(a->shape[0] * a->shape[1] * a->shape[2] * a->shape[3]);
    FN_CLEANUP_FREE double *values = calloc(count ? count : 1, sizeof *values);
    if (!values) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", c.name);
    gather(a, values);
    bool given = n >= 0;
    if (!given) status = best_n(values, count, &n, err);
    if (status == FN_OK) status = allocate(&c, count, err);
    for (size_t i = 0; i < count && status == FN_OK; i++)
        status = to_bits(values[i], n, &c.elements[i], err);
    if (status != FN_OK) {
        fn_comparison_done(&c);
        return status;
    }
    if (a->shape[1] * a->shape[2] * a->shape[3] == 1)
        (void)snprintf(c.shape, sizeof c.shape, "[%lld]", (long long)a->shape[0]);
    else
        (void)snprintf(c.shape, sizeof c.shape, "[%lld][%lld][%lld][%lld] (HWIO)",
                       (long long)a->shape[1], (long long)a->shape[2], (long long)a->shape[3],
                       (long long)a->shape[0]);
    (void)snprintf(c.scheme, sizeof c.scheme, "float_to_bin: sign and magnitude, n = %d (%s)", n,
                   given ? "as given" : "the least squared error of 0...7");
    *ret = c;
    return FN_OK;
}

/* ---- a model -------------------------------------------------------------------------------- */

struct wanted {
    int layer;
    bool bias;
};

static fn_status find_layer(const struct fn_model *model, const char *name, struct wanted *ret,
                            char *ret_name, size_t size, struct fn_error *err) {
    static const char *const leaves[] = {"weights", "bias", "biases"};
    for (int i = 0; i < model->network.n_layers; i++) {
        const struct fn_layer *layer = &model->network.layers[i];
        if (layer->op == FN_OP_POOL) continue;
        for (int k = 0; k < 3; k++) {
            (void)snprintf(ret_name, size, "%s/%s", layer->name, leaves[k]);
            if (!same_name(name, ret_name)) continue;
            *ret = (struct wanted){i, k > 0};
            return FN_OK;
        }
    }
    return fn_fail(err, FN_USAGE,
                   "the model has no tensor %.80s: it has <layer>/weights and <layer>/bias, "
                   "BatchNorm folded into them; parts of it are in the trained weights",
                   name);
}

static void put_bits(uint32_t value, int width, char *ret) {
    for (int i = 0; i < width; i++) ret[i] = (char)('0' + (value >> (width - 1 - i) & 1));
    ret[width] = '\0';
}

struct quantized {
    const struct fn_model *model;
    int layer, n;                 /* n = -1: as stored */
    const double *weights, *bias; /* folded, or NULL */
};

static void compare_weight(const struct quantized *q, size_t index, size_t per_channel,
                           struct fn_compared *ret) {
    const struct fn_params *params = &q->model->params[q->layer];
    int f = q->n >= 0 ? q->n : params->frac_bits[index / per_channel];
    double value = params->weights[index];
    if (q->n >= 0) value = fmin(fmax(fn_quantize_real(q->weights[index], f), -127), 127);
    ret->after = ldexp(value, -f);
    ret->before = q->weights ? q->weights[index] : ret->after;
    ret->clipped = q->weights && fabs(fn_quantize_real(q->weights[index], f)) > 127;
    put_bits((uint32_t)(int32_t)value & 255, 8, ret->bits);
}

static void compare_bias(const struct quantized *q, size_t oc, struct fn_compared *ret) {
    const struct fn_params *params = &q->model->params[q->layer];
    const struct fn_layer *layer = &q->model->network.layers[q->layer];
    int f = q->model->frac_bits[layer->input] + params->frac_bits[oc];
    double scale = layer->op == FN_OP_HEAD ? 9 : 1; /* the head's is of the sum over 9 positions */
    ret->after = ldexp(params->bias[oc], -f) / scale;
    ret->before = q->bias ? q->bias[oc] : ret->after;
    ret->clipped = false;
    put_bits((uint32_t)params->bias[oc], 32, ret->bits);
}

/* Folded, and every channel scaled as the model has it. */
static fn_status fold_as_stored(const struct fn_model *model, const struct fn_source *source,
                                const struct fn_layer *layer, double *ret_weights, double *ret_bias,
                                struct fn_error *err) {
    struct fn_equalisation scales;
    fn_status status = fn_equalisation_of(model, &scales, err);
    if (status != FN_OK) return status;
    status = fn_source_fold(source, layer, ret_weights, ret_bias, err);
    if (status == FN_OK) fn_equalisation_apply(&scales, layer, ret_weights, ret_bias);
    fn_equalisation_done(&scales);
    return status;
}

fn_status fn_compare_model(const struct fn_model *model, const struct fn_source *source,
                           const char *name, int n, struct fn_comparison *ret,
                           struct fn_error *err) {
    struct fn_comparison c = {.has_before = source != NULL};
    struct wanted wanted = {0};
    fn_status status = find_layer(model, name, &wanted, c.name, sizeof c.name, err);
    if (status != FN_OK) return status;
    if (n >= 0 && (!source || wanted.bias))
        return fn_fail(err, FN_USAGE, "--n on a model needs --source, and weights");
    const struct fn_layer *l = &model->network.layers[wanted.layer];
    size_t per_channel = (size_t)l->kernel_h * (size_t)l->kernel_w * (size_t)l->in_channels;
    size_t oc = (size_t)l->out_channels, count = wanted.bias ? oc : per_channel * oc;
    FN_CLEANUP_FREE double *weights = NULL;
    FN_CLEANUP_FREE double *bias = NULL;
    if (source) {
        weights = calloc(per_channel * oc, sizeof *weights);
        bias = calloc(oc, sizeof *bias);
        if (!weights || !bias) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", c.name);
        status = fold_as_stored(model, source, l, weights, bias, err);
    }
    if (status == FN_OK) status = allocate(&c, count, err);
    if (status != FN_OK) return status;
    const struct quantized q = {model, wanted.layer, n, weights, bias};
    for (size_t i = 0; i < count; i++) {
        if (wanted.bias)
            compare_bias(&q, i, &c.elements[i]);
        else
            compare_weight(&q, i, per_channel, &c.elements[i]);
    }
    if (wanted.bias)
        (void)snprintf(c.shape, sizeof c.shape, "[%zu]", oc);
    else
        (void)snprintf(c.shape, sizeof c.shape, "[%zu][%d][%d][%d] (OHWI)", oc, l->kernel_h,
                       l->kernel_w, l->in_channels);
    if (n >= 0)
        (void)snprintf(c.scheme, sizeof c.scheme, "int8, n = %d for every channel, as given", n);
    else
        (void)snprintf(c.scheme, sizeof c.scheme, "%s, fractional bits per channel, from %d on",
                       wanted.bias ? "int32" : "int8", model->params[wanted.layer].frac_bits[0]);
    *ret = c;
    return FN_OK;
}

/* ---- figures -------------------------------------------------------------------------------- */

struct fn_comparison_summary fn_comparison_summarize(const struct fn_comparison *c) {
    struct fn_comparison_summary s = {.low = INFINITY, .high = -INFINITY};
    double signal = 0, noise = 0, sum = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct fn_compared *e = &c->elements[i];
        double error = fabs(e->after - e->before);
        s.low = fmin(s.low, e->before);
        s.high = fmax(s.high, e->before);
        s.worst_error = fmax(s.worst_error, error);
        s.n_clipped += e->clipped;
        sum += error;
        signal += e->before * e->before;
        noise += error * error;
    }
    s.mean_error = c->n ? sum / (double)c->n : 0;
    s.sqnr_db = noise > 0 ? 10 * log10(signal / noise) : INFINITY;
    return s;
}
