/* SPDX-License-Identifier: Apache-2.0
 *
 * test_source.c -- weights from files: names, folding, and everything a source can lack. */
#include <string.h>
#include <sys/stat.h>

#include "engine/model_writer.h"
#include "engine/safetensors.h"
#include "tests/unit/support/random_source.h"
#include "tests/unit/support/temporary.h"

/* A network of full topology and the smallest widths, and a float source for it. */
static struct fn_model_draft *draft;
#define NETWORK (&draft->network)

static int make_network(void **state) {
    (void)state;
    struct fn_error err;
    return fn_untrained_draft(1, 1, 16, &draft, &err) == FN_OK ? 0 : -1;
}

static int free_network(void **state) {
    (void)state;
    fn_model_draft_free(draft);
    return 0;
}

/* Views of two output channels over two inputs, 1x1, and vectors of two. */
static void add_pair_part(struct fn_source *source, enum fn_part part, const double *values) {
    struct fn_error err = {0};
    struct fn_source_array array = {
        .data = values,
        .dtype = FN_DTYPE_F64,
        .shape = {2, 1, 1, part == FN_PART_KERNEL ? 2 : 1},
        .stride = {part == FN_PART_KERNEL ? 2 : 1, 0, 0, 1},
        .origin = "values",
    };
    assert_ok(fn_source_add(source, "s", part, &array, &err), err);
}

static struct fn_source *new_source(void) {
    struct fn_error err = {0};
    struct fn_source *source = NULL;
    assert_ok(fn_source_new("memory", &source, &err), err);
    return source;
}

static const struct fn_layer pair_layer = {
    .op = FN_OP_CONV,
    .name = "s",
    .residual = -1,
    .kernel_h = 1,
    .kernel_w = 1,
    .in_channels = 2,
    .out_channels = 2,
};

static void batchnorm_is_folded_in_double(void **state) {
    (void)state;
    static const double kernel[] = {1, 2, 3, 4}, bias[] = {0.5, 0}, gamma[] = {2, 3},
                        beta[] = {0.25, -1}, mean[] = {1.5, 4}, variance[] = {3, 8};
    struct fn_source *source = new_source();
    source->batchnorm_epsilon = 1;
    add_pair_part(source, FN_PART_KERNEL, kernel);
    add_pair_part(source, FN_PART_BIAS, bias);
    add_pair_part(source, FN_PART_GAMMA, gamma);
    add_pair_part(source, FN_PART_BETA, beta);
    add_pair_part(source, FN_PART_MEAN, mean);
    add_pair_part(source, FN_PART_VARIANCE, variance);
    struct fn_error err = {0};
    double w[4], b[2];
    assert_ok(fn_source_fold(source, &pair_layer, w, b, &err), err);
    /* scales 2/sqrt(4) = 1 and 3/sqrt(9) = 1; biases 1 * (0.5 - 1.5) + 0.25 and 1 * (0 - 4) - 1 */
    assert_true(w[0] == 1 && w[1] == 2 && w[2] == 3 && w[3] == 4);
    assert_true(b[0] == -0.75 && b[1] == -5);
    fn_source_free(source);
}

static void the_residual_scale_is_applied_unless_folded(void **state) {
    (void)state;
    static const double kernel[] = {1, 2, 3, 4}, bias[] = {5, 6};
    struct fn_layer layer = pair_layer;
    layer.residual = 0;
    layer.residual_scale = 0.25;
    for (int folded = 0; folded < 2; folded++) {
        struct fn_source *source = new_source();
        source->residual_scale_folded = folded;
        add_pair_part(source, FN_PART_KERNEL, kernel);
        add_pair_part(source, FN_PART_BIAS, bias);
        struct fn_error err = {0};
        double w[4], b[2], scale = folded ? 1 : 0.25;
        assert_ok(fn_source_fold(source, &layer, w, b, &err), err);
        assert_true(w[3] == 4 * scale && b[1] == 6 * scale);
        fn_source_free(source);
    }
}

