/* SPDX-License-Identifier: Apache-2.0
 *
 * facenet_client.h -- libfacenet-client: faces, embeddings and distances from a facenetd server.
 *
 *     struct facenet_error *err = facenet_error_new();
 *     struct facenet_client *client = NULL;
 *     struct facenet_picture *picture = NULL;
 *     struct facenet_faces *faces = NULL;
 *     if (facenet_client_new("http://127.0.0.1:8080", &client, err) ||
 *         facenet_picture_from_file("face.jpg", &picture, err) ||
 *         facenet_client_embed(client, picture, NULL, &faces, err))
 *         fprintf(stderr, "%s\n", facenet_error_text(err));
 *
 * Every call blocks until it is answered, has failed for good, or its time is over. A client may be
 * used by many threads at once, each with an error of its own; pictures and results are read-only
 * once made. Every type is opaque and freed by its own function, which takes NULL. Strings and
 * arrays that a getter gives belong to the object. `ret_` parameters are written on success only;
 * `err` may be NULL. No function here prints, exits, forks or changes a signal handler. */
#ifndef FACENET_CLIENT_H
#define FACENET_CLIENT_H

#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FACENET_CLIENT_VERSION "0.1.0"
/* The version of the library that runs. */
const char *facenet_client_version(void);

/* ---- errors ---------------------------------------------------------------------------------- */

enum facenet_status {
    FACENET_OK = 0,
    FACENET_REFUSED = 1,      /* the server said no: see the HTTP status and the code */
    FACENET_UNREACHABLE = 2,  /* no connection, it broke, or its certificate is not trusted */
    FACENET_TIMEOUT = 3,      /* no answer in time */
    FACENET_BAD_ANSWER = 4,   /* an answer that no facenetd gives */
    FACENET_BAD_ARGUMENT = 5, /* the caller's mistake; nothing was sent */
    FACENET_FILE = 6,         /* a picture could not be read; nothing was sent */
    FACENET_NO_MEMORY = 7
};

struct facenet_error;
/* An error to be used again and again; NULL without memory. */
struct facenet_error *facenet_error_new(void);
void facenet_error_free(struct facenet_error *err);
enum facenet_status facenet_error_status(const struct facenet_error *err);
/* One line: what was found, what was expected, where. */
const char *facenet_error_text(const struct facenet_error *err);
/* Of FACENET_REFUSED: 400...599, and facenetd's stable code ("face_not_found"); else 0 and "". */
int facenet_error_http_status(const struct facenet_error *err);
const char *facenet_error_code(const struct facenet_error *err);
/* To be looked up in the server's log; "" when there is none. */
const char *facenet_error_request_id(const struct facenet_error *err);

/* ---- pictures -------------------------------------------------------------------------------- */

/* A picture as the server takes it: the bytes of a JPEG, PNG or WebP file, at most 1 GiB. */
struct facenet_picture;
/* The bytes are copied. */
enum facenet_status facenet_picture_from_bytes(const void *bytes, size_t size,
                                               struct facenet_picture **ret_picture,
                                               struct facenet_error *err);
enum facenet_status facenet_picture_from_file(const char *path,
                                              struct facenet_picture **ret_picture,
                                              struct facenet_error *err);
/* Everything up to the end of `stream` (stdin, a pipe), which stays open. */
enum facenet_status facenet_picture_from_stream(FILE *stream, struct facenet_picture **ret_picture,
                                                struct facenet_error *err);
const void *facenet_picture_bytes(const struct facenet_picture *picture, size_t *ret_size);
void facenet_picture_free(struct facenet_picture *picture);

/* ---- the client ------------------------------------------------------------------------------ */

struct facenet_client;
/* `server` is http://host:port, https://host:port, either with a path in front of the routes, or
 * unix:/path/of.socket. Nothing is sent yet. */
enum facenet_status facenet_client_new(const char *server, struct facenet_client **ret_client,
                                       struct facenet_error *err);
void facenet_client_free(struct facenet_client *client);

/* Settings, to be made before the client is shared between threads. FACENET_BAD_ARGUMENT out of
 * range, FACENET_NO_MEMORY; then nothing has changed. */
/* Time for one call (for one picture of many), retries included: 1...999999999, default 10000. */
enum facenet_status facenet_client_set_timeout_ms(struct facenet_client *client, long timeout_ms);
/* How often to try again after 429, 503 or a broken connection: 0...3, default 3. Waits are those
 * that the server asks for and up to half as long again; a wait beyond the time left is not begun.
 */
enum facenet_status facenet_client_set_retries(struct facenet_client *client, int retries);
/* Requests in flight of one facenet_client_embed_many(): 1...64, default 4. */
enum facenet_status facenet_client_set_concurrency(struct facenet_client *client, int concurrency);
/* Largest answer to accept: from 1024, default 16 MiB. */
enum facenet_status facenet_client_set_max_answer(struct facenet_client *client, size_t bytes);
/* Sent as "Authorization: Bearer"; NULL: none. */
enum facenet_status facenet_client_set_api_key(struct facenet_client *client, const char *key);
/* Trust the certificates of this PEM file instead of the system's; NULL: the system's. */
enum facenet_status facenet_client_set_ca_file(struct facenet_client *client, const char *path);
/* Go through this proxy; NULL, the default: none, whatever the environment says. */
enum facenet_status facenet_client_set_proxy(struct facenet_client *client, const char *url);

/* ---- questions --------------------------------------------------------------------------------
 */

/* `options` is a query string of the server's options, "face=center&min_face=40"; NULL: none. The
 * option encoding is the library's own. A picture without a face is an answer with no faces. */
struct facenet_faces;
enum facenet_status facenet_client_embed(struct facenet_client *client,
                                         const struct facenet_picture *picture, const char *options,
                                         struct facenet_faces **ret_faces,
                                         struct facenet_error *err);
