/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_show.c -- `facenet-model show`: one tensor before and after quantization. */
#include <string.h>

#include "model/commands/command.h"
#include "model/commands/source_args.h"
#include "model/inspect/compare.h"

#define PAGE 50

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)

static void done_cleanup(struct fn_comparison *comparison) {
    fn_comparison_done(comparison);
}

static void print_page(const struct fn_comparison *c, size_t page, bool all) {
    size_t begin = all ? 0 : page * PAGE, end = all ? c->n : begin + PAGE;
    if (end > c->n) end = c->n;
    (void)printf("%9s  %16s  %16s  %-*s  %s\n", "element", "value", "fixed point",
                 c->n ? (int)strlen(c->elements[0].bits) : 4, "bits", "error");
    for (size_t i = begin; i < end; i++) {
        const struct fn_compared *e = &c->elements[i];
        (void)printf("%9zu  %16.9g  %16.9g  %s  %.3g%s\n", i, e->before, e->after, e->bits,
                     e->after - e->before, e->clipped ? " clipped" : "");
    }
    size_t pages = (c->n + PAGE - 1) / PAGE;
    if (!all && pages > 1)
        (void)printf("(page %zu of %zu; --page N, --page 0 for all)\n", page + 1, pages);
}

static void print_summary(const struct fn_comparison *c) {
    const struct fn_comparison_summary s = fn_comparison_summarize(c);
    (void)printf("%s %s\n%s\n", c->name, c->shape, c->scheme);
    (void)printf("range      %.9g ... %.9g\n", s.low, s.high);
    if (!c->has_before) {
        (void)printf("(no trained weights given: nothing to compare with; --source SOURCE)\n");
        return;
    }
    (void)printf("clipped    %zu of %zu (%.2f %%)\n", s.n_clipped, c->n,
                 c->n ? 100.0 * (double)s.n_clipped / (double)c->n : 0);
    (void)printf("error      mean %.3g, worst %.3g\n", s.mean_error, s.worst_error);
    (void)printf("SQNR       %.2f dB\n", s.sqnr_db);
}

/* A model file says so in its metadata; anything else is trained weights. */
static bool is_model(const char *path) {
    struct fn_safetensors *file = NULL;
    if (fn_safetensors_open(path, &file, NULL) != FN_OK) return false;
    bool found = fn_safetensors_metadata(file, "format") != NULL &&
                 strncmp(fn_safetensors_metadata(file, "format"), "facenetd", 8) == 0;
    fn_safetensors_close(file);
    return found;
}

static fn_status compare(const char *path, const char *from_path, const struct fn_source_args *from,
                         const char *tensor, int n, struct fn_comparison *ret,
                         struct fn_error *err) {
    FN_CLEANUP(fn_source_free) struct fn_source *source = NULL;
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    if (!is_model(path)) {
        fn_status status = fn_source_args_open(from, path, &source, err);
        return status == FN_OK ? fn_compare_source(source, tensor, n, ret, err) : status;
    }
    fn_status status = fn_model_open(path, &model, err);
    if (status == FN_OK && from_path) status = fn_source_args_open(from, from_path, &source, err);
    return status == FN_OK ? fn_compare_model(model, source, tensor, n, ret, err) : status;
}

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    const char *path = NULL, *tensor = NULL, *n_text = NULL, *page_text = NULL, *plot = NULL,
               *from_path = NULL;
    struct fn_source_args from = {0};
    bool done = false;
    const struct fn_arg options[] = {
        {.name = "--tensor", .value = "NAME", .help = "with / or _ in it", .text = &tensor},
        {.name = "--n", .value = "N", .help = "fractional bits to try, 0...7", .text = &n_text},
        {.name = "--source",
         .value = "SOURCE",
         .help = "trained weights to compare a model with",
         .text = &from_path},
        {.name = "--page",
         .value = "N",
         .help = "elements in pages of 50, from 1 on; 0: all",
         .text = &page_text},
        {.name = "--plot", .value = "FILE", .help = "draw it, .svg or .png", .text = &plot},
        FN_SOURCE_ARGS_OPTIONS(from),
    };
    const struct fn_args args = {"MODEL|SOURCE", &path, options,
                                 sizeof options / sizeof options[0]};
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    uint64_t n = 0, page = 1;
    status = fn_args_need("--tensor", tensor, err);
    if (status == FN_OK) status = fn_args_integer("--n", n_text, 0, 7, &n, err);
    if (status == FN_OK) status = fn_args_integer("--page", page_text, 0, 1u << 30, &page, err);
    if (status != FN_OK) return status;
    __attribute__((cleanup(done_cleanup))) struct fn_comparison c = {.n = 0};
    status = compare(path, from_path, &from, tensor, n_text ? (int)n : -1, &c, err);
    if (status != FN_OK) return status;
    if (page > 1 && (page - 1) * PAGE >= c.n)
        return fn_fail(err, FN_USAGE, "--page %llu: there are %zu", (unsigned long long)page,
                       (c.n + PAGE - 1) / PAGE);
    print_page(&c, page ? (size_t)page - 1 : 0, page == 0);
    print_summary(&c);
    return plot ? fn_comparison_plot(&c, plot, err) : FN_OK;
}

const struct fn_command fn_command_show = {
    .name = "show",
    .synopsis = "MODEL|SOURCE --tensor NAME [--n N] [--source SOURCE] [--page N] [--plot FILE]",
    .summary = "show a tensor before and after quantization, element by element",
    .run = run,
};
