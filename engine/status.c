/* SPDX-License-Identifier: Apache-2.0
 *
 * status.c -- the outcome table; status.h has the list. */
#include "engine/status.h"

#include <stdarg.h>
#include <stdio.h>

struct entry {
    fn_status status;
    int http;
    const char *code, *title;
};

static const struct entry table[] = {
#define FN_STATUS_ENTRY(name, number, http, code, title) {name, http, code, title},
    FN_STATUS_LIST(FN_STATUS_ENTRY)
#undef FN_STATUS_ENTRY
};

static const struct entry *find(fn_status status) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].status == status) return &table[i];
    return &table[1]; /* FN_INTERNAL */
}

void fn_error_set(struct fn_error *err, fn_status status, const char *format, ...) {
    if (!err) return;
    va_list args;
    va_start(args, format);
    err->status = status;
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
}

const char *fn_status_code(fn_status status) {
    return find(status)->code;
}

const char *fn_status_title(fn_status status) {
    return find(status)->title;
}

int fn_status_http(fn_status status) {
    return find(status)->http;
}
