/* SPDX-License-Identifier: Apache-2.0
 *
 * graph.h -- a computation graph, whoever wrote it: what GraphDef and ONNX files are read into, and
 * how the network is found in one. Names play no part: walking back from the output and taking the
 * inputs of each node in order meets the convolutions in the order of the topology, because that
 * order is the order in which branches are concatenated. */
#ifndef FN_GRAPH_H
#define FN_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include "model/sources/tensor.h"
#include "model/sources/wire.h"

enum fn_graph_op {
    FN_GRAPH_OTHER, /* anything that ends a layer: activations, pools, concats */
    FN_GRAPH_CONST,
    FN_GRAPH_CONV,  /* input, kernel[, bias] */
    FN_GRAPH_DENSE, /* input, matrix[, bias] */
    FN_GRAPH_ADD,   /* also bias additions */
    FN_GRAPH_SUB,
    FN_GRAPH_MUL,
    FN_GRAPH_DIV,
    FN_GRAPH_SQRT,
    FN_GRAPH_RSQRT,
    FN_GRAPH_NORM,      /* input, gamma, beta, mean, variance */
    FN_GRAPH_TRANSPOSE, /* of a matrix: its two axes exchanged */
    FN_GRAPH_PASS,      /* first input, perhaps in another shape: Identity, Reshape, ... */
};

struct fn_graph_node {
    enum fn_graph_op op;
    char name[160];
    struct fn_raw_tensor tensor; /* of CONST; tensor.name is not set */
    double epsilon;              /* of NORM */
    enum fn_layout layout;       /* of CONV and DENSE: of the kernel or matrix */
    size_t first_input, n_inputs;
};

struct fn_graph {
    struct fn_source *source;    /* borrowed: owns what the graph reads */
    struct fn_graph_node *nodes; /* [n], owned */
    size_t n, nodes_capacity;
    struct fn_wire *input_names; /* [n_inputs], owned; of all nodes one after another */
    size_t n_inputs, inputs_capacity;
    struct fn_graph_value {
        struct fn_wire name;
        size_t node;
    } * values; /* [n_values], owned; sorted by fn_graph_link() */
    size_t n_values, values_capacity;
    size_t *inputs; /* [n_inputs], owned: node index, or n when nothing in the graph makes it */
};

/* For readers: a node, then its inputs, then the values it makes; names are borrowed. */
FN_MUST fn_status fn_graph_add_node(struct fn_graph *graph, const struct fn_graph_node *node,
                                    struct fn_error *err);
FN_MUST fn_status fn_graph_add_input(struct fn_graph *graph, struct fn_wire name,
                                     struct fn_error *err);
FN_MUST fn_status fn_graph_add_value(struct fn_graph *graph, struct fn_wire name,
                                     struct fn_error *err);
/* Turn names of inputs into node indices. */
FN_MUST fn_status fn_graph_link(struct fn_graph *graph, struct fn_error *err);
void fn_graph_done(struct fn_graph *graph);

/* Node index of input k of a node; graph->n when it has none or nothing makes it. */
size_t fn_graph_input(const struct fn_graph *graph, size_t node, size_t k);

/* Find the network and add its parts to graph->source. FN_BAD_SOURCE. */
FN_MUST fn_status fn_graph_lift(const struct fn_graph *graph, struct fn_error *err);

/* What the .meta graph beside a checkpoint says of the network: BatchNorm's epsilon, and whether
 * the residual scales are operations of their own. source_graphdef.c */
FN_MUST fn_status fn_graph_read_meta(struct fn_source *source, const char *path,
                                     struct fn_error *err);

static inline void fn_graph_done_cleanup(struct fn_graph *graph) {
    fn_graph_done(graph);
}

#endif
