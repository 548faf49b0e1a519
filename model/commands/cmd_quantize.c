/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_quantize.c -- trained weights and calibration pictures in, a model file out.
 *
 * The file depends on the source, the crops and (through the activations' fractional bits, unless
 * they are pinned) the CPU; on nothing else. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/detect/crop.h"
#include "engine/preprocess.h"
#include "model/commands/command.h"
#include "model/evaluate/embedder.h"
#include "model/parallel.h"
#include "model/quantize/calibrate.h"
#include "model/quantize/choose_scales.h"
#include "model/quantize/facts.h"
#include "model/quantize/in_turn.h"
#include "model/quantize/provenance.h"
#include "model/quantize/quantize.h"
#include "model/quantize/remainders.h"
#include "model/sources/detector_source.h"

FN_DEFINE_CLEANUP(struct fn_model_draft *, fn_model_draft_free)
FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)

struct options {
    const char *source, *calibration, *output, *crop, *frac_bits, *write_frac_bits, *preprocessing,
        *detector, *device, *threads, *n;
    struct fn_source_args from;
    uint64_t n_threads, fixed;
    bool per_tensor, jointly, wide, no_equalisation, no_correction;
};

/* What the command gathers on its way; everything owned. */
struct work {
    struct fn_source *source;
    struct fn_network *network;
    enum fn_preprocessing preprocessing;
    struct fn_crops crops; /* none without --calibration */
    struct fn_crop_way way;
    struct fn_model_draft *eyes; /* with the detector only; NULL without */
    struct fn_frac_bits bits;
    struct fn_float_net *net; /* NULL without pictures */
    float *expected; /* [crops.n][embedding_size] of the float network; NULL without pictures */
};

static void work_done(struct work *work) {
    fn_source_free(work->source);
    free(work->network);
    fn_crops_done(&work->crops);
    fn_crop_way_done(&work->way);
    fn_model_draft_free(work->eyes);
    fn_frac_bits_done(&work->bits);
    fn_float_net_free(work->net);
    free(work->expected);
}

static double seconds_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The detector, for cutting the calibration pictures as the daemon will cut others. */
static fn_status open_eyes(const struct options *options, struct work *work, struct fn_error *err) {
    fn_status status = fn_model_draft_new(work->network, &work->eyes, err);
    return status == FN_OK ? fn_detector_source_read(options->detector, work->eyes, err) : status;
}

/* Of a model with a detector: the one that --crop names, else the default. */
static enum fn_crop_contract choose_contract(const struct options *options) {
    enum fn_crop_contract contract;
    bool named = options->crop && fn_crop_parse(options->crop, &contract);
    return named && fn_crop_needs_face(contract) ? contract : FN_CROP_CONTRACT_DEFAULT;
}

static fn_status load_pictures(const struct options *options, struct work *work,
                               struct fn_error *err) {
    FN_CLEANUP(fn_paths_done) struct fn_paths paths = {0};
    fn_status status = fn_paths_list(options->calibration, &paths, err);
    if (status == FN_OK)
        status =
            fn_crops_choose(&paths, options->crop, work->eyes ? &work->eyes->detector : NULL,
                            FN_CROP_CONTRACT_DEFAULT, (int)options->n_threads, &work->way, err);
    if (status != FN_OK) return status;
    struct fn_progress progress;
    fn_progress_start(&progress, "pictures", paths.n);
    status = fn_crops_load(&paths, 0, paths.n, &work->way, true, (int)options->n_threads, &progress,
                           &work->crops, NULL, err);
    fn_progress_end(&progress);
    if (status != FN_OK) return status;
    if (work->crops.n == 0)
        return fn_fail(err, FN_IO, "%s: no picture among %zu files", options->calibration, paths.n);
    (void)printf("pictures      %zu in %s, cut to %s\n", work->crops.n, options->calibration,
                 fn_crop_way_about(&work->way));
    if (work->crops.n_skipped)
        fn_command_note("note: %s: %zu files are no pictures and were passed over",
                        options->calibration, work->crops.n_skipped);
    if (work->crops.n_faceless)
        fn_command_note("note: %s: %zu pictures show no face and were passed over",
                        options->calibration, work->crops.n_faceless);
    return FN_OK;
}

