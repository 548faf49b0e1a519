/* SPDX-License-Identifier: Apache-2.0
 *
 * mailbox.c -- see mailbox.h. */
#include "daemon/http/mailbox.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/http/request.h"

fn_status fn_mailbox_open(struct fn_mailbox *mailbox, struct fn_error *err) {
    mailbox->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mailbox->wake < 0)
        return fn_fail(err, FN_IO, "cannot make an eventfd: %s", strerror(errno));
    (void)pthread_mutex_init(&mailbox->lock, NULL);
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    return FN_OK;
}

void fn_mailbox_close(struct fn_mailbox *mailbox) {
    struct fn_http_request *next, *request = fn_mailbox_take(mailbox);
    for (; request; request = next) {
        next = request->next;
        fn_request_free(request);
    }
    (void)close(mailbox->wake);
    pthread_mutex_destroy(&mailbox->lock);
}

void fn_mailbox_wake(struct fn_mailbox *mailbox) {
    uint64_t one = 1;
    /* Fails only when 2^64 - 1 wakings are pending: the lane is awake then. */
    if (write(mailbox->wake, &one, sizeof one) < 0) return;
}

void fn_mailbox_post(struct fn_mailbox *mailbox, struct fn_http_request *request) {
    request->next = NULL;
    pthread_mutex_lock(&mailbox->lock);
    *mailbox->last = request;
    mailbox->last = &request->next;
    pthread_mutex_unlock(&mailbox->lock);
    fn_mailbox_wake(mailbox);
}

struct fn_http_request *fn_mailbox_take(struct fn_mailbox *mailbox) {
    uint64_t wakings;
    /* Empty is fine: the list is what counts. */
    if (read(mailbox->wake, &wakings, sizeof wakings) < 0) wakings = 0;
    pthread_mutex_lock(&mailbox->lock);
    struct fn_http_request *list = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    pthread_mutex_unlock(&mailbox->lock);
    return list;
}
