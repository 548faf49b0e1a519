/* SPDX-License-Identifier: Apache-2.0
 *
 * test_wide.c -- networks with 16 bits between residual blocks: their shape, the rounding to a byte
 * and a remainder, the reference engine against formulas in double, the quantizer's integers
 * against the reference engine, and who refuses them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/fixed.h"
#include "engine/golden.h"
#include "engine/limits.h"
#include "engine/model_writer.h"
#include "engine/preprocess.h"
#include "engine/prng.h"
#include "model/quantize/integer_pass.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"

enum { EMBEDDING = 16 };

/* The largest remainder, at most 8 bits, that the shifts of who writes and who adds it allow. */
static int possible_bits(const struct fn_model_draft *draft, int remainder) {
    int bits = FN_REMAINDER_MAX;
    for (int i = 0; i < draft->network.n_layers; i++) {
        const struct fn_layer *l = &draft->network.layers[i];
        for (int oc = 0; oc < l->out_channels && l->op == FN_OP_CONV; oc++) {
            int f = draft->frac_bits[l->input] + draft->params[i].frac_bits[oc];
            if (l->remainder == remainder && f - draft->frac_bits[l->output] < bits)
                bits = f - draft->frac_bits[l->output];
            if (l->residual_remainder == remainder && f - draft->frac_bits[l->residual] < bits)
                bits = f - draft->frac_bits[l->residual];
        }
    }
    return bits;
}

static struct fn_model_draft *wide_draft(void) {
    struct fn_error err;
    struct fn_model_draft *draft;
    assert_ok(fn_untrained_draft(11, 1, EMBEDDING, &draft, &err), err);
    fn_network_widen(&draft->network);
    for (int i = 0; i < draft->network.n_layers; i++) {
        const struct fn_layer *l = &draft->network.layers[i];
        if (!l->remainder) continue;
        int bits = possible_bits(draft, l->remainder);
        assert_true(bits >= 1);
        draft->frac_bits[l->remainder] = (int8_t)(draft->frac_bits[l->output] + bits);
    }
    return draft;
}

static void eighteen_blocks_hand_a_remainder_to_the_next(void **state) {
    (void)state;
    struct fn_model_draft *draft = wide_draft();
    const struct fn_network *network = &draft->network;
    int n = 0;
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *l = &network->layers[i];
        if (!l->residual_remainder) continue;
        const struct fn_tensor *t = &network->tensors[l->residual_remainder];
        const struct fn_tensor *of = &network->tensors[l->residual];
        char name[FN_NAME_SIZE + 16];
        (void)snprintf(name, sizeof name, "%s/remainder", of->name);
        assert_string_equal(t->name, name);
        assert_true(t->is_remainder && t->is_signed && !of->is_remainder);
        assert_int_equal(fn_tensor_size(t), fn_tensor_size(of));
        int writers = 0;
        for (int k = 0; k < i; k++)
            writers += network->layers[k].remainder == l->residual_remainder &&
                       network->layers[k].output == l->residual;
        assert_int_equal(writers, 1);
        n++;
    }
    assert_int_equal(n, 4 + 9 + 5); /* the first block of each stage adds what has none */
    assert_true(network->is_wide);
    fn_model_draft_free(draft);
}

static void a_byte_and_its_remainder_are_the_wider_number(void **state) {
    (void)state;
    struct fn_prng prng = {7};
    for (int i = 0; i < 200000; i++) {
        int d = 1 + (int)(fn_prng_next(&prng) % 8), s = d + (int)(fn_prng_next(&prng) % 20);
        int relu = (int)(fn_prng_next(&prng) % 2);
        int32_t acc = (int32_t)fn_prng_next(&prng) >> (fn_prng_next(&prng) % 24);
        if (acc > INT32_MAX - (INT32_C(1) << s)) continue;
        double unit = ldexp(1, d), wide = floor(ldexp(acc, d - s) + 0.5);
        wide = fmin(fmax(wide, relu ? 0 : -128 * unit), 127.5 * unit - 1);
        int8_t remainder;
        int q = fn_requantize_wide(acc, s, d, relu, &remainder);
        assert_true(q * unit + remainder == wide);
        assert_true(remainder >= -unit / 2 && remainder < unit / 2);
    }
}

