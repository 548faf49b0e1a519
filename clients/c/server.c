/* SPDX-License-Identifier: Apache-2.0
 *
 * server.c -- see server.h. */
#include "clients/c/server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "clients/c/error.h"

#define MAX_ADDRESS 2048
#define MAX_OPTIONS 1024
#define MAX_KEY     1024

static bool begins(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_visible(const char *text) {
    for (; *text; text++)
        if (*text <= ' ' || *text >= 0x7f) return false;
    return true;
}

static enum facenet_status parse_socket(const char *path, struct fnc_server *ret_server,
                                        struct facenet_error *err) {
    const size_t longest = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
    size_t size = strlen(path);
    if (path[0] != '/' || size > longest)
        return fnc_fail(err, FACENET_BAD_ARGUMENT,
                        "server unix:%.120s: expected an absolute path of at most %zu bytes", path,
                        longest);
    struct fnc_server server = {strdup("http://localhost"), strdup(path)};
    if (!server.base || !server.socket_path) {
        fnc_server_done(&server);
        return fnc_fail(err, FACENET_NO_MEMORY, "no memory for the server's address");
    }
    *ret_server = server;
    return FACENET_OK;
}

enum facenet_status fnc_server_parse(const char *address, struct fnc_server *ret_server,
                                     struct facenet_error *err) {
    if (!address || strlen(address) > MAX_ADDRESS)
        return fnc_fail(err, FACENET_BAD_ARGUMENT, "server: expected an address of 1 to %d bytes",
                        MAX_ADDRESS);
    if (begins(address, "unix:")) return parse_socket(address + 5, ret_server, err);
    const char *host = begins(address, "http://")    ? address + 7
                       : begins(address, "https://") ? address + 8
                                                     : NULL;
    size_t host_size = host ? strcspn(host, "/") : 0;
    if (host_size == 0 || !is_visible(address) || strpbrk(address, "?#\\"))
        return fnc_fail(err, FACENET_BAD_ARGUMENT,
                        "server %.120s: expected http://host:port, https://host:port or "
                        "unix:/path",
                        address);
    if (memchr(host, '@', host_size))
        return fnc_fail(err, FACENET_BAD_ARGUMENT,
                        "server: has a user name in it; facenetd knows API keys only");
    char *base = strdup(address);
    if (!base) return fnc_fail(err, FACENET_NO_MEMORY, "no memory for the server's address");
    for (size_t end = strlen(base); base[end - 1] == '/'; end--) base[end - 1] = '\0';
    *ret_server = (struct fnc_server){base, NULL};
    return FACENET_OK;
}

void fnc_server_done(struct fnc_server *server) {
    free(server->base);
    free(server->socket_path);
    *server = (struct fnc_server){NULL, NULL};
}

enum facenet_status fnc_options_check(const char *options, struct facenet_error *err) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "-._~%+,:=&";
    if (!options) return FACENET_OK;
    size_t size = strlen(options), good = strspn(options, allowed);
    if (size > MAX_OPTIONS)
        return fnc_fail(err, FACENET_BAD_ARGUMENT, "options: %zu bytes, expected at most %d", size,
                        MAX_OPTIONS);
    if (good != size)
        return fnc_fail(err, FACENET_BAD_ARGUMENT,
                        "options %.80s: byte %zu cannot stand in a query; write name=value, joined "
                        "by &",
                        options, good);
    for (const char *at = options; at; at = strchr(at, '&')) {
        at += *at == '&';
        if (begins(at, "encoding="))
            return fnc_fail(err, FACENET_BAD_ARGUMENT, "options: encoding is the library's own");
    }
    return FACENET_OK;
}

bool fnc_key_is_valid(const char *key) {
    return key[0] && strlen(key) <= MAX_KEY && is_visible(key);
}