/* The float network's answers where calibration itself did not run. */
static fn_status embed_in_float(const struct work *work, int n_threads, float **ret_embeddings,
                                struct fn_error *err) {
    int size = work->network->embedding_size;
    FN_CLEANUP(fn_embedder_free) struct fn_embedder *embedder = NULL;
    FN_CLEANUP_FREE float *embeddings = calloc(work->crops.n, (size_t)size * sizeof *embeddings);
    if (!embeddings) return fn_fail(err, FN_NO_MEMORY, "no memory for embeddings");
    fn_status status =
        fn_embedder_in_float(work->net, size, work->preprocessing, n_threads, &embedder, err);
    if (status == FN_OK)
        status =
            fn_embedder_run(embedder, work->crops.pixels, work->crops.n, NULL, embeddings, err);
    if (status == FN_OK) *ret_embeddings = FN_TAKE(embeddings);
    return status;
}

/* What of a pinned or chosen calibration the options leave out. */
static void leave_out(const struct options *options, struct fn_frac_bits *bits) {
    if (options->no_equalisation) bits->has_scales = false;
    if (options->no_correction) bits->has_corrections = false;
}

/* Activations' fractional bits that need no pictures: pinned by a file, or all the same. */
static fn_status take_frac_bits(const struct options *options, struct work *work,
                                struct fn_error *err) {
    int input_frac_bits = fn_preprocessing_frac_bits(work->preprocessing);
    fn_status status = FN_OK;
    if (options->frac_bits)
        status =
            fn_frac_bits_read(options->frac_bits, work->network, input_frac_bits, &work->bits, err);
    if (status == FN_OK && options->n) {
        memset(work->bits.f, (int)options->fixed, sizeof work->bits.f);
        work->bits.f[0] = (int8_t)input_frac_bits;
    }
    leave_out(options, &work->bits);
    if (status == FN_OK && work->bits.jointly && !options->calibration)
        return fn_fail(
            err, FN_USAGE,
            "%s: its weights were rounded together for pictures: --calibration DIR gives "
            "them, --nearest does without",
            options->frac_bits);
    return status;
}

static struct fn_float_pass all_pictures(const struct options *options, const struct work *work) {
    return (struct fn_float_pass){work->network,      work->net,     work->preprocessing,
                                  work->crops.pixels, work->crops.n, (int)options->n_threads};
}

/* Fractional bits of the activations and their channels' scales, from the pictures. */
static fn_status calibrate(const struct options *options, struct work *work, struct fn_error *err) {
    struct fn_calibration calibration;
    fn_status status =
        fn_calibrate(work->network, work->net, work->preprocessing, work->crops.pixels,
                     work->crops.n, (int)options->n_threads, &calibration, err);
    if (status != FN_OK) return status;
    memcpy(work->bits.f, calibration.frac_bits, sizeof work->bits.f);
    work->expected = calibration.embeddings;
    const struct fn_float_pass pass = all_pictures(options, work);
    work->bits.has_scales = !options->no_equalisation;
    work->bits.jointly = options->jointly;
    status = options->no_equalisation
                 ? fn_equalisation_new(work->network, &work->bits.scales, err)
                 : fn_choose_scales(&pass, work->bits.f, &work->bits.scales, err);
    return status == FN_OK
               ? fn_provenance_describe(&work->crops, &work->way, work->bits.provenance, err)
               : status;
}

static fn_status choose_frac_bits(const struct options *options, struct work *work,
                                  struct fn_error *err) {
    fn_status status = take_frac_bits(options, work, err);
    if (status != FN_OK || !options->calibration) return status;
    status = load_pictures(options, work, err);
    if (status == FN_OK && work->bits.jointly)
        status = fn_provenance_check(options->frac_bits, work->bits.provenance, &work->crops, err);
    if (status == FN_OK) status = fn_float_net_new(work->network, work->source, &work->net, err);
    if (status != FN_OK) return status;
    return options->frac_bits || options->n
               ? embed_in_float(work, (int)options->n_threads, &work->expected, err)
               : calibrate(options, work, err);
}