static void bounds_count_the_remainder(void **state) {
    (void)state;
    const int8_t weight = 1;
    struct fn_channel channel = {.weights = &weight,
                                 .n_weights = 1,
                                 .positions = 1,
                                 .shift = 8,
                                 .remainder = 8,
                                 .has_residual = true,
                                 .residual_shift = 10,
                                 .residual_remainder = 8};
    int64_t min, max;
    fn_channel_bounds(&channel, &min, &max);
    assert_int_equal(max, 127 + (127 << 10) + (127 << 2) + 128);
    assert_int_equal(min, -(128 << 2));
    assert_true(fn_channel_fits(&channel));
    channel.shift = 7;
    assert_false(fn_channel_fits(&channel));
    channel.shift = 8;
    channel.residual_shift = 7;
    assert_false(fn_channel_fits(&channel));
}

/* A wide model by way of its file, and a reference engine that keeps its tensors. */
struct opened {
    struct fn_model *model;
    struct fn_engine *engine;
};

static struct opened open_wide(void) {
    struct fn_error err;
    struct opened x;
    struct fn_model_draft *draft = wide_draft();
    const char *path = temporary_path("wide.safetensors");
    const struct fn_engine_options options = {
        .device = "reference", .max_batch = 1, .keep_tensors = true};
    assert_ok(fn_model_write(draft, path, &err), err);
    assert_ok(fn_model_open(path, &x.model, &err), err);
    assert_ok(fn_engine_open(x.model, &options, &x.engine, &err), err);
    fn_model_draft_free(draft);
    return x;
}

static void close_wide(struct opened *x) {
    fn_engine_close(x->engine);
    fn_model_close(x->model);
}

static void run(const struct opened *x, int8_t *ret_tensors[FN_MAX_TENSORS]) {
    struct fn_error err;
    float embedding[EMBEDDING];
    uint8_t *crop = malloc(FN_CROP_SIZE);
    fn_golden_picture(5, crop);
    assert_ok(fn_engine_run(x->engine, crop, 1, embedding, NULL, &err), err);
    free(crop);
    for (int i = 0; i < x->model->network.n_tensors; i++) {
        ret_tensors[i] = malloc(fn_tensor_size(&x->model->network.tensors[i]));
        assert_ok(fn_engine_read_tensor(x->engine, i, 0, ret_tensors[i], &err), err);
    }
}

static double value_of(const struct fn_model *model, int8_t *const *tensors, int tensor, int at) {
    return ldexp(tensors[tensor][at], -model->frac_bits[tensor]);
}

/* What an up-projection adds up, as a real number: nothing here is shifted. */
static double real_sum(const struct fn_model *model, int layer, int8_t *const *tensors, int at) {
    const struct fn_layer *l = &model->network.layers[layer];
    const struct fn_params *p = &model->params[layer];
    int oc = at % l->out_channels, position = at / l->out_channels;
    int f = model->frac_bits[l->input] + p->frac_bits[oc];
    double sum = ldexp(p->bias[oc], -f);
    for (int c = 0; c < l->in_channels; c++)
        sum += ldexp(p->weights[oc * l->in_channels + c], -p->frac_bits[oc]) *
               value_of(model, tensors, l->input, position * l->in_channels + c);
    sum += value_of(model, tensors, l->residual, at);
    if (l->residual_remainder) sum += value_of(model, tensors, l->residual_remainder, at);
    return sum;
}

