/* SPDX-License-Identifier: Apache-2.0
 *
 * pipeline_clock.h -- the loops of kernels/fpga_*.h clock by clock, with FIFOs of 16 tokens between
 * them: what they wait for each other, which counting each of them alone does not tell. Only the
 * loops' control is here; off-chip memory never makes them wait. */
#ifndef FN_TESTS_PIPELINE_CLOCK_H
#define FN_TESTS_PIPELINE_CLOCK_H

#include "model/plan/pipeline.h"

#define DEPTH 16 /* tokens in a FIFO */

/* A stage in the middle of its layers: iteration i of `limit` in the current step. */
struct stage_state {
    int layer, step;
    int64_t i, limit;
};

struct clocks {
    const struct fn_pipeline *p;
    int pictures, parts;
    bool per_layer;
    int vectors, weights, sums, bytes; /* tokens waiting */
    int written;                       /* layers that are in memory */
    int loads, window;                 /* of the array: weights in this step, vectors summed */
    struct stage_state fetch, weigh, array, finish, write;
};

static inline const struct fn_fpga_layer *clocks_layer(const struct clocks *c,
                                                       const struct stage_state *s) {
    return s->layer < c->p->n_layers ? &c->p->layers[s->layer] : NULL;
}

static inline int64_t clocks_max(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static inline int64_t clocks_pixels(const struct clocks *c, const struct fn_fpga_layer *l) {
    return (int64_t)l->blocks * c->pictures * l->out_height * l->out_width;
}

static inline void clocks_end_layer(struct stage_state *s) {
    *s = (struct stage_state){.layer = s->layer + 1};
}

/* Step 0 loads the first band; each step after it emits one and loads the next. */
static inline void clocks_fetch(struct clocks *c) {
    struct stage_state *s = &c->fetch;
    const struct fn_fpga_layer *l = clocks_layer(c, s);
    if (!l || c->written < s->layer) return;
    bool emits = s->step > 0 && s->i < l->row_vectors;
    if (emits && c->vectors == DEPTH) return;
    c->vectors += emits;
    s->limit = l->band + FN_FPGA_GAP;
    if (s->step > 0) s->limit = clocks_max(s->limit, l->row_vectors);
    if (++s->i < s->limit) return;
    s->i = 0;
    if (++s->step > l->blocks * c->pictures * l->out_height) clocks_end_layer(s);
}

static inline void clocks_weigh(struct clocks *c) {
    struct stage_state *s = &c->weigh;
    const struct fn_fpga_layer *l = clocks_layer(c, s);
    while (l && s->i == (int64_t)l->blocks * l->weight_vectors * c->parts) {
        clocks_end_layer(s);
        l = clocks_layer(c, s);
    }
    if (!l || c->weights == DEPTH || (c->per_layer && c->written < s->layer)) return;
    c->weights++;
    s->i++;
}

/* Steps are blocks, and before the first one the arrival of its weights, unless the layer before
 * has seen to that. */
static inline void clocks_begin_step(struct clocks *c, const struct fn_fpga_layer *l) {
    struct stage_state *s = &c->array;
    bool alone = c->per_layer || s->layer == 0, ends = s->layer + 1 == c->p->n_layers;
    int next = c->per_layer || ends ? 0 : l[1].weight_vectors * c->parts;
    int own = l->weight_vectors * c->parts;
    if (s->step == 0 && !alone) s->step = 1;
    c->loads = s->step == l->blocks ? next : own;
    s->limit = s->step == 0 ? 0 : (int64_t)c->pictures * l->out_height * l->row_vectors;
    s->limit = clocks_max(s->limit, c->loads + FN_FPGA_GAP);
}

static inline void clocks_array(struct clocks *c) {
    struct stage_state *s = &c->array;
    const struct fn_fpga_layer *l = clocks_layer(c, s);
    if (!l || (c->per_layer && c->written < s->layer)) return;
    if (s->i == 0) clocks_begin_step(c, l);
    bool takes = s->i < c->loads;
    bool multiplies = s->step > 0 && s->i < (int64_t)c->pictures * l->out_height * l->row_vectors;
    bool sums = multiplies && c->window + 1 == l->vectors;
    if ((takes && !c->weights) || (multiplies && !c->vectors) || (sums && c->sums == DEPTH)) return;
    c->weights -= takes;
    c->vectors -= multiplies;
    c->window = sums ? 0 : c->window + multiplies;
    c->sums += sums;
    if (++s->i < s->limit) return;
    s->i = 0;
    if (s->step++ == l->blocks) clocks_end_layer(s);
}

static inline void clocks_finish(struct clocks *c) {
    struct stage_state *s = &c->finish;
    const struct fn_fpga_layer *l = clocks_layer(c, s);
    if (!l || !c->sums || c->bytes == DEPTH || c->written < s->layer) return;
    c->sums--;
    c->bytes += l->op != FN_FPGA_HEAD;
    if (++s->i == clocks_pixels(c, l)) clocks_end_layer(s);
}

static inline void clocks_write(struct clocks *c) {
    struct stage_state *s = &c->write;
    const struct fn_fpga_layer *l = clocks_layer(c, s);
    if (!l || !c->bytes) return;
    c->bytes--;
    if (++s->i < clocks_pixels(c, l)) return;
    clocks_end_layer(s);
    c->written++;
}

/* Clocks of a whole batch. The head, which writes nothing, is the last layer. */
static inline int64_t clocks_run(const struct fn_pipeline *pipeline, int pictures) {
    struct clocks c = {.p = pipeline,
                       .pictures = pictures,
                       .parts = pipeline->sizes.vec * pipeline->sizes.lane / FN_FPGA_BURST,
                       .per_layer = pipeline->sizes.form == FN_FPGA_PER_LAYER};
    int64_t now = 0;
    while (c.finish.layer < pipeline->n_layers) {
        clocks_write(&c); /* backwards: a token is there one clock after it was made */
        clocks_finish(&c);
        clocks_array(&c);
        clocks_weigh(&c);
        clocks_fetch(&c);
        now++;
    }
    return now;
}

#endif
