/* SPDX-License-Identifier: Apache-2.0
 *
 * quantize.h -- float weights and the activations' fractional bits to a model draft. */
#ifndef FN_QUANTIZE_H
#define FN_QUANTIZE_H

#include "engine/model_writer.h"
#include "model/quantize/correct_bias.h"
#include "model/sources/source.h"

/* Sum over i of (w[i] - q * 2^-f)^2, q = floor(w[i] * 2^f + 1/2) clamped to -127...127. */
double fn_quantize_error(const double *weights, size_t n, int f);

/* The f_w of least squared error in FN_FRAC_W_MIN...MAX, as the closed range of those that tie. All
 * zeros tie everywhere. */
void fn_quantize_best(const double *weights, size_t n, int *ret_smallest, int *ret_largest);

/* How; all zero is the plain scheme, one f_w for each channel. */
struct fn_quantize_plan {
    bool per_tensor; /* one f_w for all channels of a layer */
    bool is_fixed;   /* f_w = fixed everywhere, as the original method had it */
    int fixed;
    const struct fn_equalisation *scales;     /* or NULL; borrowed */
    const struct fn_corrections *corrections; /* or NULL; borrowed */
};

/* Quantize every layer of the draft, whose network, frac_bits and preprocessing are set, from
 * `source`. Each channel takes the smallest of the best f_w at which the limits hold (limits.h);
 * when none does, f_w is lowered until one does. FN_BAD_SOURCE names layer and channel if none is
 * left. plan: NULL is the plain scheme. */
FN_MUST fn_status fn_quantize(const struct fn_source *source, const struct fn_quantize_plan *plan,
                              struct fn_model_draft *draft, int n_threads, struct fn_error *err);

/* A layer's folded and scaled weights, ready to be quantized. */
struct fn_quantize_layer {
    const struct fn_source *source; /* borrowed, like: */
    const struct fn_quantize_plan *plan;
    struct fn_model_draft *draft;
    int index;
    double *weights; /* [oc][kh][kw][ic], owned, like: */
    double *bias;    /* [oc] */
    /* Round a channel's weights together by this covariance of their inputs ([kernel][kernel],
     * borrowed; joint_rounding.h); NULL: each to the nearest. */
    const float *covariance;
    /* Channels whose f_w stays keep the weights that the draft has: another bias only. */
    bool keeps_weights;
};
FN_MUST fn_status fn_quantize_layer_open(const struct fn_source *source,
                                         const struct fn_quantize_plan *plan,
                                         struct fn_model_draft *draft, int index,
                                         struct fn_quantize_layer *ret, struct fn_error *err);
void fn_quantize_layer_done(struct fn_quantize_layer *layer);
FN_MUST fn_status fn_quantize_layer_run(const struct fn_quantize_layer *layer, int n_threads,
                                        struct fn_error *err);

#endif
