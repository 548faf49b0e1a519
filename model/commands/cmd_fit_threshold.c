/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_fit_threshold.c -- facenet-model fit-threshold: operating points out of the user's pictures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/file.h"
#include "engine/model_writer.h"
#include "engine/verdict.h"
#include "model/commands/command.h"
#include "model/commands/paths.h"
#include "model/evaluate/embedder.h"
#include "model/evaluate/scoring.h"
#include "model/parallel.h"

#define MAX_LIST_SIZE ((size_t)256 << 20)

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)

struct request {
    const char *model, *pairs, *images, *device, *face, *impostors, *out, *name, *cut;
    struct fn_values far;
};

static fn_status embed(void *context, const uint8_t *crops, size_t n, float *ret_embeddings,
                       struct fn_error *err) {
    return fn_embedder_run(context, crops, n, NULL, ret_embeddings, err);
}

/* Every pair, in all four metrics: they must say the same. */
static fn_status check_agreement(const struct fn_pair_set *set, double value,
                                 struct fn_error *err) {
    struct fn_distance cut = fn_distance_of((float)value);
    for (size_t i = 0; i < set->n; i++) {
        struct fn_distance d = fn_distance_of(set->pairs[i].distance);
        bool same = fn_same_by_l2_squared(&d, &cut);
        if (fn_same_by_l2(&d, &cut) != same || fn_same_by_cosine(&d, &cut) != same ||
            fn_same_by_angle(&d, &cut) != same)
            return fn_fail(err, FN_INTERNAL, "the metrics disagree at a distance of %.9g",
                           d.l2_squared);
    }
    return FN_OK;
}

static void print_point(const struct fn_operating_point *p) {
    struct fn_distance cut = fn_distance_of((float)p->value);
    (void)printf("far %g: same when l2_squared <= %.9g (95 %%: %.4f...%.4f), that is l2 <= %.9g, "
                 "cosine >= %.9g, angle <= %.6g degrees\n",
                 p->far, p->value, p->value_low, p->value_high, cut.l2, cut.cosine, cut.angle);
    (void)printf("    %lld impostor pairs, %.2f %% of genuine pairs accepted%s\n",
                 (long long)p->pairs, 100 * p->true_accepts,
                 p->low_confidence ? "; LOW CONFIDENCE: fewer than 10 / far impostor pairs" : "");
}

/* Points of other crops and rates stay; those of this crop and rate are replaced. */
static fn_status add_point(const struct fn_operating_point *point,
                           struct fn_operating_point *points, int *n, struct fn_error *err) {
    int at = 0;
    while (at < *n && (strcmp(points[at].crop, point->crop) != 0 || points[at].far != point->far))
        at++;
    if (at == FN_MAX_OPERATING_POINTS)
        return fn_fail(err, FN_USAGE, "the model holds %d operating points, no more fit",
                       FN_MAX_OPERATING_POINTS);
    points[at] = *point;
    if (at == *n) ++*n;
    return FN_OK;
}

static fn_status fit_points(const struct request *request, const struct fn_model *model,
                            const struct fn_pairs *pairs, struct fn_pair_set *impostors,
                            struct fn_pair_set *genuine, struct fn_error *err) {
    struct fn_operating_point points[FN_MAX_OPERATING_POINTS];
    int n = model->n_operating_points;
    fn_status status = FN_OK;
    memcpy(points, model->operating_points, sizeof points);
    for (size_t i = 0; i < request->far.n && status == FN_OK; i++) {
        struct fn_operating_point point = {0};
        (void)snprintf(point.crop, sizeof point.crop, "%s",
                       request->cut ? request->cut : model->crop);
        (void)snprintf(point.fitted_on, sizeof point.fitted_on, "%s", request->name);
        status = fn_threshold_fit(impostors, genuine, pairs->n_people, request->far.value[i],
                                  &point, err);
        if (status == FN_OK) status = check_agreement(impostors, point.value, err);
        if (status == FN_OK) status = check_agreement(genuine, point.value, err);
        if (status == FN_OK) status = add_point(&point, points, &n, err);
        if (status == FN_OK) print_point(&point);
    }
    const struct fn_model_changes changes = {.points = points, .n_points = n};
    if (status == FN_OK) status = fn_model_write_changed(model, &changes, request->out, err);
    return status;
}

