/* SPDX-License-Identifier: Apache-2.0
 *
 * call.h -- one request on its way through workers and device: pictures are decoded and searched
 * for faces in workers, several at a time, the faces embedded on the device, the answer written in
 * a worker again.
 *
 * A call owns its request until fn_call_answer() or fn_call_refuse(), each of which ends it.
 * Between the steps nobody waits: whoever finishes the last picture pushes the last step. */
#ifndef FN_CALL_H
#define FN_CALL_H

#include <jansson.h>

#include "daemon/api/body.h"
#include "daemon/service.h"

/* One picture of the call. */
struct fn_shot {
    struct fn_task task;
    struct fn_call *call;
    const char *name;            /* of the field it came in, static; or `label` */
    char label[16];              /* "image[2]": of a field that came with many */
    int width, height;           /* upright pixels of the file */
    int orientation;             /* 1...8 */
    struct fn_found found;       /* its faces and their crops */
    float *embeddings;           /* [found.n][embedding_size], owned; NULL without */
    struct fn_batch_item *items; /* [found.n], owned; NULL without embeddings */
    int n_waiting;               /* faces at the device; the submitter thread's */
    int64_t decode_ns, detect_ns;
    struct fn_error err; /* status FN_OK: all went well */
};

enum fn_call_how {
    FN_CALL_EMBED = 1, /* embed the faces */
    FN_CALL_ONE = 2,   /* one face a picture: the chosen one, else the largest */
    FN_CALL_APART = 4, /* a picture that fails is told by its shot's err and ends nothing */
};

struct fn_call {
    struct fn_task task;
    struct fn_service *service;      /* borrowed */
    struct fn_http_request *request; /* owned */
    struct fn_body *body;            /* owned; pictures' bytes end when they are decoded */
    void *extra;                     /* what a handler keeps between steps; owned: free() */
    void (*step)(struct fn_call *);  /* what comes next */
    unsigned how;                    /* set of enum fn_call_how */
    int n_shots;
    struct fn_shot *shots; /* [n_shots], owned */
    atomic_int next;       /* shot to begin when another is finished */
    atomic_int undecoded, unfinished;
};

/* Begin in a worker. `handle` gets the call there; on failure the reply is filled and the request
 * still the caller's. */
FN_MUST fn_status fn_call_begin(struct fn_service *service, struct fn_http_request *request,
                                void (*handle)(struct fn_call *), struct fn_error *err);

/* In a worker: read the request by `rules` into call->body. */
FN_MUST fn_status fn_call_read(struct fn_call *call, const struct fn_body_rules *rules,
                               struct fn_error *err);

/* In a worker: look for the faces in the first n pictures of the body as its options say, then call
 * `answer` in a worker; unless FN_CALL_APART, the first picture that fails refuses the call. At
 * most half a batch of pictures is in work at a time, so that a request of many does not hold up
 * the others. how: set of enum fn_call_how. */
void fn_call_look(struct fn_call *call, int n, unsigned how, void (*answer)(struct fn_call *));

/* What computed the embeddings; before any is, what would. Borrowed from the service. */
const char *fn_call_backend(const struct fn_call *call);

/* End the call with 200 and `object` (stolen; NULL: out of memory). */
void fn_call_answer(struct fn_call *call, json_t *object);
/* The same with an answer whose members another protocol has fixed: nothing is added. */
void fn_call_answer_foreign(struct fn_call *call, json_t *object);
/* End the call with 200 and `bytes` (stolen; NULL: out of memory) of that type (static); headers
 * are the handler's. */
void fn_call_answer_bytes(struct fn_call *call, const char *content_type, void *bytes, size_t size);
/* End the call with a PNG (stolen), cut by the contract `crop` (static). */
void fn_call_answer_png(struct fn_call *call, uint8_t *bytes, size_t size, const char *crop);
/* End the call with a problem. */
void fn_call_refuse(struct fn_call *call, const struct fn_error *err);

#endif
