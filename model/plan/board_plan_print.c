/* SPDX-License-Identifier: Apache-2.0
 *
 * board_plan_print.c -- a plan as text and as JSON. Every figure is called predicted. */
#include <jansson.h>
#include <stdlib.h>

#include "engine/cleanup.h"
#include "model/plan/board_plan.h"

FN_DEFINE_CLEANUP(json_t *, json_decref)

static const char *const memory_names[] = {"BRAM36", "M20K", "M10K"};

static double rate_of(const struct fn_board_plan *plan, int batch, struct fn_cost *ret_cost) {
    fn_array_total(&plan->array, plan->works, plan->n_works, batch, ret_cost);
    return batch / ret_cost->seconds;
}

/* Kinds of layer that FaceNet has; the order of the table. */
static const char *kind_of(const struct fn_work *work) {
    if (work->kind == FN_WORK_POOL) return "pooling";
    if (work->out_height == 1 && work->out_width == 1) return "Bottleneck";
    if (work->kernel_h == 1 && work->kernel_w == 1) return "1x1";
    if (work->kernel_h != work->kernel_w) return "1x7, 7x1, 1x3, 3x1";
    return work->out_height * 3 < work->in_height * 2 ? "3x3 stride 2" : "3x3";
}

static void print_kinds(FILE *to, const struct fn_board_plan *plan, int batch) {
    static const char *const kinds[] = {
        "3x3", "1x1", "3x3 stride 2", "1x7, 7x1, 1x3, 3x1", "pooling", "Bottleneck"};
    struct fn_cost all;
    (void)rate_of(plan, batch, &all);
    (void)fprintf(to, "\nwhere the time goes, batch %d\n%-20s %8s %12s %12s\n", batch, "layers",
                  "share", "utilisation", "MB off-chip");
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        double seconds = 0, bytes = 0, useful = 0;
        for (int i = 0; i < plan->n_works; i++) {
            if (kind_of(&plan->works[i]) != kinds[k]) continue;
            struct fn_cost cost;
            fn_array_cost(&plan->array, &plan->works[i], batch, &cost);
            seconds += cost.seconds;
            bytes += cost.bytes;
            useful += cost.utilisation * cost.seconds;
        }
        if (seconds > 0)
            (void)fprintf(to, "%-20s %7.1f%% %11.1f%% %12.1f\n", kinds[k],
                          100 * seconds / all.seconds, 100 * useful / seconds, bytes / 1e6);
    }
}

static void print_layers(FILE *to, const struct fn_board_plan *plan, int batch) {
    (void)fprintf(to, "\nlayer by layer, batch %d\n%12s %8s %10s  %s\n", batch, "clocks", "used",
                  "kB", "layer");
    for (int i = 0; i < plan->n_works; i++) {
        struct fn_cost cost;
        fn_array_cost(&plan->array, &plan->works[i], batch, &cost);
        (void)fprintf(to, "%12.0f %7.1f%% %10.1f  %s\n", cost.clocks, 100 * cost.utilisation,
                      cost.bytes / 1e3, plan->works[i].name);
    }
}

void fn_board_plan_print(FILE *to, const struct fn_board_plan *plan, bool every_layer) {
    const struct fn_board *board = &plan->board;
    const struct fn_array *array = &plan->array;
    int largest = plan->batches[plan->n_batches - 1];
    (void)fprintf(to,
                  "model %s on %s (%s), predicted, not measured\n"
                  "array       %d x %d products at %.0f MHz: %.0f GOP/s at most\n"
                  "multipliers %d of %d DSP blocks\n"
                  "memory      %d of %d %s blocks; %.1f of %.1f GB/s off-chip\n\n"
                  "%5s %12s %12s %12s %12s\n",
                  plan->model, board->name, board->part, array->vec, array->lane, board->megahertz,
                  2 * fn_array_products(array) * array->hertz / 1e9,
                  fn_board_dsp(board->fabric, array), board->dsp,
                  fn_board_ram(board->fabric, array, plan->works, plan->n_works), board->ram,
                  memory_names[board->fabric], array->bytes_per_second / 1e9, board->gigabytes,
                  "batch", "pictures/s", "latency ms", "utilisation", "MB a batch");
    for (int i = 0; i < plan->n_batches; i++) {
        struct fn_cost cost;
        double rate = rate_of(plan, plan->batches[i], &cost);
        (void)fprintf(to, "%5d %12.1f %12.2f %11.1f%% %12.1f\n", plan->batches[i], rate,
                      1e3 * cost.seconds, 100 * cost.utilisation, cost.bytes / 1e6);
    }
    print_kinds(to, plan, largest);
    if (every_layer) print_layers(to, plan, largest);
}

