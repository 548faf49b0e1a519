/* SPDX-License-Identifier: Apache-2.0
 *
 * answer.h -- the pieces that answers about pictures are made of. All give NULL when memory is out,
 * which json_pack() and fn_call_answer() pass on. */
#ifndef FN_ANSWER_H
#define FN_ANSWER_H

#include "daemon/api/call.h"

/* {"model", "crop", "aligned", "backend"}: what all pictures of the call were treated with. */
json_t *fn_answer_head(const struct fn_call *call);
/* Move `members` (stolen) into `object` (stolen) and give that. */
json_t *fn_answer_join(json_t *object, json_t *members);

/* {"image", "detector", "min_face", "limited", "faces_found", "faces_rejected", "faces"} of one
 * picture; faces with their embeddings if it has some. */
json_t *fn_answer_shot(const struct fn_shot *shot, enum fn_encoding encoding);

/* FN_FACE_NOT_FOUND, naming the picture, when it has no face left. */
FN_MUST fn_status fn_answer_check_face(const struct fn_shot *shot, struct fn_error *err);

/* {"width", "height", "orientation"} */
json_t *fn_answer_image(const struct fn_shot *shot);
/* {"box", "score", "landmarks", "quality"} of face i. */
json_t *fn_answer_face(const struct fn_shot *shot, int i);

/* {"decode", "detect", "queue", "device", "total", "batch"}: ms of decoding and of searching all
 * pictures, of the longest wait and the longest batch among their faces, of everything so far, and
 * the largest of those batches. */
json_t *fn_answer_timing(const struct fn_call *call);

#endif
