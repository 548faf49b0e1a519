/* SPDX-License-Identifier: Apache-2.0
 *
 * onnx_graph.h -- an ONNX graph in the making, without its protobuf clothes: onnx.c says which
 * nodes there are, onnx_file.c (the adapter of protobuf-c) turns them into a file. */
#ifndef FN_ONNX_GRAPH_H
#define FN_ONNX_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "engine/network.h"

#define FN_ONNX_MAX_INPUTS     8
#define FN_ONNX_MAX_ATTRIBUTES 4
#define FN_ONNX_NAME_SIZE      (FN_NAME_SIZE + 24)

struct fn_onnx_attribute {
    const char *name; /* static */
    int64_t ints[4];
    size_t n; /* 1: a plain integer; 2 or 4: a list */
};

struct fn_onnx_node {
    const char *op; /* static: "Conv" */
    char inputs[FN_ONNX_MAX_INPUTS][FN_ONNX_NAME_SIZE];
    size_t n_inputs;
    char output[FN_ONNX_NAME_SIZE]; /* and the node's name */
    struct fn_onnx_attribute attributes[FN_ONNX_MAX_ATTRIBUTES];
    size_t n_attributes;
};

struct fn_onnx_weights {
    char name[FN_ONNX_NAME_SIZE];
    int64_t dims[4];
    size_t n_dims;
    float *values; /* owned */
    size_t count;
};

struct fn_onnx_property {
    const char *key, *value; /* borrowed */
};

struct fn_onnx_graph {
    struct fn_onnx_node *nodes; /* [n_nodes], owned */
    size_t n_nodes;
    struct fn_onnx_weights *weights; /* [n_weights], owned */
    size_t n_weights;
    int64_t input_dims[4], output_dims[2]; /* dims[0] is the batch and is left open */
    char output[FN_ONNX_NAME_SIZE];
    struct fn_onnx_property properties[8];
    size_t n_properties;
};

/* Serialize and write atomically. The input is called "image", the output `graph->output`. */
FN_MUST fn_status fn_onnx_file_write(const struct fn_onnx_graph *graph, const char *path,
                                     struct fn_error *err);

#endif
