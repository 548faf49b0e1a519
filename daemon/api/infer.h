/* SPDX-License-Identifier: Apache-2.0
 *
 * infer.h -- a request of the Open Inference Protocol v2 (KServe, Triton): one JSON object, its
 * tensor as JSON data or, by the binary data extension, as bytes behind the object.
 *
 * Inputs are image BYTES [n], files of pictures, or crop UINT8 [n,160,160,3], crops in RGB that are
 * ready for the network. JSON strings cannot hold the bytes of a picture: there image is base64.
 * Our own options are the request's parameters. */
#ifndef FN_INFER_H
#define FN_INFER_H

#include "daemon/api/body.h"

#define FN_INFER_MODEL     "facenet"
#define FN_INFER_MAX_ID    255
#define FN_INFER_EMBEDDING "embedding"

struct fn_infer {
    char id[FN_INFER_MAX_ID + 1]; /* to be echoed; "" : none */
    bool wants_binary;            /* the embeddings are to come as bytes behind the JSON */
};

/* Read the request into a body of n_pictures pictures, which borrow from the request's body, and
 * options, checked. Any status of "bad request" kind; FN_TOO_MANY_PICTURES,
 * FN_UNSUPPORTED_FORMAT. */
FN_MUST fn_status fn_infer_read(const struct fn_http_request *request,
                                const struct fn_body_limits *limits, struct fn_infer *ret_infer,
                                struct fn_body **ret_body, struct fn_error *err);

#endif
