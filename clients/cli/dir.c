/* SPDX-License-Identifier: Apache-2.0
 *
 * dir.c -- facenet dir: the embeddings of every picture in a folder.
 *
 * Threads take pictures in the order of their names and may finish in any; records are written in
 * the order of the names, so that a run's output does not depend on the number of threads. A
 * picture that is slow holds back those behind it, at most WINDOW of them. SIGINT and SIGTERM let
 * what is under way finish and be written; a second one ends at once, and what was written stays.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/commands.h"
#include "clients/cli/progress.h"
#include "clients/cli/sink.h"

#define MAX_JOBS      64
#define WINDOW        256
#define STATUS_SIGNAL 128

/* Written in whichever thread the signal reaches, read in all. */
static atomic_int caught;

static void note_signal(int number) {
    caught = number;
}

static void watch_signals(void) {
    struct sigaction action = {.sa_handler = note_signal,
                               .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

struct result {
    bool ready;
    struct facenet_faces *faces; /* NULL: it failed */
    char text[600];              /* then why */
};

struct dir {
    struct facenet_client *client;
    const struct cli_args *args;
    const struct cli_names *names; /* to do, sorted */
    pthread_mutex_t lock;          /* guards what follows */
    pthread_cond_t moved;          /* `written` has grown, or `stopped` is set */
    struct cli_sink *sink;
    struct cli_progress progress;
    size_t next, written;
    bool stopped, broken; /* take no more; because of something that no other picture can change */
    struct result results[WINDOW];
};

/* Whether the next picture would fail alike. */
static bool is_hopeless(const struct facenet_error *err) {
    int http_status = facenet_error_http_status(err);
    return facenet_error_status(err) == FACENET_UNREACHABLE || http_status == 401 ||
           http_status == 403 || http_status == 404;
}

/* Without the lock. Gives whether there is no use in going on. */
static bool embed(const struct dir *dir, const char *name, struct facenet_error *err,
                  struct result *ret_result) {
    char path[4096 + 256];
    struct facenet_picture *picture = NULL;
    struct facenet_faces *faces = NULL;
    (void)snprintf(path, sizeof path, "%s/%s", dir->args->words[0], name);
    enum facenet_status status = facenet_picture_from_file(path, &picture, err);
    if (status == FACENET_OK)
        status = facenet_client_embed(dir->client, picture, dir->args->options, &faces, err);
    if (status != FACENET_OK)
        (void)snprintf(ret_result->text, sizeof ret_result->text, "%s", facenet_error_text(err));
    facenet_picture_free(picture);
    ret_result->faces = faces;
    return status != FACENET_OK && is_hopeless(err);
}

/* With the lock: one record, or one complaint. */
static void write_result(struct dir *dir, struct result *result) {
    bool ok = result->faces && !dir->broken &&
              cli_sink_write(dir->sink, dir->names->name[dir->written], result->faces);
    if (!result->faces) {
        cli_progress_clear(&dir->progress);
        (void)cli_fail("%s: %s", dir->names->name[dir->written], result->text);
    } else if (!ok) {
        dir->stopped = dir->broken = true;
    }
    dir->progress.failed += !ok;
    dir->progress.faces += ok ? facenet_faces_count(result->faces) : 0;
    dir->progress.done++;
    facenet_faces_free(result->faces);
    *result = (struct result){.ready = false};
}

static void hand_in(struct dir *dir, size_t i, const struct result *result, bool hopeless) {
    struct result *slot = &dir->results[i % WINDOW];
    *slot = *result;
    slot->ready = true;
    dir->stopped |= hopeless;
    while (dir->written < dir->next && dir->results[dir->written % WINDOW].ready) {
        write_result(dir, &dir->results[dir->written % WINDOW]);
        dir->written++;
    }
    cli_progress_show(&dir->progress);
    (void)pthread_cond_broadcast(&dir->moved);
}

static void *work(void *context) {
    struct dir *dir = context;
    struct facenet_error *err = facenet_error_new();
    (void)pthread_mutex_lock(&dir->lock);
    while (err && !dir->stopped && !caught && dir->next < dir->names->n) {
        if (dir->next - dir->written == WINDOW) {
            (void)pthread_cond_wait(&dir->moved, &dir->lock);
            continue;
        }
        size_t i = dir->next++;
        struct result result = {.ready = false};
        (void)pthread_mutex_unlock(&dir->lock);
        bool hopeless = embed(dir, dir->names->name[i], err, &result);
        (void)pthread_mutex_lock(&dir->lock);
        hand_in(dir, i, &result, hopeless);
    }
    (void)pthread_mutex_unlock(&dir->lock);
    facenet_error_free(err);
    return NULL;
}

/* Signals go to the workers, whose waiting they interrupt; this thread is in pthread_join(). */
static void run_threads(struct dir *dir) {
    pthread_t threads[MAX_JOBS];
    int begun = 0;
    sigset_t watched, before;
    (void)sigemptyset(&watched);
    (void)sigaddset(&watched, SIGINT);
    (void)sigaddset(&watched, SIGTERM);
    while (begun < dir->args->jobs && !pthread_create(&threads[begun], NULL, work, dir)) begun++;
    if (!begun) (void)work(dir);
    (void)pthread_sigmask(SIG_BLOCK, &watched, &before);
    for (int i = 0; i < begun; i++) (void)pthread_join(threads[i], NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    cli_progress_clear(&dir->progress);
}

static int conclude(const struct dir *dir, size_t had) {
    const struct cli_progress *progress = &dir->progress;
    double seconds = cli_progress_seconds(progress);
    size_t left = dir->names->n - progress->done;
    if (!dir->args->quiet) {
        (void)fprintf(stderr, "facenet: %zu pictures, %zu faces, %zu failed, %.1f pictures/s",
                      progress->done - progress->failed, progress->faces, progress->failed,
                      seconds > 0 ? (double)progress->done / seconds : 0);
        if (had) (void)fprintf(stderr, "; %zu were done before", had);
        (void)fputc('\n', stderr);
    }
    if (caught) {
        (void)cli_fail("interrupted, %zu pictures are left%s", left,
                       dir->args->output ? "; the same command goes on from here" : "");
        return STATUS_SIGNAL + caught;
    }
    return progress->failed || left ? CLI_FAILED : CLI_OK;
}

/* Names that the output does not have yet; false without memory. */
static bool subtract(const struct cli_names *all, const struct cli_names *have,
                     struct cli_names *ret_rest) {
    for (size_t i = 0; i < all->n; i++)
        if (!cli_names_have(have, all->name[i]) && !cli_names_add(ret_rest, all->name[i]))
            return cli_fail("no memory for the names") == CLI_OK;
    return true;
}

static int embed_rest(struct facenet_client *client, const struct cli_args *args,
                      struct cli_sink *sink, const struct cli_names *rest, size_t had) {
    struct dir *dir = calloc(1, sizeof *dir);
    if (!dir) return cli_fail("no memory");
    dir->client = client;
    dir->args = args;
    dir->names = rest;
    dir->sink = sink;
    (void)pthread_mutex_init(&dir->lock, NULL);
    (void)pthread_cond_init(&dir->moved, NULL);
    cli_progress_begin(&dir->progress, rest->n, args->quiet);
    watch_signals();
    run_threads(dir);
    int status = conclude(dir, had);
    (void)pthread_cond_destroy(&dir->moved);
    (void)pthread_mutex_destroy(&dir->lock);
    free(dir);
    return status;
}

static int run(struct facenet_client *client, const struct cli_args *args) {
    struct cli_names all = {0}, have = {0}, rest = {0};
    struct facenet_model *model = NULL;
    struct cli_sink *sink = NULL;
    struct facenet_error *err = facenet_error_new();
    int status = CLI_FAILED;
    if (args->format == CLI_FORMAT_NONE)
        (void)cli_fail("dir: say --csv, --jsonl or --npy");
    else if (args->format == CLI_FORMAT_NPY && !args->output)
        (void)cli_fail("dir: --npy needs --output FILE");
    else if (facenet_client_model(client, &model, err))
        (void)cli_fail("%s", err ? facenet_error_text(err) : "no memory");
    else if (cli_names_of_pictures(args->words[0], &all))
        sink = cli_sink_open(args, facenet_model_id(model), facenet_model_embedding_size(model),
                             &have);
    if (sink && subtract(&all, &have, &rest))
        status = embed_rest(client, args, sink, &rest, all.n - rest.n);
    if (!cli_sink_close(sink)) status = CLI_FAILED;
    cli_names_done(&all);
    cli_names_done(&have);
    cli_names_done(&rest);
    facenet_model_free(model);
    facenet_error_free(err);
    return status;
}

const struct cli_command cli_command_dir = {
    .name = "dir",
    .synopsis = "FOLDER --csv|--jsonl|--npy [--output FILE] [OPTIONS]",
    .summary = "the embeddings of every picture in a folder, to be gone on with",
    .takes = "odeO",
    .least_words = 1,
    .most_words = 1,
    .run = run,
};
