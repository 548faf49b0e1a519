/* SPDX-License-Identifier: Apache-2.0
 *
 * body.c -- see body.h.
 *
 * A body that begins like a picture is one, whatever its Content-Type says: curl --data-binary
 * calls everything a form. */
#include "daemon/api/body.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/api/base64.h"
#include "daemon/api/json.h"
#include "daemon/api/multipart.h"
#include "daemon/http/request.h"

/* One request on its way into a body. */
struct reading {
    const struct fn_http_request *request;
    const struct fn_body_rules *rules;
    const struct fn_body_limits *limits;
    struct fn_body *body;
    struct fn_error *err;
};

static const struct fn_body_field *find_field(const struct fn_body_rules *rules, const char *name,
                                              size_t size) {
    for (int i = 0; i < rules->n_fields; i++)
        if (strlen(rules->fields[i].name) == size && memcmp(rules->fields[i].name, name, size) == 0)
            return &rules->fields[i];
    return NULL;
}

static fn_status given_twice(const char *first, const char *second, struct fn_error *err) {
    return fn_fail(err, FN_BAD_REQUEST, "%s: already given as %s", second, first);
}

/* Takes `owned`, also on failure. */
static fn_status set_picture(struct reading *r, const struct fn_body_field *field,
                             const uint8_t *bytes, size_t size, uint8_t *owned) {
    bool many = field->kind == FN_FIELD_PICTURES;
    struct fn_body_picture *picture = &r->body->pictures[many ? r->body->n_pictures : field->slot];
    struct fn_error *err = r->err;
    fn_status status = FN_OK;
    if (many && r->body->n_pictures == r->limits->most_pictures)
        status = fn_fail(err, FN_TOO_MANY_PICTURES, "more than %d pictures in one request",
                         r->limits->most_pictures);
    else if (picture->name)
        status = given_twice(picture->name, field->name, err);
    else if (size == 0)
        status = fn_fail(err, FN_MISSING_PICTURE, "%s: is empty", field->name);
    if (status != FN_OK) {
        free(owned);
        return status;
    }
    *picture =
        (struct fn_body_picture){.name = field->name, .bytes = bytes, .size = size, .owned = owned};
    if (many) r->body->n_pictures++;
    return FN_OK;
}

/* Takes the reference `value`, also on failure. */
static fn_status set_embedding(struct reading *r, const struct fn_body_field *field,
                               json_t *value) {
    struct fn_body_embedding *embedding = &r->body->embeddings[field->slot];
    if (embedding->name) {
        json_decref(value);
        return given_twice(embedding->name, field->name, r->err);
    }
    *embedding = (struct fn_body_embedding){field->name, value};
    return FN_OK;
}

static fn_status read_picture_text(struct reading *r, const struct fn_body_field *field,
                                   const json_t *value) {
    struct fn_error detail;
    uint8_t *bytes;
    size_t size;
    if (!json_is_string(value))
        return fn_fail(r->err, FN_BAD_REQUEST, "%s: expected a string of base64%s", field->name,
                       field->kind == FN_FIELD_PICTURES ? ", or an array of such" : "");
    fn_status status = fn_base64_decode_data(json_string_value(value), json_string_length(value),
                                             &bytes, &size, &detail);
    if (status != FN_OK) return fn_fail(r->err, status, "%s: %s", field->name, detail.text);
    return set_picture(r, field, bytes, size, bytes);
}

static fn_status read_member(struct reading *r, const char *name, json_t *value) {
    const struct fn_body_field *field = find_field(r->rules, name, strlen(name));
    if (!field) return fn_options_set_json(&r->body->options, name, value, r->err);
    if (field->kind == FN_FIELD_EMBEDDING) return set_embedding(r, field, json_incref(value));
    if (field->kind == FN_FIELD_PICTURE || !json_is_array(value))
        return read_picture_text(r, field, value);
    size_t i;
    const json_t *element;
    json_array_foreach(value, i, element) {
        fn_status status = read_picture_text(r, field, element);
        if (status != FN_OK) return status;
    }
    return FN_OK;
}

static fn_status read_json(struct reading *r) {
    FN_CLEANUP(fn_json_free) json_t *object = NULL;
    const char *name;
    json_t *value;
    fn_status status =
        fn_json_parse((const char *)r->request->body, r->request->body_size, &object, r->err);
    if (status != FN_OK) return status;
    json_object_foreach(object, name, value) {
        status = read_member(r, name, value);
        if (status != FN_OK) return status;
    }
    return FN_OK;
}

