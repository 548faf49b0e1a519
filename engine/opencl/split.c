/* SPDX-License-Identifier: Apache-2.0
 *
 * split.c -- work-items of about equal work. A work-item goes over its tiles of pixels one after
 * the other, each time through the weights of all its groups of output channels, so that what
 * belongs to a tile is computed once and the weights stay in the core's second cache. */
#include "engine/opencl/split.h"

/* Work-items for each compute unit: several, so that no core waits long for another's last one. */
#define ITEMS_PER_UNIT 4
/* Bytes of weights that a work-item goes through again and again. */
#define CHUNK_SIZE (256 << 10)

int fn_split_tiles(const struct fn_network *network, int layer, int tile, int n) {
    const struct fn_tensor *out = &network->tensors[network->layers[layer].output];
    return fn_divide_up(n * out->height * out->width, tile);
}

/* Bytes of a group's weights, which is also the work of one tile of one group. */
static int64_t group_cost(const struct fn_split_facts *facts, int index) {
    const struct fn_layer *layer = &facts->network->layers[index];
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
    int64_t cost = group_cost(facts, index), most = share < CHUNK_SIZE ? share : CHUNK_SIZE;
    int groups = count_groups(facts, index);
    int chunk = most / cost < 1 ? 1 : most / cost > groups ? groups : (int)(most / cost);
    chunk = fn_divide_up(groups, fn_divide_up(groups, chunk)); /* chunks of equal size */
    int64_t span = share / (cost * chunk);
    *ret_chunk = chunk;
    *ret_span = span < 1 ? 1 : span > tiles ? tiles : (int)span;
}

void fn_split_step(const struct fn_split_facts *facts, const struct fn_step *step, int tile, int n,
                   struct fn_split *ret_split) {
    struct fn_split split = {0};
    int tiles[FN_MEMBERS];
    int64_t cost = 0;
    for (int i = 0; i < step->n; i++) {
        int index = step->layers[i];
        tiles[i] = fn_split_tiles(facts->network, index, tile, n);
        cost += group_cost(facts, index) * count_groups(facts, index) * tiles[i];
    }
    int64_t share = cost / facts->compute_units / ITEMS_PER_UNIT + 1;
    for (int i = 0; i < FN_MEMBERS; i++) {
        split.spans[i] = split.chunks[i] = 1;
        if (i < step->n) {
            int index = step->layers[i];
            split.members[i] = index;
            split_layer(facts, index, tiles[i], share, &split.spans[i], &split.chunks[i]);
            split.n_items += fn_divide_up(count_groups(facts, index), split.chunks[i]) *
                             fn_divide_up(tiles[i], split.spans[i]);
        }
        split.ends[i] = split.n_items; /* of those after the last too: kernels look at all */
    }
    *ret_split = split;
}
