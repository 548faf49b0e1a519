/* SPDX-License-Identifier: Apache-2.0
 *
 * onnx_file.c -- the adapter of protobuf-c: an fn_onnx_graph as a ModelProto in a file.
 *
 * onnx.pb-c.h is generated at build time from the onnx.proto that Debian's libonnx-dev installs.
 * The messages borrow everything from the graph; protobuf-c's structs have no const, hence
 * unconst(). */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "onnx.pb-c.h"

#include "engine/cleanup.h"
#include "engine/file.h"
#include "engine/version.h"
#include "model/onnx/onnx_graph.h"

#define OPSET      13
#define IR_VERSION 7 /* the one of opset 13's time, for old readers */

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "raw_data is little-endian"
#endif

/* Messages of one file, in arrays that are freed together. */
struct messages {
    Onnx__NodeProto *nodes, **node_list;
    Onnx__AttributeProto *attributes, **attribute_list; /* [nodes][FN_ONNX_MAX_ATTRIBUTES] */
    char **inputs;                                      /* [nodes][FN_ONNX_MAX_INPUTS] */
    char **outputs;                                     /* [nodes] */
    Onnx__TensorProto *tensors, **tensor_list;
    Onnx__StringStringEntryProto *properties, **property_list;
};

static char *unconst(const char *text) {
    union {
        const char *from;
        char *to;
    } same = {text};
    return same.to;
}

static void free_messages(struct messages *m) {
    free(m->nodes);
    free(m->node_list);
    free(m->attributes);
    free(m->attribute_list);
    free(m->inputs);
    free(m->outputs);
    free(m->tensors);
    free(m->tensor_list);
    free(m->properties);
    free(m->property_list);
}

static bool allocate(const struct fn_onnx_graph *g, struct messages *m) {
    size_t n_attributes = g->n_nodes * FN_ONNX_MAX_ATTRIBUTES;
    m->nodes = calloc(g->n_nodes, sizeof *m->nodes);
    m->node_list = calloc(g->n_nodes, sizeof *m->node_list);
    m->attributes = calloc(n_attributes, sizeof *m->attributes);
    m->attribute_list = calloc(n_attributes, sizeof *m->attribute_list);
    m->inputs = calloc(g->n_nodes * FN_ONNX_MAX_INPUTS, sizeof *m->inputs);
    m->outputs = calloc(g->n_nodes, sizeof *m->outputs);
    m->tensors = calloc(g->n_weights, sizeof *m->tensors);
    m->tensor_list = calloc(g->n_weights, sizeof *m->tensor_list);
    m->properties = calloc(g->n_properties + 1, sizeof *m->properties);
    m->property_list = calloc(g->n_properties + 1, sizeof *m->property_list);
    return m->nodes && m->node_list && m->attributes && m->attribute_list && m->inputs &&
           m->outputs && m->tensors && m->tensor_list && m->properties && m->property_list;
}

static void fill_attribute(struct fn_onnx_attribute *from, Onnx__AttributeProto *to) {
    onnx__attribute_proto__init(to);
    to->name = unconst(from->name);
    to->has_type = 1;
    if (from->n == 1) {
        to->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
        to->has_i = 1;
        to->i = from->ints[0];
    } else {
        to->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
        to->n_ints = from->n;
        to->ints = from->ints;
    }
}

static void fill_node(struct fn_onnx_node *from, struct messages *m, size_t index) {
    Onnx__NodeProto *to = m->node_list[index] = &m->nodes[index];
    onnx__node_proto__init(to);
    to->name = from->output;
    to->op_type = unconst(from->op);
    to->n_input = from->n_inputs;
    to->input = m->inputs + index * FN_ONNX_MAX_INPUTS;
    for (size_t i = 0; i < from->n_inputs; i++) to->input[i] = from->inputs[i];
    to->n_output = 1;
    to->output = &m->outputs[index];
    m->outputs[index] = from->output;
    to->n_attribute = from->n_attributes;
    to->attribute = m->attribute_list + index * FN_ONNX_MAX_ATTRIBUTES;
    for (size_t i = 0; i < from->n_attributes; i++) {
        to->attribute[i] = &m->attributes[index * FN_ONNX_MAX_ATTRIBUTES + i];
        fill_attribute(&from->attributes[i], to->attribute[i]);
    }
}

static void fill_tensor(struct fn_onnx_weights *from, struct messages *m, size_t index) {
    Onnx__TensorProto *to = m->tensor_list[index] = &m->tensors[index];
    onnx__tensor_proto__init(to);
    to->name = from->name;
    to->n_dims = from->n_dims;
    to->dims = from->dims;
    to->has_data_type = 1;
    to->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    to->has_raw_data = 1;
    to->raw_data.data = (uint8_t *)from->values;
    to->raw_data.len = from->count * sizeof *from->values;
}

