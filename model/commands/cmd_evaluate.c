/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_evaluate.c -- LFW's protocol on a model, on the float network it was made from, or on both in
 * one run. */
#include <stdio.h>
#include <string.h>

#include "engine/model_writer.h"
#include "model/commands/command.h"
#include "model/evaluate/record.h"
#include "model/evaluate/report.h"
#include "model/evaluate/roc_plot.h"
#include "model/parallel.h"

struct options {
    const char *model, *pairs, *images, *source, *device, *impostors, *roc, *crop, *preprocessing,
        *threads, *record, *cut, *note;
    struct fn_values fars;
    struct fn_source_args from;
    bool as_json;
    uint64_t n_threads;
};

/* A network and what embeds with it; everything owned. */
struct network {
    struct fn_model *model;
    struct fn_source *source;
    struct fn_network *topology;
    struct fn_float_net *net;
    struct fn_embedder *embedder;
};

struct work {
    struct network networks[FN_MAX_SUBJECTS];
    struct fn_subject subjects[FN_MAX_SUBJECTS];
    struct fn_lfw lfw;
    struct fn_paths paths;
    struct fn_crop_way way;
    bool *missing; /* [paths.n] */
    struct fn_report report;
};

static void work_done(struct work *work) {
    for (int i = 0; i < FN_MAX_SUBJECTS; i++) {
        struct network *n = &work->networks[i];
        fn_embedder_free(n->embedder);
        fn_float_net_free(n->net);
        free(n->topology);
        fn_source_free(n->source);
        fn_model_close(n->model);
        free(work->subjects[i].embeddings);
        fn_verdict_done(&work->report.subjects[i].verdict);
    }
    fn_lfw_done(&work->lfw);
    fn_paths_done(&work->paths);
    fn_crop_way_done(&work->way);
    free(work->missing);
}

static struct network *add_subject(struct work *work, const char *what) {
    size_t index = work->report.n_subjects++;
    work->report.subjects[index].what = what;
    return &work->networks[index];
}

static void finish_subject(struct work *work, const char *id) {
    size_t index = work->report.n_subjects - 1;
    struct fn_embedder *embedder = work->networks[index].embedder;
    work->subjects[index].embedder = embedder;
    work->report.subjects[index].id = id;
    work->report.subjects[index].backend = fn_embedder_label(embedder);
}

static fn_status open_model(const struct options *o, struct work *work, struct fn_error *err) {
    struct network *n = add_subject(work, "fixed point");
    fn_status status = fn_model_open(o->model, &n->model, err);
    if (status == FN_OK)
        status = fn_embedder_on_device(n->model, o->device ? o->device : "auto", (int)o->n_threads,
                                       &n->embedder, err);
    if (status == FN_OK) finish_subject(work, n->model->id);
    return status;
}

/* beside: the model it is compared with, whose preprocessing is taken; or NULL. */
static fn_status open_float(const struct options *o, const char *path,
                            const struct fn_model *beside, struct work *work,
                            struct fn_error *err) {
    struct network *n = add_subject(work, "float32");
    enum fn_preprocessing preprocessing = FN_PREPROCESSING_FIXED;
    fn_status status = fn_command_open_source(path, &o->from, &n->source, &n->topology, err);
    if (status == FN_OK && beside && beside->network.embedding_size != n->topology->embedding_size)
        status = fn_fail(err, FN_USAGE, "%s gives %d floats, the model %d", path,
                         n->topology->embedding_size, beside->network.embedding_size);
    if (status == FN_OK && beside)
        preprocessing = beside->preprocessing;
    else if (status == FN_OK)
        status = fn_source_preprocessing(n->source, n->topology->embedding_size, o->preprocessing,
                                         &preprocessing, err);
    if (status == FN_OK) status = fn_float_net_new(n->topology, n->source, &n->net, err);
    if (status == FN_OK)
        status = fn_embedder_in_float(n->net, n->topology->embedding_size, preprocessing,
                                      (int)o->n_threads, &n->embedder, err);
    if (status == FN_OK) finish_subject(work, fn_path_base(path));
    return status;
}

/* Whether a path holds a quantized model rather than float weights. Its tensors say so; an
 * unreadable file is left to whoever opens it as a model. */
static bool holds_model(const char *path) {
    const struct fn_source_reader *reader = fn_source_recognise(path);
    if (reader != &fn_source_safetensors) return !reader;
    struct fn_safetensors *file = NULL;
    if (fn_safetensors_open(path, &file, NULL) != FN_OK) return true;
    const char *format = fn_safetensors_metadata(file, "format");
    bool quantized = format || fn_safetensors_find(file, FN_ROOT "/Conv2d_1a_3x3/frac_bits");
    fn_safetensors_close(file);
    return quantized;
}

