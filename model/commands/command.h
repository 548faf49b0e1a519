/* SPDX-License-Identifier: Apache-2.0
 *
 * command.h -- what main.c needs of a subcommand; one file cmd_<name>.c each. */
#ifndef FN_COMMAND_H
#define FN_COMMAND_H

#include "engine/status.h"
#include "model/commands/args.h"
#include "model/commands/source_args.h"

struct fn_command {
    const char *name;     /* "quantize" */
    const char *synopsis; /* "SOURCE --calibration DIR -o MODEL [options]" */
    const char *summary;  /* one line */
    /* Words after the name. Output on stdout, notes on stderr; the error is printed by main.c. */
    fn_status (*run)(const struct fn_command *command, int argc, char **argv, struct fn_error *err);
};

extern const struct fn_command fn_command_quantize;
extern const struct fn_command fn_command_evaluate;
extern const struct fn_command fn_command_onnx;
extern const struct fn_command fn_command_untrained;
extern const struct fn_command fn_command_info;
extern const struct fn_command fn_command_verify;
extern const struct fn_command fn_command_layers;
extern const struct fn_command fn_command_extract;
extern const struct fn_command fn_command_show;
extern const struct fn_command fn_command_report;
extern const struct fn_command fn_command_plan;
extern const struct fn_command fn_command_export;
extern const struct fn_command fn_command_bin;
extern const struct fn_command fn_command_add_detector;
extern const struct fn_command fn_command_fit_threshold;
extern const struct fn_command fn_command_compare_crops;
extern const struct fn_command fn_command_crop;

/* Parse the command's arguments; *ret_done when --help was asked for and has been printed. */
FN_MUST fn_status fn_command_parse(const struct fn_command *command, const struct fn_args *args,
                                   int argc, char **argv, bool *ret_done, struct fn_error *err);

/* One note for people on stderr, control characters as '?'. */
void fn_command_note(const char *format, ...) FN_PRINTF(1, 2);

/* Open a source and build its network, noting the tensors that have no place in it. */
FN_MUST fn_status fn_command_open_source(const char *path, const struct fn_source_args *from,
                                         struct fn_source **ret_source,
                                         struct fn_network **ret_network, struct fn_error *err);

#endif
