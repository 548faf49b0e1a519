/* SPDX-License-Identifier: Apache-2.0
 *
 * source_onnx.c -- an ONNX file (onnx/onnx.proto): weights are initializers or Constant nodes, in
 * the file or in one beside it; layers are found by the structure of the graph (graph_lift.c), so
 * exporters may name them as they like and fold BatchNorm or not. */
#include <limits.h>
#include <string.h>

#include "engine/sha256.h"
#include "model/commands/paths.h"
#include "model/sources/graph.h"
#include "model/sources/naming.h"

enum { ONNX_FLOAT = 1, ONNX_FLOAT16 = 10, ONNX_DOUBLE = 11 };

static const struct {
    const char *name;
    enum fn_graph_op op;
} ops[] = {
    {"Constant", FN_GRAPH_CONST},
    {"Conv", FN_GRAPH_CONV},
    {"MatMul", FN_GRAPH_DENSE},
    {"Gemm", FN_GRAPH_DENSE},
    {"Add", FN_GRAPH_ADD},
    {"Sub", FN_GRAPH_SUB},
    {"Mul", FN_GRAPH_MUL},
    {"BatchNormalization", FN_GRAPH_NORM},
    {"Identity", FN_GRAPH_PASS},
    {"Reshape", FN_GRAPH_PASS},
    {"Squeeze", FN_GRAPH_PASS},
    {"Unsqueeze", FN_GRAPH_PASS},
    {"Flatten", FN_GRAPH_PASS},
    {"Dropout", FN_GRAPH_PASS},
    {"Cast", FN_GRAPH_PASS},
    {"Transpose", FN_GRAPH_TRANSPOSE},
    {"Div", FN_GRAPH_DIV},
    {"Sqrt", FN_GRAPH_SQRT},
    {"Expand", FN_GRAPH_PASS},
    {"CastLike", FN_GRAPH_PASS},
    {"ConstantOfShape", FN_GRAPH_CONST},
};

struct onnx {
    struct fn_graph graph;
    char outside_name[256]; /* of the file with the numbers, "" so far */
    const uint8_t *outside; /* its bytes, of the source */
    size_t outside_size;
};

/* ---- tensors -------------------------------------------------------------------------------- */

struct place {
    char location[256];
    uint64_t offset, length;
    bool outside, has_length;
};

static bool read_number(const struct fn_wire *text, uint64_t *ret) {
    char digits[24], *end;
    if (!fn_wire_text(text, digits, sizeof digits) || digits[0] < '0' || digits[0] > '9')
        return false;
    *ret = strtoull(digits, &end, 10);
    return *end == '\0';
}

/* StringStringEntryProto of external_data */
static bool read_place(struct fn_wire entry, struct place *place) {
    struct fn_wire_field field;
    struct fn_wire key = {0}, value = {0};
    while (fn_wire_next(&entry, &field)) {
        if (field.number == 1 && field.type == 2) key = field.bytes;
        if (field.number == 2 && field.type == 2) value = field.bytes;
    }
    if (entry.damaged) return false;
    if (fn_wire_is(&key, "location"))
        return fn_wire_text(&value, place->location, sizeof place->location);
    if (fn_wire_is(&key, "offset")) return read_number(&value, &place->offset);
    if (fn_wire_is(&key, "length"))
        return place->has_length = true, read_number(&value, &place->length);
    return true;
}

/* The file beside the model; one for all tensors, and only in the same folder. */
static fn_status open_outside(struct onnx *onnx, const struct place *place, struct fn_error *err) {
    struct fn_source *source = onnx->graph.source;
    if (onnx->outside && strcmp(onnx->outside_name, place->location) == 0) return FN_OK;
    if (onnx->outside || place->location[0] == '\0' || place->location[0] == '.' ||
        strchr(place->location, '/'))
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: numbers in '%s'; expected one file in the same folder", source->path,
                       place->location);
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%.*s%s", (int)(fn_path_base(source->path) - source->path),
                   source->path, place->location);
    uint8_t *bytes = NULL;
    fn_status status = fn_source_load(source, path, &bytes, &onnx->outside_size, err);
    if (status != FN_OK) return status;
    onnx->outside = bytes;
    (void)snprintf(onnx->outside_name, sizeof onnx->outside_name, "%s", place->location);
    return FN_OK;
}

