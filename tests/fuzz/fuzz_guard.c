/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_guard.c -- any header section. The input is lines "name:value" without white space around
 * the value, as libmicrohttpd hands them on; the first byte picks the version. What passes
 * must be framed in exactly one way. */
#include "daemon/http/guard.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count(const struct fn_http_header *headers, int n, const char *name) {
    int found = 0;
    for (int i = 0; i < n; i++)
        found += headers[i].name_size == strlen(name) &&
                 strncasecmp(headers[i].name, name, headers[i].name_size) == 0;
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const versions[] = {"HTTP/1.1", "HTTP/1.0", "HTTP/2.0"};
    struct fn_http_header headers[FN_MAX_HEADERS];
    struct fn_framing framing;
    struct fn_error err;
    int n = 0;
    if (size == 0) return 0;
    const char *version = versions[data[0] / 8 % 3];
    const char *text = (const char *)data + 1, *end = (const char *)data + size;
    while (text < end && n < FN_MAX_HEADERS) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t line = (size_t)((newline ? newline : end) - text);
        const char *colon = memchr(text, ':', line);
        size_t name = colon ? (size_t)(colon - text) : line;
        const char *value = colon ? colon + 1 : text + line;
        headers[n++] = (struct fn_http_header){text, value, name, line - (size_t)(value - text)};
        text += line + 1;
    }
    if (fn_guard_check(version, headers, n, &framing, &err) != FN_OK) return 0;
    int lengths = count(headers, n, "Content-Length");
    int encodings = count(headers, n, "Transfer-Encoding");
    int hosts = count(headers, n, "Host");
    if (lengths + encodings > 1 || hosts > 1) abort();
    if (hosts == 0 && version != versions[1]) abort();
    if (framing.chunked != (encodings == 1) || (framing.content_length >= 0) != (lengths == 1))
        abort();
    return 0;
}
