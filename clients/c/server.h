/* SPDX-License-Identifier: Apache-2.0
 *
 * server.h -- where the server is, read from the one string that a user gives. */
#ifndef FNC_SERVER_H
#define FNC_SERVER_H

#include <stdbool.h>

#include "clients/c/facenet_client.h"

struct fnc_server {
    char *base;        /* "http://host:port", maybe with a path, without a slash at the end */
    char *socket_path; /* of a Unix socket; NULL: TCP */
};

/* http://, https:// or unix:/path; anything else is FACENET_BAD_ARGUMENT. User names and passwords
 * in an address are refused: they would end up in texts of errors. */
enum facenet_status fnc_server_parse(const char *address, struct fnc_server *ret_server,
                                     struct facenet_error *err);
void fnc_server_done(struct fnc_server *server);

/* The options as a query: characters that a query may have, and not `encoding`. */
enum facenet_status fnc_options_check(const char *options, struct facenet_error *err);

/* A key as a header's value: visible ASCII, so that it cannot add a header. */
bool fnc_key_is_valid(const char *key);

#endif