/* A part's text is JSON when it begins like an array or an object, else base64. */
static fn_status read_embedding_part(struct reading *r, const struct fn_body_field *field,
                                     const struct fn_part *part) {
    const char *text = (const char *)part->data;
    struct fn_error detail;
    json_t *value = NULL;
    if (part->size && (text[0] == '[' || text[0] == '{')) {
        fn_status status = fn_json_parse_any(text, part->size, &value, &detail);
        if (status != FN_OK) return fn_fail(r->err, status, "%s: %s", field->name, detail.text);
    } else {
        value = json_stringn(text, part->size);
        if (!value) return fn_fail(r->err, FN_BAD_REQUEST, "%s: is not text", field->name);
    }
    return set_embedding(r, field, value);
}

static fn_status read_multipart(struct reading *r, const struct fn_http_header *type) {
    struct fn_part parts[FN_MAX_PARTS];
    int n_parts;
    fn_status status = fn_multipart_parse(type->value, type->value_size, r->request->body,
                                          r->request->body_size, parts, &n_parts, r->err);
    for (int i = 0; status == FN_OK && i < n_parts; i++) {
        const struct fn_part *part = &parts[i];
        const struct fn_body_field *field = find_field(r->rules, part->name, part->name_size);
        if (!field)
            status = fn_options_set(&r->body->options, part->name, part->name_size,
                                    (const char *)part->data, part->size, r->err);
        else if (field->kind == FN_FIELD_EMBEDDING)
            status = read_embedding_part(r, field, part);
        else
            status = set_picture(r, field, part->data, part->size, NULL);
    }
    return status;
}

static bool begins(const struct fn_http_request *request, size_t offset, const char *magic,
                   size_t size) {
    return request->body_size >= offset + size && memcmp(request->body + offset, magic, size) == 0;
}

static bool begins_like_a_picture(const struct fn_http_request *request) {
    return begins(request, 0, "\xff\xd8\xff", 3) || begins(request, 0, "\x89PNG\r\n\x1a\n", 8) ||
           (begins(request, 0, "RIFF", 4) && begins(request, 8, "WEBP", 4));
}

static bool is_json(const struct fn_http_request *request, const struct fn_http_header *type) {
    if (type) {
        const char *semicolon = memchr(type->value, ';', type->value_size);
        size_t size = semicolon ? (size_t)(semicolon - type->value) : type->value_size;
        while (size && (type->value[size - 1] == ' ' || type->value[size - 1] == '\t')) size--;
        if (size == 16 && strncasecmp(type->value, "application/json", size) == 0) return true;
    }
    size_t i = 0;
    while (i < request->body_size && memchr(" \t\r\n", request->body[i], 4)) i++;
    return i < request->body_size && request->body[i] == '{';
}

static fn_status read_body(struct reading *r) {
    const struct fn_http_request *request = r->request;
    const struct fn_http_header *type = fn_request_find_header(request, "Content-Type");
    bool picture = begins_like_a_picture(request);
    if (request->body_size == 0) return FN_OK;
    if (!picture && type && fn_multipart_is(type->value, type->value_size))
        return read_multipart(r, type);
    if (!picture && is_json(request, type)) return read_json(r);
    if (r->rules->takes_raw)
        return set_picture(r, &r->rules->fields[0], request->body, request->body_size, NULL);
    return fn_fail(r->err, FN_BAD_REQUEST, "body is neither multipart/form-data nor JSON");
}

fn_status fn_body_read(const struct fn_http_request *request, const struct fn_body_rules *rules,
                       const struct fn_body_limits *limits, struct fn_body **ret_body,
                       struct fn_error *err) {
    FN_CLEANUP(fn_body_free) struct fn_body *body = calloc(1, sizeof *body);
    if (!body) return fn_fail(err, FN_NO_MEMORY, "no memory for a request");
    struct reading r = {request, rules, limits, body, err};
    body->options.allowed = rules->options;
    body->options.most_faces = limits->most_faces;
    body->options.looks = limits->looks;
    const char *question = strchr(request->target, '?');
    fn_status status = fn_options_set_query(&body->options, question ? question + 1 : NULL, err);
    if (status == FN_OK) status = read_body(&r);
    if (status == FN_OK) status = fn_options_check(&body->options, err);
    if (status != FN_OK) return status;
    *ret_body = FN_TAKE(body);
    return FN_OK;
}

void fn_body_free(struct fn_body *body) {
    if (!body) return;
    for (int i = 0; i < FN_BODY_MAX_PICTURES; i++) free(body->pictures[i].owned);
    for (int i = 0; i < FN_BODY_SLOTS; i++) json_decref(body->embeddings[i].value);
    free(body);
}
