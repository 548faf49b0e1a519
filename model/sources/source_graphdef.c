/* SPDX-License-Identifier: Apache-2.0
 *
 * source_graphdef.c -- a frozen TensorFlow graph (.pb, tensorflow/core/framework/graph.proto):
 * weights are Const nodes with `tensor_content`, or a list of values that may be cut short, its
 * last one standing for the rest.
 *
 * Where the constants kept the names of slim's variables, the names say what is what, also in
 * graphs whose BatchNorm has a switch for training in it; otherwise the structure does
 * (graph_lift.c). */
#include <math.h>
#include <string.h>

#include "engine/sha256.h"
#include "model/sources/graph.h"
#include "model/sources/naming.h"
#include "model/sources/tensorflow.h"

static const struct {
    const char *name;
    enum fn_graph_op op;
} ops[] = {
    {"Const", FN_GRAPH_CONST},
    {"Conv2D", FN_GRAPH_CONV},
    {"MatMul", FN_GRAPH_DENSE},
    {"Add", FN_GRAPH_ADD},
    {"AddV2", FN_GRAPH_ADD},
    {"BiasAdd", FN_GRAPH_ADD},
    {"Sub", FN_GRAPH_SUB},
    {"Mul", FN_GRAPH_MUL},
    {"RealDiv", FN_GRAPH_DIV},
    {"Sqrt", FN_GRAPH_SQRT},
    {"Rsqrt", FN_GRAPH_RSQRT},
    {"FusedBatchNorm", FN_GRAPH_NORM},
    {"FusedBatchNormV2", FN_GRAPH_NORM},
    {"FusedBatchNormV3", FN_GRAPH_NORM},
    {"Identity", FN_GRAPH_PASS},
    {"ReadVariableOp", FN_GRAPH_PASS},
    {"Reshape", FN_GRAPH_PASS},
    {"Squeeze", FN_GRAPH_PASS},
    {"ExpandDims", FN_GRAPH_PASS},
    {"StridedSlice", FN_GRAPH_PASS},
    {"StopGradient", FN_GRAPH_PASS},
    {"Cast", FN_GRAPH_PASS},
    {"Transpose", FN_GRAPH_TRANSPOSE},
};

/* What the nodes besides the network say about it. */
struct facts {
    double epsilon; /* of the first BatchNorm; 0: none seen */
    bool scaled;    /* a constant 0.17 */
};

/* ---- tensors -------------------------------------------------------------------------------- */

struct stored {
    int dtype;
    struct fn_wire content, floats, doubles; /* one of them */
    uint32_t single;                         /* a float_val that was not packed */
    bool has_single;
};

static bool read_stored(struct fn_wire message, struct fn_raw_tensor *tensor, struct stored *ret) {
    struct fn_wire_field field;
    while (fn_wire_next(&message, &field)) {
        if (field.number == 1 && field.type == 0) ret->dtype = (int)(field.value & 0xffff);
        if (field.number == 2 && field.type == 2 && !fn_tensorflow_shape(field.bytes, tensor))
            return false;
        if (field.number == 4 && field.type == 2) ret->content = field.bytes;
        if (field.number == 5 && field.type == 2) ret->floats = field.bytes;
        if (field.number == 6 && field.type == 2) ret->doubles = field.bytes;
        if (field.number == 5 && field.type == 5) {
            ret->single = (uint32_t)field.value;
            ret->has_single = true;
        }
    }
    return !message.damaged;
}

/* Numbers given in part: the last one stands for the rest. */
static fn_status expand(struct fn_source *source, const void *bytes, size_t size, size_t element,
                        int64_t count, const void **ret_data, struct fn_error *err) {
    void *memory;
    if (count > INT32_MAX)
        return fn_fail(err, FN_BAD_SOURCE, "%s: a constant of %lld numbers", source->path,
                       (long long)count);
    fn_status status = fn_source_allocate(source, (uint64_t)count * element, &memory, err);
    if (status != FN_OK) return status;
    size_t given = size / element;
    for (size_t i = 0; i < (size_t)count; i++)
        memcpy((char *)memory + i * element,
               (const char *)bytes + (i < given ? i : given - 1) * element, element);
    *ret_data = memory;
    return FN_OK;
}

