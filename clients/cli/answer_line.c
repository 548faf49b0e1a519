/* SPDX-License-Identifier: Apache-2.0
 *
 * answer_line.c -- see answer_line.h. */
#include "clients/cli/answer_line.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

char *cli_answer_line(const char *name, const char *json) {
    json_t *string = json_string(name);
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    const char *members = strchr(json, '{');
    char *line = NULL;
    json_decref(string);
    if (quoted && members) {
        size_t size = strlen(quoted) + strlen(members) + sizeof "{\"file\":,\n";
        line = malloc(size);
        if (line) (void)snprintf(line, size, "{\"file\":%s,%s", quoted, members + 1);
    }
    free(quoted);
    if (!line) return NULL;
    /* Line ends are white space in JSON: strings cannot hold them. */
    for (char *c = line; *c; c++)
        if (*c == '\n' || *c == '\r') *c = ' ';
    size_t size = strlen(line);
    while (size && line[size - 1] == ' ') size--;
    memcpy(line + size, "\n", 2);
    return line;
}
