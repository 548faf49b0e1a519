/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_export.c -- `facenet-model export`: a model as images for the memories of an FPGA. */
#include <string.h>

#include "model/commands/command.h"
#include "model/inspect/export.h"

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)

static fn_status read_options(const char *format, const char *order, const char *vec,
                              const char *lanes, const char *notation,
                              struct fn_export_options *ret, struct fn_error *err) {
    *ret = fn_export_defaults();
    if (format && !fn_image_find_format(format, &ret->format))
        return fn_fail(err, FN_USAGE,
                       "--format %.20s: expected mif, coe, hex, memh, memb, bits or c", format);
    ret->sign_magnitude = ret->format == FN_IMAGE_BITS; /* the original form */
    if (notation) {
        ret->sign_magnitude = strcmp(notation, "sign-magnitude") == 0;
        if (!ret->sign_magnitude && strcmp(notation, "twos-complement") != 0)
            return fn_fail(err, FN_USAGE,
                           "--notation %.20s: expected twos-complement or sign-magnitude",
                           notation);
        if (ret->sign_magnitude && ret->format == FN_IMAGE_C)
            return fn_fail(err, FN_USAGE, "--notation sign-magnitude: C has no such numbers");
    }
    bool known = !order;
    for (int o = FN_EXPORT_TILED; order && o <= FN_EXPORT_HWIO; o++)
        if (strcmp(order, fn_export_order_name((enum fn_export_order)o)) == 0) {
            ret->order = (enum fn_export_order)o;
            known = true;
        }
    if (!known)
        return fn_fail(err, FN_USAGE, "--order %.20s: expected tiled, ohwi, oihw or hwio", order);
    uint64_t n_vec = (uint64_t)ret->vec, n_lanes = (uint64_t)ret->lanes;
    fn_status status = fn_args_integer("--vec", vec, 1, 64, &n_vec, err);
    if (status == FN_OK) status = fn_args_integer("--lanes", lanes, 1, 256, &n_lanes, err);
    ret->vec = (int)n_vec;
    ret->lanes = (int)n_lanes;
    return status;
}

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    const char *path = NULL, *output = NULL, *format = NULL, *order = NULL, *vec = NULL,
               *lanes = NULL, *notation = NULL;
    bool done = false;
    const struct fn_arg options[] = {
        {.name = "-o", .value = "DIR", .help = "new or empty folder", .text = &output},
        {.name = "--format",
         .value = "F",
         .help = "mif, coe, hex, memh (default), memb, bits or c",
         .text = &format},
        {.name = "--order",
         .value = "O",
         .help = "tiled (default), ohwi, oihw or hwio",
         .text = &order},
        {.name = "--vec", .value = "N", .help = "weights in a word, 8 if not given", .text = &vec},
        {.name = "--lanes",
         .value = "N",
         .help = "output channels of a tile, 16 if not given",
         .text = &lanes},
        {.name = "--notation",
         .value = "N",
         .help = "twos-complement, or sign-magnitude (default of bits)",
         .text = &notation},
    };
    const struct fn_args args = {"MODEL", &path, options, sizeof options / sizeof options[0]};
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    struct fn_export_options wanted;
    status = fn_args_need("-o", output, err);
    if (status == FN_OK) status = read_options(format, order, vec, lanes, notation, &wanted, err);
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    if (status == FN_OK) status = fn_model_open(path, &model, err);
    if (status != FN_OK) return status;
    return fn_export_write(model, &wanted, output, err);
}

const struct fn_command fn_command_export = {
    .name = "export",
    .synopsis = "MODEL -o DIR [--format F] [--order O] [--vec N] [--lanes N]",
    .summary = "write a model's weights as images for the memories of an FPGA",
    .run = run,
};
