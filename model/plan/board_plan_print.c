/* SPDX-License-Identifier: Apache-2.0
 *
 * board_plan_print.c -- a plan as text and as JSON. Every figure is called predicted. */
#include <jansson.h>
#include <stdlib.h>

#include "engine/cleanup.h"
#include "engine/model.h"
#include "model/plan/board_plan.h"

FN_DEFINE_CLEANUP(json_t *, json_decref)

static double rate_of(const struct fn_board_plan *plan, int batch, struct fn_cost *ret_cost) {
    fn_pipeline_total(&plan->pipeline, &plan->speed, batch, ret_cost);
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
        for (int i = 0; i < plan->pipeline.n_layers; i++) {
            if (kind_of(&plan->works[i]) != kinds[k]) continue;
            struct fn_cost cost;
            fn_pipeline_cost(&plan->pipeline, &plan->speed, i, batch, &cost);
            seconds += cost.seconds;
            bytes += cost.bytes;
            useful += cost.utilisation * cost.seconds;
        }
        if (seconds > 0)
            (void)fprintf(to, "%-20s %7.1f%% %11.1f%% %12.1f\n", kinds[k],
                          100 * seconds / all.seconds, 100 * useful / seconds, bytes / 1e6);
    }
}

/* What a layer waits for. */
static const char *pace_of(const struct fn_board_plan *plan, int layer, int batch,
                           const struct fn_cost *cost) {
    struct fn_pipeline_count count;
    if (cost->bytes / plan->speed.bytes_per_second > cost->clocks / plan->speed.hertz)
        return "memory";
    fn_pipeline_count(&plan->pipeline, layer, batch, &count);
    for (int stage = 0; stage < FN_N_STAGES; stage++)
        if ((double)count.clocks[stage] == cost->clocks) return fn_stage_names[stage];
    return "";
}

static void print_layers(FILE *to, const struct fn_board_plan *plan, int batch) {
    (void)fprintf(to, "\nlayer by layer, batch %d\n%12s %8s %10s %8s  %s\n", batch, "clocks",
                  "used", "kB", "pace", "layer");
    for (int i = 0; i < plan->pipeline.n_layers; i++) {
        struct fn_cost cost;
        fn_pipeline_cost(&plan->pipeline, &plan->speed, i, batch, &cost);
        (void)fprintf(to, "%12.0f %7.1f%% %10.1f %8s  %s\n", cost.clocks, 100 * cost.utilisation,
                      cost.bytes / 1e3, pace_of(plan, i, batch, &cost), plan->works[i].name);
    }
}

static void print_board(FILE *to, const struct fn_board_plan *plan) {
    const struct fn_board *board = &plan->board;
    const struct fn_fpga_sizes *sizes = &plan->pipeline.sizes;
    int64_t products = (int64_t)sizes->vec * sizes->lane;
    struct fn_logic array = fn_board_array_logic(board->fabric, products);
    struct fn_logic finish = fn_board_finish_logic(board->fabric, sizes->lane);
    (void)fprintf(to,
                  "model %s on %s (%s), predicted, not measured\n"
                  "array       %d x %d products at %.0f MHz: %.0f GOP/s at most\n"
                  "compile     -DFN_FPGA_VEC=%d -DFN_FPGA_LANE=%d -DFN_FPGA_BAND=%d "
                  "-DFN_FPGA_WEIGHTS=%d; one launch a %s\n"
                  "multipliers %d of %d DSP blocks\n"
                  "memory      %d of %d %s blocks",
                  plan->model, board->name, board->part, sizes->vec, sizes->lane, board->megahertz,
                  2 * (double)products * plan->speed.hertz / 1e9, sizes->vec, sizes->lane,
                  sizes->band, sizes->weights, sizes->form == FN_FPGA_PER_LAYER ? "layer" : "batch",
                  fn_board_dsp(board->fabric, products), board->dsp,
                  fn_board_ram(board->fabric, sizes), board->ram, fn_board_ram_name(board->fabric));
    if (board->uram) (void)fprintf(to, ", or %d of %d URAM", fn_board_uram(sizes), board->uram);
    (void)fprintf(to, "; %.1f of %.1f GB/s off-chip\nlogic       at most %d",
                  plan->speed.bytes_per_second / 1e9, board->gigabytes,
                  array.tables + finish.tables);
    if (board->tables) (void)fprintf(to, " of %d", board->tables);
    (void)fprintf(to, " look-up tables and %d registers in array and finish\n\n",
                  array.registers + finish.registers);
}

