/* SPDX-License-Identifier: Apache-2.0
 *
 * export.c -- see export.h. */
#include "model/inspect/export.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/file.h"
#include "model/inspect/new_folder.h"

static const char *const order_names[] = {"tiled", "ohwi", "oihw", "hwio"};

struct writer {
    const struct fn_model *model;
    const struct fn_export_options *options;
    const char *folder;
    json_t *layers; /* of the manifest */
    struct fn_error *err;
};

struct fn_export_options fn_export_defaults(void) {
    return (struct fn_export_options){
        .format = FN_IMAGE_MEMH, .order = FN_EXPORT_TILED, .vec = 8, .lanes = 16};
}

const char *fn_export_order_name(enum fn_export_order order) {
    return order_names[order];
}

static size_t round_up(size_t n, size_t step) {
    return (n + step - 1) / step * step;
}

/* ---- order ---------------------------------------------------------------------------------- */

static uint8_t weight_at(const struct fn_model *model, int layer, size_t o, size_t h, size_t w,
                         size_t i) {
    const struct fn_layer *l = &model->network.layers[layer];
    size_t kh = (size_t)l->kernel_h, kw = (size_t)l->kernel_w, ic = (size_t)l->in_channels;
    return (uint8_t)model->params[layer].weights[((o * kh + h) * kw + w) * ic + i];
}

static void fill_tiled(const struct fn_model *model, int layer,
                       const struct fn_export_options *options, uint8_t *out) {
    const struct fn_layer *l = &model->network.layers[layer];
    size_t kh = (size_t)l->kernel_h, kw = (size_t)l->kernel_w, ic = (size_t)l->in_channels;
    size_t oc = (size_t)l->out_channels, vec = (size_t)options->vec, lanes = (size_t)options->lanes;
    for (size_t o = 0; o < oc; o += lanes)
        for (size_t h = 0; h < kh; h++)
            for (size_t w = 0; w < kw; w++)
                for (size_t i = 0; i < ic; i += vec)
                    for (size_t lane = 0; lane < lanes; lane++)
                        for (size_t v = 0; v < vec; v++, out++)
                            if (o + lane < oc && i + v < ic)
                                *out = weight_at(model, layer, o + lane, h, w, i + v);
}

static void fill_plain(const struct fn_model *model, int layer, enum fn_export_order order,
                       uint8_t *out) {
    const struct fn_layer *l = &model->network.layers[layer];
    /* Sizes of o, h, w, i, and which of them is the outermost, ..., the innermost axis. */
    const size_t n[4] = {(size_t)l->out_channels, (size_t)l->kernel_h, (size_t)l->kernel_w,
                         (size_t)l->in_channels};
    static const int axes[][4] = {[FN_EXPORT_OHWI] = {0, 1, 2, 3},
                                  [FN_EXPORT_OIHW] = {0, 3, 1, 2},
                                  [FN_EXPORT_HWIO] = {1, 2, 3, 0}};
    const int *axis = axes[order];
    size_t at[4] = {0};
    for (at[axis[0]] = 0; at[axis[0]] < n[axis[0]]; at[axis[0]]++)
        for (at[axis[1]] = 0; at[axis[1]] < n[axis[1]]; at[axis[1]]++)
            for (at[axis[2]] = 0; at[axis[2]] < n[axis[2]]; at[axis[2]]++)
                for (at[axis[3]] = 0; at[axis[3]] < n[axis[3]]; at[axis[3]]++)
                    *out++ = weight_at(model, layer, at[0], at[1], at[2], at[3]);
}

fn_status fn_export_weights(const struct fn_model *model, int layer,
                            const struct fn_export_options *options, uint8_t **ret_bytes,
                            size_t *ret_depth, struct fn_error *err) {
    const struct fn_layer *l = &model->network.layers[layer];
    size_t kernel = (size_t)l->kernel_h * (size_t)l->kernel_w, vec = (size_t)options->vec;
    bool tiled = options->order == FN_EXPORT_TILED;
    size_t size = tiled ? round_up((size_t)l->out_channels, (size_t)options->lanes) * kernel *
                              round_up((size_t)l->in_channels, vec)
                        : round_up((size_t)l->out_channels * kernel * (size_t)l->in_channels, vec);
    uint8_t *bytes = calloc(1, size);
    if (!bytes) return fn_fail(err, FN_NO_MEMORY, "no memory for %s", l->name);
    if (tiled)
        fill_tiled(model, layer, options, bytes);
    else
        fill_plain(model, layer, options->order, bytes);
    if (options->sign_magnitude) fn_image_sign_magnitude(bytes, size, 1);
    *ret_bytes = bytes;
    *ret_depth = size / vec;
    return FN_OK;
}

/* ---- files ---------------------------------------------------------------------------------- */

/* "InceptionResnetV1/Conv2d_1a_3x3" + "weights" to an identifier that is a file name too. */
static void name_image(const struct fn_layer *layer, const char *what, char *ret, size_t size) {
    (void)snprintf(ret, size, "%s_%s", layer->name + sizeof FN_ROOT, what);
    for (char *c = ret; *c; c++)
        if (*c == '/') *c = '_';
}