struct stored {
    uint64_t dtype;
    struct fn_wire raw, floats, doubles;
    struct place place;
};

static bool read_dims(struct fn_raw_tensor *tensor, const struct fn_wire_field *field) {
    struct fn_wire packed = field->bytes;
    uint64_t size = field->value;
    do {
        if (field->type == 2 && packed.at == packed.end) return true;
        if (field->type == 2 && !fn_wire_varint(&packed, &size)) return false;
        if (tensor->rank == FN_SAFETENSORS_MAX_RANK) return false;
        tensor->shape[tensor->rank++] = (int64_t)size;
    } while (field->type == 2);
    return true;
}

static bool read_stored(struct fn_wire message, struct fn_graph_node *node, struct stored *ret,
                        struct fn_wire *ret_name) {
    struct fn_wire_field field;
    while (fn_wire_next(&message, &field)) {
        if (field.number == 1 && !read_dims(&node->tensor, &field)) return false;
        if (field.number == 2 && field.type == 0) ret->dtype = field.value;
        if (field.number == 14 && field.type == 0) ret->place.outside = field.value == 1;
        if (field.type != 2) continue;
        if (field.number == 4) ret->floats = field.bytes;
        if (field.number == 8) *ret_name = field.bytes;
        if (field.number == 9) ret->raw = field.bytes;
        if (field.number == 10) ret->doubles = field.bytes;
        if (field.number == 13 && !read_place(field.bytes, &ret->place)) return false;
    }
    return !message.damaged;
}

/* TensorProto. Constants that are no floating-point numbers stay without data. */
static fn_status read_tensor(struct onnx *onnx, struct fn_wire message, struct fn_graph_node *node,
                             struct fn_wire *ret_name, struct fn_error *err) {
    struct fn_source *source = onnx->graph.source;
    struct stored stored = {0};
    int64_t count;
    if (!read_stored(message, node, &stored, ret_name) || !fn_tensor_pack(&node->tensor, &count))
        return fn_fail(err, FN_BAD_SOURCE, "%s: a tensor cannot be read", source->path);
    if (ret_name->at && !fn_wire_text(ret_name, node->name, sizeof node->name))
        (void)snprintf(node->name, sizeof node->name, "a tensor with a long name");
    if (stored.dtype != ONNX_FLOAT && stored.dtype != ONNX_DOUBLE && stored.dtype != ONNX_FLOAT16)
        return FN_OK;
    node->tensor.dtype = stored.dtype == ONNX_FLOAT    ? FN_DTYPE_F32
                         : stored.dtype == ONNX_DOUBLE ? FN_DTYPE_F64
                                                       : FN_DTYPE_F16;
    struct fn_wire bytes = stored.raw;
    if (stored.place.outside) {
        fn_status status = open_outside(onnx, &stored.place, err);
        if (status != FN_OK) return status;
        uint64_t offset = stored.place.offset;
        if (offset > onnx->outside_size ||
            (stored.place.has_length && stored.place.length > onnx->outside_size - offset))
            return fn_fail(err, FN_BAD_SOURCE, "%s: %s lies beyond the end of %s", source->path,
                           node->name, onnx->outside_name);
        bytes = fn_wire_of(onnx->outside + offset, stored.place.has_length
                                                       ? (size_t)stored.place.length
                                                       : onnx->outside_size - (size_t)offset);
    } else if (!bytes.at) {
        bytes = stored.dtype == ONNX_DOUBLE ? stored.doubles : stored.floats;
    }
    uint64_t need = (uint64_t)count * fn_dtype_size(node->tensor.dtype);
    if (fn_wire_size(&bytes) < need || (fn_wire_size(&bytes) > need && !stored.place.outside))
        return fn_fail(err, FN_BAD_SOURCE, "%s: %s has %zu bytes; its shape needs %llu",
                       source->path, node->name, fn_wire_size(&bytes), (unsigned long long)need);
    node->tensor.data = need ? bytes.at : NULL;
    return FN_OK;
}

