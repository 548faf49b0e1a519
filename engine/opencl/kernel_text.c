/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel_text.c -- resolve includes on the host, so that a program needs no files at run time and
 * the text that is compiled is the text that the program cache hashes. */
#include "engine/opencl/kernel_text.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "engine/embedded.h"
#include "engine/file.h"

#define MAX_NAME  64        /* bytes of a file name */
#define MAX_DEPTH 8         /* includes within includes */
#define MAX_TEXT  (1 << 20) /* bytes, of one file and of the whole */
#define INCLUDE   "#include \""

struct text {
    char *bytes; /* owned */
    size_t size, capacity;
};

static fn_status append(struct text *text, const char *bytes, size_t size, struct fn_error *err) {
    if (size > MAX_TEXT - text->size)
        return fn_fail(err, FN_IO, "kernel sources are longer than %d bytes", MAX_TEXT);
    if (text->size + size + 1 > text->capacity) {
        size_t capacity = 2 * (text->size + size + 1);
        char *grown = realloc(text->bytes, capacity);
        if (!grown) return fn_fail(err, FN_NO_MEMORY, "no memory for kernel sources");
        text->bytes = grown;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size] = '\0';
    return FN_OK;
}

/* The text of one file: borrowed from the program, or read into *ret_owned. */
static fn_status find_file(const char *dir, const char *name, const char **ret_text,
                           uint8_t **ret_owned, struct fn_error *err) {
    if (dir) {
        char path[PATH_MAX];
        int length = snprintf(path, sizeof path, "%s/%s", dir, name);
        if (length < 0 || (size_t)length >= sizeof path)
            return fn_fail(err, FN_IO, "%.80s...: path is too long", dir);
        size_t size;
        fn_status status = fn_file_read(path, MAX_TEXT, ret_owned, &size, err);
        if (status != FN_OK) return status;
        *ret_text = (const char *)*ret_owned;
        return FN_OK;
    }
    for (const struct fn_embedded_file *source = fn_kernel_sources; source->name; source++)
        if (strcmp(source->name, name) == 0) {
            *ret_text = (const char *)source->bytes;
            return FN_OK;
        }
    return fn_fail(err, FN_NO_DEVICE, "there is no kernel source '%s' in this program", name);
}

/* If the line is an include, copy the file's name. */
static bool parse_include(const char *line, size_t length, char ret_name[MAX_NAME]) {
    size_t prefix = sizeof INCLUDE - 1;
    if (length <= prefix || memcmp(line, INCLUDE, prefix) != 0) return false;
    const char *name = line + prefix, *quote = memchr(name, '"', length - prefix);
    if (!quote || quote - name >= MAX_NAME) return false;
    memcpy(ret_name, name, (size_t)(quote - name));
    ret_name[quote - name] = '\0';
    return true;
}

static fn_status append_file(const char *dir, const char *name, int depth, struct text *text,
                             struct fn_error *err) {
    if (depth > MAX_DEPTH)
        return fn_fail(err, FN_IO, "kernel source '%s' includes itself or is nested too deep",
                       name);
    FN_CLEANUP_FREE uint8_t *owned = NULL;
    const char *line = NULL;
    fn_status status = find_file(dir, name, &line, &owned, err);
    while (status == FN_OK && *line) {
        const char *newline = strchr(line, '\n');
        size_t length = newline ? (size_t)(newline - line) + 1 : strlen(line);
        char included[MAX_NAME];
        status = parse_include(line, length, included)
                     ? append_file(dir, included, depth + 1, text, err)
                     : append(text, line, length, err);
        line += length;
    }
    return status;
}

fn_status fn_kernel_text(const char *dir, const char *name, char **ret_text, struct fn_error *err) {
    struct text text = {0};
    fn_status status = append_file(dir, name, 1, &text, err);
    if (status == FN_OK && !text.bytes)
        status = fn_fail(err, FN_IO, "kernel source '%s' is empty", name);
    if (status != FN_OK) {
        free(text.bytes);
        return status;
    }
    *ret_text = text.bytes;
    return FN_OK;
}
