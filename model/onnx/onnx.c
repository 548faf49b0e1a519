/* SPDX-License-Identifier: Apache-2.0
 *
 * onnx.c -- the list of layers as ONNX nodes, NCHW. A tensor that several layers write side by side
 * becomes a Concat after the last of them. */
#include "model/onnx/onnx.h"

#include <string.h>

#include "engine/preprocess.h"
#include "model/onnx/onnx_graph.h"

#define MAX_NODES_PER_LAYER 5 /* Conv, Add, Relu or the head's four, and a Concat */

struct builder {
    struct fn_onnx_graph graph;
    const struct fn_network *network;
    const struct fn_source *source;
    struct {
        char name[FN_ONNX_NAME_SIZE]; /* output of the layer that writes this part */
        int offset;
    } parts[FN_MAX_TENSORS][FN_ONNX_MAX_INPUTS];
    int n_parts[FN_MAX_TENSORS], channels[FN_MAX_TENSORS]; /* written so far */
    char names[FN_MAX_TENSORS][FN_ONNX_NAME_SIZE];         /* of complete tensors */
};

static void name_input(struct fn_onnx_node *node, const char *name) {
    (void)snprintf(node->inputs[node->n_inputs++], FN_ONNX_NAME_SIZE, "%s", name);
}

static struct fn_onnx_node *add_node(struct builder *b, const char *op, const char *input,
                                     const char *scope, const char *suffix) {
    struct fn_onnx_node *node = &b->graph.nodes[b->graph.n_nodes++];
    memset(node, 0, sizeof *node);
    node->op = op;
    name_input(node, input);
    (void)snprintf(node->output, sizeof node->output, "%s%s", scope, suffix);
    return node;
}

static void add_pair(struct fn_onnx_node *node, const char *name, int a, int b) {
    node->attributes[node->n_attributes++] = (struct fn_onnx_attribute){name, {a, b}, 2};
}

static void add_integer(struct fn_onnx_node *node, const char *name, int value) {
    node->attributes[node->n_attributes++] = (struct fn_onnx_attribute){name, {value}, 1};
}

static float *add_weights(struct builder *b, const char *scope, const char *part, size_t count) {
    struct fn_onnx_weights *weights = &b->graph.weights[b->graph.n_weights++];
    memset(weights, 0, sizeof *weights);
    (void)snprintf(weights->name, sizeof weights->name, "%s/%s", scope, part);
    weights->values = malloc(count * sizeof *weights->values);
    weights->count = count;
    return weights->values;
}

/* [oc][kh][kw][ic] in double to [oc][ic][kh][kw] in float. */
static void transpose(const struct fn_layer *layer, const double *from, float *to) {
    size_t positions = (size_t)layer->kernel_h * (size_t)layer->kernel_w;
    size_t channels = (size_t)layer->in_channels;
    for (size_t o = 0; o < (size_t)layer->out_channels; o++)
        for (size_t p = 0; p < positions; p++)
            for (size_t c = 0; c < channels; c++)
                to[(o * channels + c) * positions + p] =
                    (float)from[(o * positions + p) * channels + c];
}

/* Weights and bias of a layer, as inputs 1 and 2 of `node`. */
static fn_status add_parameters(struct builder *b, const struct fn_layer *layer,
                                struct fn_onnx_node *node, struct fn_error *err) {
    size_t n = (size_t)layer->out_channels;
    size_t count = n * fn_layer_kernel_size(layer);
    FN_CLEANUP_FREE double *folded = malloc((count + n) * sizeof *folded);
    float *weights = add_weights(b, layer->name, "weights", count);
    float *bias = add_weights(b, layer->name, "bias", n);
    if (!folded || !weights || !bias)
        return fn_fail(err, FN_NO_MEMORY, "no memory for the weights of %s", layer->name);
    fn_status status = fn_source_fold(b->source, layer, folded, folded + count, err);
    if (status != FN_OK) return status;
    transpose(layer, folded, weights);
    for (size_t i = 0; i < n; i++) bias[i] = (float)folded[count + i];
    struct fn_onnx_weights *pair = &b->graph.weights[b->graph.n_weights - 2];
    const int64_t dims[4] = {layer->out_channels, layer->in_channels, layer->kernel_h,
                             layer->kernel_w};
    memcpy(pair[0].dims, dims, sizeof dims);
    pair[0].n_dims = layer->op == FN_OP_HEAD ? 2 : 4;
    pair[1].dims[0] = layer->out_channels;
    pair[1].n_dims = 1;
    name_input(node, pair[0].name);
    name_input(node, pair[1].name);
    return FN_OK;
}

/* Note what a layer wrote; once its tensor is complete, give it a name, by Concat if need be. */
static fn_status finish(struct builder *b, const struct fn_layer *layer, const char *name,
                        struct fn_error *err) {
    int t = layer->output, n = b->n_parts[t];
    if (n == FN_ONNX_MAX_INPUTS)
        return fn_fail(err, FN_INTERNAL, "%s: more than %d parts", b->network->tensors[t].name, n);
    int at = n;
    for (; at > 0 && b->parts[t][at - 1].offset > layer->output_offset; at--)
        b->parts[t][at] = b->parts[t][at - 1];
    (void)snprintf(b->parts[t][at].name, FN_ONNX_NAME_SIZE, "%s", name);
    b->parts[t][at].offset = layer->output_offset;
    b->n_parts[t]++;
    b->channels[t] += layer->out_channels;
    if (b->channels[t] < b->network->tensors[t].channels) return FN_OK;
    if (b->n_parts[t] == 1) {
        (void)snprintf(b->names[t], FN_ONNX_NAME_SIZE, "%s", name);
        return FN_OK;
    }
    struct fn_onnx_node *concat =
        add_node(b, "Concat", b->parts[t][0].name, b->network->tensors[t].name, "");
    for (int i = 1; i < b->n_parts[t]; i++) name_input(concat, b->parts[t][i].name);
    add_integer(concat, "axis", 1);
    (void)snprintf(b->names[t], FN_ONNX_NAME_SIZE, "%s", concat->output);
    return FN_OK;
}

