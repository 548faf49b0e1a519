/* SPDX-License-Identifier: Apache-2.0
 *
 * facts.h -- what can be said of a quantized model in a few numbers. */
#ifndef FN_FACTS_H
#define FN_FACTS_H

#include "engine/model.h"

/* Smallest and largest of something; empty when low > high. */
struct fn_span {
    int low, high;
};

struct fn_facts {
    int64_t macs, parameters;
    int convolutions;           /* the head's product is not among them */
    struct fn_span activations; /* f of tensors */
    struct fn_span weights;     /* f_w of all but up-projections */
    struct fn_span projections; /* f_w of up-projections */
    struct fn_span shifts;      /* s */
    struct fn_span residuals;   /* r */
    double bound_bits;          /* log2 of the largest accumulator any picture could reach */
};

void fn_facts_gather(const struct fn_model *model, struct fn_facts *ret);

/* Mean and 1st percentile (nearest rank, from below) of the cosines of pairs of unit vectors.
 * a, b: [n][size], n >= 1. FN_NO_MEMORY. */
struct fn_cosines {
    size_t n;
    double mean, percentile_1;
};
FN_MUST fn_status fn_cosines_measure(const float *a, const float *b, size_t n, int size,
                                     struct fn_cosines *ret, struct fn_error *err);

#endif
