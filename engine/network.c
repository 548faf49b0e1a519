/* SPDX-License-Identifier: Apache-2.0
 *
 * network.c -- the topology of Inception-ResNet-v1, written once (DESIGN: the table of layers).
 *
 * A `struct builder` carries the first failure, so that the tables below read as the network does:
 * after a failure every call does nothing. */
#include "engine/network.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct builder {
    const struct fn_shapes *shapes;
    struct fn_network *net;
    struct fn_error *err;
    fn_status status;
};

/* One convolution of a branch. */
struct conv {
    const char *scope; /* below the block's scope */
    int kernel_h, kernel_w, stride;
    bool same;
};

static void fail(struct builder *b, const char *format, ...) FN_PRINTF(2, 3);
static void fail(struct builder *b, const char *format, ...) {
    if (b->status != FN_OK) return;
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    b->status = fn_fail(b->err, FN_BAD_SOURCE, "%s", text);
}

static int add_tensor(struct builder *b, const char *name, int height, int width, int channels) {
    if (b->status != FN_OK) return 0;
    struct fn_tensor *t = &b->net->tensors[b->net->n_tensors];
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    t->height = height;
    t->width = width;
    t->channels = channels;
    return b->net->n_tensors++;
}

/* Look the widths of `scope` up, checking kernel size and input channels. Returns out channels. */
static int find_width(struct builder *b, const char *scope, int kernel_h, int kernel_w,
                      int in_channels) {
    if (b->status != FN_OK) return 0;
    int64_t s[4] = {0};
    if (!b->shapes->find(b->shapes->context, scope, s)) {
        fail(b, "%s/weights is missing, expected [*][%d][%d][%d]", scope, kernel_h, kernel_w,
             in_channels);
        return 0;
    }
    if (b->shapes->widths_only) s[1] = kernel_h, s[2] = kernel_w, s[3] = in_channels;
    if (s[0] < 1 || s[0] > FN_MAX_CHANNELS || s[1] != kernel_h || s[2] != kernel_w ||
        s[3] != in_channels)
        fail(b,
             "%s/weights has shape [%lld][%lld][%lld][%lld] (out, height, width, in), "
             "expected [*][%d][%d][%d]",
             scope, (long long)s[0], (long long)s[1], (long long)s[2], (long long)s[3], kernel_h,
             kernel_w, in_channels);
    return (int)s[0];
}

static struct fn_layer *add_layer(struct builder *b, enum fn_op op, const char *name, int input) {
    struct fn_layer *layer = &b->net->layers[b->net->n_layers++];
    *layer = (struct fn_layer){.op = op, .input = input, .output = -1, .residual = -1};
    (void)snprintf(layer->name, sizeof layer->name, "%s", name);
    layer->in_channels = b->net->tensors[input].channels;
    return layer;
}

static int out_size(int in, int kernel, int stride, int pad) {
    return (in + 2 * pad - kernel) / stride + 1;
}

/* Append a convolution with ReLU. output < 0 makes a tensor of the layer's name for it. */
static int add_conv(struct builder *b, const char *block, const struct conv *c, int input,
                    int output, int offset) {
    char name[FN_NAME_SIZE];
    (void)snprintf(name, sizeof name, "%s/%s", block, c->scope);
    const struct fn_tensor *in = &b->net->tensors[input];
    int width = find_width(b, name, c->kernel_h, c->kernel_w, in->channels);
    if (b->status != FN_OK) return 0;
    struct fn_layer *layer = add_layer(b, FN_OP_CONV, name, input);
    layer->kernel_h = c->kernel_h;
    layer->kernel_w = c->kernel_w;
    layer->stride = c->stride;
    layer->pad_h = c->same ? (c->kernel_h - 1) / 2 : 0;
    layer->pad_w = c->same ? (c->kernel_w - 1) / 2 : 0;
    layer->out_channels = width;
    layer->relu = true;
    if (output < 0)
        output = add_tensor(b, name, out_size(in->height, c->kernel_h, c->stride, layer->pad_h),
                            out_size(in->width, c->kernel_w, c->stride, layer->pad_w), width);
    layer->output = output;
    layer->output_offset = offset;
    return output;
}

