/* SPDX-License-Identifier: Apache-2.0
 *
 * graph_lift.c -- the network out of a graph: convolutions in the order of the topology, and what
 * follows each of them as bias and BatchNorm.
 *
 * What follows is y = gamma * (conv + bias - mean) / sqrt(variance + epsilon) + beta. A BatchNorm
 * node gives the parts as they are; multiplications and additions with constants, as folding tools
 * leave them or as BatchNorm is written out, change gamma, beta and bias. All parts are in double,
 * with epsilon within the variance, so that the source's own epsilon is 0. */
#include <math.h>
#include <string.h>

#include "model/sources/graph.h"
#include "model/sources/naming.h"

#define MAX_DEPTH 16    /* of a constant expression, and of nodes between a layer and its kernel */
#define MAX_STEPS 65536 /* of all constant expressions: shared nodes are computed again */

struct lift {
    const struct fn_graph *graph;
    struct fn_error *err;
    size_t *consumers, *first_consumer; /* [n_inputs], [n + 1]: by node, those that take it */
    size_t layers[FN_NAMING_SCOPES + 1];
    int n_layers;
    int n_scaled, n_unscaled; /* blocks with and without their residual scale */
    int n_steps;              /* of constant expressions so far */
};

struct affine {
    size_t n;
    double *bias, *gamma, *beta, *mean, *variance; /* [n] each */
    bool normed;
};

static fn_status bad(const struct lift *lift, size_t node, const char *what) {
    return fn_fail(lift->err, FN_BAD_SOURCE, "%s: %s: %s", lift->graph->source->path,
                   lift->graph->nodes[node].name, what);
}

/* ---- constants ------------------------------------------------------------------------------ */

/* Through nodes that only pass their input on. */
static size_t skip_passes(const struct fn_graph *graph, size_t node) {
    for (int depth = 0; depth < MAX_DEPTH && node < graph->n; depth++) {
        if (graph->nodes[node].op != FN_GRAPH_PASS) break;
        node = fn_graph_input(graph, node, 0);
    }
    return node;
}

/* The constant behind a layer's kernel; a transposed matrix turns *layout. graph->n: none. */
static size_t find_kernel(const struct fn_graph *graph, size_t node, enum fn_layout *layout) {
    size_t at = skip_passes(graph, fn_graph_input(graph, node, 1));
    if (at < graph->n && graph->nodes[at].op == FN_GRAPH_TRANSPOSE &&
        graph->nodes[node].op == FN_GRAPH_DENSE) {
        at = skip_passes(graph, fn_graph_input(graph, at, 0));
        *layout = *layout == FN_LAYOUT_HWIO ? FN_LAYOUT_OIHW : FN_LAYOUT_HWIO;
    }
    return at < graph->n && graph->nodes[at].op == FN_GRAPH_CONST ? at : graph->n;
}

static bool is_number(const struct fn_raw_tensor *tensor) {
    return tensor->data && (tensor->dtype == FN_DTYPE_F16 || tensor->dtype == FN_DTYPE_F32 ||
                            tensor->dtype == FN_DTYPE_F64);
}

/* All numbers of a constant, in the order of its axes; a single one is repeated. */
static bool read_const(const struct fn_raw_tensor *tensor, size_t n, double *ret_values) {
    struct fn_raw_tensor packed = *tensor;
    int64_t count;
    if (!is_number(tensor) || !fn_tensor_pack(&packed, &count)) return false;
    if (count != 1 && (uint64_t)count != n) return false;
    bool uniform = tensor->rank > 0 && tensor->stride[tensor->rank - 1] == 0;
    for (size_t i = 0; i < n; i++)
        ret_values[i] =
            fn_tensor_number(tensor->dtype, tensor->data, uniform || count == 1 ? 0 : i);
    return true;
}

/* One operation of two numbers; `right` is ignored by those of one. */
static double compute(enum fn_graph_op op, double left, double right) {
    switch (op) {
    case FN_GRAPH_ADD:
        return left + right;
    case FN_GRAPH_SUB:
        return left - right;
    case FN_GRAPH_MUL:
        return left * right;
    case FN_GRAPH_DIV:
        return left / right;
    case FN_GRAPH_SQRT:
        return sqrt(left);
    default: /* FN_GRAPH_RSQRT */
        return 1 / sqrt(left);
    }
}