static struct fn_quantize_plan make_plan(const struct options *options, const struct work *work) {
    return (struct fn_quantize_plan){
        .per_tensor = options->per_tensor,
        .is_fixed = options->n != NULL,
        .fixed = (int)options->fixed,
        .scales = work->bits.has_scales ? &work->bits.scales : NULL,
        .corrections = work->bits.has_corrections ? &work->bits.corrections : NULL};
}

/* Layer after layer by what the pictures become, where that decides anything. */
static fn_status quantize_in_turn(const struct options *options, struct work *work, bool corrects,
                                  struct fn_model_draft *draft, struct fn_error *err) {
    struct fn_in_turn how = {.source = work->source,
                             .plan = make_plan(options, work),
                             .n_threads = (int)options->n_threads,
                             .jointly = work->bits.jointly};
    FN_CLEANUP_FREE uint8_t *crops = NULL;
    fn_status status = fn_in_turn_choose(work->crops.pixels, work->crops.n, &crops, &how.n, err);
    if (status != FN_OK) return status;
    how.crops = crops;
    if (!corrects) return fn_quantize_in_turn(&how, draft, NULL, err);
    struct fn_float_pass pass = all_pictures(options, work);
    pass.crops = crops;
    pass.n = how.n;
    FN_CLEANUP(fn_float_means_done) struct fn_float_means means = {0};
    status = fn_float_means_find(&pass, work->source, &means, err);
    if (status == FN_OK) status = fn_corrections_new(work->network, &work->bits.corrections, err);
    if (status != FN_OK) return status;
    how.means = &means;
    work->bits.has_corrections = true;
    return fn_quantize_in_turn(&how, draft, &work->bits.corrections, err);
}

static fn_status quantize_draft(const struct options *options, struct work *work,
                                struct fn_model_draft *draft, struct fn_error *err) {
    struct fn_quantize_plan plan = make_plan(options, work);
    if (options->wide && !options->frac_bits) {
        fn_status status = fn_remainders_choose(work->source, &plan, draft, err);
        if (status != FN_OK) return status;
        memcpy(work->bits.f, draft->frac_bits, sizeof work->bits.f);
    }
    bool corrects = work->net && !options->frac_bits && !options->n && !options->no_correction;
    if (corrects || work->bits.jointly)
        return quantize_in_turn(options, work, corrects, draft, err);
    return fn_quantize(work->source, &plan, draft, (int)options->n_threads, err);
}

static fn_status describe_quantizer(const struct options *options, const struct work *work,
                                    struct fn_model_draft *draft, struct fn_error *err) {
    char weights[24] = "per channel";
    if (options->per_tensor) (void)snprintf(weights, sizeof weights, "per tensor");
    if (options->n) (void)snprintf(weights, sizeof weights, "n = %d", (int)options->fixed);
    bool plain = !options->per_tensor && !options->n && !options->wide && !work->bits.has_scales &&
                 !work->bits.has_corrections && !work->bits.jointly;
    if (plain) return FN_OK; /* the file says nothing, as it did before there was a choice */
    (void)snprintf(draft->quantizer, sizeof draft->quantizer, "%s%s%s%s%s", weights,
                   work->bits.has_scales ? ", equalised" : "",
                   work->bits.jointly ? ", rounded jointly" : "",
                   work->bits.has_corrections ? ", biases corrected" : "",
                   options->wide ? ", wide residual stream" : "");
    if (!work->bits.has_scales) return FN_OK;
    draft->channel_scales = fn_equalisation_write(&work->bits.scales, work->network);
    return draft->channel_scales ? FN_OK : fn_fail(err, FN_NO_MEMORY, "no memory for the scales");
}

