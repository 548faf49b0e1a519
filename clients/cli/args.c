/* SPDX-License-Identifier: Apache-2.0
 *
 * args.c -- see args.h. One table of options for all commands: what reads, checks and explains an
 * option is one row. */
#include "clients/cli/args.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SERVER "http://127.0.0.1:8080"
#define MAX_KEY        1024

/* Letters above 'z' are options without a short form. */
enum { KEY_FILE = 256, CA, PROXY, RETRIES, JSON, NUMBERS, MAX_L2, CSV, JSONL, NPY, RESTART };

static const struct row {
    const char *name, *value, *help; /* value NULL: a flag */
    int letter;
    char of; /* the command's letter for it; '*': every command */
} rows[] = {
    {"server", "ADDRESS", "http://..., https://... or unix:/path [$FACENET_SERVER]", 's', '*'},
    {"key-file", "FILE", "API key, the first line of FILE [$FACENET_API_KEY]", KEY_FILE, '*'},
    {"ca", "FILE", "trust these certificates (PEM) [$FACENET_CA]", CA, '*'},
    {"proxy", "URL", "go through a proxy; the environment's are not used", PROXY, '*'},
    {"timeout", "SECONDS", "for one picture, retries included (10)", 't', '*'},
    {"retries", "N", "after a busy server or a broken connection, 0...3 (3)", RETRIES, '*'},
    {"option", "NAME=VALUE", "an option of the server, such as face=center; may be repeated", 'o',
     'o'},
    {"json", NULL, "the server's whole answer", JSON, 'j'},
    {"numbers", NULL, "only the embedding's numbers, one face a line", NUMBERS, 'n'},
    {"max-l2", "D", "decide by this L2 distance instead of the server's threshold", MAX_L2, 'm'},
    {"csv", NULL, "write a table", CSV, 'd'},
    {"jsonl", NULL, "write the server's answers, one a line", JSONL, 'd'},
    {"npy", NULL, "write a NumPy array, and beside it a table of what its rows are", NPY, 'd'},
    {"output", "FILE", "write there (dir: what it already has is not asked again)", 'O', 'O'},
    {"restart", NULL, "forget what the output already has", RESTART, 'd'},
    {"jobs", "N", "pictures in flight, 1...64 (4)", 'j', 'e'},
    {"quiet", NULL, "no progress bar and no summary", 'q', 'd'},
    {"help", NULL, "this text", 'h', '*'},
};
#define N_ROWS (sizeof rows / sizeof rows[0])

/* File names and servers must not command a terminal. */
int cli_fail(const char *format, ...) {
    char text[6000];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    (void)fprintf(stderr, "facenet: %s\n", text);
    return CLI_FAILED;
}

static bool is_taken(const struct cli_command *command, const struct row *row) {
    return row->of == '*' || strchr(command->takes, row->of);
}

static void print_help(const struct cli_command *command) {
    (void)printf("Usage: facenet %s %s\n%s\n\n", command->name, command->synopsis,
                 command->summary);
    for (size_t i = 0; i < N_ROWS; i++) {
        char left[64], letter[5] = "    ";
        if (!is_taken(command, &rows[i])) continue;
        if (rows[i].letter < 256) (void)snprintf(letter, sizeof letter, "-%c, ", rows[i].letter);
        (void)snprintf(left, sizeof left, "%s--%s%s%s", letter, rows[i].name,
                       rows[i].value ? " " : "", rows[i].value ? rows[i].value : "");
        (void)printf("  %-28s %s\n", left, rows[i].help);
    }
}

static bool read_count(const char *text, long least, long most, long *ret) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < least || value > most) return false;
    *ret = value;
    return true;
}

static bool read_real(const char *text, double least, double most, double *ret) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= least && value <= most)) return false;
    *ret = value;
    return true;
}

static bool add_option(struct cli_args *args, const char *text) {
    size_t used = strlen(args->options);
    if (!strchr(text, '=') || strchr(text, '&')) return false;
    int n =
        snprintf(args->options + used, sizeof args->options - used, "%s%s", used ? "&" : "", text);
    return n > 0 && (size_t)n < sizeof args->options - used;
}

static bool set_format(struct cli_args *args, enum cli_format format) {
    if (args->format != CLI_FORMAT_NONE && args->format != format) return false;
    args->format = format;
    return true;
}

