/* SPDX-License-Identifier: Apache-2.0
 *
 * call.c -- see call.h. */
#include "daemon/api/call.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/http/reply.h"
#include "daemon/http/request.h"
#include "engine/clock.h"
#include "engine/picture/picture.h"

FN_DEFINE_CLEANUP(struct fn_picture *, fn_picture_free)

/* ---- the end ----------------------------------------------------------------------------------
 */

static void end(struct fn_call *call) {
    struct fn_http_request *request = call->request;
    struct fn_service *service = call->service;
    atomic_fetch_sub(&service->server->in_work, 1);
    fn_server_settle(service->server, request);
    for (int i = 0; call->shots && i < call->n_shots; i++) {
        fn_found_done(&call->shots[i].found);
        free(call->shots[i].embeddings);
        free(call->shots[i].items);
    }
    free(call->shots);
    fn_body_free(call->body);
    free(call->extra);
    free(call);
    fn_service_release(service);
    fn_http_finish(request);
}

const char *fn_call_backend(const struct fn_call *call) {
    for (int i = 0; i < call->n_shots && call->shots; i++)
        if (call->shots[i].items && call->shots[i].items[0].backend)
            return call->shots[i].items[0].backend;
    return fn_service_backend(call->service);
}

void fn_call_answer(struct fn_call *call, json_t *object) {
    fn_reply_json(call->request, 200, object);
    end(call);
}

void fn_call_answer_foreign(struct fn_call *call, json_t *object) {
    fn_reply_foreign_json(call->request, 200, object);
    end(call);
}

void fn_call_answer_bytes(struct fn_call *call, const char *content_type, void *bytes,
                          size_t size) {
    fn_reply_bytes(call->request, content_type, bytes, size);
    end(call);
}

void fn_call_answer_png(struct fn_call *call, uint8_t *bytes, size_t size, const char *crop) {
    fn_reply_header(call->request, "X-Facenetd-Crop", crop);
    fn_call_answer_bytes(call, "image/png", bytes, size);
}

void fn_call_refuse(struct fn_call *call, const struct fn_error *err) {
    if (err->status == FN_OVERLOADED)
        fn_reply_retry(call->request, err, fn_runtime_wait_ms(call->service->runtime));
    else
        fn_reply_problem(call->request, err);
    end(call);
}

/* ---- the first step ---------------------------------------------------------------------------
 */

/* Whether somebody still waits and time is left. */
static fn_status check_wanted(const struct fn_call *call, struct fn_error *err) {
    if (!atomic_load(&call->request->gone) && fn_now_ns() <= call->request->deadline_ns)
        return FN_OK;
    return fn_fail(err, FN_DEADLINE_EXCEEDED, "the deadline passed while the request waited");
}

static void run_first_step(struct fn_task *task) {
    struct fn_call *call = (struct fn_call *)(void *)task;
    struct fn_error err;
    if (check_wanted(call, &err) == FN_OK)
        call->step(call);
    else
        fn_call_refuse(call, &err);
}

fn_status fn_call_begin(struct fn_service *service, struct fn_http_request *request,
                        void (*handle)(struct fn_call *), struct fn_error *err) {
    struct fn_call *call = calloc(1, sizeof *call);
    if (!call) return fn_fail(err, FN_NO_MEMORY, "no memory for a request");
    call->task.run = run_first_step;
    fn_service_acquire(service);
    call->service = service;
    call->request = request;
    call->step = handle;
    fn_workers_push(service->server->workers, &call->task, FN_TASK_BEGIN);
    return FN_OK;
}

fn_status fn_call_read(struct fn_call *call, const struct fn_body_rules *rules,
                       struct fn_error *err) {
    const struct fn_config *config = call->service->config;
    const struct fn_body_limits limits = {.most_faces = (int)config->max_faces,
                                          .most_pictures = (int)config->max_pictures,
                                          .looks = fn_finder_looks(call->service->finder)};
    return fn_body_read(call->request, rules, &limits, &call->body, err);
}