void fn_board_plan_print(FILE *to, const struct fn_board_plan *plan, bool every_layer) {
    int largest = plan->batches[plan->n_batches - 1];
    print_board(to, plan);
    (void)fprintf(to, "%5s %12s %12s %12s %12s\n", "batch", "pictures/s", "latency ms",
                  "utilisation", "MB a batch");
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

static json_t *stages_json(const struct fn_board_plan *plan, int layer, int batch) {
    json_t *stages = json_object();
    struct fn_pipeline_count count;
    fn_pipeline_count(&plan->pipeline, layer, batch, &count);
    for (int i = 0; i < FN_N_STAGES; i++)
        (void)json_object_set_new(stages, fn_stage_names[i],
                                  json_pack("{s:I, s:I}", "clocks", (json_int_t)count.clocks[i],
                                            "bytes", (json_int_t)count.bytes[i]));
    return stages;
}

static json_t *layers_json(const struct fn_board_plan *plan) {
    int largest = plan->batches[plan->n_batches - 1];
    json_t *list = json_array();
    for (int i = 0; i < plan->pipeline.n_layers; i++) {
        const struct fn_work *work = &plan->works[i];
        struct fn_cost cost;
        fn_pipeline_cost(&plan->pipeline, &plan->speed, i, largest, &cost);
        json_t *entry = cost_json(&cost);
        (void)json_object_set_new(entry, "name", json_string(work->name));
        (void)json_object_set_new(entry, "macs", json_integer(plan->pipeline.macs[i]));
        (void)json_object_set_new(entry, "stages", stages_json(plan, i, largest));
        (void)json_array_append_new(list, entry);
    }
    return list;
}

fn_status fn_board_plan_print_json(FILE *to, const struct fn_board_plan *plan,
                                   struct fn_error *err) {
    const struct fn_board *board = &plan->board;
    const struct fn_fpga_sizes *sizes = &plan->pipeline.sizes;
    int64_t products = (int64_t)sizes->vec * sizes->lane;
    struct fn_logic array = fn_board_array_logic(board->fabric, products);
    struct fn_logic finish = fn_board_finish_logic(board->fabric, sizes->lane);
    FN_CLEANUP(json_decref)
    json_t *root = json_pack(
        "{s:b, s:s, s:{s:s, s:s, s:i, s:i, s:i, s:f, s:f}, s:{s:i, s:i, s:i, s:i, s:s, s:i, s:i, "
        "s:i, s:i, s:f}, s:o, s:o}",
        "predicted", 1, "model", plan->model,
        /* board */ "board", "name", board->name, "part", board->part, "dsp_blocks", board->dsp,
        "memory_blocks", board->ram, "look_up_tables", board->tables, "megahertz", board->megahertz,
        "gigabytes_per_second", board->gigabytes,
        /* array */ "array", "vec", sizes->vec, "lane", sizes->lane, "band", sizes->band, "weights",
        sizes->weights, "launch", sizes->form == FN_FPGA_PER_LAYER ? "layer" : "batch",
        "dsp_blocks", fn_board_dsp(board->fabric, products), "memory_blocks",
        fn_board_ram(board->fabric, sizes), "look_up_tables", array.tables + finish.tables,
        "registers", array.registers + finish.registers, "off_chip_gigabytes_per_second",
        plan->speed.bytes_per_second / 1e9,
        /* results */ "batches", batches_json(plan), "layers", layers_json(plan));
    if (!root) return fn_fail(err, FN_NO_MEMORY, "no memory for the plan");
    if (json_dumpf(root, to, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) != 0)
        return fn_fail(err, FN_IO, "the plan could not be written");
    (void)fputc('\n', to);
    return FN_OK;
}

fn_status fn_board_plan_print_boards(FILE *to, const struct fn_model *model,
                                     const struct fn_board_plan_wish *wish, struct fn_error *err) {
    FN_CLEANUP_FREE struct fn_board_plan *plan = malloc(sizeof *plan);
    if (!plan) return fn_fail(err, FN_NO_MEMORY, "no memory for the plan");
    int batch = wish->batches[wish->n_batches - 1];
    (void)fprintf(to,
                  "model %s, the best array for each board, batch %d; predicted, not measured\n"
                  "%-10s %-24s %5s %9s %11s %11s %11s %12s\n",
                  model->id, batch, "board", "part", "MHz", "array", "DSP", "memory", "pictures/s",
                  "utilisation");
    for (int i = 0; i < fn_n_boards; i++) {
        const struct fn_board *board = &fn_boards[i];
        struct fn_board_plan_wish one = *wish;
        one.board = *board;
        fn_status status = fn_board_plan_make(model, &one, plan, err);
        if (status != FN_OK) return status;
        const struct fn_fpga_sizes *sizes = &plan->pipeline.sizes;
        struct fn_cost cost;
        double rate = rate_of(plan, batch, &cost);
        (void)fprintf(to, "%-10s %-24s %5.0f %3d x %3d %5d/%5d %5d/%5d %11.1f %11.1f%%\n",
                      board->name, board->part, board->megahertz, sizes->vec, sizes->lane,
                      fn_board_dsp(board->fabric, (int64_t)sizes->vec * sizes->lane), board->dsp,
                      fn_board_ram(board->fabric, sizes), board->ram, rate, 100 * cost.utilisation);
    }
    return FN_OK;
}
