/* SPDX-License-Identifier: Apache-2.0
 *
 * source_fold.c -- a layer's stored numbers to weights and bias in double.
 *
 * y = rs * (gamma * (conv(x) + bias - mean) / sqrt(variance + epsilon) + beta), with rs the
 * residual scale, is a convolution with weights scale * w and bias scale * (bias - mean) + rs *
 * beta, where scale = rs * gamma / sqrt(variance + epsilon). */
#include "model/sources/source.h"

#include <math.h>

#include "model/sources/tensor.h"

/* Copy a view into [shape 0][1][2][3] order. */
static fn_status unpack(const struct fn_source *source, const struct fn_source_array *array,
                        double *ret_values, struct fn_error *err) {
    double *out = ret_values;
    for (int64_t a = 0; a < array->shape[0]; a++)
        for (int64_t b = 0; b < array->shape[1]; b++)
            for (int64_t c = 0; c < array->shape[2]; c++)
                for (int64_t d = 0; d < array->shape[3]; d++) {
                    int64_t at = a * array->stride[0] + b * array->stride[1] +
                                 c * array->stride[2] + d * array->stride[3];
                    double value = fn_tensor_number(array->dtype, array->data, (size_t)at);
                    if (!isfinite(value))
                        return fn_fail(err, FN_BAD_SOURCE,
                                       "%s: %s: a weight that is not a finite number, at "
                                       "[%lld][%lld][%lld][%lld]",
                                       source->path, array->origin, (long long)a, (long long)b,
                                       (long long)c, (long long)d);
                    *out++ = value;
                }
    return FN_OK;
}

/* A vector part, or `absent` everywhere. */
static fn_status unpack_vector(const struct fn_source *source, const struct fn_source_array *array,
                               int n, double absent, double *ret_values, struct fn_error *err) {
    if (array->data) return unpack(source, array, ret_values, err);
    for (int i = 0; i < n; i++) ret_values[i] = absent;
    return FN_OK;
}

struct norm {
    double *gamma, *beta, *mean, *variance; /* [oc], parts of one allocation */
};

static fn_status fold_norm(const struct fn_source *source, const struct fn_source_scope *scope,
                           int n, double *scale, double *bias, struct fn_error *err) {
    size_t channels = (size_t)n;
    FN_CLEANUP_FREE double *values = calloc(channels, 4 * sizeof *values);
    if (!values) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", source->path);
    const struct norm norm = {values, values + channels, values + 2 * channels,
                              values + 3 * channels};
    fn_status status = unpack_vector(source, &scope->part[FN_PART_GAMMA], n, 1.0, norm.gamma, err);
    if (status == FN_OK)
        status = unpack_vector(source, &scope->part[FN_PART_BETA], n, 0.0, norm.beta, err);
    if (status == FN_OK) status = unpack(source, &scope->part[FN_PART_MEAN], norm.mean, err);
    if (status == FN_OK)
        status = unpack(source, &scope->part[FN_PART_VARIANCE], norm.variance, err);
    if (status != FN_OK) return status;
    for (int i = 0; i < n; i++) {
        double spread = norm.variance[i] + source->batchnorm_epsilon;
        if (!(spread > 0))
            return fn_fail(err, FN_BAD_SOURCE, "%s: %s: variance %g of channel %d is not positive",
                           source->path, scope->part[FN_PART_VARIANCE].origin, norm.variance[i], i);
        double factor = scale[i] * norm.gamma[i] / sqrt(spread);
        bias[i] = factor * (bias[i] - norm.mean[i]) + scale[i] * norm.beta[i];
        scale[i] = factor;
    }
    return FN_OK;
}

static bool shape_fits(const struct fn_source_array *array, const struct fn_layer *layer) {
    return array->shape[0] == layer->out_channels && array->shape[1] == layer->kernel_h &&
           array->shape[2] == layer->kernel_w && array->shape[3] == layer->in_channels;
}

fn_status fn_source_fold(const struct fn_source *source, const struct fn_layer *layer,
                         double *ret_weights, double *ret_bias, struct fn_error *err) {
    const struct fn_source_scope *scope = fn_source_find(source, layer->name);
    if (!scope || !scope->part[FN_PART_KERNEL].data)
        return fn_fail(err, FN_BAD_SOURCE, "%s: no weights of %s", source->path, layer->name);
    const struct fn_source_array *kernel = &scope->part[FN_PART_KERNEL];
    if (!shape_fits(kernel, layer))
        return fn_fail(err, FN_BAD_SOURCE, "%s: %s: shape does not fit %s", source->path,
                       kernel->origin, layer->name);
    int n = layer->out_channels;
    size_t per_channel = fn_layer_kernel_size(layer);
    FN_CLEANUP_FREE double *scale = calloc((size_t)n, sizeof *scale);
    if (!scale) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", source->path);
    bool scaled = layer->residual >= 0 && !source->residual_scale_folded;
    for (int i = 0; i < n; i++) scale[i] = scaled ? layer->residual_scale : 1.0;

    fn_status status = unpack(source, kernel, ret_weights, err);
    if (status == FN_OK)
        status = unpack_vector(source, &scope->part[FN_PART_BIAS], n, 0.0, ret_bias, err);
    if (status != FN_OK) return status;
    if (scope->part[FN_PART_MEAN].data) {
        status = fold_norm(source, scope, n, scale, ret_bias, err);
        if (status != FN_OK) return status;
    } else {
        for (int i = 0; i < n; i++) ret_bias[i] *= scale[i];
    }
    for (int i = 0; i < n; i++) {
        if (!isfinite(scale[i]) || !isfinite(ret_bias[i]))
            return fn_fail(err, FN_BAD_SOURCE, "%s: %s: BatchNorm of channel %d is out of range",
                           source->path, layer->name, i);
        if (scale[i] != 1.0)
            for (size_t k = 0; k < per_channel; k++)
                ret_weights[(size_t)i * per_channel + k] *= scale[i];
    }
    return FN_OK;
}
