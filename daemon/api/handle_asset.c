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

static const char *type_of(const char *name) {
    static const struct { const char *end, *type; } types[] = {{".json", "application/json"}};
    const char *end = strrchr(name, '.');
    for (size_t i = 0; end && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(end, types[i].end) == 0) return types[i].type;
    return "application/octet-stream";
}

void fn_handle_asset(struct fn_service *service, struct fn_http_request *request) {
    const struct fn_route *route = request->route;
    const struct fn_embedded_file *asset = fn_page_files;
    char etag[40];
    (void)service;
    while (asset->name && strcmp(asset->name, route->path + 1) != 0) asset++;
    if (!asset->name) {
        struct fn_error err;
        (void)fn_fail(&err, FN_INTERNAL, "no file is embedded for %s", route->path);
        fn_reply_problem(request, &err);
        return;
    }
    request->reply.cacheable = true;
    (void)snprintf(etag, sizeof etag, "\"%s\"", asset->digest);
    fn_reply_header(request, "ETag", etag);
    fn_reply_header(request, "Cache-Control", "no-cache");
    const struct fn_http_header *known = fn_request_find_header(request, "If-None-Match");
    if (known && known->value_size == strlen(etag) &&
        memcmp(known->value, etag, known->value_size) == 0) {
        fn_reply_empty(request);
        request->reply.status = 304;
        return;
    }
    void *copy = malloc(asset->size);
    if (copy) memcpy(copy, asset->bytes, asset->size);
    fn_reply_bytes(request, type_of(asset->name), copy, asset->size);
}
