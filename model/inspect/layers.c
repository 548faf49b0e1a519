/* SPDX-License-Identifier: Apache-2.0
 *
 * layers.c -- see layers.h. */
#include "model/inspect/layers.h"

#include <jansson.h>
#include <string.h>

#include "model/sources/naming.h"

/* ---- missing -------------------------------------------------------------------------------- */

static fn_status note_missing(const struct fn_source *source, const char *scope, enum fn_part part,
                              struct fn_missing *missing, struct fn_error *err) {
    char name[160] = "", line[320];
    if (source->reader) source->reader->name_part(scope, part, name, sizeof name);
    (void)snprintf(line, sizeof line, "%s%s%s", scope, name[0] ? ": " : "", name);
    char **grown = reallocarray(missing->names, missing->n + 1, sizeof *grown);
    if (grown) missing->names = grown;
    char *copy = grown ? strdup(line) : NULL;
    if (!copy) return fn_fail(err, FN_NO_MEMORY, "no memory");
    missing->names[missing->n++] = copy;
    return FN_OK;
}

fn_status fn_layers_missing(const struct fn_source *source, struct fn_missing *ret,
                            struct fn_error *err) {
    static const struct fn_source_scope empty;
    *ret = (struct fn_missing){0};
    for (int i = 0; i < FN_NAMING_SCOPES; i++) {
        char name[FN_NAME_SIZE];
        fn_naming_scope(i, name);
        const struct fn_source_scope *scope = fn_source_find(source, name);
        if (!scope) scope = &empty;
        bool lacking[FN_PARTS] = {[FN_PART_KERNEL] = !scope->part[FN_PART_KERNEL].data};
        bool norm = false;
        for (int p = FN_PART_GAMMA; p <= FN_PART_VARIANCE; p++) norm |= !!scope->part[p].data;
        lacking[FN_PART_MEAN] = norm && !scope->part[FN_PART_MEAN].data;
        lacking[FN_PART_VARIANCE] = norm && !scope->part[FN_PART_VARIANCE].data;
        lacking[FN_PART_BIAS] =
            !norm && !lacking[FN_PART_KERNEL] && !scope->part[FN_PART_BIAS].data;
        for (int p = 0; p < FN_PARTS; p++) {
            fn_status status =
                lacking[p] ? note_missing(source, name, (enum fn_part)p, ret, err) : FN_OK;
            if (status != FN_OK) return status;
        }
    }
    return FN_OK;
}

void fn_missing_done(struct fn_missing *missing) {
    for (size_t i = 0; i < missing->n; i++) free(missing->names[i]);
    free(missing->names);
}

/* ---- figures -------------------------------------------------------------------------------- */

int64_t fn_layers_parameters(const struct fn_source *source, const struct fn_layer *layer) {
    const struct fn_source_scope *scope = fn_source_find(source, layer->name);
    int64_t n = 0;
    for (int p = 0; scope && p < FN_PARTS; p++) {
        const struct fn_source_array *a = &scope->part[p];
        if (a->data) n += a->shape[0] * a->shape[1] * a->shape[2] * a->shape[3];
    }
    return n;
}

static const char *padding_of(const struct fn_layer *layer) {
    return layer->pad_h || layer->pad_w ||
                   (layer->kernel_h * layer->kernel_w == 1 && layer->stride == 1)
               ? "SAME"
               : "VALID";
}

/* "35x35x256", or "512" for the head's output. */
static void describe_tensor(const struct fn_network *network, int tensor, char *ret, size_t size) {
    if (tensor < 0) {
        (void)snprintf(ret, size, "%d", network->embedding_size);
        return;
    }
    const struct fn_tensor *t = &network->tensors[tensor];
    (void)snprintf(ret, size, "%dx%dx%d", t->height, t->width, t->channels);
}