static fn_status open_networks(const struct options *o, struct work *work, struct fn_error *err) {
    if (holds_model(o->model)) {
        fn_status status = open_model(o, work, err);
        if (status != FN_OK || !o->source) return status;
        return open_float(o, o->source, work->networks[0].model, work, err);
    }
    if (o->source)
        return fn_fail(err, FN_USAGE, "%s holds float weights itself; --float goes with a model",
                       o->model);
    if (o->device)
        return fn_fail(err, FN_USAGE, "%s holds float weights; --device goes with a model",
                       o->model);
    return open_float(o, o->model, NULL, work, err);
}

static fn_status find_pictures(const struct options *o, struct work *work, struct fn_error *err) {
    struct fn_report *report = &work->report;
    report->pairs = o->pairs;
    report->images = o->images;
    report->all_impostors = o->impostors && strcmp(o->impostors, "all") == 0;
    fn_status status = fn_lfw_read(o->pairs, &work->lfw, err);
    if (status == FN_OK)
        status =
            fn_lfw_find(o->pairs, o->images, report->all_impostors, &work->lfw, &work->paths, err);
    report->n_folds = work->lfw.n_folds;
    report->n_pairs = work->lfw.n_pairs;
    report->n_pictures = work->lfw.n_pictures;
    return status;
}

/* By the model's detector and contract where it has them. */
static fn_status choose_crops(const struct options *o, struct work *work, struct fn_error *err) {
    const struct fn_model *model = work->networks[0].model;
    enum fn_crop_contract contract = FN_CROP_CONTRACT_WHOLE;
    if (model && !fn_crop_parse(model->crop, &contract))
        return fn_fail(err, FN_BAD_MODEL, "%s: unknown crop contract %s", o->model, model->crop);
    work->missing = calloc(work->paths.n + 1, sizeof *work->missing);
    if (!work->missing) return fn_fail(err, FN_NO_MEMORY, "no memory");
    work->report.crop = &work->way;
    return fn_crops_choose(&work->paths, o->crop,
                           model && model->has_detector ? &model->detector : NULL, contract,
                           (int)o->n_threads, &work->way, err);
}

static void count_missing(struct work *work) {
    for (size_t i = 0; i < work->paths.n; i++) work->report.n_missing += work->missing[i];
    for (size_t i = 0; i < work->lfw.n_pairs; i++)
        work->report.n_missing_pairs +=
            work->missing[work->lfw.pairs[i].a] || work->missing[work->lfw.pairs[i].b];
}

static fn_status judge(const struct options *o, struct work *work, struct fn_error *err) {
    struct fn_report *report = &work->report;
    int size = fn_embedder_size(work->subjects[0].embedder);
    fn_status status = FN_OK;
    for (size_t s = 0; s < report->n_subjects && status == FN_OK; s++)
        status =
            fn_evaluate_judge(&work->lfw, work->subjects[s].embeddings, size, work->missing,
                              report->all_impostors, &o->fars, &report->subjects[s].verdict, err);
    if (status == FN_OK && report->n_subjects == 2)
        status = fn_cosines_measure(work->subjects[0].embeddings, work->subjects[1].embeddings,
                                    work->paths.n, size, &report->cosines, err);
    return status;
}

static fn_status draw(const struct options *o, const struct fn_report *report,
                      struct fn_error *err) {
    struct fn_roc_curve curves[FN_MAX_SUBJECTS];
    char titles[FN_MAX_SUBJECTS][96];
    for (size_t s = 0; s < report->n_subjects; s++) {
        const struct fn_report_subject *subject = &report->subjects[s];
        (void)snprintf(titles[s], sizeof titles[s], "%s (%s), AUC %.4f", subject->what, subject->id,
                       subject->verdict.auc);
        curves[s] = (struct fn_roc_curve){titles[s], &subject->verdict.roc};
    }
    return fn_roc_plot(o->roc, curves, report->n_subjects, err);
}

/* Into the model file itself, whose id that does not change. */
static fn_status record(const struct options *o, const struct work *work, struct fn_error *err) {
    const struct fn_record entry = {o->record, o->cut, o->note};
    FN_CLEANUP_FREE char *list = NULL;
    fn_status status = fn_record_add(work->networks[0].model, &work->report, &entry, &list, err);
    const struct fn_model_changes changes = {.evaluations = list};
    if (status == FN_OK)
        status = fn_model_write_changed(work->networks[0].model, &changes, o->model, err);
    return status;
}

