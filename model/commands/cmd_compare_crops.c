/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_compare_crops.c -- facenet-model compare-crops: the table of docs/crops.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/file.h"
#include "model/commands/command.h"
#include "model/evaluate/embedder.h"
#include "model/evaluate/scoring.h"
#include "model/parallel.h"

#define MAX_LIST_SIZE ((size_t)256 << 20)
#define FAR           1e-3
#define GRID          2000 /* thresholds tried, 0...4 */

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)

struct request {
    const char *model, *pairs, *images, *device, *floats;
    struct fn_values sizes;
    struct fn_source_args from;
};

static fn_status embed(void *context, const uint8_t *crops, size_t n, float *ret_embeddings,
                       struct fn_error *err) {
    return fn_embedder_run(context, crops, n, NULL, ret_embeddings, err);
}

static double best_accuracy(const struct fn_scores *scores, const struct fn_pairs *pairs) {
    double best = 0;
    for (int i = 0; i <= GRID; i++)
        best = fmax(best, fn_scores_accuracy(scores, pairs, (float)(4.0 * i / GRID)));
    return best;
}

static double mean(const struct fn_pair_set *set) {
    double sum = 0;
    for (size_t i = 0; i < set->n; i++) sum += (double)set->pairs[i].distance;
    return set->n ? sum / (double)set->n : 0;
}

/* True accepts at FAR, and in every resample of people. */
struct outcome {
    double accepts;
    double resampled[FN_THRESHOLD_RESAMPLES];
};