static bool is_arithmetic(enum fn_graph_op op) {
    return op == FN_GRAPH_ADD || op == FN_GRAPH_SUB || op == FN_GRAPH_MUL || op == FN_GRAPH_DIV;
}

/* The value of a constant expression of n numbers; false when it is none. */
static bool evaluate(struct lift *lift, size_t node, size_t n, double *ret_values, int depth) {
    const struct fn_graph *graph = lift->graph;
    node = skip_passes(graph, node);
    if (node >= graph->n || depth == 0 || lift->n_steps > MAX_STEPS) return false;
    lift->n_steps++;
    const struct fn_graph_node *at = &graph->nodes[node];
    if (at->op == FN_GRAPH_CONST) return read_const(&at->tensor, n, ret_values);
    bool alone = at->op == FN_GRAPH_SQRT || at->op == FN_GRAPH_RSQRT;
    if (!alone && !is_arithmetic(at->op)) return false;
    if (!evaluate(lift, fn_graph_input(graph, node, 0), n, ret_values, depth - 1)) return false;
    FN_CLEANUP_FREE double *right = alone ? NULL : calloc(n, sizeof *right);
    if (!alone && (!right || !evaluate(lift, fn_graph_input(graph, node, 1), n, right, depth - 1)))
        return false;
    for (size_t i = 0; i < n; i++)
        ret_values[i] = compute(at->op, ret_values[i], right ? right[i] : 0);
    return true;
}

/* ---- what follows a layer ------------------------------------------------------------------- */

static fn_status apply_norm(struct lift *lift, size_t node, struct affine *a) {
    const struct fn_graph *graph = lift->graph;
    double *const parts[] = {a->gamma, a->beta, a->mean, a->variance};
    if (a->normed) return bad(lift, node, "a second BatchNorm after one convolution");
    for (size_t k = 0; k < 4; k++)
        if (!evaluate(lift, fn_graph_input(graph, node, 1 + k), a->n, parts[k], MAX_DEPTH))
            return bad(lift, node, "its BatchNorm's numbers are not constants of its width");
    for (size_t i = 0; i < a->n; i++) a->variance[i] += graph->nodes[node].epsilon;
    a->normed = true;
    return FN_OK;
}

/* One step of arithmetic with a constant; `values` is what stands on the other side. */
static void apply(enum fn_graph_op op, const double *values, struct affine *a) {
    for (size_t i = 0; i < a->n; i++) {
        if (op == FN_GRAPH_MUL || op == FN_GRAPH_DIV) {
            double factor = op == FN_GRAPH_MUL ? values[i] : 1 / values[i];
            a->gamma[i] *= factor;
            a->beta[i] *= factor;
        } else {
            double sum = op == FN_GRAPH_ADD ? values[i] : -values[i];
            *(a->normed ? &a->beta[i] : &a->bias[i]) += sum;
        }
    }
    if (op == FN_GRAPH_MUL || op == FN_GRAPH_DIV) a->normed = true;
}

/* What takes a node's output; graph->n when it is not exactly one. */
static size_t only_consumer(const struct lift *lift, size_t node) {
    size_t first = lift->first_consumer[node], n = lift->first_consumer[node + 1] - first;
    return n == 1 ? lift->consumers[first] : lift->graph->n;
}

/* Whether this is the multiplication by the block's residual scale, which is the topology's. */
static bool is_residual_scale(double scale, const double *values, size_t n) {
    if (scale == 0) return false;
    for (size_t i = 0; i < n; i++)
        if (fabs(values[i] - scale) > 1e-6 * scale) return false;
    return true;
}

/* Follow the one consumer as long as it does arithmetic with constants; in a graph that leads back
 * into itself, not further than it has nodes. */
static fn_status follow(struct lift *lift, size_t node, double residual_scale, struct affine *a,
                        bool *ret_scaled) {
    const struct fn_graph *graph = lift->graph;
    FN_CLEANUP_FREE double *values = calloc(a->n, sizeof *values);
    if (!values) return fn_fail(lift->err, FN_NO_MEMORY, "%s: no memory", graph->source->path);
    size_t at = node, next, n_followed = 0;
    for (; (next = only_consumer(lift, at)) < graph->n && n_followed < graph->n; at = next) {
        n_followed++;
        enum fn_graph_op op = graph->nodes[next].op;
        if (op == FN_GRAPH_PASS) continue;
        bool first = fn_graph_input(graph, next, 0) == at;
        if (op == FN_GRAPH_NORM && first) {
            fn_status status = apply_norm(lift, next, a);
            if (status != FN_OK) return status;
            continue;
        }
        if (!is_arithmetic(op)) break;
        if (!first && (op == FN_GRAPH_SUB || op == FN_GRAPH_DIV)) break;
        if (!evaluate(lift, fn_graph_input(graph, next, first ? 1 : 0), a->n, values, MAX_DEPTH))
            break; /* an addition of two branches */
        if (op == FN_GRAPH_MUL && is_residual_scale(residual_scale, values, a->n))
            *ret_scaled = true;
        else
            apply(op, values, a);
    }
    return FN_OK;
}

