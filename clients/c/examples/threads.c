/* SPDX-License-Identifier: Apache-2.0
 *
 * threads.c -- one client, many threads: each embeds the same picture several times, and all must
 * get the same bits.
 *
 * cc threads.c $(pkg-config --cflags --libs facenet-client) -pthread -o threads
 * ./threads face.jpg http://127.0.0.1:8080 8 20 */
#include <facenet_client.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAX_THREADS 64

struct task {
    struct facenet_client *client; /* shared */
    const struct facenet_picture *picture;
    const struct facenet_faces *expected;
    int times, wrong;
};

static int differ(const struct facenet_faces *a, const struct facenet_faces *b) {
    size_t n_a = 0, n_b = 0;
    const float *x = facenet_faces_embedding(a, 0, &n_a), *y = facenet_faces_embedding(b, 0, &n_b);
    return !x || !y || n_a != n_b || memcmp(x, y, n_a * sizeof *x) != 0;
}

static void *work(void *context) {
    struct task *task = context;
    struct facenet_error *err = facenet_error_new();
    for (int i = 0; i < task->times; i++) {
        struct facenet_faces *faces = NULL;
        if (facenet_client_embed(task->client, task->picture, NULL, &faces, err)) {
            (void)fprintf(stderr, "threads: %s\n", err ? facenet_error_text(err) : "no memory");
            task->wrong++;
        } else {
            task->wrong += differ(faces, task->expected);
        }
        facenet_faces_free(faces);
    }
    facenet_error_free(err);
    return NULL;
}

static int run(struct facenet_client *client, const struct facenet_picture *picture,
               const struct facenet_faces *expected, int n_threads, int times) {
    pthread_t threads[MAX_THREADS];
    struct task tasks[MAX_THREADS];
    int begun = 0, wrong = 0;
    for (; begun < n_threads; begun++) {
        tasks[begun] = (struct task){client, picture, expected, times, 0};
        if (pthread_create(&threads[begun], NULL, work, &tasks[begun])) break;
    }
    for (int i = 0; i < begun; i++) {
        (void)pthread_join(threads[i], NULL);
        wrong += tasks[i].wrong;
    }
    (void)printf("%d threads, %d answers, %d wrong\n", begun, begun * times, wrong);
    return wrong || begun != n_threads;
}

int main(int argc, char **argv) {
    struct facenet_error *err = facenet_error_new();
    struct facenet_client *client = NULL;
    struct facenet_picture *picture = NULL;
    struct facenet_faces *expected = NULL;
    int n_threads = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 8;
    int times = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 20;
    int failed = 1;
    if (!err || argc < 3 || n_threads < 1 || n_threads > MAX_THREADS)
        (void)fprintf(stderr, "usage: threads PICTURE SERVER [THREADS [TIMES]]\n");
    else if (facenet_client_new(argv[2], &client, err) ||
             facenet_client_set_timeout_ms(client, 120000) ||
             facenet_picture_from_file(argv[1], &picture, err) ||
             facenet_client_embed(client, picture, NULL, &expected, err))
        (void)fprintf(stderr, "threads: %s\n", facenet_error_text(err));
    else
        failed = run(client, picture, expected, n_threads, times);
    facenet_faces_free(expected);
    facenet_picture_free(picture);
    facenet_client_free(client);
    facenet_error_free(err);
    return failed;
}
