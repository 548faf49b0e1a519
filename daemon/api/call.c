/* SPDX-License-Identifier: Apache-2.0
 *
 * call.c -- see call.h. */
#include "daemon/api/call.h"

#include <stdlib.h>

#include "daemon/clock.h"
#include "daemon/http/reply.h"
#include "daemon/http/request.h"

static void end(struct fn_call *call) {
    struct fn_http_request *request = call->request;
    struct fn_service *service = call->service;
    atomic_fetch_sub(&service->server->in_work, 1);
    for (int i = 0; i < call->n_shots; i++) {
        free(call->shots[i].crop);
        free(call->shots[i].embedding);
    }
    fn_body_free(call->body);
    free(call);
    fn_service_release(service);
    fn_http_finish(request);
}

void fn_call_answer(struct fn_call *call, json_t *object) {
    fn_reply_json(call->request, 200, object);
    end(call);
}

void fn_call_refuse(struct fn_call *call, const struct fn_error *err) {
    if (err->status == FN_OVERLOADED)
        fn_reply_retry(call->request, err, fn_batcher_wait_ms(call->service->batcher));
    else
        fn_reply_problem(call->request, err);
    end(call);
}

/* Whether somebody still waits and time is left. */
static fn_status check_wanted(const struct fn_call *call, struct fn_error *err) {
    if (!atomic_load(&call->request->gone) && fn_now_ns() <= call->request->deadline_ns)
        return FN_OK;
    return fn_fail(err, FN_DEADLINE_EXCEEDED, "the deadline passed while the request waited");
}

/* ---- the first step ---------------------------------------------------------------------- */

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

/* ---- pictures to embeddings -------------------------------------------------------------- */

static fn_status decode_shot(struct fn_call *call, struct fn_shot *shot,
                             const struct fn_body_picture *source, struct fn_error *err) {
    const struct fn_service *service = call->service;
    struct fn_picture *picture;
    int64_t started = fn_now_ns();
    fn_status status =
        fn_picture_decode(source->bytes, source->size, service->config->max_pixels, &picture, err);
    if (status != FN_OK) return status;
    shot->width = picture->full_width;
    shot->height = picture->full_height;
    shot->orientation = picture->orientation;
    shot->box = (struct fn_rect){0, 0, picture->full_width, picture->full_height};
    shot->crop = malloc(FN_CROP_SIZE);
    shot->embedding =
        calloc((size_t)service->model->network.embedding_size, sizeof *shot->embedding);
    /* The crop is cut from the decoded pixels, which may be fewer than the file's. */
    struct fn_rect whole = {0, 0, picture->width, picture->height};
    if (shot->crop && shot->embedding)
        status = fn_picture_crop(picture, whole, shot->crop, err);
    else
        status = fn_fail(err, FN_NO_MEMORY, "no memory for a crop");
    fn_picture_free(picture);
    shot->decoded_ns = fn_now_ns() - started;
    fn_histogram_add(&service->server->metrics.decode_seconds, shot->decoded_ns);
    return status;
}

static void run_last_step(struct fn_task *task) {
    struct fn_call *call = (struct fn_call *)(void *)task;
    for (int i = 0; i < call->n_shots; i++) {
        struct fn_error err;
        const struct fn_shot *shot = &call->shots[i];
        if (shot->status == FN_OK) continue;
        (void)fn_fail(&err, shot->status, "%s: %s", shot->name, fn_status_title(shot->status));
        fn_call_refuse(call, &err);
        return;
    }
    call->step(call);
}

/* In the submitter thread. */
static void note_done(struct fn_batch_item *item, fn_status status) {
    struct fn_shot *shot = item->context;
    struct fn_call *call = shot->call;
    shot->status = status;
    if (atomic_fetch_sub(&call->remaining, 1) == 1)
        fn_workers_push(call->service->server->workers, &call->task, FN_TASK_FINISH);
}

static fn_status submit(struct fn_call *call, struct fn_error *err) {
    struct fn_batch_item *items[FN_BODY_SLOTS];
    for (int i = 0; i < call->n_shots; i++) {
        struct fn_shot *shot = &call->shots[i];
        shot->item = (struct fn_batch_item){.crop = shot->crop,
                                            .embedding = shot->embedding,
                                            .deadline_ns = call->request->deadline_ns,
                                            .gone = &call->request->gone,
                                            .done = note_done,
                                            .context = shot};
        items[i] = &shot->item;
    }
    call->task.run = run_last_step;
    atomic_store(&call->remaining, call->n_shots);
    return fn_batcher_submit(call->service->batcher, items, call->n_shots, err);
}

void fn_call_embed(struct fn_call *call, int n, void (*answer)(struct fn_call *)) {
    struct fn_error err, detail;
    fn_status status = FN_OK;
    call->step = answer;
    for (int i = 0; status == FN_OK && i < n; i++) {
        struct fn_shot *shot = &call->shots[i];
        const struct fn_body_picture *picture = &call->body->pictures[i];
        status = check_wanted(call, &err);
        if (status != FN_OK) break;
        call->n_shots++;
        shot->call = call;
        shot->name = picture->name ? picture->name : "img";
        status = decode_shot(call, shot, picture, &detail);
        if (status != FN_OK) (void)fn_fail(&err, status, "%s: %s", shot->name, detail.text);
    }
    if (status == FN_OK) {
        /* Only the crops are needed from here on. */
        fn_request_drop_body(call->request);
        status = submit(call, &err);
    }
    if (status != FN_OK) fn_call_refuse(call, &err);
}

/* ---- pieces of answers ------------------------------------------------------------------- */

json_t *fn_call_timing(const struct fn_call *call) {
    int64_t decode = 0, queue = 0, device = 0;
    int batch = 0;
    for (int i = 0; i < call->n_shots; i++) {
        const struct fn_shot *shot = &call->shots[i];
        decode += shot->decoded_ns;
        if (shot->item.waited_ns > queue) queue = shot->item.waited_ns;
        if (shot->item.computed_ns > device) device = shot->item.computed_ns;
        if (shot->item.batch_size > batch) batch = shot->item.batch_size;
    }
    return json_pack("{s:f, s:f, s:f, s:f, s:i}", "decode", fn_ms(decode), "queue", fn_ms(queue),
                     "device", fn_ms(device), "total",
                     fn_ms(fn_now_ns() - call->request->arrived_ns), "batch", batch);
}

json_t *fn_call_image(const struct fn_shot *shot) {
    return json_pack("{s:i, s:i, s:i}", "width", shot->width, "height", shot->height, "orientation",
                     shot->orientation);
}

json_t *fn_call_box(const struct fn_shot *shot) {
    return json_pack("{s:i, s:i, s:i, s:i}", "x", shot->box.x, "y", shot->box.y, "width",
                     shot->box.width, "height", shot->box.height);
}
