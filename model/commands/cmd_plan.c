/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_plan.c -- `facenet-model plan`: what a board would do with a model, predicted. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cleanup.h"
#include "model/commands/command.h"
#include "model/plan/board_plan.h"

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)

struct request {
    const char *board, *fabric, *plot;
    struct fn_values dsp, ram, megahertz, gigabytes, vec, lane, launch, batches;
};

/* One number within bounds; without it `ret` stays. */
static fn_status take(const char *name, const struct fn_values *given, double low, double high,
                      double *ret, struct fn_error *err) {
    if (given->n == 0) return FN_OK;
    if (given->n != 1 || !(given->value[0] >= low && given->value[0] <= high))
        return fn_fail(err, FN_USAGE, "%s takes one number from %g to %g", name, low, high);
    *ret = given->value[0];
    return FN_OK;
}

static fn_status take_whole(const char *name, const struct fn_values *given, int high, int *ret,
                            struct fn_error *err) {
    double value = *ret;
    fn_status status = take(name, given, 1, high, &value, err);
    if (status != FN_OK) return status;
    if (value != floor(value)) return fn_fail(err, FN_USAGE, "%s takes a whole number", name);
    *ret = (int)value;
    return FN_OK;
}

static fn_status unknown_board(const char *name, struct fn_error *err) {
    char names[256] = "";
    for (int i = 0; i < fn_n_boards; i++) {
        size_t used = strlen(names);
        (void)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", fn_boards[i].name);
    }
    return fn_fail(err, FN_USAGE,
                   "--board %.40s is not known; expected one of %s, or --dsp, --mhz "
                   "and --bandwidth",
                   name, names);
}

static fn_status take_board(const struct request *request, struct fn_board *ret,
                            struct fn_error *err) {
    static const char *const fabrics[] = {"ultrascale", "variable", "cyclone-v"};
    *ret = (struct fn_board){.name = "your board", .part = "as described", .ram = 1 << 20};
    if (request->board) {
        const struct fn_board *known = fn_board_find(request->board);
        if (!known) return unknown_board(request->board, err);
        *ret = *known;
    } else if (!request->dsp.n || !request->megahertz.n || !request->gigabytes.n) {
        return fn_fail(err, FN_USAGE, "expected --board, or --dsp, --mhz and --bandwidth together");
    }
    fn_status status = take_whole("--dsp", &request->dsp, 1 << 20, &ret->dsp, err);
    if (status == FN_OK) status = take_whole("--ram", &request->ram, 1 << 20, &ret->ram, err);
    if (status == FN_OK) status = take("--mhz", &request->megahertz, 1, 2000, &ret->megahertz, err);
    if (status == FN_OK)
        status = take("--bandwidth", &request->gigabytes, 0.01, 10000, &ret->gigabytes, err);
    if (status != FN_OK || !request->fabric) return status;
    for (int i = 0; i < 3; i++) {
        if (strcmp(request->fabric, fabrics[i]) != 0) continue;
        ret->fabric = (enum fn_fabric)i;
        return FN_OK;
    }
    return fn_fail(err, FN_USAGE, "--fabric %.40s; expected ultrascale, variable or cyclone-v",
                   request->fabric);
}

static fn_status take_wish(const struct request *request, struct fn_board_plan_wish *ret,
                           struct fn_error *err) {
    *ret = (struct fn_board_plan_wish){.batches = {1, 4, 8, 16}, .n_batches = 4};
    double launch_us = 10;
    fn_status status = take("--launch-us", &request->launch, 0, 1e6, &launch_us, err);
    if (status == FN_OK) status = take_whole("--vec", &request->vec, 256, &ret->vec, err);
    if (status == FN_OK) status = take_whole("--lane", &request->lane, 1024, &ret->lane, err);
    if (status != FN_OK) return status;
    if (!ret->vec != !ret->lane)
        return fn_fail(err, FN_USAGE, "--vec and --lane; expected both or neither");
    ret->launch = launch_us / 1e6;
    if (request->batches.n > FN_BOARD_PLAN_MAX_BATCHES)
        return fn_fail(err, FN_USAGE, "--batch takes at most %d numbers",
                       FN_BOARD_PLAN_MAX_BATCHES);
    if (request->batches.n) ret->n_batches = (int)request->batches.n;
    for (size_t i = 0; i < request->batches.n; i++) {
        const struct fn_values one = {{request->batches.value[i]}, 1};
        status = take_whole("--batch", &one, 4096, &ret->batches[i], err);
        if (status != FN_OK) return status;
    }
    return FN_OK;
}