static fn_status evaluate(const struct options *o, struct work *work, struct fn_error *err) {
    fn_status status = find_pictures(o, work, err);
    if (status == FN_OK) status = open_networks(o, work, err);
    if (status == FN_OK) status = choose_crops(o, work, err);
    if (status == FN_OK)
        status = fn_evaluate_embed(&work->paths, &work->way, (int)o->n_threads, work->subjects,
                                   work->report.n_subjects, work->missing, err);
    if (status == FN_OK) count_missing(work);
    if (status == FN_OK) status = judge(o, work, err);
    if (status == FN_OK && o->roc) status = draw(o, &work->report, err);
    if (status == FN_OK && o->record) status = record(o, work, err);
    if (status != FN_OK) return status;
    if (o->as_json) return fn_report_print_json(&work->report, err);
    fn_report_print(&work->report);
    if (o->roc) (void)printf("curve        %s\n", o->roc);
    return FN_OK;
}

static fn_status check(struct options *o, struct fn_error *err) {
    static const struct fn_values usual = {{1e-1, 1e-2, 1e-3, 1e-4}, 4};
    fn_status status = fn_args_need("--pairs", o->pairs, err);
    if (status == FN_OK) status = fn_args_need("--images", o->images, err);
    if (status == FN_OK)
        status = fn_args_integer("--threads", o->threads, 1, FN_MAX_THREADS, &o->n_threads, err);
    if (status != FN_OK) return status;
    if (o->impostors && strcmp(o->impostors, "all") != 0 && strcmp(o->impostors, "listed") != 0)
        return fn_fail(err, FN_USAGE, "--impostors %.40s: expected all or listed", o->impostors);
    for (size_t i = 0; i < o->fars.n; i++)
        if (!(o->fars.value[i] > 0 && o->fars.value[i] <= 1))
            return fn_fail(err, FN_USAGE, "--far %g: expected rates above 0, at most 1",
                           o->fars.value[i]);
    if (!o->fars.n) o->fars = usual;
    if (!o->record && (o->cut || o->note))
        return fn_fail(err, FN_USAGE, "%s goes with --record", o->cut ? "--cut-by" : "--note");
    if (o->record && !holds_model(o->model))
        return fn_fail(err, FN_USAGE, "%s holds float weights; --record goes with a model",
                       o->model);
    return FN_OK;
}

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    struct options o = {.n_threads = (uint64_t)fn_parallel_cpus()};
    const struct fn_arg table[] = {
        {"--pairs", "FILE", "pairs in LFW's format", .text = &o.pairs},
        {"--images", "DIR", "pictures as <name>/<name>_0001.jpg", .text = &o.images},
        {"--float", "SOURCE", "compare with the float network of these weights", .text = &o.source},
        {"--device", "NAME", "auto (default), reference, or part of an OpenCL name",
         .text = &o.device},
        {"--impostors", "all|listed", "listed different pairs (default), or everybody's",
         .text = &o.impostors},
        {"--far", "F...", "false accept rates (0.1 0.01 0.001 0.0001)", .values = &o.fars},
        {"--roc", "FILE.svg", "draw the curve (needs gnuplot)", .text = &o.roc},
        {"--crop", "WAY", "a crop contract (the model's, with a detector), else centre or whole",
         .text = &o.crop},
        {"--preprocessing", "fixed|per-image", "for 128-d float weights", .text = &o.preprocessing},
        {"--threads", "N", "threads (all CPUs)", .text = &o.threads},
        FN_SOURCE_ARGS_OPTIONS(o.from),
        {"--record", "NAME", "write the figures into the model, as measured on NAME",
         .text = &o.record},
        {"--cut-by", "CONTRACT", "with --record: how the pictures were cut before", .text = &o.cut},
        {"--note", "TEXT", "with --record: a sentence for people", .text = &o.note},
        {"--json", NULL, "one JSON object instead of lines", .flag = &o.as_json},
    };
    const struct fn_args args = {"MODEL", &o.model, table, sizeof table / sizeof table[0]};
    bool done;
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    status = check(&o, err);
    if (status != FN_OK) return status;
    FN_CLEANUP_FREE struct work *work = calloc(1, sizeof *work);
    if (!work) return fn_fail(err, FN_NO_MEMORY, "no memory");
    status = evaluate(&o, work, err);
    work_done(work);
    return status;
}

const struct fn_command fn_command_evaluate = {
    .name = "evaluate",
    .synopsis = "MODEL --pairs FILE --images DIR [options]",
    .summary = "measure verification accuracy by LFW's protocol",
    .run = run,
};
