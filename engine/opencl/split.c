/* SPDX-License-Identifier: Apache-2.0
 *
 * split.c -- work-items of about equal work. A work-item goes over its tiles of pixels one after
 * the other, each time through the weights of all its groups of output channels, so that what
 * belongs to a tile is computed once and the weights stay in the core's second cache. */
#include "engine/opencl/split.h"

#include <stdbool.h>

#include "engine/opencl/winograd.h"

/* Work-items for each compute unit: several, so that no core waits long for another's last one. */
#define ITEMS_PER_UNIT 4
/* Bytes of weights that a work-item goes through again and again. By Winograd's way each of its
 * chunks transforms the inputs anew, which costs more than weights from a farther cache. */
#define CHUNK_SIZE          (256 << 10)
#define WINOGRAD_CHUNK_SIZE (1 << 20)

/* What is computed at once in the output of n pictures: `tile` pixels, or for Winograd squares of
 * four. */
static int count_tiles(const struct fn_split_facts *facts, int layer, int kind, int n) {
    const struct fn_network *network = facts->network;
    const struct fn_tensor *out = &network->tensors[network->layers[layer].output];
    int each = facts->packing->winograd[layer]
                   ? fn_divide_up(out->height, 2) * fn_divide_up(out->width, 2)
                   : out->height * out->width;
    return fn_divide_up(n * each, facts->tile[kind]);
}

/* Bytes of a group's weights, which is also the work of one tile of one group. */
static int64_t group_cost(const struct fn_split_facts *facts, int index) {
    const struct fn_layer *layer = &facts->network->layers[index];
    if (facts->packing->winograd[index]) return (int64_t)fn_winograd_group_size(layer);
    return (int64_t)layer->kernel_h * layer->kernel_w * facts->plan->pitch[layer->input] *
           facts->packing->blocks[index] * FN_LANES;
}

static int count_groups(const struct fn_split_facts *facts, int index) {
    return fn_divide_up(facts->network->layers[index].out_channels,
                        facts->packing->blocks[index] * FN_LANES);
}

/* About `share` work: as many groups as stay in the cache, then as many tiles as there is work left
 * for. */
static void split_layer(const struct fn_split_facts *facts, int index, int tiles, int64_t share,
                        int *ret_span, int *ret_chunk) {
    int64_t cost = group_cost(facts, index), limit = CHUNK_SIZE;
    if (facts->packing->winograd[index]) limit = WINOGRAD_CHUNK_SIZE;
    int64_t most = share < limit ? share : limit;
    int groups = count_groups(facts, index);
    int chunk = most / cost < 1 ? 1 : most / cost > groups ? groups : (int)(most / cost);
    chunk = fn_divide_up(groups, fn_divide_up(groups, chunk)); /* chunks of equal size */
    int64_t span = share / (cost * chunk);
    *ret_chunk = chunk;
    *ret_span = span < 1 ? 1 : span > tiles ? tiles : (int)span;
}

/* CONV_TAIL in place of CONV where that computes fewer pixels in vain, and not just as few. */
static int choose_kind(const struct fn_split_facts *facts, const struct fn_step *step, int n) {
    int kind = facts->kinds[step->layers[0]];
    int64_t conv = 0, tail = 0;
    for (int i = 0; i < step->n; i++) {
        int layer = step->layers[i];
        conv += count_tiles(facts, layer, FN_STEP_CONV, n);
        tail += count_tiles(facts, layer, FN_STEP_CONV_TAIL, n);
    }
    bool better = 8 * tail * facts->tile[FN_STEP_CONV_TAIL] < 7 * conv * facts->tile[FN_STEP_CONV];
    return kind == FN_STEP_CONV && better ? FN_STEP_CONV_TAIL : kind;
}

static struct fn_step_params split_convs(const struct fn_split_facts *facts,
                                         const struct fn_step *step, int n) {
    struct fn_step_params split = {.kind = choose_kind(facts, step, n), .pictures = n};
    int tiles[FN_MEMBERS];
    int64_t cost = 0;
    for (int i = 0; i < step->n; i++) {
        int index = step->layers[i];
        tiles[i] = count_tiles(facts, index, split.kind, n);
        cost += group_cost(facts, index) * count_groups(facts, index) * tiles[i];
    }
    int units = fn_divide_up(facts->compute_units, facts->n_shares);
    int64_t share = cost / units / ITEMS_PER_UNIT + 1;
    for (int i = 0; i < step->n; i++) {
        int index = step->layers[i];
        split.members[i] = index;
        split_layer(facts, index, tiles[i], share, &split.spans[i], &split.chunks[i]);
        split.n_items += fn_divide_up(count_groups(facts, index), split.chunks[i]) *
                         fn_divide_up(tiles[i], split.spans[i]);
        split.ends[i] = split.n_items;
    }
    return split;
}

static struct fn_step_params make_step(int kind, int layer, int items) {
    return (struct fn_step_params){.kind = kind, .n_items = items, .members = {layer}};
}

/* The steps of n pictures that run together. */
static int split_share(const struct fn_split_facts *facts, int n,
                       struct fn_step_params ret_steps[FN_MAX_STEPS]) {
    const struct fn_network *network = facts->network;
    int n_steps = 0;
    for (int i = 0; i < facts->schedule->n_steps; i++) {
        const struct fn_step *step = &facts->schedule->steps[i];
        int index = step->layers[0];
        const struct fn_layer *layer = &network->layers[index];
        int in_blocks = fn_divide_up(network->tensors[layer->input].channels, FN_LANES);
        switch (layer->op) {
        case FN_OP_CONV:
            ret_steps[n_steps++] = split_convs(facts, step, n);
            break;
        case FN_OP_POOL:
            ret_steps[n_steps++] =
                make_step(FN_STEP_POOL, index, n * network->tensors[layer->output].height);
            break;
        case FN_OP_HEAD:
            ret_steps[n_steps++] = make_step(FN_STEP_HEAD_SUM, index, n * in_blocks);
            ret_steps[n_steps++] =
                make_step(FN_STEP_HEAD, index, n * fn_divide_up(layer->out_channels, FN_LANES));
            break;
        }
    }
    return n_steps;
}

int fn_split_make(const struct fn_split_facts *facts, int n,
                  struct fn_step_params ret_steps[FN_MAX_SHARES * FN_MAX_STEPS]) {
    int n_steps = 0, first = 0;
    for (int share = 0; share < facts->n_shares; share++) {
        int pictures = fn_split_pictures(n, facts->n_shares, share);
        struct fn_step_params *steps = ret_steps + (size_t)share * (size_t)n_steps;
        n_steps = split_share(facts, pictures, steps);
        for (int i = 0; i < n_steps; i++) {
            steps[i].arena = share * facts->plan->arena_size;
            steps[i].first = first;
        }
        first += pictures;
    }
    return n_steps;
}
