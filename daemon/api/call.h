/* SPDX-License-Identifier: Apache-2.0
 *
 * call.h -- one request on its way through workers and device: decode and crop in a worker, embed
 * on the device, write the answer in a worker again.
 *
 * A call owns its request until fn_call_answer() or fn_call_refuse(), each of which ends it.
 * Between the steps nobody waits: the submitter thread pushes the last step when the last picture
 * is done. */
#ifndef FN_CALL_H
#define FN_CALL_H

#include <jansson.h>

#include "daemon/api/body.h"
#include "daemon/service.h"
#include "engine/picture/picture.h"

/* One picture of the call. */
struct fn_shot {
    struct fn_batch_item item;
    struct fn_call *call;
    const char *name;   /* of the field it came in, static */
    int width, height;  /* upright pixels of the file */
    int orientation;    /* 1...8 */
    struct fn_rect box; /* what was cropped, in those pixels */
    uint8_t *crop;      /* [160][160][3], owned */
    float *embedding;   /* [embedding_size], owned */
    int64_t decoded_ns; /* time it took to decode and crop */
    fn_status status;   /* of the device */
};

struct fn_call {
    struct fn_task task;
    struct fn_service *service;      /* borrowed */
    struct fn_http_request *request; /* owned */
    struct fn_body *body;            /* owned; pictures' bytes end when they are decoded */
    void (*step)(struct fn_call *);  /* what comes next */
    int n_shots;
    struct fn_shot shots[FN_BODY_SLOTS];
    atomic_int remaining; /* pictures at the device */
};

/* Begin in a worker. `handle` gets the call there; on failure the reply is filled and the request
 * still the caller's. */
FN_MUST fn_status fn_call_begin(struct fn_service *service, struct fn_http_request *request,
                                void (*handle)(struct fn_call *), struct fn_error *err);

/* In a worker: embed the first n pictures of the body, then call `answer` in a worker. */
void fn_call_embed(struct fn_call *call, int n, void (*answer)(struct fn_call *));

/* End the call with 200 and `object` (stolen; NULL: out of memory). */
void fn_call_answer(struct fn_call *call, json_t *object);
/* End the call with a problem. */
void fn_call_refuse(struct fn_call *call, const struct fn_error *err);

/* {"decode", "queue", "device", "total", "batch"}: ms of decoding all pictures, of the longest wait
 * and the longest batch among them, of everything so far, and the largest of those batches. */
json_t *fn_call_timing(const struct fn_call *call);
/* {"width", "height", "orientation"} and {"x", "y", "width", "height"}. */
json_t *fn_call_image(const struct fn_shot *shot);
json_t *fn_call_box(const struct fn_shot *shot);

#endif