static fn_status write_model(const struct options *options, struct work *work,
                             struct fn_error *err) {
    FN_CLEANUP(fn_model_draft_free) struct fn_model_draft *draft = NULL;
    fn_status status = fn_model_draft_new(work->network, &draft, err);
    if (status != FN_OK) return status;
    memcpy(draft->frac_bits, work->bits.f, sizeof draft->frac_bits);
    draft->preprocessing = work->preprocessing;
    (void)snprintf(draft->crop, sizeof draft->crop, "%s",
                   options->detector ? fn_crop_name(choose_contract(options)) : FN_CROP_WHOLE);
    (void)snprintf(draft->source_format, sizeof draft->source_format, "%s",
                   work->source->reader->format);
    (void)snprintf(draft->source_name, sizeof draft->source_name, "%s",
                   fn_path_base(options->source));
    (void)snprintf(draft->source_sha256, sizeof draft->source_sha256, "%s", work->source->sha256);
    (void)snprintf(draft->calibration, sizeof draft->calibration, "%s", work->bits.provenance);
    if (options->detector) status = fn_detector_source_read(options->detector, draft, err);
    if (status == FN_OK) status = quantize_draft(options, work, draft, err);
    if (status == FN_OK) status = describe_quantizer(options, work, draft, err);
    if (status == FN_OK) status = fn_model_write(draft, options->output, err);
    if (status == FN_OK && options->write_frac_bits)
        status = fn_frac_bits_write(options->write_frac_bits, work->network, &work->bits, err);
    return status;
}

static void print_facts(const struct fn_model *model) {
    struct fn_facts facts;
    fn_facts_gather(model, &facts);
    (void)printf("model         %s, %d floats, %.1f M parameters, %.3f GMAC\n", model->id,
                 model->network.embedding_size, 1e-6 * (double)facts.parameters,
                 1e-9 * (double)facts.macs);
    (void)printf("fractional    activations %d...%d, weights %d...%d, up-projections %d...%d\n",
                 facts.activations.low, facts.activations.high, facts.weights.low,
                 facts.weights.high, facts.projections.low, facts.projections.high);
    (void)printf("shifts        s %d...%d, r %d...%d; worst accumulator 2^%.2f of 2^31\n",
                 facts.shifts.low, facts.shifts.high, facts.residuals.low, facts.residuals.high,
                 facts.bound_bits);
}

/* Compare the finished model with the float network on the calibration crops. Without --device, on
 * what there is: an OpenCL device or, said so, the reference engine. */
static fn_status report_cosines(const struct options *options, const struct work *work,
                                const struct fn_model *model, struct fn_error *err) {
    FN_CLEANUP(fn_embedder_free) struct fn_embedder *embedder = NULL;
    struct fn_error first = {0};
    const char *device = options->device ? options->device : "auto";
    int n_threads = (int)options->n_threads;
    fn_status status = fn_embedder_on_device(model, device, n_threads, &embedder, &first);
    if (status == FN_NO_DEVICE && !options->device) {
        fn_command_note("note: %s; comparing on the reference engine", first.text);
        status = fn_embedder_on_device(model, "reference", n_threads, &embedder, &first);
    }
    if (status != FN_OK) return fn_fail(err, status, "%s", first.text);
    size_t n = work->crops.n;
    FN_CLEANUP_FREE float *found = calloc(n, (size_t)model->network.embedding_size * sizeof *found);
    if (!found) return fn_fail(err, FN_NO_MEMORY, "no memory for embeddings");
    struct fn_progress progress;
    fn_progress_start(&progress, "comparing", n);
    status = fn_embedder_run(embedder, work->crops.pixels, n, &progress, found, err);
    fn_progress_end(&progress);
    struct fn_cosines cosines;
    if (status == FN_OK)
        status = fn_cosines_measure(found, work->expected, n, model->network.embedding_size,
                                    &cosines, err);
    if (status != FN_OK) return status;
    (void)printf("cosine        to float32 on these crops: mean %.5f, 1st percentile %.5f (%s)\n",
                 cosines.mean, cosines.percentile_1, fn_embedder_label(embedder));
    return FN_OK;
}

