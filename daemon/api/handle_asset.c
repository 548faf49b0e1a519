/* SPDX-License-Identifier: Apache-2.0
 *
 * handle_asset.c -- the files of daemon/page/ under their names. They need no key, and nothing in
 * them depends on who asks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api/routes.h"
#include "daemon/http/reply.h"
#include "daemon/http/request.h"
#include "engine/embedded.h"

/* The page may run, show and call nothing but what this daemon serves, beside the pictures that its
 * user gives it; a name or an answer can never become HTML or script in it (trusted types). */
#define PAGE_POLICY                                                                                \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "              \
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; "            \
    "require-trusted-types-for 'script'; trusted-types 'none'"

static const char *type_of(const char *name) {
    static const struct {
        const char *end, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".json", "application/json"},
    };
    const char *end = strrchr(name, '.');
    for (size_t i = 0; end && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(end, types[i].end) == 0) return types[i].type;
    return "application/octet-stream";
}

/* NULL when there is none of that name. */
static const struct fn_embedded_file *find_asset(const char *name, size_t size) {
    const struct fn_embedded_file *asset = fn_page_files;
    while (asset->name && (strlen(asset->name) != size || memcmp(asset->name, name, size) != 0))
        asset++;
    return asset->name ? asset : NULL;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* Whether If-None-Match names the tag: "*", or a list of tags that a proxy may have made weak. */
static bool is_known(const struct fn_http_request *request, const char *etag) {
    const struct fn_http_header *header = fn_request_find_header(request, "If-None-Match");
    const char *end = header ? header->value + header->value_size : NULL;
    for (const char *at = header ? header->value : NULL; at;) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;
        while (at < stop && is_blank(*at)) at++;
        while (at < stop && is_blank(stop[-1])) stop--;
        if (stop - at > 2 && memcmp(at, "W/", 2) == 0) at += 2;
        size_t size = (size_t)(stop - at);
        if (size == strlen(etag) && memcmp(at, etag, size) == 0) return true;
        if (size == 1 && *at == '*') return true;
        at = comma ? comma + 1 : NULL;
    }
    return false;
}

static void add_headers(struct fn_http_request *request, const char *type, const char *etag) {
    request->reply.cacheable = true;
    fn_reply_header(request, "ETag", etag);
    fn_reply_header_fixed(request, "Cache-Control", "no-cache");
    fn_reply_header_fixed(request, "Cross-Origin-Resource-Policy", "same-origin");
    if (strncmp(type, "text/html", 9) != 0) return;
    fn_reply_header_fixed(request, "Content-Security-Policy", PAGE_POLICY);
    fn_reply_header_fixed(request, "Referrer-Policy", "no-referrer");
    fn_reply_header_fixed(request, "Permissions-Policy",
                          "camera=(self), microphone=(), geolocation=(), payment=(), usb=()");
}

void fn_handle_asset(struct fn_service *service, struct fn_http_request *request) {
    const struct fn_route *route = request->route;
    size_t size;
    const char *name = fn_routes_segment(request, 0, &size);
    if (!name) {
        name = route->path[1] ? route->path + 1 : "index.html";
        size = strlen(name);
    }
    const struct fn_embedded_file *asset = find_asset(name, size);
    char etag[40];
    (void)service;
    if (!asset) {
        struct fn_error err;
        (void)fn_fail(&err, FN_NOT_FOUND, "the web page has no such file");
        fn_reply_problem(request, &err);
        return;
    }
    (void)snprintf(etag, sizeof etag, "\"%s\"", asset->digest);
    add_headers(request, type_of(asset->name), etag);
    if (is_known(request, etag)) {
        fn_reply_empty(request);
        request->reply.status = 304;
        return;
    }
    void *copy = malloc(asset->size);
    if (copy) memcpy(copy, asset->bytes, asset->size);
    fn_reply_bytes(request, type_of(asset->name), copy, asset->size);
}
