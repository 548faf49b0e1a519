/* SPDX-License-Identifier: Apache-2.0
 *
 * test_plan.c -- the planner: costs that can be counted by hand, published networks of the
 * published size, and a model fitted to some boards that holds on boards it has not seen. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model_writer.h"
#include "model/plan/board.h"
#include "model/plan/published_fit.h"
#include "tests/unit/support/cmocka_all.h"

static const struct fn_array small = {.vec = 4,
                                      .lane = 8,
                                      .pixels = 1,
                                      .flow = FN_FLOW_STREAMED,
                                      .hertz = 1000,
                                      .bytes_per_second = 1e9,
                                      .launch = 0.5};

/* 3 x 3 over 5 channels to 9, 6 x 6 to 4 x 4. */
static const struct fn_work conv = {.kind = FN_WORK_CONV,
                                    .in_height = 6,
                                    .in_width = 6,
                                    .in_channels = 5,
                                    .out_height = 4,
                                    .out_width = 4,
                                    .out_channels = 9,
                                    .kernel_h = 3,
                                    .kernel_w = 3,
                                    .weights = INT64_C(3) * 3 * 5 * 9};

static void a_layer_costs_what_can_be_counted(void **state) {
    (void)state;
    struct fn_cost cost;
    fn_array_cost(&small, &conv, 1, &cost);
    assert_true(cost.clocks == 16 * 2 * 9 * 2); /* pixels, groups of lanes, taps, vectors */
    assert_true(cost.bytes == 405 + 2 * 180 + 144);
    assert_true(fabs(cost.seconds - (0.576 + 0.5)) < 1e-12);
    assert_true(fabs(cost.utilisation - 16 * 9 * 5 * 9 / (32 * 1000 * 1.076)) < 1e-12);
}

static void a_batch_reads_its_weights_once(void **state) {
    (void)state;
    struct fn_cost one, four;
    fn_array_cost(&small, &conv, 1, &one);
    fn_array_cost(&small, &conv, 4, &four);
    assert_true(four.clocks == 4 * one.clocks);
    assert_true(four.bytes == 4 * (one.bytes - 405) + 405);
}

static void slow_memory_sets_the_pace(void **state) {
    (void)state;
    struct fn_array array = small;
    struct fn_cost cost;
    array.bytes_per_second = 100;
    fn_array_cost(&array, &conv, 1, &cost);
    assert_true(fabs(cost.seconds - (9.09 + 0.5)) < 1e-12);
}

static void a_tiled_array_reads_weights_for_every_tile(void **state) {
    (void)state;
    struct fn_array array = small;
    struct fn_cost cost;
    array.flow = FN_FLOW_TILED;
    array.tile = 100;
    array.drain = 3;
    array.pixels = 5;
    fn_array_cost(&array, &conv, 1, &cost);
    assert_true(cost.clocks == 4 * 2 * (2 * 9 + 3));
    assert_true(cost.bytes == 405 * 2 + 180 + 144);
}

static void published_networks_have_their_published_size(void **state) {
    (void)state;
    static const struct {
        const char *name;
        double gop, within;
    } known[] = {{"AlexNet", 1.45, 0.01},
                 {"VGG16", 30.94, 0.01},
                 {"VGG16 convolutions", 30.69, 0.01},
                 {"GoogLeNet", 3.16, 0.01},
                 {"ResNet-50", 7.71, 0.01}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct fn_work works[FN_PUBLISHED_MAX_WORKS];
        double gop = 0;
        int n = fn_published_network(known[i].name, works);
        for (int k = 0; k < n; k++) gop += 2e-9 * (double)fn_work_macs(&works[k]);
        assert_true(fabs(gop / known[i].gop - 1) < known[i].within);
    }
    assert_int_equal(fn_published_network("none", (struct fn_work[1]){{0}}), 0);
}

static void boards_not_fitted_to_are_predicted_within_a_quarter(void **state) {
    (void)state;
    struct fn_fit fits[FN_N_ENGINES];
    int held_out = 0;
    for (int f = 0; f < FN_N_ENGINES; f++) fn_published_fit((enum fn_engine_family)f, &fits[f]);
    for (int i = 0; i < fn_published_n_rows; i++) {
        const struct fn_published *row = &fn_published_rows[i];
        double ratio = fn_published_predict(&fits[row->family], row) / row->pictures_per_second;
        assert_true(fabs(ratio - 1) < (row->held_out ? 0.25 : 0.10));
        held_out += row->held_out;
    }
    assert_int_equal(held_out, 5);
}