/* 3x3/2 maximum, VALID. output < 0 makes a tensor for it. */
static int add_pool(struct builder *b, const char *name, int input, int output, int offset) {
    if (b->status != FN_OK) return 0;
    const struct fn_tensor *in = &b->net->tensors[input];
    struct fn_layer *layer = add_layer(b, FN_OP_POOL, name, input);
    layer->kernel_h = layer->kernel_w = 3;
    layer->stride = 2;
    layer->out_channels = in->channels;
    if (output < 0)
        output = add_tensor(b, name, out_size(in->height, 3, 2, 0), out_size(in->width, 3, 2, 0),
                            in->channels);
    layer->output = output;
    layer->output_offset = offset;
    return output;
}

#define MAX_CHAIN 4
/* A branch: convolutions in a row, ended by a NULL scope; the last one writes into the concat. */
typedef struct conv chain[MAX_CHAIN];

/* Output channels of a branch's last convolution, needed before the concat tensor can be made. */
static int chain_width(struct builder *b, const char *block, const chain branch) {
    char name[FN_NAME_SIZE];
    int last = 0;
    while (last + 1 < MAX_CHAIN && branch[last + 1].scope) last++;
    (void)snprintf(name, sizeof name, "%s/%s", block, branch[last].scope);
    int64_t s[4] = {0};
    if (!b->shapes->find(b->shapes->context, name, s) || s[0] < 1 || s[0] > FN_MAX_CHANNELS)
        fail(b, "%s/weights is missing or empty, expected [*][%d][%d][*]", name,
             branch[last].kernel_h, branch[last].kernel_w);
    return b->status == FN_OK ? (int)s[0] : 0;
}

/* Branches side by side, joined along channels (a pool of the input last, if asked for).
 * Returns the concat tensor. */
static int add_branches(struct builder *b, const char *block, int input, const chain *branches,
                        int n_branches, const char *pool) {
    int widths[4] = {0}, total = 0;
    for (int i = 0; i < n_branches; i++) total += widths[i] = chain_width(b, block, branches[i]);
    if (b->status != FN_OK) return 0;
    const struct fn_tensor *in = &b->net->tensors[input];
    char name[FN_NAME_SIZE];
    (void)snprintf(name, sizeof name, "%s/concat", block);
    int concat = pool ? add_tensor(b, name, out_size(in->height, 3, 2, 0),
                                   out_size(in->width, 3, 2, 0), total + in->channels)
                      : add_tensor(b, name, in->height, in->width, total);
    int offset = 0;
    for (int i = 0; i < n_branches; i++) {
        int at = input;
        for (int k = 0; k < MAX_CHAIN && branches[i][k].scope; k++) {
            bool last = k + 1 == MAX_CHAIN || !branches[i][k + 1].scope;
            at = add_conv(b, block, &branches[i][k], at, last ? concat : -1, last ? offset : 0);
        }
        offset += widths[i];
    }
    if (pool) {
        (void)snprintf(name, sizeof name, "%s/%s", block, pool);
        add_pool(b, name, input, concat, offset);
    }
    return concat;
}

/* Residual block: branches, concat, 1x1 up-projection, scaled and added to the input. */
static int add_block(struct builder *b, const char *block, int input, const chain *branches,
                     int n_branches, double scale, bool relu) {
    int concat = add_branches(b, block, input, branches, n_branches, NULL);
    char name[FN_NAME_SIZE];
    (void)snprintf(name, sizeof name, "%s/Conv2d_1x1", block);
    if (b->status != FN_OK) return 0;
    int width = find_width(b, name, 1, 1, b->net->tensors[concat].channels);
    if (b->status != FN_OK) return 0;
    const struct fn_tensor in = b->net->tensors[input];
    if (width != in.channels) {
        fail(b, "%s/weights gives %d channels, expected the block's %d", name, width, in.channels);
        return 0;
    }
    struct fn_layer *layer = add_layer(b, FN_OP_CONV, name, concat);
    layer->kernel_h = layer->kernel_w = layer->stride = 1;
    layer->out_channels = width;
    layer->relu = relu;
    layer->residual = input;
    layer->residual_scale = scale;
    layer->output = add_tensor(b, block, in.height, in.width, width);
    b->net->tensors[layer->output].is_signed = !relu;
    return layer->output;
}