/* A layer's own output: its share of a concat. */
static void describe_output(const struct fn_network *network, const struct fn_layer *layer,
                            char *ret, size_t size) {
    describe_tensor(network, layer->output, ret, size);
    if (layer->output < 0) return;
    const struct fn_tensor *t = &network->tensors[layer->output];
    (void)snprintf(ret, size, "%dx%dx%d", t->height, t->width, layer->out_channels);
}

/* ---- tree ----------------------------------------------------------------------------------- */

struct section {
    const char *scope; /* below the root; # is a number counted from 1 */
    const char *title;
};

static const struct section sections[] = {
    {"", "stem"},
    {"Repeat/block35_#/", "block35"},
    {"Mixed_6a/", "reduction_a (Mixed_6a)"},
    {"Repeat_1/block17_#/", "block17"},
    {"Mixed_7a/", "reduction_b (Mixed_7a)"},
    {"Repeat_2/block8_#/", "block8"},
    {"Block8/", "Block8 (the last one, no ReLU)"},
    {"Bottleneck", "head"},
};
#define N_SECTIONS ((int)(sizeof sections / sizeof sections[0]))

/* Which section a layer is of, its block's number (0: none) and what is left of its name. */
static int section_of(const char *name, int *ret_block, const char **ret_rest) {
    const char *below = name + sizeof FN_ROOT;
    for (int s = N_SECTIONS - 1; s > 0; s--) {
        size_t prefix = strcspn(sections[s].scope, "#");
        if (strncmp(below, sections[s].scope, prefix) != 0) continue;
        *ret_rest = below + prefix;
        *ret_block = 0;
        if (sections[s].scope[prefix]) {
            *ret_block = (int)strtol(*ret_rest, NULL, 10);
            *ret_rest = strchr(*ret_rest, '/') + 1;
        }
        if (!**ret_rest) *ret_rest = below;
        return s;
    }
    *ret_block = 0;
    *ret_rest = below;
    return 0;
}

static void print_layer(FILE *to, const struct fn_source *source, const struct fn_network *network,
                        const struct fn_layer *layer, const char *rest) {
    char in[48], out[48];
    const char *leaf = strrchr(rest, '/') ? strrchr(rest, '/') + 1 : rest;
    describe_tensor(network, layer->input, in, sizeof in);
    describe_output(network, layer, out, sizeof out);
    if (layer->op == FN_OP_POOL) {
        (void)fprintf(to, "      %-18s maximum 3x3/2 VALID      %12s -> %s\n", leaf, in, out);
        return;
    }
    (void)fprintf(
        to, "      %-18s %4d of %dx%d/%d %-5s %s%s  %12s -> %-12s %9lld parameters %12lld MAC\n",
        leaf, layer->out_channels, layer->kernel_h, layer->kernel_w, layer->stride,
        padding_of(layer),
        layer->op == FN_OP_HEAD ? "mean, L2"
        : layer->relu           ? "ReLU"
                                : "    ",
        layer->residual >= 0 ? " + input" : "", in, out,
        (long long)fn_layers_parameters(source, layer), (long long)fn_layer_macs(network, layer));
}

/* Whether two blocks have the same layers with the same widths. */
static bool same_block(const struct fn_network *network, int section, int a, int b) {
    int at = 0;
    for (int i = 0; i < network->n_layers; i++) {
        int block;
        const char *rest, *other;
        const struct fn_layer *first = &network->layers[i];
        if (section_of(first->name, &block, &rest) != section || block != a) continue;
        for (; at < network->n_layers; at++)
            if (section_of(network->layers[at].name, &block, &other) == section && block == b)
                break;
        if (at == network->n_layers || strcmp(rest, other) != 0 ||
            network->layers[at].out_channels != first->out_channels)
            return false;
        at++;
    }
    return true;
}

static int count_blocks(const struct fn_network *network, int section) {
    int highest = 0;
    for (int i = 0; i < network->n_layers; i++) {
        int block;
        const char *rest;
        if (section_of(network->layers[i].name, &block, &rest) == section && block > highest)
            highest = block;
    }
    return highest;
}