static void multipliers_are_those_that_yosys_counts(void **state) {
    (void)state;
    /* docs/planner.md has the counts, `make planner-check` makes them. */
    static const struct {
        int vec, lane, ultrascale;
    } counted[] = {{8, 8, 32}, {16, 16, 128}, {16, 32, 256}};
    for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++)
        assert_int_equal(
            fn_board_dsp(FN_FABRIC_ULTRASCALE, (int64_t)counted[i].vec * counted[i].lane),
            counted[i].ultrascale);
}

/* By hand: 16 x 16 has weights of 4 bursts, 512 deep, and 1024 bursts of input rows. */
static void memory_blocks_are_those_of_the_kernels_buffers(void **state) {
    (void)state;
    const struct fn_fpga_sizes sizes = {.vec = 16, .lane = 16, .band = 512, .weights = 256};
    assert_int_equal(fn_board_ram(FN_FABRIC_ULTRASCALE, &sizes), 4 * 8 + 15); /* 72, 36 wide */
    assert_int_equal(fn_board_ram(FN_FABRIC_VARIABLE, &sizes), 4 * 13 + 26);  /* 40, twice 40 */
    assert_int_equal(fn_board_ram(FN_FABRIC_CYCLONE_V, &sizes), 4 * 26 + 52);
    assert_int_equal(fn_board_uram(&sizes), 4 * 8 + 8);
}

static void the_best_array_fits_its_board(void **state) {
    (void)state;
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = NULL;
    struct fn_pipeline *best = malloc(sizeof *best), *other = malloc(sizeof *other);
    struct fn_error err = {0};
    assert_true(best && other);
    assert_ok(fn_untrained_draft(5, 2, 40, &draft, &err), err);
    assert_ok(fn_model_draft_view(draft, &model, &err), err);
    for (int i = 0; i < fn_n_boards; i++) {
        const struct fn_board *board = &fn_boards[i];
        const struct fn_pipeline_speed speed = {board->megahertz * 1e6, 1e9 * board->gigabytes, 0};
        struct fn_cost chosen, smallest;
        assert_ok(fn_board_best(board, model, &speed, 8, best, &err), err);
        const struct fn_fpga_sizes *sizes = &best->sizes;
        assert(sizes); /* the analyzer does not know assert_true() */
        assert_true(fn_pipeline_is_array(sizes->vec, sizes->lane));
        assert_true(fn_board_dsp(board->fabric, (int64_t)sizes->vec * sizes->lane) <=
                    board->dsp * 0.85);
        assert_true(fn_board_ram(board->fabric, sizes) <= board->ram * 0.75);
        assert_ok(fn_pipeline_make(model, 8, 8, sizes->form, 8, other, &err), err);
        fn_pipeline_total(best, &speed, 8, &chosen);
        fn_pipeline_total(other, &speed, 8, &smallest);
        assert_true(chosen.seconds < smallest.seconds);
        assert_ptr_equal(fn_board_find(board->name), board);
    }
    const struct fn_pipeline_speed speed = {1e8, 1e9, 0};
    struct fn_board tiny = fn_boards[0];
    tiny.dsp = 2;
    assert_int_equal(fn_board_best(&tiny, model, &speed, 8, best, &err), FN_USAGE);
    assert_non_null(strstr(err.text, "too few for the smallest array"));
    free(best);
    free(other);
    free(model);
    fn_model_draft_free(draft);
}

static void a_board_is_found_whatever_its_case(void **state) {
    (void)state;
    assert_string_equal(fn_board_find("zcu102")->name, "ZCU102");
    assert_null(fn_board_find("zcu"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_costs_what_can_be_counted),
        cmocka_unit_test(a_batch_reads_its_weights_once),
        cmocka_unit_test(slow_memory_sets_the_pace),
        cmocka_unit_test(a_tiled_array_reads_weights_for_every_tile),
        cmocka_unit_test(published_networks_have_their_published_size),
        cmocka_unit_test(boards_not_fitted_to_are_predicted_within_a_quarter),
        cmocka_unit_test(multipliers_are_those_that_yosys_counts),
        cmocka_unit_test(memory_blocks_are_those_of_the_kernels_buffers),
        cmocka_unit_test(the_best_array_fits_its_board),
        cmocka_unit_test(a_board_is_found_whatever_its_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