static int add_stem(struct builder *b) {
    static const struct conv stem[] = {
        {"Conv2d_1a_3x3", 3, 3, 2, false}, {"Conv2d_2a_3x3", 3, 3, 1, false},
        {"Conv2d_2b_3x3", 3, 3, 1, true},  {"Conv2d_3b_1x1", 1, 1, 1, false},
        {"Conv2d_4a_3x3", 3, 3, 1, false}, {"Conv2d_4b_3x3", 3, 3, 2, false},
    };
    int x = add_tensor(b, "image", FN_CROP_SIDE, FN_CROP_SIDE, 3);
    b->net->tensors[x].is_signed = true;
    for (int i = 0; i < 6; i++) {
        if (i == 3) x = add_pool(b, FN_ROOT "/MaxPool_3a_3x3", x, -1, 0);
        x = add_conv(b, FN_ROOT, &stem[i], x, -1, 0);
    }
    return x;
}

static int add_body(struct builder *b, int x) {
    static const chain block35[] = {
        {{"Branch_0/Conv2d_1x1", 1, 1, 1, true}},
        {{"Branch_1/Conv2d_0a_1x1", 1, 1, 1, true}, {"Branch_1/Conv2d_0b_3x3", 3, 3, 1, true}},
        {{"Branch_2/Conv2d_0a_1x1", 1, 1, 1, true},
         {"Branch_2/Conv2d_0b_3x3", 3, 3, 1, true},
         {"Branch_2/Conv2d_0c_3x3", 3, 3, 1, true}},
    };
    static const chain mixed_6a[] = {
        {{"Branch_0/Conv2d_1a_3x3", 3, 3, 2, false}},
        {{"Branch_1/Conv2d_0a_1x1", 1, 1, 1, true},
         {"Branch_1/Conv2d_0b_3x3", 3, 3, 1, true},
         {"Branch_1/Conv2d_1a_3x3", 3, 3, 2, false}},
    };
    static const chain block17[] = {
        {{"Branch_0/Conv2d_1x1", 1, 1, 1, true}},
        {{"Branch_1/Conv2d_0a_1x1", 1, 1, 1, true},
         {"Branch_1/Conv2d_0b_1x7", 1, 7, 1, true},
         {"Branch_1/Conv2d_0c_7x1", 7, 1, 1, true}},
    };
    static const chain mixed_7a[] = {
        {{"Branch_0/Conv2d_0a_1x1", 1, 1, 1, true}, {"Branch_0/Conv2d_1a_3x3", 3, 3, 2, false}},
        {{"Branch_1/Conv2d_0a_1x1", 1, 1, 1, true}, {"Branch_1/Conv2d_1a_3x3", 3, 3, 2, false}},
        {{"Branch_2/Conv2d_0a_1x1", 1, 1, 1, true},
         {"Branch_2/Conv2d_0b_3x3", 3, 3, 1, true},
         {"Branch_2/Conv2d_1a_3x3", 3, 3, 2, false}},
    };
    static const chain block8[] = {
        {{"Branch_0/Conv2d_1x1", 1, 1, 1, true}},
        {{"Branch_1/Conv2d_0a_1x1", 1, 1, 1, true},
         {"Branch_1/Conv2d_0b_1x3", 1, 3, 1, true},
         {"Branch_1/Conv2d_0c_3x1", 3, 1, 1, true}},
    };
    char name[FN_NAME_SIZE];
    for (int i = 1; i <= 5; i++) {
        (void)snprintf(name, sizeof name, FN_ROOT "/Repeat/block35_%d", i);
        x = add_block(b, name, x, block35, 3, 0.17, true);
    }
    x = add_branches(b, FN_ROOT "/Mixed_6a", x, mixed_6a, 2, "Branch_2/MaxPool_1a_3x3");
    for (int i = 1; i <= 10; i++) {
        (void)snprintf(name, sizeof name, FN_ROOT "/Repeat_1/block17_%d", i);
        x = add_block(b, name, x, block17, 2, 0.10, true);
    }
    x = add_branches(b, FN_ROOT "/Mixed_7a", x, mixed_7a, 3, "Branch_3/MaxPool_1a_3x3");
    for (int i = 1; i <= 5; i++) {
        (void)snprintf(name, sizeof name, FN_ROOT "/Repeat_2/block8_%d", i);
        x = add_block(b, name, x, block8, 2, 0.20, true);
    }
    return add_block(b, FN_ROOT "/Block8", x, block8, 2, 1.0, false);
}

