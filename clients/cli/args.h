/* SPDX-License-Identifier: Apache-2.0
 *
 * args.h -- the words after `facenet`, read into one struct; every command says which it takes. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <facenet_client.h>
#include <stdbool.h>

/* Exit statuses, for scripts. */
enum {
    CLI_OK = 0, /* for distance: the same person */
    CLI_DIFFERENT = 1,
    CLI_FAILED = 2,
};

enum cli_format { CLI_FORMAT_NONE, CLI_FORMAT_CSV, CLI_FORMAT_JSONL, CLI_FORMAT_NPY };

struct cli_args {
    const char *server, *key_file, *ca_file, *proxy, *output; /* NULL: not given */
    long timeout_ms;
    int retries, jobs;
    char options[1024]; /* of the server, as a query */
    bool json, numbers, quiet, restart;
    double max_l2; /* negative: not given */
    enum cli_format format;
    char **words; /* what is no option */
    int n_words;
};

struct cli_command {
    const char *name, *synopsis, *summary;
    const char *takes; /* letters of the option table, beside those of every command */
    int least_words, most_words;
    int (*run)(struct facenet_client *client, const struct cli_args *args);
};

/* Read argv[1...] for `command`. Gives -1 to go on, or an exit status: help was asked for, or the
 * words were wrong and stderr says how. */
int cli_args_read(const struct cli_command *command, int argc, char **argv,
                  struct cli_args *ret_args);
/* A client with the settings of the arguments and of the environment; NULL: stderr says why not. */
struct facenet_client *cli_connect(const struct cli_args *args);

/* "facenet: ..." on stderr; gives CLI_FAILED. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
