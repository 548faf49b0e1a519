/* SPDX-License-Identifier: Apache-2.0
 *
 * args.c -- see args.h. */
#include "model/commands/args.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fn_status fail_unknown(const struct fn_args *args, const char *found, struct fn_error *err) {
    char known[224] = "";
    for (size_t i = 0; i < args->n_options; i++) {
        size_t used = strlen(known);
        (void)snprintf(known + used, sizeof known - used, "%s ", args->options[i].name);
    }
    bool number = strspn(found + 1, "0123456789.") > 0;
    return fn_fail(err, FN_USAGE, "unknown option %.40s%s; expected one of: %s--help", found,
                   number ? " (a negative value goes last, after --)" : "", known);
}

static bool read_number(const char *text, char **ret_end, double *ret_value) {
    if (!((*text >= '0' && *text <= '9') || *text == '.')) return false;
    *ret_value = strtod(text, ret_end);
    return *ret_end != text && isfinite(*ret_value);
}

/* Numbers joined by commas, all of `text`; false, with nothing added, when it is anything else. */
static bool take_numbers(const char *text, struct fn_values *values) {
    size_t n = values->n;
    for (;; text++) {
        char *end;
        double value;
        if (n == FN_MAX_ARG_VALUES || !read_number(text, &end, &value)) return false;
        values->value[n++] = value;
        text = end;
        if (*text != ',') break;
    }
    if (*text) return false;
    values->n = n;
    return true;
}

static bool is_given(const struct fn_arg *arg) {
    return arg->flag ? *arg->flag : arg->text ? *arg->text != NULL : arg->values->n > 0;
}

/* Parse the option at argv[*at], leaving *at on the last word it took. */
static fn_status take_option(const struct fn_args *args, int argc, char **argv, int *at,
                             struct fn_error *err) {
    const struct fn_arg *arg = NULL;
    const char *word = argv[*at], *equals = strchr(word, '=');
    size_t length = equals && word[1] == '-' ? (size_t)(equals - word) : strlen(word);
    for (size_t i = 0; i < args->n_options; i++)
        if (strlen(args->options[i].name) == length &&
            strncmp(args->options[i].name, word, length) == 0)
            arg = &args->options[i];
    if (!arg) return fail_unknown(args, word, err);
    if (is_given(arg)) return fn_fail(err, FN_USAGE, "%s is given twice", arg->name);
    const char *value = word[length] ? word + length + 1 : NULL;
    if (arg->flag) {
        if (value) return fn_fail(err, FN_USAGE, "%s takes no value, found %s", arg->name, value);
        *arg->flag = true;
        return FN_OK;
    }
    if (!value && *at + 1 < argc) value = argv[++*at];
    if (!value) return fn_fail(err, FN_USAGE, "%s needs %s", arg->name, arg->value);
    if (arg->text) {
        *arg->text = value;
        return FN_OK;
    }
    if (!take_numbers(value, arg->values))
        return fn_fail(err, FN_USAGE, "%s %s: expected at most %d numbers", arg->name, value,
                       FN_MAX_ARG_VALUES);
    while (!word[length] && *at + 1 < argc && take_numbers(argv[*at + 1], arg->values)) ++*at;
    return FN_OK;
}

fn_status fn_args_parse(const struct fn_args *args, int argc, char **argv, bool *ret_help,
                        struct fn_error *err) {
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *ret_help = true;
            return FN_OK;
        }
    *ret_help = false;
    bool ended = false;
    for (int i = 0; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0) {
            ended = true;
        } else if (!ended && argv[i][0] == '-' && argv[i][1]) {
            fn_status status = take_option(args, argc, argv, &i, err);
            if (status != FN_OK) return status;
        } else if (args->positional && !*args->positional_at) {
            *args->positional_at = argv[i];
        } else {
            return fn_fail(err, FN_USAGE, "unexpected argument %.80s%s%s", argv[i],
                           args->positional ? "; expected one " : "; expected options only",
                           args->positional ? args->positional : "");
        }
    }
    if (args->positional && !*args->positional_at)
        return fn_fail(err, FN_USAGE, "%s is missing", args->positional);
    return FN_OK;
}

void fn_args_print(const struct fn_args *args) {
    for (size_t i = 0; i < args->n_options; i++) {
        const struct fn_arg *arg = &args->options[i];
        char left[64];
        (void)snprintf(left, sizeof left, "%s%s%s", arg->name, arg->value ? " " : "",
                       arg->value ? arg->value : "");
        (void)printf("  %-32s %s\n", left, arg->help);
    }
}

fn_status fn_args_integer(const char *name, const char *text, uint64_t low, uint64_t high,
                          uint64_t *ret, struct fn_error *err) {
    if (!text) return FN_OK;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (text[0] < '0' || text[0] > '9' || *end || errno || value < low || value > high)
        return fn_fail(err, FN_USAGE, "%s %.40s: expected a whole number in %llu...%llu", name,
                       text, (unsigned long long)low, (unsigned long long)high);
    *ret = value;
    return FN_OK;
}

fn_status fn_args_need(const char *name, const char *text, struct fn_error *err) {
    return text ? FN_OK : fn_fail(err, FN_USAGE, "%s is missing", name);
}