static fn_status plan_and_print(const struct fn_model *model, const struct fn_board_plan_wish *wish,
                                const char *plot, bool every_layer, bool json,
                                struct fn_error *err) {
    FN_CLEANUP_FREE struct fn_board_plan *plan = malloc(sizeof *plan);
    if (!plan) return fn_fail(err, FN_NO_MEMORY, "no memory for the plan");
    fn_status status = fn_board_plan_make(model, wish, plan, err);
    if (status == FN_OK && plot) status = fn_board_plan_plot(plot, plan, err);
    if (status != FN_OK) return status;
    if (json) return fn_board_plan_print_json(stdout, plan, err);
    fn_board_plan_print(stdout, plan, every_layer);
    return FN_OK;
}

static fn_status run(const struct fn_command *command, int argc, char **argv,
                     struct fn_error *err) {
    const char *path = NULL;
    struct request asked = {0};
    bool every_layer = false, json = false, all = false, done;
    const struct fn_arg options[] = {
        {.name = "--board", .value = "NAME", .help = "a known board", .text = &asked.board},
        {.name = "--boards", .help = "one line for every known board", .flag = &all},
        {.name = "--dsp", .value = "N", .help = "multiplier blocks", .values = &asked.dsp},
        {.name = "--mhz", .value = "F", .help = "clock of the array", .values = &asked.megahertz},
        {.name = "--bandwidth",
         .value = "GB/s",
         .help = "nominal rate of the memory",
         .values = &asked.gigabytes},
        {.name = "--ram",
         .value = "N",
         .help = "memory blocks; unlimited if not given",
         .values = &asked.ram},
        {.name = "--fabric",
         .value = "KIND",
         .help = "ultrascale (if not given), variable (Arria 10, Stratix 10) or cyclone-v",
         .text = &asked.fabric},
        {.name = "--vec",
         .value = "N",
         .help = "input channels a clock; the best if not given",
         .values = &asked.vec},
        {.name = "--lane", .value = "N", .help = "output channels a clock", .values = &asked.lane},
        {.name = "--batch",
         .value = "N,...",
         .help = "batch sizes, 1,4,8,16 if not given",
         .values = &asked.batches},
        {.name = "--launch-us",
         .value = "US",
         .help = "to start a layer, 10 if not given",
         .values = &asked.launch},
        {.name = "--layers", .help = "one line for every layer too", .flag = &every_layer},
        {.name = "--json", .help = "one JSON object instead", .flag = &json},
        {.name = "--plot",
         .value = "FILE",
         .help = "roofline and layers, .svg or .png",
         .text = &asked.plot},
    };
    const struct fn_args args = {"MODEL", &path, options, sizeof options / sizeof options[0]};
    fn_status status = fn_command_parse(command, &args, argc, argv, &done, err);
    if (status != FN_OK || done) return status;
    struct fn_board_plan_wish wish;
    status = take_wish(&asked, &wish, err);
    if (status == FN_OK && all && (asked.board || json || every_layer || asked.plot))
        status =
            fn_fail(err, FN_USAGE, "--boards does not go with --board, --json, --layers or --plot");
    if (status == FN_OK && !all) status = take_board(&asked, &wish.board, err);
    if (status != FN_OK) return status;
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    status = fn_model_open(path, &model, err);
    if (status != FN_OK) return status;
    if (model->network.is_wide)
        return fn_fail(
            err, FN_USAGE,
            "%s: its residual stream is wide (16 bits), which no kernel for boards knows", path);
    if (all) return fn_board_plan_print_boards(stdout, model, &wish, err);
    return plan_and_print(model, &wish, asked.plot, every_layer, json, err);
}

const struct fn_command fn_command_plan = {
    .name = "plan",
    .synopsis = "MODEL --board NAME | --boards | --dsp N --mhz F --bandwidth GB/s [options]",
    .summary = "predict what an FPGA board would do with a model",
    .run = run,
};