static void strides_turn_any_order_into_ours(void **state) {
    (void)state;
    /* stored [ic][oc]: columns are output channels */
    static const double stored[] = {1, 2, 3, 4}, bias[] = {0, 0};
    struct fn_source *source = new_source();
    struct fn_error err = {0};
    struct fn_source_array array = {
        .data = stored, .dtype = FN_DTYPE_F64, .shape = {2, 1, 1, 2}, .stride = {1, 0, 0, 2}};
    assert_ok(fn_source_add(source, "s", FN_PART_KERNEL, &array, &err), err);
    add_pair_part(source, FN_PART_BIAS, bias);
    double w[4], b[2];
    assert_ok(fn_source_fold(source, &pair_layer, w, b, &err), err);
    assert_true(w[0] == 1 && w[1] == 3 && w[2] == 2 && w[3] == 4);
    fn_source_free(source);
}

static void halves_of_every_kind_are_exact(void **state) {
    (void)state;
    /* 1, -2, the largest (65504), the smallest subnormal (2^-24), one at an odd address */
    static const unsigned char bytes[] = {0, 0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x01, 0x00};
    static const double bias[] = {0, 0};
    struct fn_source *source = new_source();
    struct fn_error err = {0};
    struct fn_source_array array = {
        .data = bytes + 1, .dtype = FN_DTYPE_F16, .shape = {2, 1, 1, 2}, .stride = {2, 0, 0, 1}};
    assert_ok(fn_source_add(source, "s", FN_PART_KERNEL, &array, &err), err);
    add_pair_part(source, FN_PART_BIAS, bias);
    double w[4], b[2];
    assert_ok(fn_source_fold(source, &pair_layer, w, b, &err), err);
    assert_true(w[0] == 1 && w[1] == -2 && w[2] == 65504 && w[3] == 0x1p-24);
    fn_source_free(source);
}

static void numbers_that_are_none_are_refused_with_their_place(void **state) {
    (void)state;
    static const double kernel[] = {1, 2, NAN, 4}, good[] = {1, 1}, bias[] = {0, 0},
                        variance[] = {1, -1};
    struct fn_error err = {0};
    double w[4], b[2];
    struct fn_source *source = new_source();
    add_pair_part(source, FN_PART_KERNEL, kernel);
    add_pair_part(source, FN_PART_BIAS, bias);
    assert_int_equal(fn_source_fold(source, &pair_layer, w, b, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "[1][0][0][0]"));
    fn_source_free(source);

    static const double fine[] = {1, 2, 3, 4};
    source = new_source();
    add_pair_part(source, FN_PART_KERNEL, fine);
    add_pair_part(source, FN_PART_MEAN, good);
    add_pair_part(source, FN_PART_VARIANCE, variance);
    assert_int_equal(fn_source_fold(source, &pair_layer, w, b, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "variance -1 of channel 1"));
    fn_source_free(source);
}

static void a_part_given_twice_is_refused(void **state) {
    (void)state;
    static const double bias[] = {0, 0};
    struct fn_source *source = new_source();
    add_pair_part(source, FN_PART_BIAS, bias);
    struct fn_error err = {0};
    const struct fn_source_array again = {
        .data = bias, .dtype = FN_DTYPE_F64, .shape = {2, 1, 1, 1}, .origin = "another"};
    assert_int_equal(fn_source_add(source, "s", FN_PART_BIAS, &again, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "values and another"));
    fn_source_free(source);
}

static void a_whole_source_gives_the_network_back(void **state) {
    (void)state;
    struct fn_source *source = random_source(NETWORK, 3, true);
    static struct fn_network network;
    struct fn_error err = {0};
    assert_ok(fn_source_network(source, &network, &err), err);
    assert_int_equal(network.n_layers, NETWORK->n_layers);
    assert_int_equal(network.embedding_size, 16);
    assert_int_equal(source->n_unused, 0);
    fn_source_free(source);
}

/* Remove a part of the scope, or the whole scope for FN_PARTS. */
static void drop(struct fn_source *source, const char *scope, int part) {
    for (size_t i = 0; i < source->n_scopes; i++)
        if (strcmp(source->scopes[i].name, scope) == 0) {
            if (part == FN_PARTS)
                (void)snprintf(source->scopes[i].name, sizeof source->scopes[i].name, "gone");
            else
                source->scopes[i].part[part].data = NULL;
        }
}

