/* SPDX-License-Identifier: Apache-2.0
 *
 * error.c -- see error.h and facenet_client.h. */
#include "clients/c/error.h"

#include <stdarg.h>
#include <stdlib.h>

const char *facenet_client_version(void) {
    return FACENET_CLIENT_VERSION;
}

struct facenet_error *facenet_error_new(void) {
    return calloc(1, sizeof(struct facenet_error));
}

void facenet_error_free(struct facenet_error *err) {
    free(err);
}

enum facenet_status facenet_error_status(const struct facenet_error *err) {
    return err->status;
}

const char *facenet_error_text(const struct facenet_error *err) {
    return err->text;
}

int facenet_error_http_status(const struct facenet_error *err) {
    return err->http_status;
}

const char *facenet_error_code(const struct facenet_error *err) {
    return err->code;
}

const char *facenet_error_request_id(const struct facenet_error *err) {
    return err->request_id;
}

/* What a server sent must not become terminal commands or further lines of a log. */
static void disarm(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
}

void fnc_error_set(struct facenet_error *err, enum facenet_status status, const char *format, ...) {
    va_list arguments;
    if (!err) return;
    *err = (struct facenet_error){.status = status};
    va_start(arguments, format);
    (void)vsnprintf(err->text, sizeof err->text, format, arguments);
    va_end(arguments);
    disarm(err->text);
}

void fnc_error_set_refusal(struct facenet_error *err, int http_status, const char *code,
                           const char *request_id) {
    if (!err) return;
    err->http_status = http_status;
    (void)snprintf(err->code, sizeof err->code, "%s", code ? code : "");
    (void)snprintf(err->request_id, sizeof err->request_id, "%s", request_id ? request_id : "");
    disarm(err->code);
    disarm(err->request_id);
}

void fnc_error_copy(struct facenet_error *to, const struct facenet_error *from) {
    if (to) *to = *from;
}
