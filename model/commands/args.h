/* SPDX-License-Identifier: Apache-2.0
 *
 * args.h -- the command line from a table: the same table parses, checks and prints the help. */
#ifndef FN_ARGS_H
#define FN_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/status.h"

#define FN_MAX_ARG_VALUES 16

struct fn_values {
    double value[FN_MAX_ARG_VALUES];
    size_t n;
};

/* One option. Exactly one of the targets is set. */
struct fn_arg {
    const char *name;  /* "--pairs" */
    const char *value; /* "FILE" in the help; NULL for a flag */
    const char *help;
    bool *flag;               /* set to true */
    const char **text;        /* set to the argument, borrowed from argv */
    struct fn_values *values; /* one number or more, each an argument or joined by commas */
};

/* What a command takes. */
struct fn_args {
    const char *positional;       /* "MODEL", or NULL: none */
    const char **positional_at;   /* where it goes */
    const struct fn_arg *options; /* [n_options] */
    size_t n_options;
};

/* Parse argv[0 ... argc), the words after the command's name. Each option at most once; "--" ends
 * them, what follows is positional whatever it begins with. FN_USAGE says what was found and what
 * was expected. *ret_help: --help was among the options; nothing else is checked then. */
FN_MUST fn_status fn_args_parse(const struct fn_args *args, int argc, char **argv, bool *ret_help,
                                struct fn_error *err);

/* Lines "  --pairs FILE   what it does" on stdout. */
void fn_args_print(const struct fn_args *args);

/* A whole number in low ... high; NULL text leaves *ret as it is. `name` stands in messages. */
FN_MUST fn_status fn_args_integer(const char *name, const char *text, uint64_t low, uint64_t high,
                                  uint64_t *ret, struct fn_error *err);

/* FN_USAGE when a needed option was not given. */
FN_MUST fn_status fn_args_need(const char *name, const char *text, struct fn_error *err);

#endif