/* An input or output of the graph: float32, the first dimension open, named "n". */
struct value {
    Onnx__ValueInfoProto info;
    Onnx__TypeProto type;
    Onnx__TypeProto__Tensor tensor;
    Onnx__TensorShapeProto shape;
    Onnx__TensorShapeProto__Dimension dims[4], *dim_list[4];
};

static void fill_value(struct value *v, char *name, const int64_t *dims, size_t n_dims) {
    onnx__value_info_proto__init(&v->info);
    onnx__type_proto__init(&v->type);
    onnx__type_proto__tensor__init(&v->tensor);
    onnx__tensor_shape_proto__init(&v->shape);
    for (size_t i = 0; i < n_dims; i++) {
        Onnx__TensorShapeProto__Dimension *dim = v->dim_list[i] = &v->dims[i];
        onnx__tensor_shape_proto__dimension__init(dim);
        if (i == 0) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim->dim_param = unconst("n");
        } else {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = dims[i];
        }
    }
    v->shape.n_dim = n_dims;
    v->shape.dim = v->dim_list;
    v->tensor.has_elem_type = 1;
    v->tensor.elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    v->tensor.shape = &v->shape;
    v->type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    v->type.tensor_type = &v->tensor;
    v->info.name = name;
    v->info.type = &v->type;
}

static void fill_properties(const struct fn_onnx_graph *graph, struct messages *m,
                            Onnx__ModelProto *model) {
    for (size_t i = 0; i < graph->n_properties; i++) {
        m->property_list[i] = &m->properties[i];
        onnx__string_string_entry_proto__init(&m->properties[i]);
        m->properties[i].key = unconst(graph->properties[i].key);
        m->properties[i].value = unconst(graph->properties[i].value);
    }
    model->n_metadata_props = graph->n_properties;
    model->metadata_props = m->property_list;
}

static fn_status pack(const Onnx__ModelProto *model, const char *path, struct fn_error *err) {
    size_t size = onnx__model_proto__get_packed_size(model);
    if (size > INT_MAX)
        return fn_fail(err, FN_BAD_SOURCE, "%s: %zu bytes; protobuf files end at 2 GiB", path,
                       size);
    FN_CLEANUP_FREE uint8_t *bytes = malloc(size + 1);
    if (!bytes) return fn_fail(err, FN_NO_MEMORY, "%s: no memory for %zu bytes", path, size);
    const struct fn_piece piece = {bytes, onnx__model_proto__pack(model, bytes)};
    return fn_file_write(path, &piece, 1, err);
}

static fn_status fill_and_write(const struct fn_onnx_graph *graph, struct messages *m,
                                const char *path, struct fn_error *err) {
    for (size_t i = 0; i < graph->n_nodes; i++) fill_node(&graph->nodes[i], m, i);
    for (size_t i = 0; i < graph->n_weights; i++) fill_tensor(&graph->weights[i], m, i);
    struct value input, output;
    fill_value(&input, unconst("image"), graph->input_dims, 4);
    fill_value(&output, unconst(graph->output), graph->output_dims, 2);
    Onnx__ValueInfoProto *inputs[] = {&input.info}, *outputs[] = {&output.info};
    Onnx__GraphProto body;
    onnx__graph_proto__init(&body);
    body.name = unconst(FN_ROOT);
    body.n_node = graph->n_nodes;
    body.node = m->node_list;
    body.n_initializer = graph->n_weights;
    body.initializer = m->tensor_list;
    body.n_input = body.n_output = 1;
    body.input = inputs;
    body.output = outputs;
    Onnx__OperatorSetIdProto opset, *opsets[] = {&opset};
    onnx__operator_set_id_proto__init(&opset);
    opset.domain = unconst("");
    opset.has_version = 1;
    opset.version = OPSET;
    Onnx__ModelProto model;
    onnx__model_proto__init(&model);
    model.has_ir_version = 1;
    model.ir_version = IR_VERSION;
    model.producer_name = unconst("facenet-model");
    model.producer_version = unconst(FN_VERSION);
    model.n_opset_import = 1;
    model.opset_import = opsets;
    model.graph = &body;
    fill_properties(graph, m, &model);
    return pack(&model, path, err);
}

fn_status fn_onnx_file_write(const struct fn_onnx_graph *graph, const char *path,
                             struct fn_error *err) {
    struct messages m = {0};
    fn_status status = allocate(graph, &m)
                           ? fill_and_write(graph, &m, path, err)
                           : fn_fail(err, FN_NO_MEMORY, "%s: no memory for the ONNX graph", path);
    free_messages(&m);
    return status;
}