static void add_head(struct builder *b, int x) {
    static const char name[] = FN_ROOT "/Bottleneck";
    if (b->status != FN_OK) return;
    int width = find_width(b, name, 1, 1, b->net->tensors[x].channels);
    if (b->status != FN_OK) return;
    struct fn_layer *layer = add_layer(b, FN_OP_HEAD, name, x);
    layer->kernel_h = layer->kernel_w = layer->stride = 1;
    layer->out_channels = width;
    b->net->embedding_size = width;
}

fn_status fn_network_build(const struct fn_shapes *shapes, struct fn_network *ret_network,
                           struct fn_error *err) {
    memset(ret_network, 0, sizeof *ret_network);
    struct builder b = {.shapes = shapes, .net = ret_network, .err = err, .status = FN_OK};
    int x = add_stem(&b);
    if (b.status == FN_OK) x = add_body(&b, x);
    add_head(&b, x);
    return b.status;
}

/* The block's up-projection whose output this layer adds, or NULL. */
static struct fn_layer *find_added(struct fn_network *network, const struct fn_layer *layer) {
    if (layer->op != FN_OP_CONV || layer->residual < 0) return NULL;
    for (int i = 0; i < network->n_layers; i++) {
        struct fn_layer *before = &network->layers[i];
        if (before->output == layer->residual && before->residual >= 0) return before;
    }
    return NULL;
}

void fn_network_widen(struct fn_network *network) {
    for (int i = 0; i < network->n_layers; i++) {
        struct fn_layer *layer = &network->layers[i], *before = find_added(network, layer);
        if (!before) continue;
        struct fn_tensor *t = &network->tensors[network->n_tensors];
        assert(network->n_tensors < FN_MAX_TENSORS);
        *t = network->tensors[before->output];
        t->is_signed = t->is_remainder = true;
        size_t used = strlen(t->name);
        (void)snprintf(t->name + used, sizeof t->name - used, "/remainder");
        before->remainder = layer->residual_remainder = network->n_tensors++;
    }
    network->is_wide = true;
}

int64_t fn_layer_macs(const struct fn_network *network, const struct fn_layer *layer) {
    int64_t per_position =
        (int64_t)layer->kernel_h * layer->kernel_w * layer->in_channels * layer->out_channels;
    switch (layer->op) {
    case FN_OP_CONV: {
        const struct fn_tensor *out = &network->tensors[layer->output];
        return per_position * out->height * out->width;
    }
    case FN_OP_HEAD:
        return per_position;
    case FN_OP_POOL:
        return 0;
    }
    return 0;
}

int fn_network_find_tensor(const struct fn_network *network, const char *name) {
    for (int i = 0; i < network->n_tensors; i++)
        if (strcmp(network->tensors[i].name, name) == 0) return i;
    return -1;
}