static fn_status add_initializer(struct onnx *onnx, struct fn_wire message, struct fn_error *err) {
    struct fn_graph_node node = {.op = FN_GRAPH_CONST};
    struct fn_wire name = {0};
    fn_status status = read_tensor(onnx, message, &node, &name, err);
    if (status == FN_OK) status = fn_graph_add_node(&onnx->graph, &node, err);
    if (status != FN_OK || fn_wire_size(&name) == 0) return status;
    return fn_graph_add_value(&onnx->graph, name, err);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

/* A constant that is one number, given by its bits. */
static fn_status use_number(struct fn_source *source, uint32_t bits, struct fn_graph_node *node,
                            struct fn_error *err) {
    void *memory;
    fn_status status = fn_source_allocate(source, sizeof bits, &memory, err);
    if (status != FN_OK) return status;
    memcpy(memory, &bits, sizeof bits);
    node->tensor = (struct fn_raw_tensor){.dtype = FN_DTYPE_F32, .data = memory};
    return FN_OK;
}

static fn_status read_attribute(struct onnx *onnx, struct fn_wire message,
                                struct fn_graph_node *node, bool *group, struct fn_error *err) {
    struct fn_wire_field field;
    struct fn_wire name = {0}, ignored = {0}, tensor = {0};
    uint32_t bits = 0;
    uint64_t integer = 0;
    while (fn_wire_next(&message, &field)) {
        if (field.number == 1 && field.type == 2) name = field.bytes;
        if (field.number == 2 && field.type == 5) bits = (uint32_t)field.value;
        if (field.number == 3 && field.type == 0) integer = field.value;
        if (field.number == 5 && field.type == 2) tensor = field.bytes;
    }
    if (message.damaged)
        return fn_fail(err, FN_BAD_SOURCE, "%s: an attribute of %s cannot be read",
                       onnx->graph.source->path, node->name);
    if (fn_wire_is(&name, "epsilon")) {
        float epsilon;
        memcpy(&epsilon, &bits, sizeof epsilon);
        node->epsilon = fn_tensor_round_epsilon(epsilon);
    }
    if (fn_wire_is(&name, "transB") && integer) node->layout = FN_LAYOUT_OIHW;
    if (fn_wire_is(&name, "group") && integer != 1) *group = true;
    if (node->op == FN_GRAPH_CONST && fn_wire_is(&name, "value") && tensor.at)
        return read_tensor(onnx, tensor, node, &ignored, err);
    if (node->op == FN_GRAPH_CONST && fn_wire_is(&name, "value_float"))
        return use_number(onnx->graph.source, bits, node, err);
    return FN_OK;
}

static fn_status add_node(struct onnx *onnx, struct fn_wire message, struct fn_error *err) {
    struct fn_graph_node node = {.epsilon = 1e-5};
    struct fn_wire fields = message, name = {0};
    struct fn_wire_field field;
    fn_status status = FN_OK;
    bool group = false;
    while (fn_wire_next(&fields, &field)) {
        if (field.type != 2) continue;
        if (field.number == 3) name = field.bytes;
        for (size_t i = 0; field.number == 4 && i < sizeof ops / sizeof ops[0]; i++)
            if (fn_wire_is(&field.bytes, ops[i].name)) node.op = ops[i].op;
    }
    node.layout = node.op == FN_GRAPH_CONV ? FN_LAYOUT_OIHW : FN_LAYOUT_HWIO;
    if (!name.at || !fn_wire_text(&name, node.name, sizeof node.name) || !node.name[0])
        (void)snprintf(node.name, sizeof node.name, "a node without a name");
    for (fields = message; fn_wire_next(&fields, &field) && status == FN_OK;)
        if (field.number == 5 && field.type == 2)
            status = read_attribute(onnx, field.bytes, &node, &group, err);
    if (status == FN_OK && (fields.damaged || (group && node.op == FN_GRAPH_CONV)))
        status = fn_fail(err, FN_BAD_SOURCE, "%s: %s %s", onnx->graph.source->path, node.name,
                         group ? "is a grouped convolution" : "cannot be read");
    if (status == FN_OK) status = fn_graph_add_node(&onnx->graph, &node, err);
    for (fields = message; status == FN_OK && fn_wire_next(&fields, &field);) {
        if (field.type != 2) continue;
        if (field.number == 1 && fn_wire_size(&field.bytes) > 0)
            status = fn_graph_add_input(&onnx->graph, field.bytes, err);
        if (field.number == 2 && fn_wire_size(&field.bytes) > 0)
            status = fn_graph_add_value(&onnx->graph, field.bytes, err);
    }
    return status;
}

static fn_status read_graph(struct onnx *onnx, struct fn_wire message, struct fn_error *err) {
    struct fn_wire_field field;
    fn_status status = FN_OK;
    while (status == FN_OK && fn_wire_next(&message, &field)) {
        if (field.number == 1 && field.type == 2) status = add_node(onnx, field.bytes, err);
        if (field.number == 5 && field.type == 2) status = add_initializer(onnx, field.bytes, err);
    }
    if (status == FN_OK && message.damaged)
        return fn_fail(err, FN_BAD_SOURCE, "%s: the graph cannot be read to its end",
                       onnx->graph.source->path);
    return status;
}

/* ---- the reader ----------------------------------------------------------------------------- */

static fn_status read_model(struct onnx *onnx, struct fn_wire message, struct fn_error *err) {
    struct fn_wire_field field;
    bool seen = false;
    while (fn_wire_next(&message, &field)) {
        if (field.number != 7 || field.type != 2) continue;
        fn_status status = read_graph(onnx, field.bytes, err);
        if (status != FN_OK) return status;
        seen = true;
    }
    if (message.damaged || !seen)
        return fn_fail(err, FN_BAD_SOURCE, "%s: an ONNX file that ends early (truncated?)",
                       onnx->graph.source->path);
    fn_status status = fn_graph_link(&onnx->graph, err);
    return status == FN_OK ? fn_graph_lift(&onnx->graph, err) : status;
}

static fn_status read_file(const char *path, struct fn_source *source, struct fn_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    fn_status status = fn_source_load(source, path, &bytes, &size, err);
    if (status != FN_OK) return status;
    struct onnx onnx = {.graph.source = source};
    status = read_model(&onnx, fn_wire_of(bytes, size), err);
    struct fn_sha256 *sha = fn_sha256_new();
    if (status == FN_OK && !sha) status = fn_fail(err, FN_NO_MEMORY, "%s: no memory", path);
    if (sha) { /* of the file, and of the one beside it as if it followed */
        fn_sha256_add(sha, bytes, size);
        if (onnx.outside) fn_sha256_add(sha, onnx.outside, onnx.outside_size);
        fn_sha256_finish(sha, source->sha256);
    }
    fn_graph_done(&onnx.graph);
    if (status == FN_OK)
        (void)snprintf(source->note, sizeof source->note,
                       "layers found by their place in the graph");
    return status;
}

/* ModelProto begins with ir_version (1, a small number) and goes on with a known field. */
static bool recognise(const char *path) {
    uint8_t head[3];
    return fn_source_peek(path, head, sizeof head) && head[0] == 0x08 && head[1] >= 1 &&
           head[1] < 64 && (head[2] == 0x12 || head[2] == 0x3a || head[2] == 0x42);
}

const struct fn_source_reader fn_source_onnx = {
    .format = "onnx",
    .about = "an ONNX file",
    .recognise = recognise,
    .read = read_file,
    .name_part = fn_naming_slim_part,
};
