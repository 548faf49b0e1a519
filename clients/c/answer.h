/* SPDX-License-Identifier: Apache-2.0
 *
 * answer.h -- what a server sent, read with distrust: every member that this library gives to its
 * caller is there, of the right type and in range, or the answer is FACENET_BAD_ANSWER. Members it
 * does not know are let pass: newer servers have more. */
#ifndef FNC_ANSWER_H
#define FNC_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "clients/c/facenet_client.h"

/* `body` has `size` bytes and is not kept. */
enum facenet_status fnc_answer_faces(const char *body, size_t size, bool with_embeddings,
                                     struct facenet_faces **ret_faces, struct facenet_error *err);
enum facenet_status fnc_answer_distance(const char *body, size_t size,
                                        struct facenet_distance **ret_distance,
                                        struct facenet_error *err);
/* ret_distances: [n_a][n_b], undefined on failure. */
enum facenet_status fnc_answer_distances(const char *body, size_t size, size_t n_a, size_t n_b,
                                         double *ret_distances, struct facenet_error *err);
enum facenet_status fnc_answer_model(const char *body, size_t size,
                                     struct facenet_model **ret_model, struct facenet_error *err);

/* An answer other than 2xx: FACENET_REFUSED with what a problem object says, or with the status
 * alone when something else than facenetd (a proxy) wrote it; FACENET_BAD_ANSWER for 1xx and 3xx.
 */
void fnc_answer_problem(long http_status, const char *body, size_t size, struct facenet_error *err);
/* The problem's retry_after_ms, or -1. */
int64_t fnc_answer_retry_after_ms(const char *body, size_t size);

#endif