static fn_status quantize(const struct options *options, struct work *work, struct fn_error *err) {
    double began = seconds_now();
    fn_status status =
        fn_command_open_source(options->source, &options->from, &work->source, &work->network, err);
    if (status == FN_OK && options->wide) fn_network_widen(work->network);
    if (status == FN_OK)
        status = fn_source_preprocessing(work->source, work->network->embedding_size,
                                         options->preprocessing, &work->preprocessing, err);
    if (status == FN_OK && options->detector) status = open_eyes(options, work, err);
    if (status == FN_OK) status = choose_frac_bits(options, work, err);
    if (status == FN_OK) status = write_model(options, work, err);
    if (status != FN_OK) return status;
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    status = fn_model_open(options->output, &model, err);
    if (status != FN_OK) return status;
    print_facts(model);
    const char *quantizer = fn_safetensors_metadata(model->file, "quantizer");
    (void)printf("quantized     %s\n", quantizer ? quantizer : "per channel");
    (void)printf("written       %s after %.1f s\n", options->output, seconds_now() - began);
    (void)fflush(stdout);
    return work->expected ? report_cosines(options, work, model, err) : FN_OK;
}

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    struct options o = {.n_threads = (uint64_t)fn_parallel_cpus()};
    const struct fn_arg table[] = {
        {"--calibration", "DIR", "pictures to choose the activations' fractional bits on",
         .text = &o.calibration},
        {"-o", "MODEL", "the file to write", .text = &o.output},
        {"--crop", "WAY", "crop contract with a detector (mtcnn-p17-160), else centre or whole",
         .text = &o.crop},
        {"--preprocessing", "fixed|per-image", "needed for 128-d networks only",
         .text = &o.preprocessing},
        {"--frac-bits", "FILE", "what an earlier calibration chose; no pictures needed then",
         .text = &o.frac_bits},
        {"--write-frac-bits", "FILE", "write what calibration chose to a file for --frac-bits",
         .text = &o.write_frac_bits},
        {"--per-tensor", NULL,
         "one count of fractional bits for a layer's weights, not one a channel",
         .flag = &o.per_tensor},
        {"--n", "N", "N fractional bits, 0...7, for all weights and activations", .text = &o.n},
        {"--wide-residual", NULL,
         "16 bits between residual blocks: closer to float32, the reference engine only",
         .flag = &o.wide},
        {"--joint-rounding", NULL,
         "round a channel's weights together, by the pictures: closer to float32, takes longer",
         .flag = &o.jointly},
        {"--no-equalisation", NULL, "do not scale channels to fill their range",
         .flag = &o.no_equalisation},
        {"--no-bias-correction", NULL, "do not take the mean error off by the biases",
         .flag = &o.no_correction},
        {"--detector", "DIR",
         "put a face detector into the model: det1.npy..., pnet.pt..., or a model file with one",
         .text = &o.detector},
        {"--device", "NAME", "where to compare with float32 (auto, reference, ...)",
         .text = &o.device},
        {"--threads", "N", "threads (all CPUs)", .text = &o.threads},
        FN_SOURCE_ARGS_OPTIONS(o.from),
    };
    const struct fn_args args = {"SOURCE", &o.source, table, sizeof table / sizeof table[0]};
    bool done;
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    status = fn_args_need("-o", o.output, err);
    if (status == FN_OK && o.n && (o.frac_bits || o.per_tensor || o.jointly))
        status = fn_fail(err, FN_USAGE, "--n %s leaves nothing for %s to say", o.n,
                         o.frac_bits    ? "--frac-bits"
                         : o.per_tensor ? "--per-tensor"
                                        : "--joint-rounding");
    if (status == FN_OK && o.frac_bits && o.jointly)
        status = fn_fail(err, FN_USAGE,
                         "--frac-bits says how weights are rounded, not "
                         "--joint-rounding");
    if (status == FN_OK) status = fn_args_integer("--n", o.n, 0, 7, &o.fixed, err);
    if (status == FN_OK && !o.frac_bits && !o.n)
        status = fn_args_need("--calibration", o.calibration, err);
    if (status == FN_OK)
        status = fn_args_integer("--threads", o.threads, 1, FN_MAX_THREADS, &o.n_threads, err);
    if (status != FN_OK) return status;
    struct work work = {0};
    status = quantize(&o, &work, err);
    work_done(&work);
    return status;
}

const struct fn_command fn_command_quantize = {
    .name = "quantize",
    .synopsis = "SOURCE --calibration DIR -o MODEL [options]",
    .summary = "make a model file out of trained float weights",
    .run = run,
};