/* ---- layers --------------------------------------------------------------------------------- */

static fn_status add_vector(const struct lift *lift, const char *scope, enum fn_part part,
                            size_t node, const double *values, size_t n) {
    const struct fn_raw_tensor tensor = {.name = lift->graph->nodes[node].name,
                                         .dtype = FN_DTYPE_F64,
                                         .rank = 1,
                                         .shape = {(int64_t)n},
                                         .stride = {1},
                                         .data = values};
    return fn_tensor_add(lift->graph->source, scope, part, FN_LAYOUT_HWIO, &tensor, lift->err);
}

static fn_status add_affine(const struct lift *lift, const char *scope, size_t node,
                            const struct affine *a) {
    fn_status status = add_vector(lift, scope, FN_PART_BIAS, node, a->bias, a->n);
    if (!a->normed) return status;
    const double *const parts[] = {a->gamma, a->beta, a->mean, a->variance};
    for (int k = 0; k < 4 && status == FN_OK; k++)
        status = add_vector(lift, scope, (enum fn_part)(FN_PART_GAMMA + k), node, parts[k], a->n);
    return status;
}

static double residual_scale_of(const char *scope) {
    if (strstr(scope, "/Branch_") || !strstr(scope, "/Conv2d_1x1")) return 0;
    if (strstr(scope, "/block35_")) return 0.17;
    if (strstr(scope, "/block17_")) return 0.10;
    if (strstr(scope, "/block8_")) return 0.20;
    return 1.0;
}

static fn_status lift_layer(struct lift *lift, int index) {
    const struct fn_graph *graph = lift->graph;
    size_t node = lift->layers[index];
    enum fn_layout layout = graph->nodes[node].layout;
    size_t kernel = find_kernel(graph, node, &layout);
    char scope[FN_NAME_SIZE];
    fn_naming_scope(index, scope);
    if (kernel >= graph->n || !is_number(&graph->nodes[kernel].tensor))
        return bad(lift, node, "its weights are not constants in floating point");
    struct fn_raw_tensor tensor = graph->nodes[kernel].tensor;
    tensor.name = graph->nodes[kernel].name;
    fn_status status =
        fn_tensor_add(graph->source, scope, FN_PART_KERNEL, layout, &tensor, lift->err);
    if (status != FN_OK) return status;
    int64_t n = fn_source_find(graph->source, scope)->part[FN_PART_KERNEL].shape[0];
    if (n < 1 || n > FN_MAX_CHANNELS) return bad(lift, kernel, "an impossible number of channels");

    void *memory;
    status =
        fn_source_allocate(graph->source, (uint64_t)n * 5 * sizeof(double), &memory, lift->err);
    if (status != FN_OK) return status;
    double *v = memory;
    struct affine a = {(size_t)n, v, v + n, v + 2 * n, v + 3 * n, v + 4 * n, false};
    for (int64_t i = 0; i < n; i++) {
        a.bias[i] = a.beta[i] = a.mean[i] = 0;
        a.gamma[i] = a.variance[i] = 1;
    }
    size_t bias = fn_graph_input(graph, node, 2);
    if (graph->nodes[node].n_inputs > 2 && !evaluate(lift, bias, a.n, a.bias, MAX_DEPTH))
        return bad(lift, node, "its bias is not a constant of its width");
    double scale = residual_scale_of(scope);
    bool scaled = false;
    status = follow(lift, node, scale, &a, &scaled);
    if (status != FN_OK) return status;
    if (scale != 0 && scale != 1) *(scaled ? &lift->n_scaled : &lift->n_unscaled) += 1;
    return add_affine(lift, scope, node, &a);
}

/* ---- order ---------------------------------------------------------------------------------- */

