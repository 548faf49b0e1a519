/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_report.c -- `facenet-model report`: what quantization did, as a page. */
#include "engine/detect/crop.h"
#include "engine/file.h"
#include "model/commands/command.h"
#include "model/commands/source_args.h"
#include "model/crops.h"
#include "model/inspect/report_page.h"
#include "model/parallel.h"

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)

/* As `quantize` and `evaluate` cut them: by the model's detector and contract where it has them. */
static fn_status load_crops(const struct fn_model *model, const char *directory, const char *wanted,
                            size_t n, struct fn_crops *ret, const char **ret_about,
                            struct fn_error *err) {
    FN_CLEANUP(fn_paths_done) struct fn_paths paths = {0};
    FN_CLEANUP(fn_crop_way_done) struct fn_crop_way way = {0};
    enum fn_crop_contract contract = FN_CROP_CONTRACT_WHOLE;
    if (!fn_crop_parse(model->crop, &contract))
        return fn_fail(err, FN_BAD_MODEL, "unknown crop contract %s", model->crop);
    fn_status status = fn_paths_list(directory, &paths, err);
    if (status == FN_OK)
        status = fn_crops_choose(&paths, wanted, model->has_detector ? &model->detector : NULL,
                                 contract, fn_parallel_cpus(), &way, err);
    if (status != FN_OK) return status;
    *ret_about = fn_crop_way_name(&way);
    status = fn_crops_load(&paths, 0, n < paths.n ? n : paths.n, &way, true, fn_parallel_cpus(),
                           NULL, ret, NULL, err);
    if (status == FN_OK && ret->n == 0)
        return fn_fail(err, FN_IO, "%s: no picture with a face among the first %zu", directory, n);
    return status;
}

static fn_status write_page(const char *path, const struct fn_report_page *report,
                            struct fn_error *err) {
    FN_CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (!to) return fn_fail(err, FN_NO_MEMORY, "no memory");
    fn_report_page_write(to, report);
    if (fclose(to) != 0) return fn_fail(err, FN_NO_MEMORY, "no memory");
    const struct fn_piece piece = {text, size};
    return fn_file_write(path, &piece, 1, err);
}

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    const char *path = NULL, *output = NULL, *from_path = NULL, *pictures = NULL, *n_text = NULL,
               *evaluation = NULL, *crop = NULL, *cut = NULL;
    struct fn_source_args from = {0};
    bool done = false;
    const struct fn_arg options[] = {
        {.name = "-o", .value = "FILE", .help = "the page, .html", .text = &output},
        {.name = "--source",
         .value = "SOURCE",
         .help = "the trained weights, for errors and cosines",
         .text = &from_path},
        {.name = "--calibration",
         .value = "DIR",
         .help = "pictures, for activations",
         .text = &pictures},
        {.name = "--crop",
         .value = "WAY",
         .help = "a crop contract (the model's, with a detector), else centre or whole",
         .text = &crop},
        {.name = "--pictures",
         .value = "N",
         .help = "how many of them, 16 if not given",
         .text = &n_text},
        {.name = "--evaluation",
         .value = "FILE",
         .help = "what `evaluate --json` printed of this model, for before and after",
         .text = &evaluation},
        FN_SOURCE_ARGS_OPTIONS(from),
    };
    const struct fn_args args = {"MODEL", &path, options, sizeof options / sizeof options[0]};
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    uint64_t n = 16;
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    FN_CLEANUP(fn_source_free) struct fn_source *source = NULL;
    FN_CLEANUP(fn_crops_done) struct fn_crops crops = {0};
    status = fn_args_need("-o", output, err);
    if (status == FN_OK) status = fn_args_integer("--pictures", n_text, 1, 10000, &n, err);
    if (status == FN_OK) status = fn_model_open(path, &model, err);
    if (status == FN_OK && from_path) status = fn_source_args_open(&from, from_path, &source, err);
    if (status == FN_OK && pictures)
        status = load_crops(model, pictures, crop, (size_t)n, &crops, &cut, err);
    if (status != FN_OK) return status;
    FN_CLEANUP_FREE struct fn_report_page *report = calloc(1, sizeof *report);
    if (!report) return fn_fail(err, FN_NO_MEMORY, "no memory");
    status = fn_report_page_measure(model, source, crops.pixels, crops.n, report, err);
    report->crop = cut;
    if (status == FN_OK && evaluation)
        status = fn_report_page_read_evaluation(report, evaluation, err);
    if (status == FN_OK) status = write_page(output, report, err);
    fn_report_page_done(report);
    return status;
}

const struct fn_command fn_command_report = {
    .name = "report",
    .synopsis = "MODEL -o FILE.html [--source SOURCE] [--calibration DIR] [--crop WAY] "
                "[--pictures N] [--evaluation FILE]",
    .summary = "write a page that shows what quantization did, layer by layer",
    .run = run,
};