/* TensorProto. Constants that are no floating-point numbers stay without data. */
static fn_status read_tensor(struct fn_source *source, struct fn_wire message,
                             struct fn_graph_node *node, struct fn_error *err) {
    struct stored stored = {0};
    struct fn_raw_tensor *tensor = &node->tensor;
    int64_t count;
    if (!read_stored(message, tensor, &stored) || !fn_tensor_pack(tensor, &count))
        return fn_fail(err, FN_BAD_SOURCE, "%s: the constant %s cannot be read", source->path,
                       node->name);
    if (!fn_tensorflow_dtype(stored.dtype, &tensor->dtype)) return FN_OK;
    size_t element = fn_dtype_size(tensor->dtype);
    size_t content = fn_wire_size(&stored.content);
    if (content > 0) {
        if (content != (uint64_t)count * element)
            return fn_fail(err, FN_BAD_SOURCE, "%s: the constant %s has %zu bytes; expected %llu",
                           source->path, node->name, content, (unsigned long long)count * element);
        tensor->data = stored.content.at;
        return FN_OK;
    }
    const struct fn_wire *list = tensor->dtype == FN_DTYPE_F64 ? &stored.doubles : &stored.floats;
    const void *bytes = list->at;
    size_t size = fn_wire_size(list);
    if (stored.has_single) bytes = &stored.single, size = sizeof stored.single;
    if (count == 0 || size < element || tensor->dtype == FN_DTYPE_F16) return FN_OK;
    return expand(source, bytes, size, element, count, &tensor->data, err);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

/* map<string, AttrValue> attr */
static fn_status read_attribute(struct fn_source *source, struct fn_wire entry,
                                struct fn_graph_node *node, struct fn_error *err) {
    struct fn_wire_field field;
    struct fn_wire key = {0}, value = {0};
    while (fn_wire_next(&entry, &field)) {
        if (field.number == 1 && field.type == 2) key = field.bytes;
        if (field.number == 2 && field.type == 2) value = field.bytes;
    }
    while (fn_wire_next(&value, &field)) {
        if (field.number == 8 && field.type == 2 && fn_wire_is(&key, "value") &&
            node->op == FN_GRAPH_CONST) {
            fn_status status = read_tensor(source, field.bytes, node, err);
            if (status != FN_OK) return status;
        }
        if (field.number == 4 && field.type == 5 && fn_wire_is(&key, "epsilon")) {
            uint32_t bits = (uint32_t)field.value;
            float epsilon;
            memcpy(&epsilon, &bits, sizeof epsilon);
            node->epsilon = fn_tensor_round_epsilon(epsilon);
        }
        if (field.number == 5 && field.type == 0 && field.value && fn_wire_is(&key, "transpose_b"))
            node->layout = FN_LAYOUT_OIHW;
    }
    if (entry.damaged || value.damaged)
        return fn_fail(err, FN_BAD_SOURCE, "%s: an attribute of %s cannot be read", source->path,
                       node->name);
    return FN_OK;
}

/* Inputs: "name", "name:1" for another output, "^name" for an order without data. */
static fn_status add_inputs(struct fn_graph *graph, struct fn_wire message, struct fn_error *err) {
    struct fn_wire_field field;
    while (fn_wire_next(&message, &field)) {
        if (field.number != 3 || field.type != 2 || fn_wire_size(&field.bytes) == 0) continue;
        struct fn_wire name = field.bytes;
        if (*name.at == '^') continue;
        const uint8_t *colon = memchr(name.at, ':', fn_wire_size(&name));
        if (colon) name.end = colon;
        fn_status status = fn_graph_add_input(graph, name, err);
        if (status != FN_OK) return status;
    }
    return FN_OK;
}

static fn_status add_node(struct fn_graph *graph, struct fn_wire message, struct fn_error *err) {
    struct fn_graph_node node = {.epsilon = 1e-4, .layout = FN_LAYOUT_HWIO};
    struct fn_wire fields = message, name = {0};
    struct fn_wire_field field;
    while (fn_wire_next(&fields, &field)) {
        if (field.type != 2) continue;
        if (field.number == 1) name = field.bytes;
        for (size_t i = 0; field.number == 2 && i < sizeof ops / sizeof ops[0]; i++)
            if (fn_wire_is(&field.bytes, ops[i].name)) node.op = ops[i].op;
    }
    if (fields.damaged || fn_wire_size(&name) == 0)
        return fn_fail(err, FN_BAD_SOURCE, "%s: a node of the graph cannot be read",
                       graph->source->path);
    if (!fn_wire_text(&name, node.name, sizeof node.name))
        (void)snprintf(node.name, sizeof node.name, "a node with a long name");
    fields = message;
    while (fn_wire_next(&fields, &field)) {
        if (field.number != 5 || field.type != 2) continue;
        fn_status status = read_attribute(graph->source, field.bytes, &node, err);
        if (status != FN_OK) return status;
    }
    fn_status status = fn_graph_add_node(graph, &node, err);
    if (status == FN_OK) status = fn_graph_add_value(graph, name, err);
    return status == FN_OK ? add_inputs(graph, message, err) : status;
}

static fn_status read_graph(struct fn_graph *graph, struct fn_wire message, struct fn_error *err) {
    struct fn_wire_field field;
    while (fn_wire_next(&message, &field)) {
        if (field.number != 1 || field.type != 2) continue;
        fn_status status = add_node(graph, field.bytes, err);
        if (status != FN_OK) return status;
    }
    if (message.damaged)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: the graph ends in the middle of a node (truncated?)",
                       graph->source->path);
    return fn_graph_link(graph, err);
}