static fn_status find_consumers(struct lift *lift) {
    const struct fn_graph *graph = lift->graph;
    lift->first_consumer = calloc(graph->n + 2, sizeof *lift->first_consumer);
    lift->consumers = calloc(graph->n_inputs + 1, sizeof *lift->consumers);
    if (!lift->first_consumer || !lift->consumers)
        return fn_fail(lift->err, FN_NO_MEMORY, "%s: no memory", graph->source->path);
    size_t *first = lift->first_consumer;
    for (size_t i = 0; i < graph->n_inputs; i++)
        if (graph->inputs[i] < graph->n) first[graph->inputs[i] + 2]++;
    for (size_t i = 2; i < graph->n + 2; i++) first[i] += first[i - 1];
    for (size_t node = 0; node < graph->n; node++)
        for (size_t k = 0; k < graph->nodes[node].n_inputs; k++) {
            size_t input = fn_graph_input(graph, node, k);
            if (input < graph->n) lift->consumers[first[input + 1]++] = node;
        }
    return FN_OK;
}

/* Depth first from `root`, inputs before their node, without recursion: `next[node]` is the input
 * to visit next, and the stack runs through `parent`. */
static bool visit_from(struct lift *lift, size_t root, size_t *next, size_t *parent) {
    const struct fn_graph *graph = lift->graph;
    size_t at = root;
    if (next[root]) return true;
    next[root] = 1;
    parent[root] = graph->n;
    while (at < graph->n) {
        const struct fn_graph_node *node = &graph->nodes[at];
        if (next[at] <= node->n_inputs) {
            size_t input = fn_graph_input(graph, at, next[at]++ - 1);
            if (input < graph->n && !next[input]) {
                next[input] = 1;
                parent[input] = at;
                at = input;
            }
            continue;
        }
        if (node->op == FN_GRAPH_CONV || node->op == FN_GRAPH_DENSE) {
            if (lift->n_layers > FN_NAMING_SCOPES) return false;
            if (lift->n_layers == FN_NAMING_SCOPES) return lift->n_layers++, false;
            lift->layers[lift->n_layers++] = at;
        }
        at = parent[at];
    }
    return true;
}

static fn_status find_layers(struct lift *lift) {
    const struct fn_graph *graph = lift->graph;
    FN_CLEANUP_FREE size_t *next = calloc(graph->n + 1, sizeof *next);
    FN_CLEANUP_FREE size_t *parent = calloc(graph->n + 1, sizeof *parent);
    if (!next || !parent)
        return fn_fail(lift->err, FN_NO_MEMORY, "%s: no memory", graph->source->path);
    for (size_t i = 0; i < graph->n; i++)
        if (lift->first_consumer[i] == lift->first_consumer[i + 1] &&
            !visit_from(lift, i, next, parent))
            break;
    if (lift->n_layers != FN_NAMING_SCOPES)
        return fn_fail(lift->err, FN_BAD_SOURCE,
                       "%s: a graph with %s%d convolutions and dense layers; FaceNet has %d",
                       graph->source->path, lift->n_layers > FN_NAMING_SCOPES ? "more than " : "",
                       lift->n_layers > FN_NAMING_SCOPES ? FN_NAMING_SCOPES : lift->n_layers,
                       FN_NAMING_SCOPES);
    return FN_OK;
}

fn_status fn_graph_lift(const struct fn_graph *graph, struct fn_error *err) {
    struct lift lift = {.graph = graph, .err = err};
    fn_status status = find_consumers(&lift);
    if (status == FN_OK) status = find_layers(&lift);
    for (int i = 0; i < FN_NAMING_SCOPES && status == FN_OK; i++) status = lift_layer(&lift, i);
    free(lift.consumers);
    free(lift.first_consumer);
    if (status == FN_OK && lift.n_steps > MAX_STEPS)
        status = fn_fail(err, FN_BAD_SOURCE, "%s: constants computed in more than %d steps",
                         graph->source->path, MAX_STEPS);
    if (status != FN_OK) return status;
    if (lift.n_scaled && lift.n_unscaled)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: %d blocks scale their branches and %d do not; expected all or none",
                       graph->source->path, lift.n_scaled, lift.n_unscaled);
    graph->source->residual_scale_folded = lift.n_scaled == 0;
    graph->source->batchnorm_epsilon = 0;
    return FN_OK;
}
