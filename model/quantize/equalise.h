/* SPDX-License-Identifier: Apache-2.0
 *
 * equalise.h -- a scale for every channel of every activation, at no cost in arithmetic.
 *
 * A tensor has one f, so a channel that stays small wastes bits. ReLU, maximum and addition commute
 * with a positive scale: what makes a channel can make it a times as large if all who read it
 * divide by a. Channels that a pool or a residual hands on have one scale along their whole way.
 * Scales are steps of a quarter of an octave, small integers that a file can hold (frac_bits.h). */
#ifndef FN_EQUALISE_H
#define FN_EQUALISE_H

#include "engine/cleanup.h"
#include "engine/model.h"

#define FN_SCALE_STEP_MAX 8 /* a = 2^(step / 4), step in -8...8 */

/* By tensor and channel; owned. */
struct fn_equalisation {
    int8_t *steps[FN_MAX_TENSORS]; /* [channels] */
};

/* All steps 0, which changes nothing. */
FN_MUST fn_status fn_equalisation_new(const struct fn_network *network, struct fn_equalisation *ret,
                                      struct fn_error *err);
void fn_equalisation_done(struct fn_equalisation *equalisation);

/* 2^(step / 4), the same bits on every machine. */
double fn_equalisation_factor(int step);

/* Whether this layer decides its channels' scales: a pool takes its input's, a block's
 * up-projection those of what it is added to, the head has none. */
bool fn_equalisation_is_free(const struct fn_layer *layer);

/* Give all layers that are not free the steps they must have. */
void fn_equalisation_spread(const struct fn_network *network, struct fn_equalisation *equalisation);

/* Scale a layer's folded weights [oc][kh][kw][ic] and bias [oc] in place. */
void fn_equalisation_apply(const struct fn_equalisation *equalisation, const struct fn_layer *layer,
                           double *weights, double *bias);

/* A JSON object {"<layer>": "<one letter a channel, 'a' is -8>", ...} of the free layers; owned by
 * the caller. NULL: no memory. Reading refuses whatever does not fit the network (FN_BAD_SOURCE;
 * `where` stands in the message). */
char *fn_equalisation_write(const struct fn_equalisation *equalisation,
                            const struct fn_network *network);
FN_MUST fn_status fn_equalisation_read(const char *where, const char *json,
                                       const struct fn_network *network,
                                       struct fn_equalisation *ret, struct fn_error *err);

/* The scales that a model file says it was made with; all steps 0 when it says none. */
FN_MUST fn_status fn_equalisation_of(const struct fn_model *model, struct fn_equalisation *ret,
                                     struct fn_error *err);

#endif
