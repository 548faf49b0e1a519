/* SPDX-License-Identifier: Apache-2.0
 *
 * pictures.c -- the commands that ask about the pictures named on the command line: embed, detect,
 * crop, distance, and model. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/answer_line.h"
#include "clients/cli/commands.h"

#define AT_ONCE 64 /* pictures in memory */

/* "-" is stdin. NULL: stderr says why. */
static struct facenet_picture *read_picture(const char *name) {
    struct facenet_picture *picture = NULL;
    struct facenet_error *err = facenet_error_new();
    enum facenet_status status = strcmp(name, "-") == 0
                                     ? facenet_picture_from_stream(stdin, &picture, err)
                                     : facenet_picture_from_file(name, &picture, err);
    if (status != FACENET_OK) (void)cli_fail("%s", err ? facenet_error_text(err) : "no memory");
    facenet_error_free(err);
    return picture;
}

static int complain(const char *name, const struct facenet_error *err) {
    return cli_fail("%s: %s", name, err ? facenet_error_text(err) : "no memory");
}

static void print_numbers(const struct facenet_faces *faces) {
    for (size_t i = 0; i < facenet_faces_count(faces); i++) {
        size_t length = 0;
        const float *embedding = facenet_faces_embedding(faces, i, &length);
        for (size_t k = 0; k < length; k++)
            (void)printf("%.9g%c", (double)embedding[k], k + 1 < length ? ' ' : '\n');
    }
}

static int print_embedded(const char *name, const struct facenet_faces *faces,
                          const struct cli_args *args) {
    if (args->numbers) {
        print_numbers(faces);
        return CLI_OK;
    }
    char *line = cli_answer_line(name, facenet_faces_json(faces));
    if (!line) return cli_fail("%s: the name is not UTF-8, or there is no memory", name);
    (void)fputs(line, stdout);
    free(line);
    return CLI_OK;
}

/* One face a line, for people and awk. */
static int print_detected(const char *name, const struct facenet_faces *faces,
                          const struct cli_args *args) {
    if (args->json) return print_embedded(name, faces, args);
    if (facenet_faces_count(faces) == 0) (void)printf("%s\tno face\n", name);
    for (size_t i = 0; i < facenet_faces_count(faces); i++) {
        const double *box = facenet_faces_box(faces, i);
        double score = facenet_faces_score(faces, i);
        (void)printf("%s\t%g\t%g\t%g\t%g", name, box[0], box[1], box[2], box[3]);
        if (isnan(score))
            (void)printf("\t-\n");
        else
            (void)printf("\t%.4f\n", score);
    }
    return CLI_OK;
}

/* ---- embed ------------------------------------------------------------------------------------
 */

struct chunk {
    const char *names[AT_ONCE];
    struct facenet_picture *pictures[AT_ONCE];
    struct facenet_faces *faces[AT_ONCE];
    struct facenet_error *errors[AT_ONCE];
    size_t n;
};

static int embed_chunk(struct facenet_client *client, const struct cli_args *args,
                       struct chunk *chunk) {
    int worst = CLI_OK;
    (void)facenet_client_embed_many(client, (const struct facenet_picture *const *)chunk->pictures,
                                    chunk->n, args->options, chunk->faces, chunk->errors, NULL);
    for (size_t i = 0; i < chunk->n; i++) {
        int status = chunk->faces[i] ? print_embedded(chunk->names[i], chunk->faces[i], args)
                                     : complain(chunk->names[i], chunk->errors[i]);
        worst = status > worst ? status : worst;
        facenet_faces_free(chunk->faces[i]);
        facenet_picture_free(chunk->pictures[i]);
    }
    chunk->n = 0;
    return worst;
}

static int run_embed(struct facenet_client *client, const struct cli_args *args) {
    struct chunk chunk = {.n = 0};
    int worst = CLI_OK, status;
    for (int i = 0; i < AT_ONCE; i++) chunk.errors[i] = facenet_error_new();
    for (int i = 0; i < args->n_words; i++) {
        chunk.names[chunk.n] = args->words[i];
        chunk.pictures[chunk.n] = read_picture(args->words[i]);
        if (chunk.pictures[chunk.n])
            chunk.n++;
        else
            worst = CLI_FAILED;
        if (chunk.n < AT_ONCE && i + 1 < args->n_words) continue;
        status = embed_chunk(client, args, &chunk);
        worst = status > worst ? status : worst;
    }
    for (int i = 0; i < AT_ONCE; i++) facenet_error_free(chunk.errors[i]);
    return worst;
}

/* ---- detect, crop, distance, model
 * ------------------------------------------------------------------
 */

static int detect_one(struct facenet_client *client, const struct cli_args *args,
                      const char *name) {
    struct facenet_faces *faces = NULL;
    struct facenet_picture *picture = read_picture(name);
    if (!picture) return CLI_FAILED;
    struct facenet_error *err = facenet_error_new();
    int status = facenet_client_detect(client, picture, args->options, &faces, err)
                     ? complain(name, err)
                     : print_detected(name, faces, args);
    facenet_faces_free(faces);
    facenet_picture_free(picture);
    facenet_error_free(err);
    return status;
}

static int run_detect(struct facenet_client *client, const struct cli_args *args) {
    int worst = CLI_OK;
    for (int i = 0; i < args->n_words; i++) {
        int status = detect_one(client, args, args->words[i]);
        worst = status > worst ? status : worst;
    }
    return worst;
}

