/* SPDX-License-Identifier: Apache-2.0
 *
 * access.c -- see access.h. */
#include "daemon/access.h"

#include <string.h>
#include <strings.h>

#include "daemon/http/reply.h"
#include "daemon/http/request.h"
#include "engine/clock.h"

/* Length of the host in "host", "host:port" or "[v6]:port". */
static size_t host_size(const char *authority, size_t size) {
    const char *end = size && authority[0] == '[' ? memchr(authority, ']', size) : NULL;
    if (end) return (size_t)(end - authority) + 1;
    const char *colon = memchr(authority, ':', size);
    return colon ? (size_t)(colon - authority) : size;
}

static bool is_host(const char *host, size_t size, const char *name) {
    return strlen(name) == size && strncasecmp(host, name, size) == 0;
}

static bool is_known(const struct fn_config *config, const struct fn_door *door, const char *host,
                     size_t size) {
    if (is_host(host, size, "localhost") || is_host(host, size, "127.0.0.1") ||
        is_host(host, size, "[::1]") || is_host(host, size, door->host))
        return true;
    for (int i = 0; i < config->n_allowed_hosts; i++)
        if (is_host(host, size, config->allowed_hosts[i])) return true;
    return false;
}

/* Whether `origin` is "http://" or "https://" and then exactly `host`. */
static bool is_same_origin(const struct fn_http_header *origin, const struct fn_http_header *host) {
    static const char *const schemes[] = {"http://", "https://"};
    for (int i = 0; host && i < 2; i++) {
        size_t skip = strlen(schemes[i]);
        if (origin->value_size == skip + host->value_size &&
            strncasecmp(origin->value, schemes[i], skip) == 0 &&
            strncasecmp(origin->value + skip, host->value, host->value_size) == 0)
            return true;
    }
    return false;
}

fn_status fn_access_check_listener(const struct fn_config *config,
                                   const struct fn_listener *listener, struct fn_error *err) {
    if (listener->is_unix || listener->is_loopback || config->keys_file || config->insecure)
        return FN_OK;
    return fn_fail(
        err, FN_USAGE,
        "listen %s:%d: is not a loopback address; without keys_file (or --insecure) only "
        "127.0.0.1, [::1] and unix:/path are listened on",
        listener->host, listener->port);
}

static bool is_allowed_origin(const struct fn_config *config, const struct fn_http_header *origin) {
    for (int i = 0; i < config->n_cors_origins; i++)
        if (strlen(config->cors_origins[i]) == origin->value_size &&
            memcmp(config->cors_origins[i], origin->value, origin->value_size) == 0)
            return true;
    return false;
}

fn_status fn_access_check_place(const struct fn_config *config, const struct fn_keys *keys,
                                const struct fn_door *door, struct fn_http_request *request,
                                struct fn_error *err) {
    const struct fn_http_header *host = fn_request_find_header(request, "Host");
    const struct fn_http_header *origin = fn_request_find_header(request, "Origin");
    bool any_host = door->is_unix || keys || !door->is_loopback;
    /* HTTP/1.0 may come without Host; no browser speaks that. */
    if (host && !any_host &&
        !is_known(config, door, host->value, host_size(host->value, host->value_size)))
        return fn_fail(err, FN_UNKNOWN_HOST,
                       "this server answers for localhost and the names in allowed_hosts only");
    if (!origin || is_same_origin(origin, host)) return FN_OK;
    if (!is_allowed_origin(config, origin))
        return fn_fail(err, FN_FORBIDDEN, "requests from other web sites' pages are refused");
    memcpy(request->allow_origin, origin->value, origin->value_size); /* as short as ours */
    request->allow_origin[origin->value_size] = '\0';
    return FN_OK;
}

fn_status fn_access_check_key(struct fn_keys *keys, const struct fn_door *door,
                              struct fn_http_request *request, enum fn_scope scope,
                              struct fn_error *err) {
    if (!keys || door->is_unix || scope == FN_SCOPE_NONE) return FN_OK;
    fn_status status =
        fn_keys_check(keys, request, scope, fn_now_ns(), &request->retry_after_ms, err);
    if (status == FN_UNAUTHORIZED) fn_reply_header(request, "WWW-Authenticate", "Bearer");
    return status;
}
