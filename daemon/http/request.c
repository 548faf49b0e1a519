/* SPDX-License-Identifier: Apache-2.0
 *
 * request.c -- see request.h.
 *
 * Bodies grow as bytes arrive, never by what Content-Length promises: memory is paid for by
 * sending. */
#include "daemon/http/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define FIRST_CAPACITY ((size_t)16384)

/* "<8 hex digits of this process>-<counter>": unique enough to find a line in a log. */
static void make_id(char ret_id[FN_REQUEST_ID_SIZE]) {
    static _Atomic uint32_t process;
    static atomic_ullong counter;
    uint32_t tag = atomic_load_explicit(&process, memory_order_relaxed);
    if (tag == 0) {
        uint32_t fresh = 0;
        if (getrandom(&fresh, sizeof fresh, GRND_NONBLOCK) != sizeof fresh || fresh == 0) fresh = 1;
        tag = atomic_compare_exchange_strong(&process, &tag, fresh) ? fresh : tag;
    }
    unsigned long long n = atomic_fetch_add(&counter, 1);
    (void)snprintf(ret_id, FN_REQUEST_ID_SIZE, "%08x-%llx", tag, n);
}

struct fn_http_request *fn_request_new(const char *target, atomic_size_t *inflight) {
    struct fn_http_request *request = calloc(1, sizeof *request);
    if (!request) return NULL;
    request->inflight = inflight;
    request->target = strdup(target);
    if (!request->target) {
        free(request);
        return NULL;
    }
    make_id(request->id);
    return request;
}

void fn_request_drop_body(struct fn_http_request *request) {
    atomic_fetch_sub(request->inflight, request->body_capacity);
    free(request->body);
    request->body = NULL;
    request->body_size = request->body_capacity = 0;
}

void fn_request_free(struct fn_http_request *request) {
    if (!request) return;
    fn_request_drop_body(request);
    free(request->target);
    free(request->header_bytes);
    free(request->reply.body);
    free(request);
}

struct fn_http_request *fn_request_stand_in(const struct fn_http_request *request) {
    struct fn_http_request *stand_in = fn_request_new("", request->inflight);
    if (!stand_in) return NULL;
    memcpy(stand_in->id, request->id, sizeof stand_in->id);
    memcpy(stand_in->allow_origin, request->allow_origin, sizeof stand_in->allow_origin);
    stand_in->method = request->method;
    stand_in->route = request->route;
    stand_in->reword = request->reword;
    stand_in->arrived_ns = request->arrived_ns;
    stand_in->lane = request->lane;
    return stand_in;
}

static void adopt_id(struct fn_http_request *request) {
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const struct fn_http_header *header = fn_request_find_header(request, "X-Request-Id");
    if (!header || header->value_size == 0 || header->value_size >= FN_REQUEST_ID_SIZE) return;
    for (size_t i = 0; i < header->value_size; i++)
        if (!memchr(allowed, header->value[i], sizeof allowed - 1)) return;
    memcpy(request->id, header->value, header->value_size);
    request->id[header->value_size] = '\0';
}

fn_status fn_request_set_headers(struct fn_http_request *request,
                                 const struct fn_http_header *headers, int n_headers,
                                 struct fn_error *err) {
    size_t size = 0;
    if (n_headers > FN_MAX_HEADERS)
        return fn_fail(err, FN_BAD_REQUEST, "more than %d headers", FN_MAX_HEADERS);
    for (int i = 0; i < n_headers; i++) size += headers[i].name_size + headers[i].value_size;
    char *bytes = malloc(size + 1);
    if (!bytes) return fn_fail(err, FN_NO_MEMORY, "no memory for headers");
    request->header_bytes = bytes;
    for (int i = 0; i < n_headers; i++) {
        struct fn_http_header *copy = &request->headers[i];
        *copy = (struct fn_http_header){bytes, bytes + headers[i].name_size, headers[i].name_size,
                                        headers[i].value_size};
        if (copy->name_size) memcpy(bytes, headers[i].name, copy->name_size);
        if (copy->value_size) memcpy(bytes + copy->name_size, headers[i].value, copy->value_size);
        bytes += copy->name_size + copy->value_size;
    }
    request->n_headers = n_headers;
    adopt_id(request);
    return FN_OK;
}

static fn_status grow(struct fn_http_request *request, size_t needed, size_t max_body,
                      size_t max_inflight, struct fn_error *err) {
    size_t capacity = request->body_capacity ? request->body_capacity : FIRST_CAPACITY;
    while (capacity < needed) capacity *= 2;
    if (capacity > max_body) capacity = max_body;
    size_t more = capacity - request->body_capacity;
    if (atomic_fetch_add(request->inflight, more) + more > max_inflight) {
        atomic_fetch_sub(request->inflight, more);
        return fn_fail(err, FN_OVERLOADED, "bodies in memory already take up to their limit");
    }
    uint8_t *body = realloc(request->body, capacity);
    if (!body) {
        atomic_fetch_sub(request->inflight, more);
        return fn_fail(err, FN_NO_MEMORY, "no memory for a body of %zu bytes", capacity);
    }
    request->body = body;
    request->body_capacity = capacity;
    return FN_OK;
}

fn_status fn_request_append_body(struct fn_http_request *request, const void *bytes, size_t size,
                                 size_t max_body, size_t max_inflight, struct fn_error *err) {
    if (size > max_body - request->body_size)
        return fn_fail(err, FN_BODY_TOO_LARGE, "body is longer than %zu bytes", max_body);
    size_t needed = request->body_size + size;
    if (needed > request->body_capacity) {
        fn_status status = grow(request, needed, max_body, max_inflight, err);
        if (status != FN_OK) return status;
    }
    memcpy(request->body + request->body_size, bytes, size);
    request->body_size = needed;
    return FN_OK;
}

const struct fn_http_header *fn_request_find_header(const struct fn_http_request *request,
                                                    const char *name) {
    size_t size = strlen(name);
    for (int i = 0; i < request->n_headers; i++)
        if (request->headers[i].name_size == size &&
            strncasecmp(request->headers[i].name, name, size) == 0)
            return &request->headers[i];
    return NULL;
}

enum fn_http_method fn_request_method(const char *name) {
    static const char *const names[] = {"GET", "HEAD", "POST", "OPTIONS"};
    for (int i = 0; i < FN_HTTP_OTHER; i++)
        if (strcmp(name, names[i]) == 0) return (enum fn_http_method)i;
    return FN_HTTP_OTHER;
}
