/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_crop.c -- facenet-model crop: folders of pictures to folders of the network's crops, as PNG,
 * cut as the daemon cuts them. What trains, calibrates or measures on them needs no detector.
 *
 * A crop that is there already is left as it is, so an interrupted run goes on where it was. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/file.h"
#include "model/commands/command.h"
#include "model/commands/paths.h"
#include "model/evaluate/faces.h"
#include "model/parallel.h"

#define MAX_FILE_SIZE ((size_t)64 << 20)
#define MAX_PATH      4096
#define MAX_PIXELS    100000000

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)
FN_DEFINE_CLEANUP(struct fn_picture *, fn_picture_free)

struct request {
    const char *model, *pictures, *out, *crop, *face, *threads;
};

enum outcome { CUT, THERE, NO_PICTURE, NO_FACE, SEVERAL };

struct job {
    const struct request *request;
    const struct fn_paths *paths;
    struct fn_face_cutter *cutter;
    enum outcome *outcomes; /* [paths->n] */
};

/* "<out>/<path below the pictures' folder>.png", with the folders that it needs. */
static fn_status make_target(const struct job *job, const char *path, char ret_target[MAX_PATH],
                             struct fn_error *err) {
    const char *below = path + strlen(job->request->pictures);
    while (*below == '/') below++;
    const char *dot = strrchr(below, '.'), *slash = strrchr(below, '/');
    size_t stem =
        dot && dot > below && (!slash || dot > slash + 1) ? (size_t)(dot - below) : strlen(below);
    int length = snprintf(ret_target, MAX_PATH, "%s/%.*s.png", job->request->out, (int)stem, below);
    if (length < 0 || length >= MAX_PATH) return fn_fail(err, FN_IO, "%s: path too long", path);
    for (char *at = ret_target + strlen(job->request->out); (at = strchr(at, '/')); at++) {
        *at = '\0';
        int failed = mkdir(ret_target, 0777) != 0 && errno != EEXIST ? errno : 0;
        if (failed)
            return fn_fail(err, FN_IO, "%s: cannot make the folder: %s", ret_target,
                           strerror(failed));
        *at = '/';
    }
    return FN_OK;
}

static fn_status write_crop(const char *target, const uint8_t *crop, struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *png = NULL;
    size_t size = 0;
    fn_status status = fn_picture_encode_png(crop, FN_CROP_SIDE, FN_CROP_SIDE, &png, &size, err);
    if (status != FN_OK) return status;
    const struct fn_piece piece = {png, size};
    return fn_file_write(target, &piece, 1, err);
}

static bool is_of_the_picture(fn_status status) {
    return status == FN_UNSUPPORTED_FORMAT || status == FN_PICTURE_DAMAGED ||
           status == FN_TOO_MANY_PIXELS;
}

static fn_status cut_one(void *context, size_t index, int worker, struct fn_error *err) {
    struct job *job = context;
    const char *path = job->paths->path[index];
    char target[MAX_PATH];
    FN_CLEANUP_FREE uint8_t *bytes = NULL;
    FN_CLEANUP(fn_picture_free) struct fn_picture *picture = NULL;
    FN_CLEANUP_FREE uint8_t *crop = malloc(FN_CROP_SIZE);
    size_t size = 0;
    struct stat there;
    if (!crop) return fn_fail(err, FN_NO_MEMORY, "no memory for a crop");
    fn_status status = make_target(job, path, target, err);
    if (status != FN_OK) return status;
    if (stat(target, &there) == 0) {
        job->outcomes[index] = THERE;
        return FN_OK;
    }
    status = fn_file_read(path, MAX_FILE_SIZE, &bytes, &size, err);
    if (status != FN_OK) return status;
    status = fn_picture_decode(bytes, size, MAX_PIXELS, &picture, err);
    if (is_of_the_picture(status)) {
        job->outcomes[index] = NO_PICTURE;
        return FN_OK;
    }
    if (status == FN_OK) status = fn_face_cutter_cut(job->cutter, worker, picture, crop, err);
    if (status == FN_FACE_NOT_FOUND || status == FN_SEVERAL_FACES) {
        job->outcomes[index] = status == FN_SEVERAL_FACES ? SEVERAL : NO_FACE;
        return FN_OK;
    }
    return status == FN_OK ? write_crop(target, crop, err) : status;
}

