/* SPDX-License-Identifier: Apache-2.0
 *
 * multipart.c -- see multipart.h.
 *
 * A delimiter is CRLF "--" boundary at the start of a line, and then either "--" (the end) or white
 * space and CRLF. What only looks like one is data. Time is linear in the body. */
#include "daemon/api/multipart.h"

#include <string.h>
#include <strings.h>

#define MAX_BOUNDARY     70 /* RFC 2046 */
#define MAX_PART_HEADERS 4096

struct span {
    const char *text;
    size_t size;
};

struct delimiter {
    char text[MAX_BOUNDARY + 4]; /* CRLF "--" boundary */
    size_t size;
};

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static struct span trim(struct span s) {
    while (s.size && is_blank(s.text[0])) s.text++, s.size--;
    while (s.size && is_blank(s.text[s.size - 1])) s.size--;
    return s;
}

static bool equals(struct span s, const char *text) {
    return s.size == strlen(text) && strncasecmp(s.text, text, s.size) == 0;
}

static struct span take_until(struct span *rest, char end) {
    const char *found = memchr(rest->text, end, rest->size);
    struct span head = {rest->text, found ? (size_t)(found - rest->text) : rest->size};
    size_t used = head.size + (found ? 1 : 0);
    rest->text += used;
    rest->size -= used;
    return head;
}

/* One "; name=value" of a header value; value may be a quoted string, whose escapes stay. False at
 * the end; a malformed parameter has an empty name. */
static bool next_parameter(struct span *rest, struct span *ret_name, struct span *ret_value) {
    *rest = trim(*rest);
    if (rest->size == 0) return false;
    *ret_name = *ret_value = (struct span){rest->text, 0};
    if (rest->text[0] != ';') {
        rest->size = 0;
        return true;
    }
    rest->text++, rest->size--;
    struct span name = trim(take_until(rest, '='));
    *rest = trim(*rest);
    if (rest->size && rest->text[0] == '"') {
        size_t i = 1;
        while (i < rest->size && rest->text[i] != '"') i += rest->text[i] == '\\' ? 2 : 1;
        if (i >= rest->size) {
            rest->size = 0;
            return true;
        }
        *ret_value = (struct span){rest->text + 1, i - 1};
        rest->text += i + 1;
        rest->size -= i + 1;
    } else {
        size_t i = 0;
        while (i < rest->size && rest->text[i] != ';') i++;
        *ret_value = trim((struct span){rest->text, i});
        rest->text += i;
        rest->size -= i;
    }
    *ret_name = name;
    return true;
}

bool fn_multipart_is(const char *content_type, size_t size) {
    struct span rest = {content_type, size};
    const char *semicolon = memchr(content_type, ';', size);
    if (semicolon) rest.size = (size_t)(semicolon - content_type);
    return equals(trim(rest), "multipart/form-data");
}

static fn_status find_boundary(struct span type, struct delimiter *ret, struct fn_error *err) {
    struct span name, value, boundary = {NULL, 0};
    const char *semicolon = memchr(type.text, ';', type.size);
    size_t skip = semicolon ? (size_t)(semicolon - type.text) : type.size;
    struct span rest = {type.text + skip, type.size - skip};
    while (next_parameter(&rest, &name, &value)) {
        if (!equals(name, "boundary")) continue;
        if (boundary.text) return fn_fail(err, FN_BAD_REQUEST, "multipart has two boundaries");
        boundary = value;
    }
    if (boundary.size == 0 || boundary.size > MAX_BOUNDARY)
        return fn_fail(err, FN_BAD_REQUEST,
                       "multipart boundary has %zu characters, expected 1 to %d", boundary.size,
                       MAX_BOUNDARY);
    memcpy(ret->text, "\r\n--", 4);
    memcpy(ret->text + 4, boundary.text, boundary.size);
    ret->size = boundary.size + 4;
    return FN_OK;
}

/* What follows a delimiter, when it is one: true with the bytes it takes and whether it is the
 * last. */
static bool ends_delimiter(const char *text, size_t size, size_t *ret_used, bool *ret_last) {
    size_t i = 0;
    bool last = size >= 2 && text[0] == '-' && text[1] == '-';
    if (last) i = 2;
    while (i < size && is_blank(text[i])) i++;
    bool line_ends = i + 1 < size && text[i] == '\r' && text[i + 1] == '\n';
    if (!line_ends && !(last && i == size)) return false;
    *ret_used = line_ends ? i + 2 : i;
    *ret_last = last;
    return true;
}