static fn_status score(const struct request *request, const struct fn_model *model,
                       const struct fn_pairs *pairs, struct fn_scores *ret_scores,
                       struct fn_error *err) {
    struct fn_face_options options = {.choice = FN_FACE_LARGEST};
    FN_CLEANUP(fn_face_cutter_free) struct fn_face_cutter *cutter = NULL;
    FN_CLEANUP(fn_embedder_free) struct fn_embedder *embedder = NULL;
    int n_threads = fn_parallel_cpus();
    if (!fn_crop_parse(request->cut ? request->cut : model->crop, &options.contract))
        return fn_fail(err, FN_USAGE, "%s: unknown crop contract %s", request->model,
                       request->cut ? request->cut : model->crop);
    if (request->cut) options.contract = FN_CROP_CONTRACT_WHOLE;
    if (request->face && !fn_face_choice_parse(request->face, &options.choice))
        return fn_fail(err, FN_USAGE, "--face %s: expected largest, center or only", request->face);
    fn_status status = fn_face_cutter_new(model->has_detector ? &model->detector : NULL, &options,
                                          n_threads, &cutter, err);
    if (status == FN_OK)
        status = fn_embedder_on_device(model, request->device ? request->device : "auto", n_threads,
                                       &embedder, err);
    if (status != FN_OK) return status;
    const struct fn_embed how = {embed, embedder, (size_t)fn_embedder_size(embedder)};
    return fn_scores_make(pairs, request->images, cutter, n_threads, &how, NULL, ret_scores, err);
}

static fn_status fit(const struct request *request, bool all, struct fn_error *err) {
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    FN_CLEANUP(fn_pairs_done) struct fn_pairs pairs = {0};
    FN_CLEANUP(fn_scores_done) struct fn_scores scores = {0};
    FN_CLEANUP_FREE uint8_t *text = NULL;
    struct fn_pair_set impostors = {0}, genuine = {0};
    size_t size;
    fn_status status = fn_model_open(request->model, &model, err);
    if (status == FN_OK) status = fn_file_read(request->pairs, MAX_LIST_SIZE, &text, &size, err);
    if (status == FN_OK)
        status = fn_pairs_parse(request->pairs, (const char *)text, size, &pairs, err);
    if (status == FN_OK) status = score(request, model, &pairs, &scores, err);
    if (status == FN_OK && scores.n_missing > 0)
        fn_command_note("no usable face in %zu of %zu pictures; their pairs are left out",
                        scores.n_missing, pairs.n_pictures);
    if (status == FN_OK) status = fn_scores_impostors(&scores, &pairs, all, &impostors, err);
    if (status == FN_OK) status = fn_scores_genuine(&scores, &pairs, all, &genuine, err);
    if (status == FN_OK) status = fit_points(request, model, &pairs, &impostors, &genuine, err);
    free(impostors.pairs);
    free(genuine.pairs);
    return status;
}

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    struct request request = {0};
    bool done = false;
    const struct fn_arg options[] = {
        {"--pairs", "FILE", "LFW's pairs.txt or a CSV of \"a.jpg,b.jpg,1\"", NULL, &request.pairs,
         NULL},
        {"--images", "DIR", "folder that the pictures' names are relative to", NULL,
         &request.images, NULL},
        {"--far", "RATE", "false-accept rate, 1e-3; one or several", NULL, NULL, &request.far},
        {"--impostors", "all|listed",
         "pairs of two people: all that the pictures make (default), "
         "or those listed",
         NULL, &request.impostors, NULL},
        {"--face", "WHICH", "largest (default), center or only", NULL, &request.face, NULL},
        {"--cut-by", "CONTRACT", "the pictures are crops already, cut by this contract", NULL,
         &request.cut, NULL},
        {"--name", "TEXT", "what the points say they were fitted on (default: the list's name)",
         NULL, &request.name, NULL},
        {"--device", "NAME", "auto (default), reference, or part of an OpenCL device's name", NULL,
         &request.device, NULL},
        {"-o", "MODEL", "where to write (default: the model itself)", NULL, &request.out, NULL},
    };
    const struct fn_args args = {"MODEL", &request.model, options,
                                 sizeof options / sizeof options[0]};
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    status = fn_args_need("--pairs", request.pairs, err);
    if (status == FN_OK) status = fn_args_need("--images", request.images, err);
    if (status == FN_OK && request.far.n == 0) status = fn_args_need("--far", NULL, err);
    if (status != FN_OK) return status;
    for (size_t i = 0; i < request.far.n; i++)
        if (!(request.far.value[i] > 0 && request.far.value[i] < 1))
            return fn_fail(err, FN_USAGE, "--far %g: expected more than 0 and less than 1",
                           request.far.value[i]);
    bool listed = request.impostors && strcmp(request.impostors, "listed") == 0;
    if (request.impostors && !listed && strcmp(request.impostors, "all") != 0)
        return fn_fail(err, FN_USAGE, "--impostors %s: expected all or listed", request.impostors);
    if (!request.out) request.out = request.model;
    if (!request.name) request.name = fn_path_base(request.pairs);
    return fit(&request, !listed, err);
}

const struct fn_command fn_command_fit_threshold = {
    .name = "fit-threshold",
    .synopsis = "MODEL --pairs FILE --images DIR --far RATE... [options]",
    .summary = "fit the distance up to which two faces are one person, at a false-accept rate",
    .run = run,
};