/* ---- pictures to faces ------------------------------------------------------------------------
 */

static fn_status look(struct fn_shot *shot, struct fn_error *err) {
    struct fn_call *call = shot->call;
    const struct fn_body_picture *source = &call->body->pictures[shot - call->shots];
    struct fn_find_options options = fn_options_find(&call->body->options);
    if (call->how & FN_CALL_ONE) options.max_faces = 1;
    FN_CLEANUP(fn_picture_free) struct fn_picture *picture = NULL;
    int64_t started = fn_now_ns();
    if (source->is_crop) {
        shot->width = shot->height = FN_CROP_SIDE;
        shot->orientation = 1;
        return fn_found_take_crop(source->bytes, &shot->found, err);
    }
    fn_status status = fn_picture_decode(source->bytes, source->size,
                                         call->service->config->max_pixels, &picture, err);
    int64_t decoded = fn_now_ns();
    shot->decode_ns = decoded - started;
    fn_histogram_add(&call->service->server->metrics.decode_seconds, shot->decode_ns);
    if (status != FN_OK) return status;
    shot->width = picture->full_width;
    shot->height = picture->full_height;
    shot->orientation = picture->orientation;
    status = check_wanted(call, err);
    if (status == FN_OK)
        status = fn_finder_find(call->service->finder, picture, &options, &shot->found, err);
    shot->detect_ns = fn_now_ns() - decoded;
    fn_histogram_add(&call->service->server->metrics.detect_seconds, shot->detect_ns);
    if (status == FN_OK)
        fn_load_note(&call->service->server->load, source->size,
                     (double)picture->full_width * picture->full_height, shot->found.n,
                     shot->decode_ns + shot->detect_ns);
    return status;
}

/* The picture's bytes are needed no more; of the last picture, the body neither. */
static void drop_source(struct fn_shot *shot) {
    struct fn_body_picture *source = &shot->call->body->pictures[shot - shot->call->shots];
    free(source->owned);
    source->owned = NULL;
    source->bytes = NULL;
    if (atomic_fetch_sub(&shot->call->undecoded, 1) != 1) return;
    fn_server_settle(shot->call->service->server, shot->call->request);
    fn_request_drop_body(shot->call->request);
}

/* Where the bytes are gone the detail names the field, but where pictures are told apart by their
 * place in the answer. */
static void note_failure(struct fn_shot *shot, const struct fn_error *detail) {
    bool named = !(shot->call->how & FN_CALL_APART) && detail->status != FN_DEADLINE_EXCEEDED;
    (void)fn_fail(&shot->err, detail->status, "%s%s%s", named ? shot->name : "", named ? ": " : "",
                  detail->text);
}

static void run_last_step(struct fn_task *task) {
    struct fn_call *call = (struct fn_call *)(void *)task;
    for (int i = 0; i < call->n_shots && !(call->how & FN_CALL_APART); i++)
        if (call->shots[i].err.status != FN_OK) {
            fn_call_refuse(call, &call->shots[i].err);
            return;
        }
    call->step(call);
}

static void run_shot(struct fn_task *task);

/* Count the shot as finished; it and the call may be gone afterwards. */
static void finish_shot(struct fn_shot *shot) {
    struct fn_call *call = shot->call;
    int next = atomic_fetch_add(&call->next, 1);
    if (next < call->n_shots)
        fn_workers_push(call->service->server->workers, &call->shots[next].task, FN_TASK_BEGIN);
    if (atomic_fetch_sub(&call->unfinished, 1) != 1) return;
    call->task.run = run_last_step;
    fn_workers_push(call->service->server->workers, &call->task, FN_TASK_FINISH);
}

/* In the submitter thread. */
static void note_done(struct fn_batch_item *item, fn_status status) {
    struct fn_shot *shot = item->context;
    if (status != FN_OK && shot->err.status == FN_OK) {
        struct fn_error detail;
        (void)fn_fail(&detail, status, "%s", fn_status_title(status));
        note_failure(shot, &detail);
    }
    if (--shot->n_waiting == 0) finish_shot(shot);
}