static int by_number(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The middle 95 % of the resamples, in percent; `less` (or NULL) taken off one by one. */
struct interval {
    double low, high;
};

static struct interval measure_interval(const double *resampled, const double *less) {
    double sorted[FN_THRESHOLD_RESAMPLES];
    size_t n = 0;
    for (int i = 0; i < FN_THRESHOLD_RESAMPLES; i++) {
        double x = resampled[i] - (less ? less[i] : 0);
        if (!isnan(x)) sorted[n++] = x;
    }
    if (n == 0) return (struct interval){NAN, NAN};
    qsort(sorted, n, sizeof *sorted, by_number);
    return (struct interval){100 * sorted[n / 40], 100 * sorted[n - 1 - n / 40]};
}

/* base: the model's own contract at this size; NULL: this is it. */
static fn_status print_row(const struct fn_face_options *options, const struct fn_scores *scores,
                           const struct fn_pairs *pairs, const struct outcome *base,
                           struct outcome *ret_outcome, struct fn_error *err) {
    struct fn_pair_set impostors = {0}, genuine = {0};
    struct fn_operating_point point = {0};
    fn_status status = fn_scores_impostors(scores, pairs, true, &impostors, err);
    if (status == FN_OK) status = fn_scores_genuine(scores, pairs, true, &genuine, err);
    if (status == FN_OK)
        status = fn_threshold_fit(&impostors, &genuine, pairs->n_people, FAR, &point, err);
    if (status == FN_OK)
        status = fn_threshold_resample(&impostors, &genuine, pairs->n_people, FAR,
                                       ret_outcome->resampled, err);
    ret_outcome->accepts = point.true_accepts;
    if (status == FN_OK) {
        struct interval accepts = measure_interval(ret_outcome->resampled, NULL);
        (void)printf("| `%s` | %d | %zu | %.2f | %.2f (%.1f...%.1f) | ",
                     fn_crop_name(options->contract), options->enlarge, scores->n_missing,
                     100 * best_accuracy(scores, pairs), 100 * point.true_accepts, accepts.low,
                     accepts.high);
        if (base) {
            struct interval more = measure_interval(ret_outcome->resampled, base->resampled);
            (void)printf("%+.2f (%+.1f...%+.1f)", 100 * (point.true_accepts - base->accepts),
                         more.low, more.high);
        }
        (void)printf(" | %.3f | %.4f | %.4f |\n", point.value, mean(&genuine), mean(&impostors));
    }
    (void)fflush(stdout);
    free(impostors.pairs);
    free(genuine.pairs);
    return status;
}

static fn_status measure_one(const struct request *request, const struct fn_model *model,
                             const struct fn_pairs *pairs, const struct fn_embed *how,
                             const struct fn_face_options *options, const struct outcome *base,
                             struct outcome *ret_outcome, struct fn_error *err) {
    int n_threads = fn_parallel_cpus();
    FN_CLEANUP(fn_face_cutter_free) struct fn_face_cutter *cutter = NULL;
    FN_CLEANUP(fn_scores_done) struct fn_scores scores = {0};
    fn_status status = fn_face_cutter_new(model->has_detector ? &model->detector : NULL, options,
                                          n_threads, &cutter, err);
    if (status == FN_OK)
        status = fn_scores_make(pairs, request->images, cutter, n_threads, how, NULL, &scores, err);
    return status == FN_OK ? print_row(options, &scores, pairs, base, ret_outcome, err) : status;
}

/* The model's own contract first: the others are held against it. */
static fn_status measure(const struct request *request, const struct fn_model *model,
                         const struct fn_pairs *pairs, const struct fn_embed *how,
                         struct fn_error *err) {
    enum fn_crop_contract own = FN_CROP_CONTRACT_DEFAULT, named;
    static struct outcome bases[FN_MAX_ARG_VALUES], other;
    if (fn_crop_parse(model->crop, &named) && fn_crop_needs_face(named)) own = named;
    (void)printf(
        "| crop | size | no face | accuracy %% | TAR %% at FAR 1e-3 (95 %%) | against `%s` | "
        "threshold | mean genuine | mean impostor |\n|---|---|---|---|---|---|---|---|---|\n",
        fn_crop_name(own));
    for (int k = FN_CROP_CONTRACT_M32 - 1; k < FN_CROP_CONTRACTS; k++) {
        enum fn_crop_contract contract = k < FN_CROP_CONTRACT_M32 ? own : (enum fn_crop_contract)k;
        if (k == (int)own) continue;
        for (size_t i = 0; i < request->sizes.n; i++) {
            const struct fn_face_options options = {.contract = contract,
                                                    .choice = FN_FACE_CENTER,
                                                    .enlarge = (int)request->sizes.value[i]};
            bool is_base = k < FN_CROP_CONTRACT_M32;
            fn_status status =
                measure_one(request, model, pairs, how, &options, is_base ? NULL : &bases[i],
                            is_base ? &bases[i] : &other, err);
            if (status != FN_OK) return status;
        }
    }
    return FN_OK;
}

/* With the float network of `source`, or the model on a device. */
static fn_status open_embedder(const struct request *request, const struct fn_model *model,
                               struct fn_network **network, struct fn_float_net **net,
                               struct fn_embedder **ret_embedder, struct fn_error *err) {
    int n_threads = fn_parallel_cpus();
    if (!request->floats)
        return fn_embedder_on_device(model, request->device ? request->device : "auto", n_threads,
                                     ret_embedder, err);
    FN_CLEANUP(fn_source_free) struct fn_source *source = NULL;
    fn_status status =
        fn_command_open_source(request->floats, &request->from, &source, network, err);
    if (status == FN_OK) status = fn_float_net_new(*network, source, net, err);
    if (status == FN_OK)
        status = fn_embedder_in_float(*net, (*network)->embedding_size, model->preprocessing,
                                      n_threads, ret_embedder, err);
    return status;
}

static fn_status compare(const struct request *request, struct fn_error *err) {
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    FN_CLEANUP(fn_pairs_done) struct fn_pairs pairs = {0};
    FN_CLEANUP_FREE struct fn_network *network = NULL;
    FN_CLEANUP(fn_float_net_free) struct fn_float_net *net = NULL;
    FN_CLEANUP(fn_embedder_free) struct fn_embedder *embedder = NULL;
    FN_CLEANUP_FREE uint8_t *text = NULL;
    size_t size;
    fn_status status = fn_model_open(request->model, &model, err);
    if (status == FN_OK) status = fn_file_read(request->pairs, MAX_LIST_SIZE, &text, &size, err);
    if (status == FN_OK)
        status = fn_pairs_parse(request->pairs, (const char *)text, size, &pairs, err);
    if (status == FN_OK) status = open_embedder(request, model, &network, &net, &embedder, err);
    if (status != FN_OK) return status;
    const struct fn_embed how = {embed, embedder, (size_t)fn_embedder_size(embedder)};
    fn_command_note("%zu pictures, %zu pairs, by %s", pairs.n_pictures, pairs.n_pairs,
                    fn_embedder_label(embedder));
    return measure(request, model, &pairs, &how, err);
}

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    struct request request = {0};
    bool done = false;
    const struct fn_arg options[] = {
        {"--pairs", "FILE", "LFW's pairs.txt or a CSV", NULL, &request.pairs, NULL},
        {"--images", "DIR", "folder of the pictures", NULL, &request.images, NULL},
        {"--sizes", "N", "enlarge the pictures so many times, 1...8 (default 1, 2 and 4)", NULL,
         NULL, &request.sizes},
        {"--float", "SOURCE", "trained weights: measure the float network instead", NULL,
         &request.floats, NULL},
        FN_SOURCE_ARGS_OPTIONS(request.from),
        {"--device", "NAME", "auto (default), reference, or part of an OpenCL device's name", NULL,
         &request.device, NULL},
    };
    const struct fn_args args = {"MODEL", &request.model, options,
                                 sizeof options / sizeof options[0]};
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    status = fn_args_need("--pairs", request.pairs, err);
    if (status == FN_OK) status = fn_args_need("--images", request.images, err);
    if (status != FN_OK) return status;
    if (request.sizes.n == 0) request.sizes = (struct fn_values){{1, 2, 4}, 3};
    for (size_t i = 0; i < request.sizes.n; i++) {
        double size = request.sizes.value[i];
        if (size != floor(size) || size < 1 || size > 8)
            return fn_fail(err, FN_USAGE, "--sizes %g: expected whole numbers in 1...8", size);
    }
    return compare(&request, err);
}

const struct fn_command fn_command_compare_crops = {
    .name = "compare-crops",
    .synopsis = "MODEL --pairs FILE --images DIR [options]",
    .summary = "measure every crop contract on pairs of pictures, at several picture sizes",
    .run = run,
};