/* The same without embeddings. */
enum facenet_status facenet_client_detect(struct facenet_client *client,
                                          const struct facenet_picture *picture,
                                          const char *options, struct facenet_faces **ret_faces,
                                          struct facenet_error *err);
/* The 160 x 160 PNG that the network is fed with a face of the picture: the largest, or the one
 * that face= or index= chooses. Embedding it with "align=none" gives the face's embedding bit for
 * bit. FACENET_REFUSED ("face_not_found") without a face. */
enum facenet_status facenet_client_crop(struct facenet_client *client,
                                        const struct facenet_picture *picture, const char *options,
                                        struct facenet_picture **ret_crop,
                                        struct facenet_error *err);
/* Embed n pictures at once. Always writes ret_faces[0...n-1]: NULL for a picture that failed, for
 * whatever reason, which errors[i] then holds (`errors`, or any of it, may be NULL). FACENET_OK
 * when all succeeded, else the status of the first that did not. */
enum facenet_status facenet_client_embed_many(struct facenet_client *client,
                                              const struct facenet_picture *const *pictures,
                                              size_t n, const char *options,
                                              struct facenet_faces **ret_faces,
                                              struct facenet_error *const *errors,
                                              struct facenet_error *err);

struct facenet_distance;
enum facenet_status facenet_client_distance(struct facenet_client *client,
                                            const struct facenet_picture *a,
                                            const struct facenet_picture *b, const char *options,
                                            struct facenet_distance **ret_distance,
                                            struct facenet_error *err);
/* Between two embeddings of `length` numbers. With `model` and `crop`, as facenet_faces_model() and
 * facenet_faces_crop() gave them, the server refuses those of another model; NULL: unchecked. */
enum facenet_status facenet_client_distance_of(struct facenet_client *client, const float *a,
                                               const float *b, size_t length, const char *model,
                                               const char *crop, const char *options,
                                               struct facenet_distance **ret_distance,
                                               struct facenet_error *err);

/* The squared L2 distance d of every embedding of a, [n_a][length], from every one of b,
 * [n_b][length], at most 250,000; their cosine is 1 - d / 2. Model and crop as above.
 * ret_distances: [n_a][n_b], the caller's; undefined on failure. */
enum facenet_status facenet_client_distances(struct facenet_client *client, const float *a,
                                             size_t n_a, const float *b, size_t n_b, size_t length,
                                             const char *model, const char *crop,
                                             double *ret_distances, struct facenet_error *err);

struct facenet_model;
enum facenet_status facenet_client_model(struct facenet_client *client,
                                         struct facenet_model **ret_model,
                                         struct facenet_error *err);

/* ---- what came back ---------------------------------------------------------------------------
 */

/* Faces, the largest first. `i` is below the count; a larger one gives 0, NULL or nothing. */
void facenet_faces_free(struct facenet_faces *faces);
size_t facenet_faces_count(const struct facenet_faces *faces);
/* How many were found before options left some out. */
size_t facenet_faces_found(const struct facenet_faces *faces);
/* How many of these the option reject= left out. */
size_t facenet_faces_rejected(const struct facenet_faces *faces);
/* What made the embeddings: only those of the same model and crop may be compared. */
const char *facenet_faces_model(const struct facenet_faces *faces);
const char *facenet_faces_crop(const struct facenet_faces *faces);
const char *facenet_faces_backend(const struct facenet_faces *faces);
/* Pixels of the upright picture, in which boxes and landmarks are given. */
int facenet_faces_width(const struct facenet_faces *faces);
int facenet_faces_height(const struct facenet_faces *faces);
/* `length` numbers of length one; NULL after facenet_client_detect(). */
const float *facenet_faces_embedding(const struct facenet_faces *faces, size_t i,
                                     size_t *ret_length);
/* x, y, width, height; NULL: out of range. */
const double *facenet_faces_box(const struct facenet_faces *faces, size_t i);
/* Eyes, nose and mouth's corners as x, y; NULL where nothing was detected. */
const double *facenet_faces_landmarks(const struct facenet_faces *faces, size_t i);
/* Hints: size (the box's shorter side), sharpness, brightness (0...255), roll in degrees; NULL
 * where nothing was detected. */
const double *facenet_faces_quality(const struct facenet_faces *faces, size_t i);
/* The detector's certainty; NaN where nothing was detected. */
double facenet_faces_score(const struct facenet_faces *faces, size_t i);
/* The answer as it was sent, for what has no getter here; likewise below. */
const char *facenet_faces_json(const struct facenet_faces *faces);

void facenet_distance_free(struct facenet_distance *distance);
/* 1 the same person, 0 not, -1 no verdict: the model has no threshold for this crop. */
int facenet_distance_same(const struct facenet_distance *distance);
double facenet_distance_cosine(const struct facenet_distance *distance);
double facenet_distance_l2(const struct facenet_distance *distance);
/* The threshold of the verdict, its metric ("l2_squared") and the false-accept rate it was fitted
 * to; NaN and "" without a verdict. */
double facenet_distance_threshold(const struct facenet_distance *distance);
const char *facenet_distance_metric(const struct facenet_distance *distance);
double facenet_distance_far(const struct facenet_distance *distance);
const char *facenet_distance_json(const struct facenet_distance *distance);

void facenet_model_free(struct facenet_model *model);
const char *facenet_model_id(const struct facenet_model *model);
const char *facenet_model_crop(const struct facenet_model *model);
const char *facenet_model_backend(const struct facenet_model *model);
size_t facenet_model_embedding_size(const struct facenet_model *model);
const char *facenet_model_json(const struct facenet_model *model);

#ifdef __cplusplus
}
#endif

#endif