/* Files are made anew or not at all: half a PNG is none. */
static int write_crop(const struct facenet_picture *crop, const char *path) {
    size_t size = 0;
    const void *bytes = facenet_picture_bytes(crop, &size);
    FILE *out = path ? fopen(path, "wbe") : stdout;
    if (!out) return cli_fail("%s: %s", path, strerror(errno));
    bool written = fwrite(bytes, 1, size, out) == size;
    if (!path) return written ? CLI_OK : CLI_FAILED; /* main() says why */
    if (fclose(out) == 0 && written) return CLI_OK;
    (void)unlink(path);
    return cli_fail("%s: cannot be written", path);
}

static int run_crop(struct facenet_client *client, const struct cli_args *args) {
    struct facenet_picture *crop = NULL;
    if (!args->output && isatty(STDOUT_FILENO))
        return cli_fail("crop: a PNG is not for a terminal: use --output FILE, or a pipe");
    struct facenet_picture *picture = read_picture(args->words[0]);
    if (!picture) return CLI_FAILED;
    struct facenet_error *err = facenet_error_new();
    int status = facenet_client_crop(client, picture, args->options, &crop, err)
                     ? complain(args->words[0], err)
                     : write_crop(crop, args->output);
    facenet_picture_free(crop);
    facenet_picture_free(picture);
    facenet_error_free(err);
    return status;
}

/* The server's verdict, or with --max-l2 the user's. */
static int decide(const struct facenet_distance *distance, const struct cli_args *args) {
    double l2 = facenet_distance_l2(distance);
    int same = args->max_l2 >= 0 ? l2 <= args->max_l2 : facenet_distance_same(distance);
    if (args->json) {
        (void)fputs(facenet_distance_json(distance), stdout);
    } else {
        (void)printf("%s\tcosine %.6f\tl2 %.6f",
                     same < 0 ? "-"
                     : same   ? "same"
                              : "different",
                     facenet_distance_cosine(distance), l2);
        if (args->max_l2 >= 0)
            (void)printf("\tat most l2 %g", args->max_l2);
        else if (same >= 0)
            (void)printf("\tat most %s %g, false accepts %g", facenet_distance_metric(distance),
                         facenet_distance_threshold(distance), facenet_distance_far(distance));
        (void)putchar('\n');
    }
    if (same < 0)
        return cli_fail("no verdict: the server's model has no threshold here; --max-l2 sets one");
    return same ? CLI_OK : CLI_DIFFERENT;
}

static int run_distance(struct facenet_client *client, const struct cli_args *args) {
    struct facenet_distance *distance = NULL;
    if (strcmp(args->words[0], "-") == 0 && strcmp(args->words[1], "-") == 0)
        return cli_fail("distance: only one picture can be read from standard input");
    struct facenet_picture *a = read_picture(args->words[0]);
    struct facenet_picture *b = a ? read_picture(args->words[1]) : NULL;
    struct facenet_error *err = facenet_error_new();
    int status = CLI_FAILED;
    if (a && b)
        status = facenet_client_distance(client, a, b, args->options, &distance, err)
                     ? complain("distance", err)
                     : decide(distance, args);
    facenet_distance_free(distance);
    facenet_error_free(err);
    facenet_picture_free(a);
    facenet_picture_free(b);
    return status;
}

static int run_model(struct facenet_client *client, const struct cli_args *args) {
    struct facenet_model *model = NULL;
    struct facenet_error *err = facenet_error_new();
    int status = CLI_OK;
    if (facenet_client_model(client, &model, err))
        status = complain("model", err);
    else if (args->json)
        (void)fputs(facenet_model_json(model), stdout);
    else
        (void)printf("model\t%s\ncrop\t%s\nembedding\t%zu numbers\nbackend\t%s\n",
                     facenet_model_id(model), facenet_model_crop(model),
                     facenet_model_embedding_size(model), facenet_model_backend(model));
    facenet_model_free(model);
    facenet_error_free(err);
    return status;
}

const struct cli_command cli_command_embed = {
    .name = "embed",
    .synopsis = "PICTURE... [--numbers] [OPTIONS]",
    .summary = "the embeddings of the faces in pictures, one JSON line a picture",
    .takes = "one",
    .least_words = 1,
    .most_words = 1 << 30,
    .run = run_embed,
};

const struct cli_command cli_command_detect = {
    .name = "detect",
    .synopsis = "PICTURE... [--json] [OPTIONS]",
    .summary = "where the faces are: x, y, width, height and score, one face a line",
    .takes = "oj",
    .least_words = 1,
    .most_words = 1 << 30,
    .run = run_detect,
};

const struct cli_command cli_command_crop = {
    .name = "crop",
    .synopsis = "PICTURE [-O FILE] [OPTIONS]",
    .summary = "the 160 x 160 PNG that the network is fed with a face",
    .takes = "oO",
    .least_words = 1,
    .most_words = 1,
    .run = run_crop,
};

const struct cli_command cli_command_distance = {
    .name = "distance",
    .synopsis = "PICTURE PICTURE [--max-l2 D] [--json] [OPTIONS]",
    .summary = "whether two pictures show the same person: exit status 0 same, 1 different",
    .takes = "ojm",
    .least_words = 2,
    .most_words = 2,
    .run = run_distance,
};

const struct cli_command cli_command_model = {
    .name = "model",
    .synopsis = "[--json] [OPTIONS]",
    .summary = "which model the server has, and what runs it",
    .takes = "j",
    .least_words = 0,
    .most_words = 0,
    .run = run_model,
};
