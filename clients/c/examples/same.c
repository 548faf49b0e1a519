/* SPDX-License-Identifier: Apache-2.0
 *
 * same.c -- are two pictures of the same person? The smallest whole program.
 *
 * cc same.c $(pkg-config --cflags --libs facenet-client) -o same && ./same a.jpg b.jpg */
#include <facenet_client.h>

int main(int argc, char **argv) {
    struct facenet_error *err = facenet_error_new();
    struct facenet_client *client = NULL;
    struct facenet_picture *a = NULL, *b = NULL;
    struct facenet_distance *distance = NULL;
    const char *server = argc > 3 ? argv[3] : "http://127.0.0.1:8080";
    int failed = !err || argc < 3 || facenet_client_new(server, &client, err) ||
                 facenet_picture_from_file(argv[1], &a, err) ||
                 facenet_picture_from_file(argv[2], &b, err) ||
                 facenet_client_distance(client, a, b, NULL, &distance, err);
    if (failed) {
        (void)fprintf(stderr, "same: %s\n",
                      argc < 3 || !err ? "usage: same A B [SERVER]" : facenet_error_text(err));
    } else {
        int same = facenet_distance_same(distance);
        (void)printf("cosine %.6f, %s\n", facenet_distance_cosine(distance),
                     same < 0 ? "no threshold for a verdict"
                     : same   ? "the same person"
                              : "different people");
    }
    facenet_distance_free(distance);
    facenet_picture_free(a);
    facenet_picture_free(b);
    facenet_client_free(client);
    facenet_error_free(err);
    return failed ? 1 : 0;
}