static void add_window(struct fn_onnx_node *node, const struct fn_layer *layer) {
    add_pair(node, "kernel_shape", layer->kernel_h, layer->kernel_w);
    node->attributes[node->n_attributes++] = (struct fn_onnx_attribute){
        "pads", {layer->pad_h, layer->pad_w, layer->pad_h, layer->pad_w}, 4};
    add_pair(node, "strides", layer->stride, layer->stride);
}

static fn_status add_conv(struct builder *b, const struct fn_layer *layer, struct fn_error *err) {
    struct fn_onnx_node *node = add_node(b, "Conv", b->names[layer->input], layer->name, "/conv");
    fn_status status = add_parameters(b, layer, node, err);
    if (status != FN_OK) return status;
    add_window(node, layer);
    if (layer->residual >= 0) {
        struct fn_onnx_node *add = add_node(b, "Add", node->output, layer->name, "/add");
        name_input(add, b->names[layer->residual]);
        node = add;
    }
    if (layer->relu) node = add_node(b, "Relu", node->output, layer->name, "/relu");
    return finish(b, layer, node->output, err);
}

static fn_status add_pool(struct builder *b, const struct fn_layer *layer, struct fn_error *err) {
    struct fn_onnx_node *node =
        add_node(b, "MaxPool", b->names[layer->input], layer->name, "/pool");
    add_window(node, layer);
    return finish(b, layer, node->output, err);
}

static fn_status add_head(struct builder *b, const struct fn_layer *layer, struct fn_error *err) {
    const struct fn_onnx_node *node =
        add_node(b, "GlobalAveragePool", b->names[layer->input], layer->name, "/pool");
    struct fn_onnx_node *flat = add_node(b, "Flatten", node->output, layer->name, "/flat");
    add_integer(flat, "axis", 1);
    struct fn_onnx_node *product = add_node(b, "Gemm", flat->output, layer->name, "/product");
    add_integer(product, "transB", 1);
    fn_status status = add_parameters(b, layer, product, err);
    if (status != FN_OK) return status;
    struct fn_onnx_node *unit = add_node(b, "LpNormalization", product->output, "embedding", "");
    add_integer(unit, "axis", 1);
    add_integer(unit, "p", 2);
    (void)snprintf(b->graph.output, sizeof b->graph.output, "%s", unit->output);
    return FN_OK;
}

static fn_status add_layers(struct builder *b, struct fn_error *err) {
    (void)snprintf(b->names[0], FN_ONNX_NAME_SIZE, "image");
    fn_status status = FN_OK;
    for (int i = 0; i < b->network->n_layers && status == FN_OK; i++) {
        const struct fn_layer *layer = &b->network->layers[i];
        switch (layer->op) {
        case FN_OP_CONV:
            status = add_conv(b, layer, err);
            break;
        case FN_OP_POOL:
            status = add_pool(b, layer, err);
            break;
        case FN_OP_HEAD:
            status = add_head(b, layer, err);
            break;
        }
    }
    return status;
}

static void builder_free(struct builder *b) {
    for (size_t i = 0; i < b->graph.n_weights; i++) free(b->graph.weights[i].values);
    free(b->graph.weights);
    free(b->graph.nodes);
    free(b);
}
FN_DEFINE_CLEANUP(struct builder *, builder_free)

fn_status fn_onnx_write(const struct fn_network *network, const struct fn_source *source,
                        enum fn_preprocessing preprocessing, const char *path,
                        struct fn_error *err) {
    FN_CLEANUP(builder_free) struct builder *b = calloc(1, sizeof *b);
    if (!b) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", path);
    size_t n_layers = (size_t)network->n_layers;
    b->network = network;
    b->source = source;
    b->graph.nodes = calloc(MAX_NODES_PER_LAYER * n_layers, sizeof *b->graph.nodes);
    b->graph.weights = calloc(2 * n_layers, sizeof *b->graph.weights);
    if (!b->graph.nodes || !b->graph.weights)
        return fn_fail(err, FN_NO_MEMORY, "%s: no memory", path);
    fn_status status = add_layers(b, err);
    if (status != FN_OK) return status;
    const struct fn_tensor *image = &network->tensors[0];
    const int64_t input_dims[4] = {0, image->channels, image->height, image->width};
    memcpy(b->graph.input_dims, input_dims, sizeof input_dims);
    b->graph.output_dims[1] = network->embedding_size;
    const struct fn_onnx_property properties[] = {
        {"preprocessing", fn_preprocessing_name(preprocessing)},
        {"image", preprocessing == FN_PREPROCESSING_FIXED
                      ? "RGB, (pixel - 127.5) / 128"
                      : "RGB, (pixel - mean) / max(sigma, 1 / sqrt(76800)) of the picture"},
        {"source_format", source->reader ? source->reader->format : "memory"},
        {"source_sha256", source->sha256},
    };
    memcpy(b->graph.properties, properties, sizeof properties);
    b->graph.n_properties = sizeof properties / sizeof properties[0];
    return fn_onnx_file_write(&b->graph, path, err);
}
