/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c -- facenet, the command line of facenetd's users: a table of commands over the C client.
 *
 * Exit status: 0 done (distance: the same person), 1 different people, 2 it failed. */
#include <stdlib.h>
#include <string.h>

#include "clients/cli/commands.h"

static const struct cli_command *const commands[] = {
    &cli_command_embed, &cli_command_distance, &cli_command_detect,
    &cli_command_crop,  &cli_command_dir,      &cli_command_model,
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

static void print_help(FILE *to) {
    (void)fputs("Usage: facenet COMMAND ...\n"
                "Faces, embeddings and distances from a facenetd server.\n\n",
                to);
    for (size_t i = 0; i < N_COMMANDS; i++)
        (void)fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    (void)fputs("\n`facenet COMMAND --help` has the options; --version, the version.\n", to);
}

static const struct cli_command *find(const char *name) {
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

int main(int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "";
    const struct cli_command *command = find(word);
    struct cli_args args;
    int status;
    if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help(stdout);
        status = CLI_OK;
    } else if (strcmp(word, "--version") == 0) {
        (void)printf("facenet %s\n", facenet_client_version());
        status = CLI_OK;
    } else if (!command) {
        if (word[0]) (void)cli_fail("%.80s: there is no such command", word);
        print_help(stderr);
        return CLI_FAILED;
    } else {
        status = cli_args_read(command, argc - 1, argv + 1, &args);
        if (status < 0) {
            struct facenet_client *client = cli_connect(&args);
            status = client ? command->run(client, &args) : CLI_FAILED;
            facenet_client_free(client);
        }
    }
    if (fflush(stdout) != 0 || ferror(stdout))
        status = cli_fail("standard output cannot be written");
    return status;
}