/* "Branch_1", "Mixed" for nothing of its own, or "" in sections without branches. */
static void branch_of(const char *rest, char *ret, size_t size) {
    const char *slash = strchr(rest, '/');
    (void)snprintf(ret, size, "%.*s", slash ? (int)(slash - rest) : 0, rest);
}

static void print_block(FILE *to, const struct fn_source *source, const struct fn_network *network,
                        int section, int wanted) {
    char last[32] = "";
    for (int i = 0; i < network->n_layers; i++) {
        int block;
        const char *rest;
        char branch[32];
        const struct fn_layer *layer = &network->layers[i];
        if (section_of(layer->name, &block, &rest) != section || block != wanted) continue;
        branch_of(rest, branch, sizeof branch);
        if (strcmp(branch, last) != 0 || (!branch[0] && last[0])) {
            if (branch[0]) (void)fprintf(to, "    %s\n", branch);
            if (!branch[0]) {
                char concat[48];
                describe_tensor(network, layer->input, concat, sizeof concat);
                (void)fprintf(to, "    Mixed: the branches joined, %s\n    Conv\n", concat);
            }
            (void)snprintf(last, sizeof last, "%s", branch);
        }
        print_layer(to, source, network, layer, rest);
    }
}

static void print_totals(FILE *to, const struct fn_source *source,
                         const struct fn_network *network) {
    int64_t parameters = 0, macs = 0;
    int convolutions = 0;
    for (int i = 0; i < network->n_layers; i++) {
        parameters += fn_layers_parameters(source, &network->layers[i]);
        macs += fn_layer_macs(network, &network->layers[i]);
        convolutions += network->layers[i].op == FN_OP_CONV;
    }
    (void)fprintf(to,
                  "Inception-ResNet-v1: %dx%dx3 in, %d out; %d convolutions, %lld parameters, "
                  "%.3f GMAC\n",
                  FN_CROP_SIDE, FN_CROP_SIDE, network->embedding_size, convolutions,
                  (long long)parameters, (double)macs / 1e9);
    (void)fprintf(to, "Source: %s; residual scale %s, BatchNorm epsilon %g%s%s\n",
                  source->reader ? source->reader->about : "memory",
                  source->residual_scale_folded ? "folded" : "separate", source->batchnorm_epsilon,
                  source->note[0] ? "; " : "", source->note);
}

void fn_layers_print_tree(FILE *to, const struct fn_source *source,
                          const struct fn_network *network, bool all) {
    print_totals(to, source, network);
    for (int s = 0; s < N_SECTIONS; s++) {
        int n = count_blocks(network, s);
        bool equal = n > 1 && !all;
        for (int b = 2; b <= n; b++) equal = equal && same_block(network, s, 1, b);
        if (n == 0 || equal) {
            (void)fprintf(to, "  %s", sections[s].title);
            if (n > 1) (void)fprintf(to, " x %d, each", n);
            (void)fprintf(to, "\n");
            print_block(to, source, network, s, n ? 1 : 0);
            continue;
        }
        for (int b = 1; b <= n; b++) {
            (void)fprintf(to, "  %s_%d\n", sections[s].title, b);
            print_block(to, source, network, s, b);
        }
    }
}

/* ---- Graphviz ------------------------------------------------------------------------------- */

static void print_cluster(FILE *to, const struct fn_network *network, int section, int wanted) {
    for (int i = 0; i < network->n_layers; i++) {
        int block;
        const char *rest;
        const struct fn_layer *layer = &network->layers[i];
        if (section_of(layer->name, &block, &rest) != section || block != wanted) continue;
        char out[48];
        describe_output(network, layer, out, sizeof out);
        (void)fprintf(to, "    l%d [label=\"%s\\n%dx%d/%d %s\"%s];\n", i, rest, layer->kernel_h,
                      layer->kernel_w, layer->stride, out,
                      layer->op == FN_OP_POOL ? ", shape=ellipse" : "");
    }
}

