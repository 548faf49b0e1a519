/* SPDX-License-Identifier: Apache-2.0
 *
 * export.h -- a model as memory images, two or three files a layer and a manifest (docs/export.md).
 *
 * The default order is the one of a convolution kernel that takes `vec` input channels times
 * `lanes` output channels a clock: [oc / lanes][kh][kw][ic / vec][lanes][vec], a word being the
 * `vec` bytes of one lane; what is over at the ends is zero. */
#ifndef FN_EXPORT_H
#define FN_EXPORT_H

#include "engine/model.h"
#include "model/inspect/image.h"

enum fn_export_order {
    FN_EXPORT_TILED, /* as above */
    FN_EXPORT_OHWI,  /* as in the model file */
    FN_EXPORT_OIHW,
    FN_EXPORT_HWIO,
};

struct fn_export_options {
    enum fn_image_format format;
    enum fn_export_order order;
    int vec;             /* weights in a word */
    int lanes;           /* output channels of a tile; biases are padded to it */
    bool sign_magnitude; /* else two's complement */
};

/* The defaults: memh, tiled, vec 8 (words of 64 bits), 16 lanes, two's complement. */
struct fn_export_options fn_export_defaults(void);

/* Weights of a layer in the order and padding of the options: *ret_bytes is malloc()ed,
 * [*ret_depth][vec]. */
FN_MUST fn_status fn_export_weights(const struct fn_model *model, int layer,
                                    const struct fn_export_options *options, uint8_t **ret_bytes,
                                    size_t *ret_depth, struct fn_error *err);

/* Write all layers to `directory`, which must not exist or be empty; it appears whole or not at
 * all. */
FN_MUST fn_status fn_export_write(const struct fn_model *model,
                                  const struct fn_export_options *options, const char *directory,
                                  struct fn_error *err);

const char *fn_export_order_name(enum fn_export_order order);

#endif
