/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c -- facenet-model, the offline half: a table of subcommands.
 *
 * Exit status: 0 done, 1 it failed, 2 it was asked wrongly. Errors are one line on stderr. */
#include <stdio.h>
#include <string.h>

#include "engine/version.h"
#include "model/commands/command.h"
#include "model/commands/interrupt.h"

static const struct fn_command *const commands[] = {
    &fn_command_quantize,      &fn_command_evaluate,      &fn_command_onnx,   &fn_command_untrained,
    &fn_command_info,          &fn_command_verify,        &fn_command_layers, &fn_command_extract,
    &fn_command_show,          &fn_command_report,        &fn_command_export, &fn_command_bin,
    &fn_command_fit_threshold, &fn_command_compare_crops, &fn_command_plan,   &fn_command_crop,
    &fn_command_add_detector,
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

static void print_help(FILE *to) {
    (void)fprintf(to, "Usage: facenet-model COMMAND ...\n"
                      "Make, measure and inspect the models that facenetd serves.\n\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        (void)fprintf(to, "  %-13s %s\n", commands[i]->name, commands[i]->summary);
    (void)fprintf(to,
                  "\n`facenet-model COMMAND --help` has the options; --version, the version.\n");
}

static const struct fn_command *find(const char *name) {
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static fn_status unknown(const char *word, struct fn_error *err) {
    char names[256] = "";
    for (size_t i = 0, used = 0; i < N_COMMANDS && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s, ", commands[i]->name);
    return fn_fail(err, FN_USAGE, "unknown command %.40s; expected %sor help", word, names);
}

static int fail(const char *command, const struct fn_error *err) {
    fn_command_note("%s%s%s", command, command[0] ? ": " : "", err->text);
    if (err->status != FN_USAGE) return 1;
    (void)fprintf(stderr, "Try: facenet-model %s%s--help\n", command, command[0] ? " " : "");
    return 2;
}

int main(int argc, char **argv) {
    fn_interrupt_install();
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help(stdout);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    if (strcmp(word, "--version") == 0) return printf("facenet-model %s\n", FN_VERSION) > 0 ? 0 : 1;
    const struct fn_command *command = find(word);
    struct fn_error err = {0};
    if (!command) {
        if (!word[0]) {
            print_help(stderr);
            return 2;
        }
        err.status = unknown(word, &err);
        return fail("", &err);
    }
    fn_status status = command->run(command, argc - 2, argv + 2, &err);
    if (status == FN_OK && fflush(stdout) != 0)
        status = fn_fail(&err, FN_IO, "standard output could not be written");
    if (status == FN_OK) return 0;
    err.status = status;
    return fail(command->name, &err);
}
