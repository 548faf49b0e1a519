/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_graph.c -- a graph that is a FaceNet of one channel a layer, with any edges led elsewhere
 * and any operations exchanged: what graph_lift.c walks through. No file says as much in few bytes.
 */
#include <string.h>

#include "model/sources/graph.h"
#include "model/sources/naming.h"
#include "tests/fuzz/source_target.h"

enum { NUMBERS = 64 };

static double numbers[NUMBERS]; /* of all constants */
static char names[1 << 16];     /* of all nodes, one after another */
static size_t names_end;

static struct fn_wire next_name(void) {
    char *name = names + names_end;
    int length = snprintf(name, sizeof names - names_end, "n%zu", names_end);
    if (length < 0 || names_end + (size_t)length >= sizeof names) abort();
    names_end += (size_t)length + 1;
    return fn_wire_of(name, (size_t)length);
}

/* A node that takes these, and is the value it returns. */
static struct fn_wire add(struct fn_graph *graph, enum fn_graph_op op, int rank,
                          const struct fn_wire *inputs, size_t n_inputs) {
    struct fn_error err;
    struct fn_graph_node node = {.op = op, .epsilon = 0.001, .layout = FN_LAYOUT_HWIO};
    struct fn_wire name = next_name();
    (void)fn_wire_text(&name, node.name, sizeof node.name);
    node.tensor = (struct fn_raw_tensor){.dtype = FN_DTYPE_F64, .rank = rank, .data = numbers};
    int64_t count;
    for (int axis = 0; axis < rank; axis++) node.tensor.shape[axis] = 1;
    if (!fn_tensor_pack(&node.tensor, &count)) abort();
    if (fn_graph_add_node(graph, &node, &err) != FN_OK) abort();
    for (size_t i = 0; i < n_inputs; i++)
        if (fn_graph_add_input(graph, inputs[i], &err) != FN_OK) abort();
    if (fn_graph_add_value(graph, name, &err) != FN_OK) abort();
    return name;
}

static struct fn_wire add_const(struct fn_graph *graph, int rank) {
    return add(graph, FN_GRAPH_CONST, rank, NULL, 0);
}

/* A layer, what folding or not folding BatchNorm leaves behind it, and an activation. */
static struct fn_wire add_layer(struct fn_graph *graph, struct fn_wire x, int index) {
    bool head = index == FN_NAMING_SCOPES - 1;
    const struct fn_wire layer[] = {x, add_const(graph, head ? 2 : 4), add_const(graph, 1)};
    x = add(graph, head ? FN_GRAPH_DENSE : FN_GRAPH_CONV, 0, layer, index % 2 ? 3 : 2);
    if (index % 3 == 0) {
        const struct fn_wire norm[] = {x, add_const(graph, 1), add_const(graph, 1),
                                       add_const(graph, 1), add_const(graph, 1)};
        x = add(graph, FN_GRAPH_NORM, 0, norm, 5);
    } else {
        const struct fn_wire both[] = {x, add_const(graph, 0)};
        x = add(graph, index % 3 == 1 ? FN_GRAPH_MUL : FN_GRAPH_SUB, 0, both, 2);
    }
    x = add(graph, FN_GRAPH_PASS, 0, &x, 1);
    return add(graph, FN_GRAPH_OTHER, 0, &x, 1);
}

/* Five bytes: what to change, where, and to what. */
static void change(struct fn_graph *graph, const uint8_t *bytes) {
    size_t where = bytes[1] | (size_t)bytes[2] << 8, what = bytes[3] | (size_t)bytes[4] << 8;
    struct fn_graph_node *node = &graph->nodes[where % graph->n];
    struct fn_raw_tensor *tensor = &node->tensor;
    int64_t count;
    switch (bytes[0] % 4) {
    case 0:
        graph->inputs[where % graph->n_inputs] = what % (graph->n + 1);
        break;
    case 1:
        node->op = (enum fn_graph_op)(what % (FN_GRAPH_PASS + 1));
        break;
    case 2: /* four axes of 0 to 2 numbers, so not more than there are */
        tensor->rank = (int)(what & 7) % 5;
        for (int axis = 0; axis < 4; axis++)
            tensor->shape[axis] = (int64_t)(what >> (3 + 2 * axis)) % 3;
        if (!fn_tensor_pack(tensor, &count) || count > NUMBERS) abort();
        break;
    default:
        numbers[where % NUMBERS] = (double)(int16_t)what / 100;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fn_error err;
    struct fn_source *source = NULL;
    if (fn_source_new("graph", &source, &err) != FN_OK) return 0;
    source->memory_limit = FUZZ_MEMORY;
    for (size_t i = 0; i < NUMBERS; i++) numbers[i] = 0.17;
    names_end = 0;
    struct fn_graph graph = {.source = source};
    struct fn_wire x = add(&graph, FN_GRAPH_OTHER, 0, NULL, 0);
    for (int i = 0; i < FN_NAMING_SCOPES; i++) x = add_layer(&graph, x, i);
    if (fn_graph_link(&graph, &err) != FN_OK) abort();
    for (size_t at = 0; at + 5 <= size; at += 5) change(&graph, data + at);
    static struct fn_network network;
    if (fn_graph_lift(&graph, &err) == FN_OK) {
        touch_all(source);
        if (fn_source_network(source, &network, &err) == FN_OK && network.n_layers == 0)
            __builtin_trap();
    }
    fn_graph_done(&graph);
    fn_source_free(source);
    return 0;
}