/* Now that the faces are counted. */
static fn_status check_time_left(const struct fn_call *call, int n, struct fn_error *err) {
    struct fn_runtime *runtime = call->service->runtime;
    double ms = fn_runtime_predict_ms(runtime, 0, n);
    double left = fn_ms(call->request->deadline_ns - fn_now_ns());
    if (ms <= left || fn_batcher_ahead(runtime->batcher) == 0) return FN_OK;
    return fn_fail(err, FN_OVERLOADED, "%d faces would take about %.0f ms, and %.0f are left", n,
                   ms, left);
}

static fn_status submit(struct fn_shot *shot, struct fn_error *err) {
    const struct fn_call *call = shot->call;
    fn_status status = check_time_left(call, shot->found.n, err);
    if (status != FN_OK) return status;
    size_t n = (size_t)shot->found.n, size = (size_t)call->service->model->network.embedding_size;
    FN_CLEANUP_FREE struct fn_batch_item **items = calloc(n, sizeof *items);
    shot->items = calloc(n, sizeof *shot->items);
    shot->embeddings = calloc(n * size, sizeof *shot->embeddings);
    if (!items || !shot->items || !shot->embeddings)
        return fn_fail(err, FN_NO_MEMORY, "no memory for %zu embeddings", n);
    for (size_t i = 0; i < n; i++) {
        shot->items[i] = (struct fn_batch_item){.crop = shot->found.crops + i * FN_CROP_SIZE,
                                                .embedding = shot->embeddings + i * size,
                                                .deadline_ns = call->request->deadline_ns,
                                                .gone = &call->request->gone,
                                                .owner = call,
                                                .done = note_done,
                                                .context = shot};
        items[i] = &shot->items[i];
    }
    shot->n_waiting = shot->found.n;
    return fn_batcher_submit(call->service->batcher, items, shot->found.n, err);
}

static void run_shot(struct fn_task *task) {
    struct fn_shot *shot = (struct fn_shot *)(void *)task;
    struct fn_error detail;
    fn_status status = check_wanted(shot->call, &detail);
    if (status == FN_OK) status = look(shot, &detail);
    drop_source(shot);
    if (status == FN_OK && shot->found.n > 0 && shot->call->how & FN_CALL_EMBED) {
        status = submit(shot, &detail);
        if (status == FN_OK) return; /* the shot is the submitter's */
    }
    if (status != FN_OK) note_failure(shot, &detail);
    finish_shot(shot);
}

void fn_call_look(struct fn_call *call, int n, unsigned how, void (*answer)(struct fn_call *)) {
    struct fn_error err;
    int half = (int)call->service->config->max_batch / 2, first = half > 2 ? half : 2;
    call->shots = calloc((size_t)n, sizeof *call->shots);
    if (!call->shots) {
        (void)fn_fail(&err, FN_NO_MEMORY, "no memory for %d pictures", n);
        fn_call_refuse(call, &err);
        return;
    }
    call->step = answer;
    call->how = how;
    call->n_shots = n;
    if (first > n) first = n;
    atomic_store(&call->next, first);
    atomic_store(&call->undecoded, n);
    atomic_store(&call->unfinished, n);
    for (int i = 0; i < n; i++) {
        const char *name = call->body->pictures[i].name;
        call->shots[i].task.run = run_shot;
        call->shots[i].call = call;
        call->shots[i].name = name ? name : "img";
        if (call->body->n_pictures <= 1) continue;
        (void)snprintf(call->shots[i].label, sizeof call->shots[i].label, "%s[%d]",
                       call->shots[i].name, i);
        call->shots[i].name = call->shots[i].label;
    }
    for (int i = 1; i < first; i++)
        fn_workers_push(call->service->server->workers, &call->shots[i].task, FN_TASK_BEGIN);
    run_shot(&call->shots[0].task);
}