void fn_layers_print_dot(FILE *to, const struct fn_network *network) {
    (void)fprintf(to, "digraph facenet {\n  rankdir=TB;\n  node [shape=box, fontname=\"sans\"];\n");
    for (int s = 0; s < N_SECTIONS; s++) {
        int n = count_blocks(network, s);
        for (int b = n ? 1 : 0; b <= n; b++) {
            (void)fprintf(to, "  subgraph cluster_%d_%d {\n    label=\"%s%s", s, b,
                          sections[s].title, n ? "_" : "");
            if (n) (void)fprintf(to, "%d", b);
            (void)fprintf(to, "\";\n");
            print_cluster(to, network, s, b);
            (void)fprintf(to, "  }\n");
        }
    }
    (void)fprintf(to, "  image [shape=ellipse];\n");
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *layer = &network->layers[i];
        if (layer->input == 0) (void)fprintf(to, "  image -> l%d;\n", i);
        for (int k = 0; k < i; k++) {
            if (network->layers[k].output == layer->input)
                (void)fprintf(to, "  l%d -> l%d;\n", k, i);
            if (layer->residual >= 0 && network->layers[k].output == layer->residual)
                (void)fprintf(to, "  l%d -> l%d [style=dashed];\n", k, i);
        }
    }
    (void)fprintf(to, "}\n");
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *shape_json(const struct fn_network *network, int tensor, int channels) {
    if (tensor < 0) return json_pack("[i]", channels);
    const struct fn_tensor *t = &network->tensors[tensor];
    return json_pack("[i, i, i]", t->height, t->width, channels);
}

static json_t *layer_json(const struct fn_source *source, const struct fn_network *network,
                          const struct fn_layer *layer) {
    static const char *const ops[] = {"conv", "max_pool", "head"};
    return json_pack("{s:s, s:s, s:[i, i], s:i, s:s, s:o, s:o, s:s, s:b, s:b, s:I, s:I}", "name",
                     layer->name, "op", ops[layer->op], "kernel", layer->kernel_h, layer->kernel_w,
                     "stride", layer->stride, "padding", padding_of(layer), "input_shape",
                     shape_json(network, layer->input, network->tensors[layer->input].channels),
                     "output_shape", shape_json(network, layer->output, layer->out_channels),
                     "input", network->tensors[layer->input].name, "relu", layer->relu, "residual",
                     layer->residual >= 0, "parameters",
                     (json_int_t)fn_layers_parameters(source, layer), "macs",
                     (json_int_t)fn_layer_macs(network, layer));
}

fn_status fn_layers_print_json(FILE *to, const struct fn_source *source,
                               const struct fn_network *network, struct fn_error *err) {
    json_t *layers = json_array(), *superfluous = json_array();
    for (int i = 0; i < network->n_layers; i++)
        (void)json_array_append_new(layers, layer_json(source, network, &network->layers[i]));
    for (size_t i = 0; i < source->n_unused; i++)
        (void)json_array_append_new(superfluous, json_string(source->unused[i]));
    json_t *root =
        json_pack("{s:{s:s, s:s, s:s}, s:[i, i, i], s:i, s:s, s:f, s:o, s:o}", "source", "format",
                  source->reader ? source->reader->format : "memory", "sha256", source->sha256,
                  "note", source->note, "input_shape", FN_CROP_SIDE, FN_CROP_SIDE, 3,
                  "embedding_size", network->embedding_size, "residual_scale",
                  source->residual_scale_folded ? "folded" : "separate", "batchnorm_epsilon",
                  source->batchnorm_epsilon, "superfluous", superfluous, "layers", layers);
    if (!root) return fn_fail(err, FN_NO_MEMORY, "no memory");
    int failed = json_dumpf(root, to, JSON_INDENT(1));
    json_decref(root);
    if (failed || fputc('\n', to) == EOF)
        return fn_fail(err, FN_IO, "the output could not be written");
    return FN_OK;
}