/* False: the value is wrong. */
static bool take(struct cli_args *args, int letter, const char *value) {
    double real = 0;
    long count = 0;
    bool ok = true;
    switch (letter) {
    case 's':
        args->server = value;
        break;
    case KEY_FILE:
        args->key_file = value;
        break;
    case CA:
        args->ca_file = value;
        break;
    case PROXY:
        args->proxy = value;
        break;
    case 'O':
        args->output = value;
        break;
    case 'o':
        ok = add_option(args, value);
        break;
    case JSON:
        args->json = true;
        break;
    case NUMBERS:
        args->numbers = true;
        break;
    case RESTART:
        args->restart = true;
        break;
    case 'q':
        args->quiet = true;
        break;
    case CSV:
        ok = set_format(args, CLI_FORMAT_CSV);
        break;
    case JSONL:
        ok = set_format(args, CLI_FORMAT_JSONL);
        break;
    case NPY:
        ok = set_format(args, CLI_FORMAT_NPY);
        break;
    case 't':
        ok = read_real(value, 0.001, 999999, &real);
        args->timeout_ms = (long)(real * 1000 + 0.5);
        break;
    case MAX_L2:
        ok = read_real(value, 0, 2, &args->max_l2);
        break;
    case RETRIES:
        ok = read_count(value, 0, 3, &count);
        args->retries = (int)count;
        break;
    case 'j':
        ok = read_count(value, 1, 64, &count);
        args->jobs = (int)count;
        break;
    default:
        ok = false;
    }
    return ok;
}

static int misuse(const struct cli_command *command) {
    (void)fprintf(stderr, "Try: facenet %s --help\n", command->name);
    return CLI_FAILED;
}

static int check_words(const struct cli_command *command, struct cli_args *args) {
    if (args->n_words >= command->least_words && args->n_words <= command->most_words) return -1;
    (void)cli_fail("%s: %d arguments, expected: %s", command->name, args->n_words,
                   command->synopsis);
    return misuse(command);
}

int cli_args_read(const struct cli_command *command, int argc, char **argv,
                  struct cli_args *ret_args) {
    struct option options[N_ROWS + 1] = {{0}};
    struct cli_args args = {.timeout_ms = 10000, .retries = 3, .jobs = 4, .max_l2 = -1};
    for (size_t i = 0; i < N_ROWS; i++)
        options[i] = (struct option){rows[i].name, rows[i].value ? required_argument : no_argument,
                                     NULL, rows[i].letter};
    opterr = 0;
    for (int letter; (letter = getopt_long(argc, argv, ":s:t:o:O:j:qh", options, NULL)) != -1;) {
        const struct row *row = NULL;
        for (size_t i = 0; i < N_ROWS; i++)
            if (rows[i].letter == letter) row = &rows[i];
        if (letter == 'h') {
            print_help(command);
            return CLI_OK;
        }
        if (letter == ':' || letter == '?')
            (void)cli_fail("%s: %s%s", command->name, argv[optind - 1],
                           letter == ':' ? " needs a value" : ": there is no such option");
        else if (!is_taken(command, row))
            (void)cli_fail("%s takes no --%s", command->name, row->name);
        else if (take(&args, letter, optarg))
            continue;
        else
            (void)cli_fail("%s: --%s %s: %s", command->name, row->name, optarg ? optarg : "",
                           optarg ? row->help : "one format is enough");
        return misuse(command);
    }
    args.words = argv + optind;
    args.n_words = argc - optind;
    int status = check_words(command, &args);
    if (status < 0) *ret_args = args;
    return status;
}

/* The file's first line, or NULL. */
static const char *read_key(const char *path, char ret_key[MAX_KEY + 2]) {
    FILE *file = fopen(path, "re");
    char *line = file ? fgets(ret_key, MAX_KEY + 2, file) : NULL;
    if (file) (void)fclose(file);
    if (!line) return NULL;
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

static bool set_key(struct facenet_client *client, const struct cli_args *args) {
    char line[MAX_KEY + 2];
    const char *key = getenv("FACENET_API_KEY");
    if (args->key_file) {
        key = read_key(args->key_file, line);
        if (!key) return cli_fail("%s: has no key that can be read", args->key_file), false;
    }
    if (key && key[0] && facenet_client_set_api_key(client, key) != FACENET_OK)
        return cli_fail("the API key has characters that no key has, or too many"), false;
    explicit_bzero(line, sizeof line);
    return true;
}

struct facenet_client *cli_connect(const struct cli_args *args) {
    struct facenet_client *client = NULL;
    struct facenet_error *err = facenet_error_new();
    const char *server = args->server ? args->server : getenv("FACENET_SERVER");
    const char *ca_file = args->ca_file ? args->ca_file : getenv("FACENET_CA");
    if (!err || facenet_client_new(server && server[0] ? server : DEFAULT_SERVER, &client, err)) {
        (void)cli_fail("%s", err ? facenet_error_text(err) : "no memory");
    } else if (facenet_client_set_timeout_ms(client, args->timeout_ms) ||
               facenet_client_set_retries(client, args->retries) ||
               facenet_client_set_concurrency(client, args->jobs) ||
               facenet_client_set_ca_file(client, ca_file && ca_file[0] ? ca_file : NULL) ||
               facenet_client_set_proxy(client, args->proxy)) {
        (void)cli_fail("the client cannot be set up");
        facenet_client_free(client);
        client = NULL;
    } else if (!set_key(client, args)) {
        facenet_client_free(client);
        client = NULL;
    }
    facenet_error_free(err);
    return client;
}
