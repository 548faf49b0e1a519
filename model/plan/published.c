/* SPDX-License-Identifier: Apache-2.0
 *
 * published.c -- see published.h.
 *
 * Networks: Krizhevsky 2012 (with its two groups), Simonyan 2014 (D), Szegedy 2014, He 2015 (50,
 * stride in the first 1x1 as in the authors' Caffe files), all at 224 x 224 (AlexNet 227 x 227).
 * Rows 1 and 2: PipeCNN, FPT 2017, table I and figure 6; row 5: its README and issue 37. Rows 8 to
 * 16: CHaiDNN v2, docs/PERFORMANCE_SNAPSHOT.md; arrays of docs/CONFIGURABLE_PARAMS.md with
 * XI_KER_PROC 16, clock of the multipliers, which is twice the core's: so 2 maps of the 4 that
 * arrive together. Its fully connected layers run on the CPU and are not in the published time. */
#include "model/plan/published.h"

#include <stddef.h>
#include <string.h>

const struct fn_published fn_published_rows[] = {
    {1, FN_ENGINE_PIPECNN, "DE5-net", "AlexNet", 16, 28, 1, 16, 198, 25.6, 66.7, false},
    {2, FN_ENGINE_PIPECNN, "DE5-net", "VGG16", 16, 28, 1, 1, 198, 25.6, 3.94, false},
    {5, FN_ENGINE_PIPECNN, "DE1-SoC", "AlexNet", 8, 8, 1, 1, 122, 3.2, 6.9, true},
    {8, FN_ENGINE_CHAIDNN, "ZU9", "GoogLeNet", 2, 16, 4, 1, 600, 19.2, 32.75, false},
    {9, FN_ENGINE_CHAIDNN, "ZU9", "GoogLeNet", 2, 16, 8, 1, 600, 19.2, 61.41, false},
    {10, FN_ENGINE_CHAIDNN, "ZU9", "GoogLeNet", 2, 16, 16, 1, 600, 19.2, 108.64, false},
    {11, FN_ENGINE_CHAIDNN, "ZU9", "GoogLeNet", 2, 16, 32, 1, 500, 19.2, 151.76, false},
    {12, FN_ENGINE_CHAIDNN, "ZU9", "ResNet-50", 2, 16, 4, 1, 600, 19.2, 9.4, true},
    {13, FN_ENGINE_CHAIDNN, "ZU9", "ResNet-50", 2, 16, 8, 1, 600, 19.2, 17.38, true},
    {14, FN_ENGINE_CHAIDNN, "ZU9", "ResNet-50", 2, 16, 16, 1, 600, 19.2, 30.03, true},
    {15, FN_ENGINE_CHAIDNN, "ZU9", "ResNet-50", 2, 16, 32, 1, 500, 19.2, 43.09, true},
    {16, FN_ENGINE_CHAIDNN, "ZU9", "VGG16 convolutions", 2, 16, 32, 1, 500, 19.2, 19.3, false},
};
const int fn_published_n_rows = sizeof fn_published_rows / sizeof fn_published_rows[0];

/* A network as it grows: where its last tensor stands. */
struct chain {
    struct fn_work *works;
    int n, side, channels;
};

static struct fn_work *push(struct chain *c, enum fn_work_kind kind, int in_channels,
                            int out_channels, int kernel, int out_side) {
    struct fn_work *work = &c->works[c->n++];
    *work = (struct fn_work){.name = "",
                             .kind = kind,
                             .in_height = c->side,
                             .in_width = c->side,
                             .in_channels = in_channels,
                             .out_height = out_side,
                             .out_width = out_side,
                             .out_channels = out_channels,
                             .kernel_h = kernel,
                             .kernel_w = kernel};
    if (kind == FN_WORK_CONV) work->weights = (int64_t)kernel * kernel * in_channels * out_channels;
    return work;
}

/* A branch: reads the chain's tensor, leaves the chain where it is. SAME for stride 1. */
static void branch(struct chain *c, int in_channels, int out_channels, int kernel) {
    (void)push(c, FN_WORK_CONV, in_channels, out_channels, kernel, c->side);
}

/* The chain goes on from this convolution. `pad` a side. */
static void conv(struct chain *c, int channels, int kernel, int stride, int pad) {
    int side = (c->side + 2 * pad - kernel) / stride + 1;
    (void)push(c, FN_WORK_CONV, c->channels, channels, kernel, side);
    c->side = side;
    c->channels = channels;
}

