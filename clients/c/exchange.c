/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange.c -- see exchange.h.
 *
 * A request keeps its slot while it waits to be tried again, so that a busy server is not asked by
 * others of the same call meanwhile. */
#include "clients/c/exchange.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "clients/c/answer.h"
#include "clients/c/error.h"
#include "clients/c/retry.h"

struct lane {
    enum { FREE, WAITING, UNDER_WAY } state;
    size_t i; /* of the request */
    int attempt;
    int64_t deadline_ms, due_ms; /* due: when WAITING ends */
};

struct exchange {
    struct fnc_session *session;
    const struct fnc_policy *policy;
    const struct fnc_request *requests;
    size_t n, begun, ended;
    fnc_finish *finish;
    void *context;
    struct lane lanes[FNC_MAX_SLOTS];
};

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Without randomness waits are the shortest that the server allows. */
static uint32_t draw(void) {
    uint32_t number = 0;
    return getrandom(&number, sizeof number, GRND_NONBLOCK) == (ssize_t)sizeof number ? number : 0;
}

static void end(struct exchange *x, struct lane *lane, const char *body, size_t size,
                const struct facenet_error *err) {
    lane->state = FREE;
    x->ended++;
    x->finish(x->context, lane->i, body, size, err);
}

static void begin(struct exchange *x, int slot) {
    struct lane *lane = &x->lanes[slot];
    struct facenet_error err;
    int64_t left = lane->deadline_ms - now_ms();
    lane->state = UNDER_WAY;
    if (fnc_session_begin(x->session, slot, &x->requests[lane->i], left > 0 ? left : 1)) return;
    fnc_error_set(&err, FACENET_NO_MEMORY, "no memory for a request");
    end(x, lane, NULL, 0, &err);
}

static void describe(const struct exchange *x, const struct lane *lane,
                     const struct fnc_response *response, struct facenet_error *err) {
    const char *route = x->requests[lane->i].target;
    switch (response->outcome) {
    case FNC_ANSWERED:
        fnc_answer_problem(response->http_status, response->body, response->size, err);
        break;
    case FNC_LATE:
        fnc_error_set(err, FACENET_TIMEOUT, "no answer within %lld ms: %s",
                      (long long)x->policy->timeout_ms, response->detail);
        break;
    case FNC_TOO_LARGE:
        fnc_error_set(err, FACENET_BAD_ANSWER, "%.40s: the answer is larger than is accepted",
                      route);
        break;
    case FNC_STARVED:
        fnc_error_set(err, FACENET_NO_MEMORY, "no memory for an answer");
        break;
    case FNC_BROKEN:
    case FNC_HOPELESS:
        fnc_error_set(err, FACENET_UNREACHABLE, "server cannot be reached, attempt %d: %s",
                      lane->attempt + 1, response->detail);
        break;
    }
}

static void judge(struct exchange *x, struct lane *lane, const struct fnc_response *response) {
    struct facenet_error err;
    int64_t now = now_ms(), left = lane->deadline_ms - now;
    bool answered = response->outcome == FNC_ANSWERED;
    if (answered && response->http_status >= 200 && response->http_status < 300) {
        end(x, lane, response->body, response->size, NULL);
        return;
    }
    struct fnc_attempt attempt = {
        /* Late with time left: it was the connecting that took too long. */
        .broken = response->outcome == FNC_BROKEN || (response->outcome == FNC_LATE && left > 0),
        .http_status = response->http_status,
        .retry_after_ms = answered ? fnc_answer_retry_after_ms(response->body, response->size) : -1,
        .number = lane->attempt,
    };
    if (attempt.retry_after_ms < 0) attempt.retry_after_ms = response->retry_after_ms;
    int64_t wait = fnc_retry_wait_ms(&attempt, x->policy->retries, left, draw());
    if (wait >= 0) {
        lane->state = WAITING;
        lane->due_ms = now + wait;
        lane->attempt++;
        return;
    }
    describe(x, lane, response, &err);
    end(x, lane, NULL, 0, &err);
}

/* Begin what may begin now; gives the time until the next may. */
static int64_t advance(struct exchange *x) {
    int64_t now = now_ms(), wait = 1000;
    for (int slot = 0; slot < x->policy->concurrency; slot++) {
        struct lane *lane = &x->lanes[slot];
        if (lane->state == FREE && x->begun < x->n) {
            *lane = (struct lane){.i = x->begun++, .deadline_ms = now + x->policy->timeout_ms};
            begin(x, slot);
        } else if (lane->state == WAITING && lane->due_ms <= now) {
            begin(x, slot);
        } else if (lane->state == WAITING && lane->due_ms - now < wait) {
            wait = lane->due_ms - now;
        }
        /* A request that could not begin has left its slot to the next at once. */
        if (lane->state == FREE && x->begun < x->n) wait = 0;
    }
    return wait;
}

void fnc_exchange(struct fnc_transport *transport, const struct fnc_policy *policy,
                  const struct fnc_request *requests, size_t n, fnc_finish *finish, void *context) {
    struct exchange x = {
        .policy = policy, .requests = requests, .n = n, .finish = finish, .context = context};
    struct facenet_error err;
    struct fnc_response response;
    x.session = fnc_session_take(transport);
    if (!x.session) {
        fnc_error_set(&err, FACENET_NO_MEMORY, "no memory for a connection");
        for (size_t i = 0; i < n; i++) finish(context, i, NULL, 0, &err);
        return;
    }
    while (x.ended < n) {
        int64_t wait = advance(&x);
        int slot = x.ended < n ? fnc_session_wait(x.session, wait, &response) : -1;
        if (slot < 0) continue;
        judge(&x, &x.lanes[slot], &response);
        free(response.body);
    }
    fnc_session_give(x.session);
}