static void blocks_add_and_keep_what_bytes_cannot_hold(void **state) {
    (void)state;
    struct opened x = open_wide();
    const struct fn_network *network = &x.model->network;
    int8_t *tensors[FN_MAX_TENSORS];
    run(&x, tensors);
    int n_remainders = 0;
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *l = &network->layers[i];
        if (l->op != FN_OP_CONV || l->residual < 0) continue;
        int f = x.model->frac_bits[l->remainder ? l->remainder : l->output];
        double unit = ldexp(1, f - x.model->frac_bits[l->output]);
        double high = l->remainder ? 127.5 * unit - 1 : 127;
        for (int at = 0; at < (int)fn_tensor_size(&network->tensors[l->output]); at++) {
            double expected = floor(ldexp(real_sum(x.model, i, tensors, at), f) + 0.5);
            expected = fmin(fmax(expected, l->relu ? 0 : -128), high);
            int low = l->remainder ? tensors[l->remainder][at] : 0;
            assert_true(tensors[l->output][at] * unit + low == expected);
            n_remainders += low != 0;
        }
    }
    assert_true(n_remainders > 1000);
    for (int i = 0; i < network->n_tensors; i++) free(tensors[i]);
    close_wide(&x);
}

static void the_quantizers_integers_are_the_reference_engines(void **state) {
    (void)state;
    struct opened x = open_wide();
    struct fn_error err;
    struct fn_integer_pass *pass;
    int8_t *tensors[FN_MAX_TENSORS];
    uint8_t *crop = malloc(FN_CROP_SIZE);
    run(&x, tensors);
    fn_golden_picture(5, crop);
    const struct fn_network *network = &x.model->network;
    assert_ok(fn_integer_pass_new(network, x.model->preprocessing, crop, 1, 1, &pass, &err), err);
    for (int i = 0; i < network->n_layers; i++) {
        const struct fn_layer *l = &network->layers[i];
        const int used[] = {l->input, l->residual < 0 ? l->input : l->residual,
                            l->residual_remainder ? l->residual_remainder : l->input};
        for (int k = 0; k < 3; k++) {
            const int8_t *found = fn_integer_pass_tensor(pass, used[k], 0);
            assert_non_null(found);
            assert_memory_equal(found, tensors[used[k]],
                                fn_tensor_size(&network->tensors[used[k]]));
        }
        assert_ok(fn_integer_pass_run(pass, x.model, i, &err), err);
    }
    fn_integer_pass_free(pass);
    free(crop);
    for (int i = 0; i < network->n_tensors; i++) free(tensors[i]);
    close_wide(&x);
}

static void opencl_refuses_and_says_who_does_not(void **state) {
    (void)state;
    struct opened x = open_wide();
    struct fn_error err;
    struct fn_engine *other = NULL;
    const struct fn_engine_options options = {.device = "auto", .max_batch = 1};
    assert_int_equal(fn_engine_open(x.model, &options, &other, &err), FN_NO_DEVICE);
    assert_non_null(strstr(err.text, "only the reference engine"));
    assert_null(other);
    close_wide(&x);
}

static void assert_refused(int bits, const char *words) {
    struct fn_error err;
    struct fn_model_draft *draft = wide_draft();
    int remainder = fn_network_find_tensor(&draft->network, FN_ROOT "/Repeat/block35_2/remainder");
    int output = fn_network_find_tensor(&draft->network, FN_ROOT "/Repeat/block35_2");
    draft->frac_bits[remainder] = (int8_t)(draft->frac_bits[output] + bits);
    assert_int_equal(fn_model_write(draft, temporary_path("bad.safetensors"), &err), FN_BAD_MODEL);
    if (!strstr(err.text, words)) fail_msg("\"%s\" does not say \"%s\"", err.text, words);
    fn_model_draft_free(draft);
}

static void a_remainder_of_no_or_too_many_bits_is_refused(void **state) {
    (void)state;
    assert_refused(0, "a remainder of 0 bits");
    assert_refused(-3, "a remainder of -3 bits");
    assert_refused(9, "a remainder of 9 bits");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eighteen_blocks_hand_a_remainder_to_the_next),
        cmocka_unit_test(a_byte_and_its_remainder_are_the_wider_number),
        cmocka_unit_test(bounds_count_the_remainder),
        cmocka_unit_test(blocks_add_and_keep_what_bytes_cannot_hold),
        cmocka_unit_test(the_quantizers_integers_are_the_reference_engines),
        cmocka_unit_test(opencl_refuses_and_says_who_does_not),
        cmocka_unit_test(a_remainder_of_no_or_too_many_bits_is_refused),
    };
    return cmocka_run_group_tests_name("wide", tests, temporary_make, temporary_remove);
}
