/* SPDX-License-Identifier: Apache-2.0
 *
 * detector_torch.c -- see detector_torch.h. */
#include "model/sources/detector_torch.h"

#include <stdio.h>
#include <string.h>

#include "model/sources/torch.h"

struct search {
    char name[48];
    bool found;
    struct fn_raw_tensor tensor;
};

static fn_status visit(void *context, const struct fn_raw_tensor *tensor, struct fn_error *err) {
    struct search *search = context;
    (void)err;
    if (strcmp(tensor->name, search->name) != 0) return FN_OK;
    search->found = true;
    search->tensor = *tensor;
    return FN_OK;
}

/* "conv4-1" is conv4_1; layers that see their whole input are dense5_2 and the like. */
static void name_tensor(int index, const char *part, char *ret_name, size_t size) {
    const struct fn_mtcnn_layer *layer = &fn_mtcnn_layers[index];
    int place = index - fn_mtcnn_first_layer(layer->net);
    const char *number = layer->name + strlen("pnet/conv");
    bool dense = layer->net != FN_PNET && place >= (layer->net == FN_RNET ? 3 : 4);
    if (strcmp(part, "alpha") == 0)
        (void)snprintf(ret_name, size, "prelu%d.weight", place + 1);
    else
        (void)snprintf(ret_name, size, "%s%s.%s", dense ? "dense" : "conv", number,
                       strcmp(part, "weights") == 0 ? "weight" : "bias");
    char *hyphen = strchr(ret_name, '-');
    if (hyphen) *hyphen = '_';
}

fn_status fn_detector_torch_find(const char *path, const uint8_t *bytes, size_t size, int index,
                                 const char *part, struct fn_npy *ret_array, struct fn_error *err) {
    struct search search = {.found = false};
    name_tensor(index, part, search.name, sizeof search.name);
    fn_status status = fn_torch_read(path, bytes, size, visit, &search, err);
    if (status != FN_OK) return status;
    if (!search.found)
        return fn_fail(err, FN_BAD_SOURCE, "%s: has no tensor of floats %s", path, search.name);
    const struct fn_raw_tensor *t = &search.tensor;
    struct fn_npy array = {.dtype = t->dtype, .rank = t->rank, .data = t->data};
    if (t->rank > 4)
        return fn_fail(err, FN_BAD_SOURCE, "%s: %s has %d dimensions", path, search.name, t->rank);
    /* [out][in][y][x] and [out][x, y, in] are ours backwards. */
    for (int i = 0; i < t->rank; i++) {
        array.shape[i] = t->shape[t->rank - 1 - i];
        array.stride[i] = t->stride[t->rank - 1 - i];
    }
    *ret_array = array;
    return FN_OK;
}