static json_t *cost_json(const struct fn_cost *cost) {
    return json_pack("{s:f, s:f, s:f, s:f}", "clocks", cost->clocks, "bytes", cost->bytes,
                     "milliseconds", 1e3 * cost->seconds, "utilisation", cost->utilisation);
}

static json_t *batches_json(const struct fn_board_plan *plan) {
    json_t *list = json_array();
    for (int i = 0; i < plan->n_batches; i++) {
        struct fn_cost cost;
        double rate = rate_of(plan, plan->batches[i], &cost);
        json_t *entry = cost_json(&cost);
        (void)json_object_set_new(entry, "batch", json_integer(plan->batches[i]));
        (void)json_object_set_new(entry, "pictures_per_second", json_real(rate));
        (void)json_array_append_new(list, entry);
    }
    return list;
}

static json_t *layers_json(const struct fn_board_plan *plan) {
    json_t *list = json_array();
    for (int i = 0; i < plan->n_works; i++) {
        const struct fn_work *work = &plan->works[i];
        struct fn_cost cost;
        fn_array_cost(&plan->array, work, plan->batches[plan->n_batches - 1], &cost);
        json_t *entry = cost_json(&cost);
        (void)json_object_set_new(entry, "name", json_string(work->name));
        (void)json_object_set_new(entry, "macs", json_integer(fn_work_macs(work)));
        (void)json_array_append_new(list, entry);
    }
    return list;
}

fn_status fn_board_plan_print_json(FILE *to, const struct fn_board_plan *plan,
                                   struct fn_error *err) {
    const struct fn_board *board = &plan->board;
    const struct fn_array *array = &plan->array;
    FN_CLEANUP(json_decref)
    json_t *root = json_pack(
        "{s:b, s:s, s:{s:s, s:s, s:i, s:i, s:f, s:f}, s:{s:i, s:i, s:i, s:i, s:f}, s:o, s:o}",
        "predicted", 1, "model", plan->model,
        /* board */ "board", "name", board->name, "part", board->part, "dsp_blocks", board->dsp,
        "memory_blocks", board->ram, "megahertz", board->megahertz, "gigabytes_per_second",
        board->gigabytes,
        /* array */ "array", "vec", array->vec, "lane", array->lane, "dsp_blocks",
        fn_board_dsp(board->fabric, array), "memory_blocks",
        fn_board_ram(board->fabric, array, plan->works, plan->n_works),
        "off_chip_gigabytes_per_second", array->bytes_per_second / 1e9,
        /* results */ "batches", batches_json(plan), "layers", layers_json(plan));
    if (!root) return fn_fail(err, FN_NO_MEMORY, "no memory for the plan");
    if (json_dumpf(root, to, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) != 0)
        return fn_fail(err, FN_IO, "the plan could not be written");
    (void)fputc('\n', to);
    return FN_OK;
}

fn_status fn_board_plan_print_boards(FILE *to, const char *model, const struct fn_network *network,
                                     const struct fn_board_plan_wish *wish, struct fn_error *err) {
    FN_CLEANUP_FREE struct fn_board_plan *plan = malloc(sizeof *plan);
    if (!plan) return fn_fail(err, FN_NO_MEMORY, "no memory for the plan");
    int batch = wish->batches[wish->n_batches - 1];
    (void)fprintf(to,
                  "model %s, the best array for each board, batch %d; predicted, not measured\n"
                  "%-10s %-24s %5s %9s %11s %11s %11s %12s\n",
                  model, batch, "board", "part", "MHz", "array", "DSP", "memory", "pictures/s",
                  "utilisation");
    for (int i = 0; i < fn_n_boards; i++) {
        struct fn_board_plan_wish one = *wish;
        one.board = fn_boards[i];
        fn_status status = fn_board_plan_make(model, network, &one, plan, err);
        if (status != FN_OK) return status;
        struct fn_cost cost;
        double rate = rate_of(plan, batch, &cost);
        (void)fprintf(to, "%-10s %-24s %5.0f %4d x %2d %5d/%5d %5d/%5d %11.1f %11.1f%%\n",
                      fn_boards[i].name, fn_boards[i].part, fn_boards[i].megahertz, plan->array.vec,
                      plan->array.lane, fn_board_dsp(fn_boards[i].fabric, &plan->array),
                      fn_boards[i].dsp,
                      fn_board_ram(fn_boards[i].fabric, &plan->array, plan->works, plan->n_works),
                      fn_boards[i].ram, rate, 100 * cost.utilisation);
    }
    return FN_OK;
}