static void what_is_missing_is_named(void **state) {
    (void)state;
    static const struct {
        const char *scope;
        int part;
        const char *says;
    } cases[] = {
        {FN_ROOT "/Conv2d_1a_3x3", FN_PARTS, "weights of " FN_ROOT "/Conv2d_1a_3x3"},
        {FN_ROOT "/Block8/Branch_1/Conv2d_0c_3x1", FN_PART_KERNEL, "Block8/Branch_1/Conv2d_0c"},
        {FN_ROOT "/Repeat_1/block17_10/Conv2d_1x1", FN_PART_BIAS, "bias of " FN_ROOT "/Repeat_1"},
        {FN_ROOT "/Mixed_6a/Branch_0/Conv2d_1a_3x3", FN_PART_MEAN, "moving mean"},
        {FN_ROOT "/Bottleneck", FN_PART_KERNEL, "weights of " FN_ROOT "/Bottleneck"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fn_source *source = random_source(NETWORK, 3, true);
        static struct fn_network network;
        struct fn_error err = {0};
        drop(source, cases[i].scope, cases[i].part);
        assert_int_equal(fn_source_network(source, &network, &err), FN_BAD_SOURCE);
        if (!strstr(err.text, cases[i].says) || !strstr(err.text, "missing"))
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].says);
        fn_source_free(source);
    }
}

static void superfluous_scopes_are_listed_not_refused(void **state) {
    (void)state;
    struct fn_source *source = random_source(NETWORK, 3, false);
    struct fn_prng prng = {1};
    add_random_part(source, FN_ROOT "/Logits", FN_PART_BIAS, NULL, 3, 0, 1, &prng);
    static struct fn_network network;
    struct fn_error err = {0};
    assert_ok(fn_source_network(source, &network, &err), err);
    assert_int_equal(source->n_unused, 1);
    fn_source_free(source);
}

static void a_vector_of_the_wrong_length_is_refused(void **state) {
    (void)state;
    struct fn_source *source = random_source(NETWORK, 3, false);
    struct fn_prng prng = {1};
    drop(source, FN_ROOT "/Conv2d_3b_1x1", FN_PART_BIAS);
    add_random_part(source, FN_ROOT "/Conv2d_3b_1x1", FN_PART_BIAS, NULL, 999, 0, 1, &prng);
    static struct fn_network network;
    struct fn_error err = {0};
    assert_int_equal(fn_source_network(source, &network, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "999 numbers"));
    fn_source_free(source);
}

/* Write a .npy vector of one float32. */
static void write_npy(const char *name, const char *shape) {
    char dictionary[64];
    int length = snprintf(dictionary, sizeof dictionary,
                          "{'descr': '<f4', 'fortran_order': False, 'shape': %s}", shape);
    const unsigned char head[] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)length, 0};
    FILE *file = fopen(temporary_path(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(head, sizeof head, 1, file), 1);
    assert_int_equal(fwrite(dictionary, (size_t)length, 1, file), 1);
    assert_int_equal(fwrite("\0\0\200\77", 4, 1, file), 1); /* 1.0f */
    assert_int_equal(fclose(file), 0);
}

