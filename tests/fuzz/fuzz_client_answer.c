/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_client_answer.c -- any bytes as a server's answer to the C client. Whatever is taken for an
 * answer must be whole: every getter gives what its contract says. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/answer.h"
#include "clients/c/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool true_of_answer) {
    if (!true_of_answer) abort();
}

static void use_faces(const struct facenet_faces *faces, bool with_embeddings) {
    require(facenet_faces_model(faces) && facenet_faces_crop(faces));
    require(facenet_faces_width(faces) >= 0 && facenet_faces_height(faces) >= 0);
    for (size_t i = 0; i < facenet_faces_count(faces); i++) {
        size_t length = 0;
        const float *embedding = facenet_faces_embedding(faces, i, &length);
        require(!!embedding == with_embeddings && facenet_faces_box(faces, i));
        for (size_t k = 0; embedding && k < length; k++) require(fabsf(embedding[k]) <= 2);
        const double *quality = facenet_faces_quality(faces, i);
        for (size_t k = 0; quality && k < 4; k++) require(isfinite(quality[k]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *body = (const char *)data;
    struct facenet_error err;
    struct facenet_faces *faces = NULL;
    struct facenet_distance *distance = NULL;
    struct facenet_model *model = NULL;
    for (int with_embeddings = 0; with_embeddings < 2; with_embeddings++) {
        if (fnc_answer_faces(body, size, with_embeddings, &faces, &err) != FACENET_OK) continue;
        use_faces(faces, with_embeddings);
        facenet_faces_free(faces);
    }
    if (fnc_answer_distance(body, size, &distance, &err) == FACENET_OK) {
        require((facenet_distance_same(distance) < 0) == isnan(facenet_distance_far(distance)));
        facenet_distance_free(distance);
    }
    double matrix[2][3];
    (void)memset(matrix, 0xff, sizeof matrix); /* NaN */
    if (fnc_answer_distances(body, size, 2, 3, matrix[0], &err) == FACENET_OK)
        for (int i = 0; i < 6; i++) require(isfinite(matrix[i / 3][i % 3]));
    if (fnc_answer_model(body, size, &model, &err) == FACENET_OK) {
        require(facenet_model_id(model) != NULL);
        facenet_model_free(model);
    }
    fnc_answer_problem(size ? 300 + data[0] : 503, body, size, &err);
    require(err.status == FACENET_REFUSED || err.status == FACENET_BAD_ANSWER);
    require(fnc_answer_retry_after_ms(body, size) >= -1);
    return 0;
}
