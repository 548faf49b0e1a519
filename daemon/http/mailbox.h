/* SPDX-License-Identifier: Apache-2.0
 *
 * mailbox.h -- how finished requests get back to their lane: a list that any thread may add to, and
 * an eventfd that wakes the one thread that takes. */
#ifndef FN_MAILBOX_H
#define FN_MAILBOX_H

#include <pthread.h>

#include "daemon/http/http.h"
#include "engine/status.h"

struct fn_mailbox {
    int wake; /* eventfd, readable after post() and wake() */
    pthread_mutex_t lock;
    struct fn_http_request *first, **last; /* guarded by lock */
};

FN_MUST fn_status fn_mailbox_open(struct fn_mailbox *mailbox, struct fn_error *err);
/* Frees what has not been taken. */
void fn_mailbox_close(struct fn_mailbox *mailbox);

void fn_mailbox_post(struct fn_mailbox *mailbox, struct fn_http_request *request);
void fn_mailbox_wake(struct fn_mailbox *mailbox);
/* Everything posted, oldest first, linked by `next`; rearms the eventfd. */
struct fn_http_request *fn_mailbox_take(struct fn_mailbox *mailbox);

#endif