static void npy_files_go_to_their_slim_scopes(void **state) {
    (void)state;
    static const struct {
        const char *file, *scope;
        enum fn_part part;
    } cases[] = {
        {"Conv2d_1a_3x3_kernel.npy", "Conv2d_1a_3x3", FN_PART_KERNEL},
        {"Block35_1_Branch_1_Conv2d_0b_3x3_kernel.npy", "Repeat/block35_1/Branch_1/Conv2d_0b_3x3",
         FN_PART_KERNEL},
        {"Block35_5_Conv2d_1x1_Conv2D_bias.npy", "Repeat/block35_5/Conv2d_1x1", FN_PART_BIAS},
        {"Block17_10_Branch_0_Conv2d_1x1_kernel.npy", "Repeat_1/block17_10/Branch_0/Conv2d_1x1",
         FN_PART_KERNEL},
        {"Block8_1_Conv2d_1x1_kernel.npy", "Repeat_2/block8_1/Conv2d_1x1", FN_PART_KERNEL},
        {"Block8_6_Branch_1_Conv2d_0c_3x1_Conv2D_bias.npy", "Block8/Branch_1/Conv2d_0c_3x1",
         FN_PART_BIAS},
        {"Mixed_7a_Branch_2_Conv2d_1a_3x3_kernel.npy", "Mixed_7a/Branch_2/Conv2d_1a_3x3",
         FN_PART_KERNEL},
        {"Bottleneck_kernel_transpose.npy", "Bottleneck", FN_PART_KERNEL},
        {"Bottleneck_MatMul_bias.npy", "Bottleneck", FN_PART_BIAS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        write_npy(cases[i].file, cases[i].part == FN_PART_BIAS ? "(1,)" : "(1, 1, 1, 1)");
    write_npy("Block35_x_Conv2d_1x1_kernel.npy", "(1, 1, 1, 1)");
    write_npy("notes.npy", "(1,)");
    struct fn_source *source = NULL;
    struct fn_error err = {0};
    assert_ok(fn_source_open(temporary_dir, &source, &err), err);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char scope[FN_NAME_SIZE];
        (void)snprintf(scope, sizeof scope, FN_ROOT "/%s", cases[i].scope);
        const struct fn_source_scope *found = fn_source_find(source, scope);
        if (!found || !found->part[cases[i].part].data)
            fail_msg("%s is not at %s", cases[i].file, scope);
        assert_string_equal(found->part[cases[i].part].origin, cases[i].file);
    }
    assert_int_equal(source->n_unused, 2);
    assert_true(source->residual_scale_folded);
    fn_source_free(source);
}

static void a_missing_file_is_named(void **state) {
    (void)state;
    write_npy("Bottleneck_MatMul_bias.npy", "(1,)");
    struct fn_source *source = NULL;
    struct fn_error err = {0};
    static struct fn_network network;
    assert_ok(fn_source_open(temporary_dir, &source, &err), err);
    assert_int_equal(fn_source_network(source, &network, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "expected Conv2d_1a_3x3_kernel.npy"));
    fn_source_free(source);
    char name[64];
    fn_source_npy.name_part(FN_ROOT "/Block8/Branch_1/Conv2d_0c_3x1", FN_PART_BIAS, name,
                            sizeof name);
    assert_string_equal(name, "Block8_6_Branch_1_Conv2d_0c_3x1_Conv2D_bias.npy");
    fn_source_npy.name_part(FN_ROOT "/Repeat_1/block17_10/Conv2d_1x1", FN_PART_KERNEL, name,
                            sizeof name);
    assert_string_equal(name, "Block17_10_Conv2d_1x1_kernel.npy");
}

static void what_holds_no_weights_is_refused(void **state) {
    (void)state;
    struct fn_source *source = NULL;
    struct fn_error err = {0};
    assert_int_equal(fn_source_open(temporary_path("nowhere"), &source, &err), FN_IO);
    assert_int_equal(mkdir(temporary_path("empty"), 0700), 0);
    assert_int_equal(fn_source_open(temporary_path("empty"), &source, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "Conv2d_1a_3x3_kernel.npy"));
    FILE *file = fopen(temporary_path("text"), "w");
    assert_non_null(file);
    assert_true(fputs("just a text, long enough", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(fn_source_open(temporary_path("text"), &source, &err), FN_BAD_SOURCE);
    assert_non_null(strstr(err.text, "safetensors"));
    assert_null(source);
}

static void safetensors_properties_are_read_and_checked(void **state) {
    (void)state;
    static const struct {
        const char *key, *value, *says;
    } cases[] = {
        {"layout", "OIHW", "layout"},
        {"batchnorm_epsilon", "small", "batchnorm_epsilon"},
        {"batchnorm_epsilon", "-1", "batchnorm_epsilon"},
        {"residual_scale", "perhaps", "residual_scale"},
        {"preprocessing", "whiten", "preprocessing"},
    };
    static const float one[6] = {1, 2, 3, 4, 5, 6};
    const struct fn_stored_tensor tensor = {.name = FN_ROOT "/Bottleneck/weights",
                                            .dtype = FN_DTYPE_F32,
                                            .rank = 2,
                                            .shape = {2, 3},
                                            .data = one,
                                            .size = sizeof one};
    const char *path = temporary_path("s.safetensors");
    struct fn_error err = {0};
    struct fn_source *source = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct fn_metadata metadata = {cases[i].key, cases[i].value};
        assert_ok(fn_safetensors_write(path, &tensor, 1, &metadata, 1, &err), err);
        assert_int_equal(fn_source_open(path, &source, &err), FN_BAD_SOURCE);
        assert_non_null(strstr(err.text, cases[i].says));
    }
    const struct fn_metadata good[] = {{"residual_scale", "separate: somewhere"},
                                       {"batchnorm_epsilon", "0.5"},
                                       {"preprocessing", "per-image"}};
    assert_ok(fn_safetensors_write(path, &tensor, 1, good, 3, &err), err);
    assert_ok(fn_source_open(path, &source, &err), err);
    assert_true(source->batchnorm_epsilon == 0.5 && !source->residual_scale_folded);
    enum fn_preprocessing preprocessing;
    assert_ok(fn_source_preprocessing(source, 128, NULL, &preprocessing, &err), err);
    assert_int_equal(preprocessing, FN_PREPROCESSING_PER_IMAGE);
    /* stored [ic 2][oc 3], seen as [oc][1][1][ic] */
    const struct fn_source_array *seen =
        &fn_source_find(source, FN_ROOT "/Bottleneck")->part[FN_PART_KERNEL];
    assert_true(seen->shape[0] == 3 && seen->shape[3] == 2);
    assert_true(seen->stride[0] == 1 && seen->stride[3] == 3);
    fn_source_free(source);
}

static void preprocessing_is_never_guessed_for_128(void **state) {
    (void)state;
    struct fn_source *source = new_source();
    struct fn_error err = {0};
    enum fn_preprocessing p = FN_PREPROCESSING_PER_IMAGE;
    assert_int_equal(fn_source_preprocessing(source, 128, NULL, &p, &err), FN_USAGE);
    assert_non_null(strstr(err.text, "--preprocessing"));
    assert_ok(fn_source_preprocessing(source, 512, NULL, &p, &err), err);
    assert_int_equal(p, FN_PREPROCESSING_FIXED);
    assert_ok(fn_source_preprocessing(source, 128, "per-image", &p, &err), err);
    assert_int_equal(p, FN_PREPROCESSING_PER_IMAGE);
    assert_int_equal(fn_source_preprocessing(source, 128, "white", &p, &err), FN_USAGE);
    fn_source_free(source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batchnorm_is_folded_in_double),
        cmocka_unit_test(the_residual_scale_is_applied_unless_folded),
        cmocka_unit_test(strides_turn_any_order_into_ours),
        cmocka_unit_test(halves_of_every_kind_are_exact),
        cmocka_unit_test(numbers_that_are_none_are_refused_with_their_place),
        cmocka_unit_test(a_part_given_twice_is_refused),
        cmocka_unit_test(a_whole_source_gives_the_network_back),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(superfluous_scopes_are_listed_not_refused),
        cmocka_unit_test(a_vector_of_the_wrong_length_is_refused),
        cmocka_unit_test_setup_teardown(npy_files_go_to_their_slim_scopes, temporary_make,
                                        temporary_remove),
        cmocka_unit_test_setup_teardown(a_missing_file_is_named, temporary_make, temporary_remove),
        cmocka_unit_test_setup_teardown(what_holds_no_weights_is_refused, temporary_make,
                                        temporary_remove),
        cmocka_unit_test_setup_teardown(safetensors_properties_are_read_and_checked, temporary_make,
                                        temporary_remove),
        cmocka_unit_test(preprocessing_is_never_guessed_for_128),
    };
    return cmocka_run_group_tests(tests, make_network, free_network);
}