static void print_outcomes(const struct job *job, const char *contract) {
    size_t n[SEVERAL + 1] = {0};
    for (size_t i = 0; i < job->paths->n; i++) n[job->outcomes[i]]++;
    (void)printf("%zu crops by %s written to %s\n", n[CUT], contract, job->request->out);
    if (n[THERE]) (void)printf("%zu were there already\n", n[THERE]);
    if (n[NO_PICTURE]) (void)printf("%zu files are no pictures\n", n[NO_PICTURE]);
    if (n[NO_FACE]) (void)printf("%zu pictures show no face\n", n[NO_FACE]);
    if (n[SEVERAL]) (void)printf("%zu pictures show several faces\n", n[SEVERAL]);
}

static fn_status cut_all(const struct request *request, int n_threads, struct fn_error *err) {
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    FN_CLEANUP(fn_paths_done) struct fn_paths paths = {0};
    FN_CLEANUP(fn_face_cutter_free) struct fn_face_cutter *cutter = NULL;
    struct fn_face_options options = {.choice = FN_FACE_LARGEST};
    fn_status status = fn_model_open(request->model, &model, err);
    if (status != FN_OK) return status;
    const char *contract = request->crop ? request->crop : model->crop;
    if (!fn_crop_parse(contract, &options.contract))
        return fn_fail(err, FN_USAGE,
                       "--crop %s: expected mtcnn-p17-160 or another of docs/crops.md", contract);
    if (request->face && !fn_face_choice_parse(request->face, &options.choice))
        return fn_fail(err, FN_USAGE, "--face %s: expected largest, center or only", request->face);
    status = fn_face_cutter_new(model->has_detector ? &model->detector : NULL, &options, n_threads,
                                &cutter, err);
    if (status == FN_OK) status = fn_paths_list(request->pictures, &paths, err);
    if (status != FN_OK) return status;
    FN_CLEANUP_FREE enum outcome *outcomes = calloc(paths.n + 1, sizeof *outcomes);
    if (!outcomes) return fn_fail(err, FN_NO_MEMORY, "no memory for %zu pictures", paths.n);
    if (mkdir(request->out, 0777) != 0 && errno != EEXIST)
        return fn_fail(err, FN_IO, "%s: cannot make the folder: %s", request->out, strerror(errno));
    struct job job = {request, &paths, cutter, outcomes};
    struct fn_progress progress;
    fn_progress_start(&progress, "cropping", paths.n);
    status = fn_parallel_run(paths.n, n_threads, cut_one, &job, &progress, err);
    fn_progress_end(&progress);
    if (status == FN_OK) print_outcomes(&job, contract);
    return status;
}

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    struct request request = {0};
    bool done = false;
    uint64_t n_threads = (uint64_t)fn_parallel_cpus();
    const struct fn_arg options[] = {
        {"--pictures", "DIR", "pictures, in folders of any depth", .text = &request.pictures},
        {"-o", "DIR", "where to write, in the same folders", .text = &request.out},
        {"--crop", "CONTRACT", "mtcnn-p17-160 or another of docs/crops.md (default: the model's)",
         .text = &request.crop},
        {"--face", "WHICH", "largest (default), center or only", .text = &request.face},
        {"--threads", "N", "threads (all CPUs)", .text = &request.threads},
    };
    const struct fn_args args = {"MODEL", &request.model, options,
                                 sizeof options / sizeof options[0]};
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    status = fn_args_need("--pictures", request.pictures, err);
    if (status == FN_OK) status = fn_args_need("-o", request.out, err);
    if (status == FN_OK)
        status = fn_args_integer("--threads", request.threads, 1, FN_MAX_THREADS, &n_threads, err);
    return status == FN_OK ? cut_all(&request, (int)n_threads, err) : status;
}

const struct fn_command fn_command_crop = {
    .name = "crop",
    .synopsis = "MODEL --pictures DIR -o DIR [options]",
    .summary = "cut pictures to the crops that the network is fed, as the daemon does",
    .run = run,
};
