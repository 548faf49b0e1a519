/* SPDX-License-Identifier: Apache-2.0
 *
 * error.h -- the caller's error from inside. Its texts are of fixed size, so that saying what went
 * wrong cannot fail itself. */
#ifndef FNC_ERROR_H
#define FNC_ERROR_H

#include "clients/c/facenet_client.h"

struct facenet_error {
    enum facenet_status status;
    int http_status;
    char code[48];
    char request_id[72];
    char text[480];
};

/* Fill `err` (NULL: nobody listens), leaving no HTTP status, code or request id of before. */
void fnc_error_set(struct facenet_error *err, enum facenet_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What else the server said of a refusal; `err` may be NULL, the texts too. */
void fnc_error_set_refusal(struct facenet_error *err, int http_status, const char *code,
                           const char *request_id);
/* `to` may be NULL. */
void fnc_error_copy(struct facenet_error *to, const struct facenet_error *from);

/* Fill `err` and give `status`, so that a failure is one statement. */
#define fnc_fail(err, status, ...)                                                                 \
    __extension__({                                                                                \
        const enum facenet_status failed_ = (status);                                              \
        fnc_error_set((err), failed_, __VA_ARGS__);                                                \
        failed_;                                                                                   \
    })

#endif
