/* SPDX-License-Identifier: Apache-2.0
 *
 * graph.c -- the container; graph_lift.c finds the network in it. */
#include "model/sources/graph.h"

#include <string.h>

#define MAX_NODES  ((size_t)1 << 18)
#define MAX_INPUTS ((size_t)1 << 20)

/* Room for one more of `size` bytes in *array. */
static fn_status grow(const struct fn_graph *graph, void **array, size_t n, size_t *capacity,
                      size_t size, size_t limit, struct fn_error *err) {
    if (n < *capacity) return FN_OK;
    if (n >= limit)
        return fn_fail(err, FN_BAD_SOURCE, "%s: more than %zu nodes or edges in the graph",
                       graph->source->path, limit);
    size_t more = *capacity ? 2 * *capacity : 1024;
    void *grown = reallocarray(*array, more, size);
    if (!grown) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", graph->source->path);
    *array = grown;
    *capacity = more;
    return FN_OK;
}

fn_status fn_graph_add_node(struct fn_graph *graph, const struct fn_graph_node *node,
                            struct fn_error *err) {
    void *nodes = graph->nodes;
    fn_status status =
        grow(graph, &nodes, graph->n, &graph->nodes_capacity, sizeof *node, MAX_NODES, err);
    graph->nodes = nodes;
    if (status != FN_OK) return status;
    graph->nodes[graph->n] = *node;
    graph->nodes[graph->n].first_input = graph->n_inputs;
    graph->nodes[graph->n++].n_inputs = 0;
    return FN_OK;
}

fn_status fn_graph_add_input(struct fn_graph *graph, struct fn_wire name, struct fn_error *err) {
    void *names = graph->input_names;
    fn_status status = grow(graph, &names, graph->n_inputs, &graph->inputs_capacity,
                            sizeof(struct fn_wire), MAX_INPUTS, err);
    graph->input_names = names;
    if (status != FN_OK) return status;
    graph->input_names[graph->n_inputs++] = name;
    graph->nodes[graph->n - 1].n_inputs++;
    return FN_OK;
}

fn_status fn_graph_add_value(struct fn_graph *graph, struct fn_wire name, struct fn_error *err) {
    void *values = graph->values;
    fn_status status = grow(graph, &values, graph->n_values, &graph->values_capacity,
                            sizeof(struct fn_graph_value), MAX_INPUTS, err);
    graph->values = values;
    if (status != FN_OK) return status;
    graph->values[graph->n_values++] = (struct fn_graph_value){name, graph->n - 1};
    return FN_OK;
}

static int compare_values(const void *left, const void *right) {
    const struct fn_graph_value *a = left, *b = right;
    size_t n = fn_wire_size(&a->name), m = fn_wire_size(&b->name);
    size_t both = n < m ? n : m;
    int order = both ? memcmp(a->name.at, b->name.at, both) : 0;
    return order ? order : (n > m) - (n < m);
}

fn_status fn_graph_link(struct fn_graph *graph, struct fn_error *err) {
    graph->inputs = calloc(graph->n_inputs + 1, sizeof *graph->inputs);
    if (!graph->inputs) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", graph->source->path);
    if (graph->n_values)
        qsort(graph->values, graph->n_values, sizeof *graph->values, compare_values);
    for (size_t i = 1; i < graph->n_values; i++) {
        const struct fn_wire *name = &graph->values[i].name;
        size_t shown = fn_wire_size(name) < 100 ? fn_wire_size(name) : 100;
        if (compare_values(&graph->values[i - 1], &graph->values[i]) == 0)
            return fn_fail(err, FN_BAD_SOURCE, "%s: the graph has %.*s twice", graph->source->path,
                           (int)shown, (const char *)name->at);
    }
    for (size_t i = 0; i < graph->n_inputs; i++) {
        const struct fn_graph_value key = {.name = graph->input_names[i]};
        const struct fn_graph_value *found =
            graph->n_values
                ? bsearch(&key, graph->values, graph->n_values, sizeof key, compare_values)
                : NULL;
        graph->inputs[i] = found ? found->node : graph->n;
    }
    return FN_OK;
}

void fn_graph_done(struct fn_graph *graph) {
    free(graph->nodes);
    free(graph->input_names);
    free(graph->values);
    free(graph->inputs);
}

size_t fn_graph_input(const struct fn_graph *graph, size_t node, size_t k) {
    if (node >= graph->n || k >= graph->nodes[node].n_inputs) return graph->n;
    return graph->inputs[graph->nodes[node].first_input + k];
}