/* ---- by names ------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static struct facts find_facts(const struct fn_graph *graph) {
    struct facts facts = {0};
    for (size_t i = 0; i < graph->n; i++) {
        const struct fn_graph_node *node = &graph->nodes[i];
        bool scalar = node->op == FN_GRAPH_CONST && node->tensor.rank == 0 && node->tensor.data &&
                      node->tensor.dtype == FN_DTYPE_F32;
        double value = scalar ? fn_tensor_number(FN_DTYPE_F32, node->tensor.data, 0) : 0;
        if (scalar && fabs(value - 0.17) < 1e-6) facts.scaled = true;
        if (facts.epsilon != 0) continue;
        if (node->op == FN_GRAPH_NORM) facts.epsilon = node->epsilon;
        if (scalar && ends_with(node->name, "/batchnorm/add/y"))
            facts.epsilon = fn_tensor_round_epsilon((float)value);
    }
    return facts;
}

/* Whether the first layer has its weights and BatchNorm, or bias, under slim's names. */
static bool has_names(const struct fn_graph *graph) {
    int kernels = 0, others = 0;
    for (size_t i = 0; i < graph->n; i++) {
        char scope[FN_NAME_SIZE];
        enum fn_part part;
        if (graph->nodes[i].op != FN_GRAPH_CONST || !graph->nodes[i].tensor.data ||
            !fn_naming_slim(graph->nodes[i].name, scope, &part))
            continue;
        kernels += part == FN_PART_KERNEL;
        others += part == FN_PART_MEAN || part == FN_PART_BIAS;
    }
    return kernels >= FN_NAMING_SCOPES && others >= FN_NAMING_SCOPES;
}

static fn_status add_by_names(const struct fn_graph *graph, struct fn_error *err) {
    struct fn_source *source = graph->source;
    for (size_t i = 0; i < graph->n; i++) {
        const struct fn_graph_node *node = &graph->nodes[i];
        char scope[FN_NAME_SIZE];
        enum fn_part part;
        if (node->op != FN_GRAPH_CONST || !node->tensor.data ||
            !fn_naming_slim(node->name, scope, &part))
            continue;
        struct fn_raw_tensor tensor = node->tensor;
        tensor.name = node->name;
        fn_status status = fn_tensor_add(source, scope, part, FN_LAYOUT_HWIO, &tensor, err);
        if (status != FN_OK) return status;
    }
    struct facts facts = find_facts(graph);
    if (facts.epsilon != 0) source->batchnorm_epsilon = facts.epsilon;
    source->residual_scale_folded = !facts.scaled;
    return FN_OK;
}

/* ---- the reader ----------------------------------------------------------------------------- */

static fn_status read_file(const char *path, struct fn_source *source, struct fn_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    fn_status status = fn_source_load(source, path, &bytes, &size, err);
    if (status != FN_OK) return status;
    fn_sha256_hex(bytes, size, source->sha256);
    __attribute__((cleanup(fn_graph_done_cleanup))) struct fn_graph graph = {.source = source};
    status = read_graph(&graph, fn_wire_of(bytes, size), err);
    if (status != FN_OK) return status;
    bool named = has_names(&graph);
    status = named ? add_by_names(&graph, err) : fn_graph_lift(&graph, err);
    if (status == FN_OK)
        (void)snprintf(source->note, sizeof source->note, "layers found by their %s",
                       named ? "names" : "place in the graph");
    return status;
}

/* MetaGraphDef { GraphDef graph_def = 2; } */
fn_status fn_graph_read_meta(struct fn_source *source, const char *path, struct fn_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    fn_status status = fn_source_load(source, path, &bytes, &size, err);
    if (status != FN_OK) return status;
    struct fn_wire message = fn_wire_of(bytes, size);
    struct fn_wire_field field;
    while (fn_wire_next(&message, &field)) {
        if (field.number != 2 || field.type != 2) continue;
        __attribute__((cleanup(fn_graph_done_cleanup))) struct fn_graph graph = {.source = source};
        status = read_graph(&graph, field.bytes, err);
        if (status != FN_OK) return status;
        struct facts facts = find_facts(&graph);
        if (facts.epsilon != 0) source->batchnorm_epsilon = facts.epsilon;
        source->residual_scale_folded = !facts.scaled;
        return FN_OK;
    }
    return fn_fail(err, FN_BAD_SOURCE, "%s: no graph in it (truncated?)", path);
}

/* A first field `node` (1, bytes) that begins with its own field `name` (1, bytes). */
static bool recognise(const char *path) {
    uint8_t head[16];
    if (!fn_source_peek(path, head, sizeof head) || head[0] != 0x0a) return false;
    struct fn_wire start = fn_wire_of(head + 1, sizeof head - 1);
    uint64_t length;
    return fn_wire_varint(&start, &length) && start.at < start.end && *start.at == 0x0a;
}

const struct fn_source_reader fn_source_graphdef = {
    .format = "tensorflow-graph",
    .about = "a frozen TensorFlow graph (.pb)",
    .recognise = recognise,
    .read = read_file,
    .name_part = fn_naming_slim_part,
};
