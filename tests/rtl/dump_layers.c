/* SPDX-License-Identifier: Apache-2.0
 *
 * dump_layers.c -- test vectors for the RTL: convolutions of a model as the reference engine
 * computes them on the golden picture, which is what every kernel computes too.
 *
 *   dump_layers MODEL DIRECTORY SCOPE...    writes DIRECTORY/0, 1, ... one file a scope
 *
 * A file is int32 (native order): in_height, in_width, in_channels, out_height, out_width,
 * out_channels, kernel_h, kernel_w, stride, pad_h, pad_w, relu, has_residual; then bias, s and r of
 * every output channel; then bytes: input [y][x][c], weights [oc][ky][kx][ic], residual (if any)
 * and expected output [y][x][oc]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/golden.h"
#include "engine/preprocess.h"
#include "engine/reference.h"

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)

static void write_numbers(FILE *to, const struct fn_model *model, int index) {
    const struct fn_layer *layer = &model->network.layers[index];
    const struct fn_tensor *in = &model->network.tensors[layer->input];
    const struct fn_tensor *out = &model->network.tensors[layer->output];
    const int32_t sizes[] = {
        in->height,          in->width,       in->channels,        out->height,   out->width,
        layer->out_channels, layer->kernel_h, layer->kernel_w,     layer->stride, layer->pad_h,
        layer->pad_w,        layer->relu,     layer->residual >= 0};
    (void)fwrite(sizes, sizeof sizes, 1, to);
    (void)fwrite(model->params[index].bias, sizeof(int32_t), (size_t)layer->out_channels, to);
    for (int oc = 0; oc < layer->out_channels; oc++) {
        int32_t s = fn_model_shift(model, index, oc);
        (void)fwrite(&s, sizeof s, 1, to);
    }
    for (int oc = 0; oc < layer->out_channels; oc++) {
        int32_t r = layer->residual >= 0 ? fn_model_residual_shift(model, index, oc) : 0;
        (void)fwrite(&r, sizeof r, 1, to);
    }
}

/* The layer's own channels of a tensor that may hold other branches' too. */
static void write_channels(FILE *to, const struct fn_tensor *tensor, const int8_t *values,
                           int offset, int channels) {
    size_t pixels = (size_t)tensor->height * (size_t)tensor->width;
    for (size_t p = 0; p < pixels; p++)
        (void)fwrite(values + p * (size_t)tensor->channels + (size_t)offset, 1, (size_t)channels,
                     to);
}

static int dump(const struct fn_model *model, int index, int8_t *const *tensors, const char *path) {
    const struct fn_layer *layer = &model->network.layers[index];
    const struct fn_tensor *out = &model->network.tensors[layer->output];
    FILE *to = fopen(path, "wb");
    if (!to) return perror(path), 1;
    write_numbers(to, model, index);
    (void)fwrite(tensors[layer->input], 1, fn_tensor_size(&model->network.tensors[layer->input]),
                 to);
    (void)fwrite(model->params[index].weights, 1,
                 fn_layer_kernel_size(layer) * (size_t)layer->out_channels, to);
    if (layer->residual >= 0)
        write_channels(to, out, tensors[layer->residual], layer->output_offset,
                       layer->out_channels);
    write_channels(to, out, tensors[layer->output], layer->output_offset, layer->out_channels);
    int failed = ferror(to);
    if (fclose(to) != 0 || failed) return perror(path), 1;
    return 0;
}

int main(int argc, char **argv) {
    struct fn_error err = {0};
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    static uint8_t crop[FN_CROP_SIZE];
    static int8_t *tensors[FN_MAX_TENSORS];
    if (argc < 4) return (void)fputs("Usage: dump_layers MODEL DIRECTORY SCOPE...\n", stderr), 2;
    if (fn_model_open(argv[1], &model, &err) != FN_OK)
        return (void)fprintf(stderr, "%s\n", err.text), 1;
    FN_CLEANUP_FREE int32_t *accumulators =
        calloc((size_t)model->network.embedding_size, sizeof *accumulators);
    bool ready = accumulators != NULL;
    for (int i = 0; i < model->network.n_tensors; i++) {
        tensors[i] = malloc(fn_tensor_size(&model->network.tensors[i]));
        ready = ready && tensors[i];
    }
    if (!ready) return (void)fputs("no memory\n", stderr), 1;
    fn_golden_picture(FN_GOLDEN_SEED, crop);
    fn_preprocess(model->preprocessing, crop, sizeof crop, tensors[0]);
    int failed = 0, found = 0;
    for (int i = 0; i < model->network.n_layers && !failed; i++) {
        fn_reference_layer(model, i, tensors, accumulators);
        for (int k = 3; k < argc && !failed; k++) {
            if (strcmp(argv[k], model->network.layers[i].name) != 0) continue;
            char path[512];
            (void)snprintf(path, sizeof path, "%s/%d", argv[2], k - 3);
            failed = dump(model, i, tensors, path);
            found++;
        }
    }
    for (int i = 0; i < model->network.n_tensors; i++) free(tensors[i]);
    if (!failed && found != argc - 3) return (void)fputs("unknown scope\n", stderr), 1;
    return failed;
}
