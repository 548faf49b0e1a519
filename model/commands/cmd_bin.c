/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_bin.c -- `facenet-model bin`: one number to the original method's eight bits, and back. */
#include <stdlib.h>

#include "model/commands/command.h"
#include "model/inspect/bin.h"

static fn_status parse_real(const char *text, double *ret, struct fn_error *err) {
    char *end;
    *ret = strtod(text, &end);
    if (end == text || *end)
        return fn_fail(err, FN_USAGE, "%.40s: expected a number (a negative one after --)", text);
    return FN_OK;
}

static fn_status print_fraction(const char *text, int n, struct fn_error *err) {
    double value;
    fn_status status = parse_real(text, &value, err);
    if (status != FN_OK) return status;
    FN_CLEANUP_FREE char *bits = malloc((size_t)n + 1);
    if (!bits) return fn_fail(err, FN_NO_MEMORY, "no memory");
    status = fn_xiaoshu(value, n, bits, err);
    if (status == FN_OK) (void)printf("%s\n", bits);
    return status;
}

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    const char *value = NULL, *n_text = NULL;
    bool decode = false, fraction = false, done = false;
    const struct fn_arg options[] = {
        {.name = "-n", .value = "N", .help = "fractional bits, 0...7", .text = &n_text},
        {.name = "--decode", .help = "VALUE is eight bits; print its number", .flag = &decode},
        {.name = "--fraction",
         .help = "the first N bits after the point alone (N from 1 on)",
         .flag = &fraction},
    };
    const struct fn_args args = {"VALUE", &value, options, sizeof options / sizeof options[0]};
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    uint64_t n = 0;
    status = fn_args_need("-n", n_text, err);
    if (status == FN_OK) status = fn_args_integer("-n", n_text, 0, fraction ? 1074 : 7, &n, err);
    if (status != FN_OK) return status;
    if (fraction) return print_fraction(value, (int)n, err);
    double x = 0;
    char bits[FN_BIN_SIZE];
    if (decode) {
        status = fn_bin_to_float(value, (int)n, &x, err);
        if (status == FN_OK) (void)printf("%.17g\n", x);
        return status;
    }
    status = parse_real(value, &x, err);
    if (status == FN_OK) status = fn_float_to_bin(x, (int)n, bits, err);
    if (status == FN_OK) (void)printf("%s\n", bits);
    return status;
}

const struct fn_command fn_command_bin = {
    .name = "bin",
    .synopsis = "VALUE -n N [--decode | --fraction]",
    .summary = "sign and magnitude in 8 bits, N of them fractional, as the original method has it",
    .run = run,
};
