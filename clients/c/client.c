/* SPDX-License-Identifier: Apache-2.0
 *
 * client.c -- the handle and its settings: see facenet_client.h. */
#include "clients/c/client.h"

#include <stdlib.h>

#include "clients/c/error.h"
#include "clients/c/retry.h"
#include "clients/c/server.h"

#define MAX_TIMEOUT_MS    999999999L
#define SMALLEST_ANSWER   1024
#define DEFAULT_TIMEOUT   10000
#define DEFAULT_IN_FLIGHT 4

enum facenet_status facenet_client_new(const char *server, struct facenet_client **ret_client,
                                       struct facenet_error *err) {
    struct fnc_server parsed;
    enum facenet_status status = fnc_server_parse(server, &parsed, err);
    if (status != FACENET_OK) return status;
    struct facenet_client *client = calloc(1, sizeof *client);
    status = client ? fnc_transport_new(&parsed, &client->transport, err)
                    : fnc_fail(err, FACENET_NO_MEMORY, "no memory for a client");
    fnc_server_done(&parsed);
    if (status != FACENET_OK) {
        free(client);
        return status;
    }
    client->policy = (struct fnc_policy){DEFAULT_TIMEOUT, FNC_MAX_RETRIES, DEFAULT_IN_FLIGHT};
    *ret_client = client;
    return FACENET_OK;
}

void facenet_client_free(struct facenet_client *client) {
    if (!client) return;
    fnc_transport_free(client->transport);
    free(client);
}

enum facenet_status facenet_client_set_timeout_ms(struct facenet_client *client, long timeout_ms) {
    if (timeout_ms < 1 || timeout_ms > MAX_TIMEOUT_MS) return FACENET_BAD_ARGUMENT;
    client->policy.timeout_ms = timeout_ms;
    return FACENET_OK;
}

enum facenet_status facenet_client_set_retries(struct facenet_client *client, int retries) {
    if (retries < 0 || retries > FNC_MAX_RETRIES) return FACENET_BAD_ARGUMENT;
    client->policy.retries = retries;
    return FACENET_OK;
}

enum facenet_status facenet_client_set_concurrency(struct facenet_client *client, int concurrency) {
    if (concurrency < 1 || concurrency > FNC_MAX_SLOTS) return FACENET_BAD_ARGUMENT;
    client->policy.concurrency = concurrency;
    return FACENET_OK;
}

enum facenet_status facenet_client_set_max_answer(struct facenet_client *client, size_t bytes) {
    if (bytes < SMALLEST_ANSWER) return FACENET_BAD_ARGUMENT;
    fnc_transport_set_max_answer(client->transport, bytes);
    return FACENET_OK;
}

enum facenet_status facenet_client_set_api_key(struct facenet_client *client, const char *key) {
    if (key && !fnc_key_is_valid(key)) return FACENET_BAD_ARGUMENT;
    return fnc_transport_set_api_key(client->transport, key) ? FACENET_OK : FACENET_NO_MEMORY;
}

enum facenet_status facenet_client_set_ca_file(struct facenet_client *client, const char *path) {
    return fnc_transport_set_ca_file(client->transport, path) ? FACENET_OK : FACENET_NO_MEMORY;
}

enum facenet_status facenet_client_set_proxy(struct facenet_client *client, const char *url) {
    return fnc_transport_set_proxy(client->transport, url) ? FACENET_OK : FACENET_NO_MEMORY;
}