static fn_status write_image(const struct writer *writer, const struct fn_image *image,
                             json_t *files) {
    char path[PATH_MAX];
    const char *extension = fn_image_format_name(writer->options->format);
    if (writer->options->format == FN_IMAGE_C) extension = "h";
    (void)snprintf(path, sizeof path, "%s/%s.%s", writer->folder, image->name, extension);
    FILE *file = fopen(path, "wxe");
    if (!file) return fn_fail(writer->err, FN_IO, "%s: %s", path, strerror(errno));
    if (writer->options->format == FN_IMAGE_C) (void)fputs("#include <stdint.h>\n\n", file);
    fn_image_write(file, writer->options->format, image);
    bool failed = ferror(file);
    if (fclose(file) != 0 || failed)
        return fn_fail(writer->err, FN_IO, "%s: cannot be written: %s", path, strerror(errno));
    json_t *entry =
        json_pack("{s:o, s:i, s:i, s:i}", "file", json_sprintf("%s.%s", image->name, extension),
                  "depth", (int)image->depth, "word_bits", (int)image->word_size * 8,
                  "element_bits", (int)image->element_size * 8);
    return json_array_append_new(files, entry) == 0
               ? FN_OK
               : fn_fail(writer->err, FN_NO_MEMORY, "no memory for the manifest");
}

static fn_status write_weights(const struct writer *writer, int layer, json_t *files) {
    char name[FN_NAME_SIZE + 16];
    FN_CLEANUP_FREE uint8_t *bytes = NULL;
    size_t depth;
    name_image(&writer->model->network.layers[layer], "weights", name, sizeof name);
    fn_status status =
        fn_export_weights(writer->model, layer, writer->options, &bytes, &depth, writer->err);
    if (status != FN_OK) return status;
    const struct fn_image image = {name, bytes, depth, (size_t)writer->options->vec, 1};
    return write_image(writer, &image, files);
}

/* One number per output channel, a word each, padded to whole tiles in the tiled order. */
static fn_status write_vector(const struct writer *writer, int layer, const char *what,
                              const void *values, size_t element_size, json_t *files) {
    const struct fn_layer *l = &writer->model->network.layers[layer];
    char name[FN_NAME_SIZE + 16];
    name_image(l, what, name, sizeof name);
    size_t n = (size_t)l->out_channels, depth = n;
    if (writer->options->order == FN_EXPORT_TILED)
        depth = round_up(n, (size_t)writer->options->lanes);
    FN_CLEANUP_FREE uint8_t *bytes = calloc(depth, element_size);
    if (!bytes) return fn_fail(writer->err, FN_NO_MEMORY, "no memory for %s", name);
    memcpy(bytes, values, n * element_size);
    if (writer->options->sign_magnitude) fn_image_sign_magnitude(bytes, n, element_size);
    const struct fn_image image = {name, bytes, depth, element_size, element_size};
    return write_image(writer, &image, files);
}

static fn_status write_layer(const struct writer *writer, int layer) {
    const struct fn_model *model = writer->model;
    const struct fn_layer *l = &model->network.layers[layer];
    json_t *files = json_array();
    fn_status status = write_weights(writer, layer, files);
    if (status == FN_OK)
        status = write_vector(writer, layer, "bias", model->params[layer].bias, 4, files);
    if (status == FN_OK)
        status = write_vector(writer, layer, "frac_bits", model->params[layer].frac_bits, 1, files);
    json_t *entry =
        json_pack("{s:s, s:[i, i, i, i], s:i, s:b, s:i, s:o}", "name", l->name, "shape_ohwi",
                  l->out_channels, l->kernel_h, l->kernel_w, l->in_channels, "stride", l->stride,
                  "relu", l->relu, "input_frac_bits", model->frac_bits[l->input], "files", files);
    if (entry && l->output >= 0)
        (void)json_object_set_new(entry, "output_frac_bits",
                                  json_integer(model->frac_bits[l->output]));
    if ((!entry || json_array_append_new(writer->layers, entry) != 0) && status == FN_OK)
        status = fn_fail(writer->err, FN_NO_MEMORY, "no memory for the manifest");
    return status;
}

static fn_status write_manifest(const struct writer *writer) {
    const struct fn_export_options *o = writer->options;
    json_t *manifest = json_pack(
        "{s:s, s:s, s:s, s:i, s:i, s:s, s:O}", "model", writer->model->id, "format",
        fn_image_format_name(o->format), "order", order_names[o->order], "vec", o->vec, "lanes",
        o->lanes, "notation", o->sign_magnitude ? "sign-magnitude" : "twos-complement", "layers",
        writer->layers);
    FN_CLEANUP_FREE char *text = manifest ? json_dumps(manifest, JSON_INDENT(1)) : NULL;
    json_decref(manifest);
    if (!text) return fn_fail(writer->err, FN_NO_MEMORY, "no memory for the manifest");
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/manifest.json", writer->folder);
    const struct fn_piece pieces[] = {{text, strlen(text)}, {"\n", 1}};
    return fn_file_write(path, pieces, 2, writer->err);
}

fn_status fn_export_write(const struct fn_model *model, const struct fn_export_options *options,
                          const char *directory, struct fn_error *err) {
    struct fn_new_folder folder;
    fn_status status = fn_new_folder_begin(directory, &folder, err);
    if (status != FN_OK) return status;
    const struct writer writer = {model, options, folder.path, json_array(), err};
    for (int i = 0; i < model->network.n_layers && status == FN_OK; i++)
        if (model->network.layers[i].op != FN_OP_POOL) status = write_layer(&writer, i);
    if (status == FN_OK) status = write_manifest(&writer);
    json_decref(writer.layers);
    return fn_new_folder_end(&folder, status, err);
}
