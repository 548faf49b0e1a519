/* SPDX-License-Identifier: Apache-2.0
 *
 * flags.c -- see flags.h. */
#include "daemon/flags.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/cleanup.h"
#include "engine/version.h"

FN_DEFINE_CLEANUP(struct fn_config *, fn_config_free)

static const char usage[] =
    "usage: facenetd [OPTION]...\n"
    "Serve face embeddings and distances over JSON/HTTP.\n"
    "\n"
    "  --config FILE        read FILE instead of " FN_CONFIG_PATH "\n"
    "  --check-config       check the configuration and exit\n"
    "  --model FILE         model file made by facenet-model\n"
    "  --listen ADDRESS     host:port (port 0: any free one) or unix:/path; may be repeated\n"
    "  --device NAME        auto, reference, or part of an OpenCL platform's or device's name\n"
    "  --allow-untrained    serve a model whose embeddings mean nothing\n"
    "  --insecure           let anyone who reaches the listening addresses ask, without keys\n"
    "  --make-key NAME[:SCOPE,...]  print a line for keys_file, and a fresh key on stderr; exit\n"
    "  --example FILE       picture named in the curl line printed at start (face.jpg)\n"
    "  --help, --version\n";

static bool add_listen(struct fn_flags *flags, const char *address) {
    if (flags->n_listen == FN_MAX_LISTEN) {
        (void)fprintf(stderr, "facenetd: --listen is given more than %d times\n", FN_MAX_LISTEN);
        return false;
    }
    flags->listen[flags->n_listen++] = address;
    return true;
}

bool fn_flags_read(int argc, char **argv, struct fn_flags *ret_flags, int *ret_exit) {
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},   {"check-config", no_argument, NULL, 'C'},
        {"model", required_argument, NULL, 'm'},    {"listen", required_argument, NULL, 'l'},
        {"device", required_argument, NULL, 'd'},   {"allow-untrained", no_argument, NULL, 'u'},
        {"example", required_argument, NULL, 'e'},  {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},        {"insecure", no_argument, NULL, 'i'},
        {"make-key", required_argument, NULL, 'k'}, {NULL, 0, NULL, 0},
    };
    int letter;
    *ret_exit = 0;
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (letter) {
        case 'c':
            ret_flags->config = optarg;
            break;
        case 'C':
            ret_flags->check_config = true;
            break;
        case 'm':
            ret_flags->model = optarg;
            break;
        case 'l':
            *ret_exit = 2;
            if (!add_listen(ret_flags, optarg)) return false;
            *ret_exit = 0;
            break;
        case 'd':
            ret_flags->device = optarg;
            break;
        case 'u':
            ret_flags->allow_untrained = true;
            break;
        case 'i':
            ret_flags->insecure = true;
            break;
        case 'k':
            ret_flags->make_key = optarg;
            break;
        case 'e':
            ret_flags->example = optarg;
            break;
        case 'h':
            (void)fputs(usage, stdout);
            return false;
        case 'v':
            (void)puts("facenetd " FN_VERSION);
            return false;
        default: /* getopt has said what */
            *ret_exit = 2;
            return false;
        }
    }
    if (optind == argc) return true;
    (void)fprintf(stderr, "facenetd: unexpected argument \"%s\"\n", argv[optind]);
    *ret_exit = 2;
    return false;
}

/* What systemd provides (CacheDirectory=, LoadCredential=keys:...) stands for keys that are unset.
 * The word "none" is what a unit sets the credential to when the administrator has no file of API
 * keys: systemd has neither empty ones nor optional files. */
static fn_status adopt_places(struct fn_config *config, struct fn_error *err) {
    const char *cache = getenv("CACHE_DIRECTORY"), *credentials = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX], word[8] = "";
    fn_status status = FN_OK;
    if (cache && !config->cache_dir) status = fn_config_set(&config->cache_dir, cache, err);
    if (status != FN_OK || !credentials || config->keys_file) return status;
    (void)snprintf(path, sizeof path, "%s/keys", credentials);
    FILE *file = fopen(path, "re");
    if (!file && errno == ENOENT) return FN_OK;
    if (file && !fgets(word, sizeof word, file)) word[0] = '\0';
    if (file) (void)fclose(file);
    return strcmp(word, "none") == 0 ? FN_OK : fn_config_set(&config->keys_file, path, err);
}

fn_status fn_flags_load_config(const struct fn_flags *flags, struct fn_config **ret_config,
                               struct fn_error *err) {
    FN_CLEANUP(fn_config_free) struct fn_config *config = NULL;
    fn_status status = fn_config_new(&config, err);
    if (status == FN_OK && flags->config)
        status = fn_config_read(config, flags->config, err);
    else if (status == FN_OK && access(FN_CONFIG_PATH, F_OK) == 0)
        status = fn_config_read(config, FN_CONFIG_PATH, err);
    if (status == FN_OK && flags->model) status = fn_config_set(&config->model, flags->model, err);
    if (status == FN_OK && flags->device)
        status = fn_config_set(&config->device, flags->device, err);
    for (int i = 0; status == FN_OK && i < flags->n_listen; i++) {
        status = fn_config_set(&config->listen[i], flags->listen[i], err);
        config->n_listen = i + 1;
    }
    if (status == FN_OK) status = adopt_places(config, err);
    if (status == FN_OK) status = fn_config_check(config, err);
    if (status != FN_OK) return status;
    config->allow_untrained = flags->allow_untrained;
    config->insecure = flags->insecure;
    *ret_config = FN_TAKE(config);
    return FN_OK;
}