/* Cut the body up to the next delimiter off `rest`. */
static bool take_section(struct span *rest, const struct delimiter *delimiter,
                         struct span *ret_section, bool *ret_last) {
    const char *from = rest->text, *end = rest->text + rest->size;
    for (;;) {
        const char *at = memmem(from, (size_t)(end - from), delimiter->text, delimiter->size);
        size_t used;
        if (!at) return false;
        const char *after = at + delimiter->size;
        if (ends_delimiter(after, (size_t)(end - after), &used, ret_last)) {
            *ret_section = (struct span){rest->text, (size_t)(at - rest->text)};
            rest->text = after + used;
            rest->size = (size_t)(end - rest->text);
            return true;
        }
        from = at + 2;
    }
}

static fn_status read_disposition(struct span value, struct fn_part *part, int number,
                                  struct fn_error *err) {
    const char *semicolon = memchr(value.text, ';', value.size);
    size_t type_size = semicolon ? (size_t)(semicolon - value.text) : value.size;
    if (!equals(trim((struct span){value.text, type_size}), "form-data"))
        return fn_fail(err, FN_BAD_REQUEST, "part %d is not form-data", number);
    struct span rest = {value.text + type_size, value.size - type_size}, name, parameter;
    while (next_parameter(&rest, &name, &parameter)) {
        if (name.size == 0)
            return fn_fail(err, FN_BAD_REQUEST, "part %d: Content-Disposition is malformed",
                           number);
        if (equals(name, "name")) {
            if (part->name) return fn_fail(err, FN_BAD_REQUEST, "part %d has two names", number);
            part->name = parameter.text;
            part->name_size = parameter.size;
        } else if (equals(name, "filename") || equals(name, "filename*")) {
            part->is_file = true;
        }
    }
    return FN_OK;
}

/* Headers of a part end at an empty line; `section` starts right after the delimiter's line. */
static fn_status read_part(struct span section, struct fn_part *part, int number,
                           struct fn_error *err) {
    const char *start = section.text;
    while (!(section.size >= 2 && section.text[0] == '\r' && section.text[1] == '\n')) {
        const char *eol = memmem(section.text, section.size, "\r\n", 2);
        if (!eol || section.text - start > MAX_PART_HEADERS)
            return fn_fail(err, FN_BAD_REQUEST, "part %d: headers do not end", number);
        struct span line = {section.text, (size_t)(eol - section.text)};
        section.size -= line.size + 2;
        section.text = eol + 2;
        struct span value = line, name = take_until(&value, ':');
        value = trim(value);
        if (equals(name, "Content-Disposition")) {
            fn_status status = read_disposition(value, part, number, err);
            if (status != FN_OK) return status;
        } else if (equals(name, "Content-Transfer-Encoding") && !equals(value, "binary") &&
                   !equals(value, "8bit") && !equals(value, "7bit")) {
            return fn_fail(err, FN_BAD_REQUEST,
                           "part %d: Content-Transfer-Encoding is not binary, 8bit or 7bit",
                           number);
        }
    }
    if (!part->name || part->name_size == 0)
        return fn_fail(err, FN_BAD_REQUEST, "part %d has no name", number);
    part->data = (const uint8_t *)section.text + 2;
    part->size = section.size - 2;
    return FN_OK;
}

fn_status fn_multipart_parse(const char *content_type, size_t content_type_size,
                             const uint8_t *body, size_t size, struct fn_part *ret_parts,
                             int *ret_n_parts, struct fn_error *err) {
    struct delimiter delimiter;
    struct span rest = {(const char *)body, size}, section;
    bool last = false;
    fn_status status =
        find_boundary((struct span){content_type, content_type_size}, &delimiter, err);
    if (status != FN_OK) return status;
    /* The first delimiter may be at the very start, without the CRLF; else there is a preamble. */
    size_t used;
    if (size >= delimiter.size - 2 && memcmp(body, delimiter.text + 2, delimiter.size - 2) == 0 &&
        ends_delimiter(rest.text + delimiter.size - 2, size - (delimiter.size - 2), &used, &last)) {
        rest.text += delimiter.size - 2 + used;
        rest.size -= delimiter.size - 2 + used;
    } else if (!take_section(&rest, &delimiter, &section, &last)) {
        return fn_fail(err, FN_BAD_REQUEST, "multipart body does not contain its boundary");
    }
    int n = 0;
    while (!last) {
        if (n == FN_MAX_PARTS)
            return fn_fail(err, FN_TOO_MANY_PICTURES, "more than %d parts", FN_MAX_PARTS);
        if (!take_section(&rest, &delimiter, &section, &last))
            return fn_fail(err, FN_BAD_REQUEST,
                           "part %d does not end: the closing boundary is missing", n + 1);
        struct fn_part part = {0};
        status = read_part(section, &part, n + 1, err);
        if (status != FN_OK) return status;
        ret_parts[n++] = part;
    }
    *ret_n_parts = n;
    return FN_OK;
}