/* Two convolutions side by side, each from half of the channels to half of the channels. */
static void conv_in_two(struct chain *c, int channels, int kernel, int pad) {
    int side = c->side + 2 * pad - kernel + 1;
    for (int i = 0; i < 2; i++)
        (void)push(c, FN_WORK_CONV, c->channels / 2, channels / 2, kernel, side);
    c->side = side;
    c->channels = channels;
}

/* Caffe's pooling rounds the number of positions up. */
static void pool(struct chain *c, int kernel, int stride) {
    int side = (c->side - kernel + stride - 1) / stride + 1;
    (void)push(c, FN_WORK_POOL, c->channels, c->channels, kernel, side);
    c->side = side;
}

static void connect(struct chain *c, int channels) {
    conv(c, channels, c->side, 1, 0);
}

static void alexnet(struct chain *c) {
    c->side = 227;
    conv(c, 96, 11, 4, 0);
    pool(c, 3, 2);
    conv_in_two(c, 256, 5, 2);
    pool(c, 3, 2);
    conv(c, 384, 3, 1, 1);
    conv_in_two(c, 384, 3, 1);
    conv_in_two(c, 256, 3, 1);
    pool(c, 3, 2);
    connect(c, 4096);
    connect(c, 4096);
    connect(c, 1000);
}

static void vgg16_convolutions(struct chain *c) {
    static const struct {
        int times, channels;
    } stages[] = {{2, 64}, {2, 128}, {3, 256}, {3, 512}, {3, 512}};
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        for (int k = 0; k < stages[i].times; k++) conv(c, stages[i].channels, 3, 1, 1);
        pool(c, 2, 2);
    }
}

static void vgg16(struct chain *c) {
    vgg16_convolutions(c);
    connect(c, 4096);
    connect(c, 4096);
    connect(c, 1000);
}

/* Channels: 1x1; 3x3 with its reduction; 5x5 with its reduction; after the pool. */
static void inception(struct chain *c, int one, int three_in, int three, int five_in, int five,
                      int pooled) {
    branch(c, c->channels, one, 1);
    branch(c, c->channels, three_in, 1);
    branch(c, three_in, three, 3);
    branch(c, c->channels, five_in, 1);
    branch(c, five_in, five, 5);
    (void)push(c, FN_WORK_POOL, c->channels, c->channels, 3, c->side);
    branch(c, c->channels, pooled, 1);
    c->channels = one + three + five + pooled;
}

static void googlenet(struct chain *c) {
    conv(c, 64, 7, 2, 3);
    pool(c, 3, 2);
    conv(c, 64, 1, 1, 0);
    conv(c, 192, 3, 1, 1);
    pool(c, 3, 2);
    inception(c, 64, 96, 128, 16, 32, 32);
    inception(c, 128, 128, 192, 32, 96, 64);
    pool(c, 3, 2);
    inception(c, 192, 96, 208, 16, 48, 64);
    inception(c, 160, 112, 224, 24, 64, 64);
    inception(c, 128, 128, 256, 24, 64, 64);
    inception(c, 112, 144, 288, 32, 64, 64);
    inception(c, 256, 160, 320, 32, 128, 128);
    pool(c, 3, 2);
    inception(c, 256, 160, 320, 32, 128, 128);
    inception(c, 384, 192, 384, 48, 128, 128);
}

static void bottleneck(struct chain *c, int width, int stride, bool projected) {
    int side = (c->side - 1) / stride + 1;
    if (projected) (void)push(c, FN_WORK_CONV, c->channels, 4 * width, 1, side);
    conv(c, width, 1, stride, 0);
    conv(c, width, 3, 1, 1);
    conv(c, 4 * width, 1, 1, 0);
    (void)push(c, FN_WORK_ADD, c->channels, c->channels, 1, c->side);
}

static void resnet50(struct chain *c) {
    static const int times[] = {3, 4, 6, 3};
    conv(c, 64, 7, 2, 3);
    pool(c, 3, 2);
    for (int stage = 0; stage < 4; stage++)
        for (int k = 0; k < times[stage]; k++)
            bottleneck(c, 64 << stage, stage > 0 && k == 0 ? 2 : 1, k == 0);
}

int fn_published_network(const char *name, struct fn_work *ret) {
    static const struct {
        const char *name;
        void (*build)(struct chain *c);
    } networks[] = {{"AlexNet", alexnet},
                    {"VGG16", vgg16},
                    {"VGG16 convolutions", vgg16_convolutions},
                    {"GoogLeNet", googlenet},
                    {"ResNet-50", resnet50}};
    struct chain c = {ret, 0, 224, 3};
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++)
        if (strcmp(networks[i].name, name) == 0) networks[i].build(&c);
    return c.n;
}
