/* SPDX-License-Identifier: Apache-2.0
 *
 * guard.c -- see guard.h. Texts never repeat what the client sent. */
#include "daemon/http/guard.h"

#include <string.h>
#include <strings.h>

static bool is(const struct fn_http_header *header, const char *name) {
    return strlen(name) == header->name_size &&
           strncasecmp(header->name, name, header->name_size) == 0;
}

static bool value_is(const struct fn_http_header *header, const char *value) {
    return strlen(value) == header->value_size &&
           strncasecmp(header->value, value, header->value_size) == 0;
}

/* RFC 9110 "token". */
static bool is_token(const char *text, size_t size) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == '\0' || !strchr(others, c))) return false;
    }
    return size > 0;
}

/* A NUL would end the value for some readers and not for others, CR and LF start a new header. */
static bool is_value(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\0' || text[i] == '\r' || text[i] == '\n') return false;
    return true;
}

static bool parse_length(const struct fn_http_header *header, int64_t *ret_length) {
    int64_t length = 0;
    if (header->value_size == 0 || header->value_size > 18) return false;
    for (size_t i = 0; i < header->value_size; i++) {
        if (header->value[i] < '0' || header->value[i] > '9') return false;
        length = length * 10 + (header->value[i] - '0');
    }
    *ret_length = length;
    return true;
}

fn_status fn_guard_check(const char *version, const struct fn_http_header *headers, int n_headers,
                         struct fn_framing *ret_framing, struct fn_error *err) {
    struct fn_framing framing = {.content_length = -1};
    bool http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    int n_lengths = 0, n_encodings = 0, n_hosts = 0;
    if (!http_1_0 && strcmp(version, "HTTP/1.1") != 0)
        return fn_fail(err, FN_BAD_REQUEST, "HTTP version is neither 1.0 nor 1.1");
    for (int i = 0; i < n_headers; i++) {
        const struct fn_http_header *header = &headers[i];
        if (!is_token(header->name, header->name_size))
            return fn_fail(err, FN_BAD_REQUEST,
                           "name of header %d has a character that names cannot have", i + 1);
        if (!is_value(header->value, header->value_size))
            return fn_fail(err, FN_BAD_REQUEST, "value of header %d has a control character",
                           i + 1);
        if (is(header, "Content-Length")) {
            if (!parse_length(header, &framing.content_length))
                return fn_fail(err, FN_BAD_REQUEST, "Content-Length is not a decimal number");
            n_lengths++;
        } else if (is(header, "Transfer-Encoding")) {
            if (!value_is(header, "chunked"))
                return fn_fail(err, FN_BAD_REQUEST, "Transfer-Encoding is not \"chunked\"");
            n_encodings++;
        } else if (is(header, "Host")) {
            n_hosts++;
        } else if (is(header, "Expect")) {
            if (!value_is(header, "100-continue"))
                return fn_fail(err, FN_BAD_REQUEST, "Expect is not \"100-continue\"");
            framing.expects_continue = true;
        }
    }
    if (n_lengths > 1) return fn_fail(err, FN_BAD_REQUEST, "Content-Length is given twice");
    if (n_encodings > 1) return fn_fail(err, FN_BAD_REQUEST, "Transfer-Encoding is given twice");
    if (n_lengths && n_encodings)
        return fn_fail(err, FN_BAD_REQUEST,
                       "Content-Length and Transfer-Encoding are given together");
    if (n_encodings && http_1_0)
        return fn_fail(err, FN_BAD_REQUEST, "Transfer-Encoding does not exist in HTTP/1.0");
    if (n_hosts > 1) return fn_fail(err, FN_BAD_REQUEST, "Host is given twice");
    if (n_hosts == 0 && !http_1_0) return fn_fail(err, FN_BAD_REQUEST, "Host is missing");
    framing.chunked = n_encodings == 1;
    *ret_framing = framing;
    return FN_OK;
}
