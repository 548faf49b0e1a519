/* SPDX-License-Identifier: Apache-2.0
 *
 * test_opencl.c -- the OpenCL back end against the reference engine, bit for bit: single layers of
 * odd shapes, extreme values, whole networks, every batch size; then choosing a device, and the
 * cache of built programs. Skipped where there is no OpenCL device. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/model_writer.h"
#include "engine/opencl/kernel_sources.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/small_network.h"
#include "tests/unit/support/temporary.h"

#define BATCH 3

/* How a picture is filled. */
enum fill { FILL_RANDOM, FILL_HIGHEST, FILL_LOWEST, N_FILLS };

static char cache_dir[PATH_MAX + 64]; /* all tests share the built program */
static const char *kernel_dir;        /* NULL, or the portable kernels */
static bool has_device;

static void need_device(void) {
    if (!has_device) skip();
}

static struct fn_engine *open_engine(const struct fn_model *model, const char *device, int batch,
                                     bool keep_tensors) {
    const struct fn_engine_options options = {.device = device,
                                              .cache_dir = cache_dir,
                                              .kernel_dir = kernel_dir,
                                              .max_batch = batch,
                                              .keep_tensors = keep_tensors};
    struct fn_engine *engine = NULL;
    struct fn_error err = {0};
    assert_ok(fn_engine_open(model, &options, &engine, &err), err);
    return engine;
}

static size_t tensor_size(const struct fn_model *model, int tensor) {
    return fn_tensor_size(&model->network.tensors[tensor]);
}

static void fill_input(struct small_network *net, enum fill fill, int8_t *input, size_t size) {
    bool is_signed = net->model.network.tensors[0].is_signed;
    fn_prng_fill(&net->prng, input, size);
    for (size_t i = 0; i < size; i++) {
        if (!is_signed) input[i] &= 127;
        if (fill == FILL_HIGHEST) input[i] = 127;
        if (fill == FILL_LOWEST) input[i] = is_signed ? -128 : 0;
    }
}

/* Every tensor that a layer writes, of every picture. */
static void compare_tensors(const struct fn_model *model, struct fn_engine *expected,
                            struct fn_engine *found) {
    struct fn_error err = {0};
    for (int t = 0; t < model->network.n_tensors; t++) {
        size_t size = tensor_size(model, t);
        int8_t *a = malloc(size), *b = malloc(size);
        assert_true(a && b);
        for (int picture = 0; picture < BATCH; picture++) {
            assert_ok(fn_engine_read_tensor(expected, t, picture, a, &err), err);
            assert_ok(fn_engine_read_tensor(found, t, picture, b, &err), err);
            assert_memory_equal(a, b, size);
        }
        free(a);
        free(b);
    }
}

/* Run the network on both engines with every fill; all tensors and accumulators must agree. */
static void check_network(struct small_network *net) {
    need_device();
    const struct fn_model *model = &net->model;
    struct fn_engine *reference = open_engine(model, "reference", BATCH, true);
    struct fn_engine *opencl = open_engine(model, "auto", BATCH, true);
    size_t size = BATCH * tensor_size(model, 0);
    size_t n = BATCH * (size_t)model->network.embedding_size;
    int8_t *input = malloc(size);
    int32_t *expected = calloc(n + 1, sizeof *expected), *found = calloc(n + 1, sizeof *found);
    assert_true(input && expected && found);
    for (enum fill fill = FILL_RANDOM; fill < N_FILLS; fill++) {
        struct fn_error err = {0};
        fill_input(net, fill, input, size);
        assert_ok(fn_engine_run_tensors(reference, input, BATCH, n ? expected : NULL, &err), err);
        assert_ok(fn_engine_run_tensors(opencl, input, BATCH, n ? found : NULL, &err), err);
        compare_tensors(model, reference, opencl);
        assert_memory_equal(expected, found, n * sizeof *expected);
    }
    free(input);
    free(expected);
    free(found);
    fn_engine_close(opencl);
    fn_engine_close(reference);
    small_free(net);
}

/* One convolution from an h x w x ic picture; conv->out_channels and the kernel as given. */
static void check_conv(uint64_t seed, int h, int w, int ic, bool is_signed,
                       struct small_conv conv) {
    struct small_network *net = small_new(seed);
    int stride = conv.stride ? conv.stride : 1;
    int kernel_h = conv.kernel_h ? conv.kernel_h : 1, kernel_w = conv.kernel_w ? conv.kernel_w : 1;
    conv.input = small_tensor(net, h, w, ic, is_signed, 0);
    conv.output = small_tensor(net, (h + 2 * conv.pad_h - kernel_h) / stride + 1,
                               (w + 2 * conv.pad_w - kernel_w) / stride + 1, conv.out_channels,
                               !conv.relu, 0);
    small_add_conv(net, &conv);
    check_network(net);
}

static void convolutions_of_any_width_agree(void **state) {
    (void)state;
    static const int widths[][2] = {{1, 1},   {3, 5},   {4, 16},  {5, 17},
                                    {17, 33}, {31, 15}, {64, 48}, {130, 1}};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        for (int relu = 0; relu < 2; relu++)
            check_conv(100 + i, 5, 7, widths[i][0], false,
                       (struct small_conv){
                           .out_channels = widths[i][1], .relu = relu, .shift = 9, .spread = 3});
}

static void kernels_of_any_shape_stride_and_padding_agree(void **state) {
    (void)state;
    static const struct small_conv shapes[] = {
        {.kernel_h = 3, .kernel_w = 3},
        {.kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1},
        {.kernel_h = 3, .kernel_w = 3, .stride = 2},
        {.kernel_h = 3, .kernel_w = 3, .stride = 2, .pad_h = 1, .pad_w = 1},
        {.kernel_h = 1, .kernel_w = 7, .pad_w = 3},
        {.kernel_h = 7, .kernel_w = 1, .pad_h = 3},
        {.kernel_h = 1, .kernel_w = 3, .pad_w = 1},
        {.kernel_h = 3, .kernel_w = 1, .pad_h = 1},
        {.kernel_h = 5, .kernel_w = 2, .stride = 3, .pad_h = 4, .pad_w = 1},
        {.kernel_h = 2, .kernel_w = 4, .pad_h = 2},
        {.kernel_h = 1, .kernel_w = 1, .stride = 2},
        {.kernel_h = 4, .kernel_w = 3, .pad_h = 3, .pad_w = 5},
    };
    static const int sizes[][2] = {{7, 7}, {8, 9}, {13, 8}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            struct small_conv conv = shapes[i];
            conv.out_channels = 19;
            conv.relu = true;
            conv.shift = 10;
            conv.spread = 2;
            check_conv(200 + i, sizes[k][0], sizes[k][1], 6, false, conv);
        }
}

static void a_kernel_as_large_as_the_picture_agrees(void **state) {
    (void)state;
    check_conv(300, 3, 3, 9, false,
               (struct small_conv){.out_channels = 7, .kernel_h = 3, .kernel_w = 3, .shift = 8});
    check_conv(301, 1, 1, 3, false,
               (struct small_conv){
                   .out_channels = 2, .kernel_h = 3, .kernel_w = 3, .pad_h = 1, .pad_w = 1});
}

static void signed_inputs_agree(void **state) {
    (void)state;
    for (enum small_weights weights = WEIGHTS_RANDOM; weights <= WEIGHTS_ALTERNATING; weights++)
        for (int pad = 0; pad < 2; pad++)
            check_conv(400, 9, 6, 3, true,
                       (struct small_conv){.out_channels = 21,
                                           .kernel_h = 3,
                                           .kernel_w = 3,
                                           .stride = 2,
                                           .pad_h = pad,
                                           .pad_w = pad,
                                           .relu = pad,
                                           .shift = 9,
                                           .weights = weights});
}

static void accumulators_at_both_ends_of_int32_agree(void **state) {
    (void)state;
    static const int shifts[] = {0, 1, 15, 29, 30};
    for (size_t i = 0; i < sizeof shifts / sizeof shifts[0]; i++)
        for (enum small_weights weights = WEIGHTS_127; weights <= WEIGHTS_ALTERNATING; weights++)
            for (enum small_bias bias = BIAS_HIGHEST; bias <= BIAS_LOWEST; bias++)
                check_conv(500, 4, 4, 40, i & 1,
                           (struct small_conv){.out_channels = 18,
                                               .kernel_h = 3,
                                               .kernel_w = 3,
                                               .pad_h = 1,
                                               .pad_w = 1,
                                               .shift = shifts[i],
                                               .weights = weights,
                                               .bias = bias});
}

/* A picture, a tensor made from it, and a convolution that adds it with r = s - f_x. */
static void residuals_of_any_shift_agree(void **state) {
    (void)state;
    static const int cases[][2] = {{0, 0}, {8, 0}, {8, 8}, {23, 23}, {30, 23}, {12, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (enum small_bias bias = BIAS_RANDOM; bias <= BIAS_LOWEST; bias++) {
            struct small_network *net = small_new(600 + i);
            int s = cases[i][0], r = cases[i][1];
            int picture = small_tensor(net, 6, 5, 21, false, 0);
            int added = small_tensor(net, 6, 5, 35, false, s - r);
            int sum = small_tensor(net, 6, 5, 35, true, 0);
            small_add_conv(net, &(struct small_conv){.input = picture,
                                                     .output = added,
                                                     .out_channels = 35,
                                                     .relu = true,
                                                     .shift = 6});
            small_add_conv(net, &(struct small_conv){.input = picture,
                                                     .output = sum,
                                                     .out_channels = 35,
                                                     .residual = added,
                                                     .relu = i & 1,
                                                     .shift = s,
                                                     .bias = bias});
            check_network(net);
        }
}

static void branches_land_side_by_side_in_a_concat(void **state) {
    (void)state;
    static const int split[] = {7, 16, 1, 20};
    struct small_network *net = small_new(700);
    int picture = small_tensor(net, 5, 5, 10, false, 0);
    int concat = small_tensor(net, 5, 5, 44, false, 0),
        after = small_tensor(net, 5, 5, 13, false, 0);
    for (int i = 0, offset = 0; i < 4; offset += split[i++])
        small_add_conv(net, &(struct small_conv){.input = picture,
                                                 .output = concat,
                                                 .offset = offset,
                                                 .out_channels = split[i],
                                                 .relu = true,
                                                 .shift = 8});
    small_add_conv(net, &(struct small_conv){
                            .input = concat, .output = after, .out_channels = 13, .shift = 9});
    check_network(net);
}

static void pools_of_any_shift_agree(void **state) {
    (void)state;
    static const int shifts[] = {0, 1, 3, 7, 8, 30, -1, -4, -8, -9, -30};
    for (size_t i = 0; i < sizeof shifts / sizeof shifts[0]; i++)
        for (int is_signed = 0; is_signed < 2; is_signed++) {
            struct small_network *net = small_new(800 + i);
            int picture = small_tensor(net, 9, 12, 21, is_signed, shifts[i]);
            int pooled = small_tensor(net, 4, 5, 30, is_signed, 0);
            small_add_pool(net, picture, pooled, 5);
            check_network(net);
        }
}

static void heads_of_any_size_agree(void **state) {
    (void)state;
    static const int sizes[][4] = {{3, 3, 48, 32}, {1, 1, 1, 1}, {2, 5, 37, 19}, {4, 4, 18, 130}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int is_signed = 0; is_signed < 2; is_signed++)
            for (enum small_bias bias = BIAS_RANDOM; bias <= BIAS_LOWEST; bias++) {
                struct small_network *net = small_new(900 + i);
                int picture =
                    small_tensor(net, sizes[i][0], sizes[i][1], sizes[i][2], is_signed, 0);
                small_add_head(net, picture, sizes[i][3],
                               bias == BIAS_LOWEST ? WEIGHTS_MINUS_127 : (enum small_weights)bias,
                               bias);
                check_network(net);
            }
}

/* ---- whole networks ---- */

static struct fn_model *seeded_model(struct fn_model_draft **ret_draft) {
    struct fn_error err = {0};
    struct fn_model *model = NULL;
    assert_ok(fn_untrained_draft(5, 3, 40, ret_draft, &err), err);
    assert_ok(fn_model_draft_view(*ret_draft, &model, &err), err);
    return model;
}

/* Accumulators of n pictures, [n][embedding_size], from pictures that depend only on their index.
 */
static int32_t *run_pictures(const struct fn_model *model, struct fn_engine *engine, int n) {
    size_t size = tensor_size(model, 0), out = (size_t)model->network.embedding_size;
    int8_t *input = malloc((size_t)n * size);
    int32_t *accumulators = calloc((size_t)n * out, sizeof *accumulators);
    struct fn_prng prng = {77};
    struct fn_error err = {0};
    assert_true(input && accumulators);
    for (int i = 0; i < n; i++) fn_prng_fill(&prng, input + (size_t)i * size, size);
    assert_ok(fn_engine_run_tensors(engine, input, n, accumulators, &err), err);
    free(input);
    return accumulators;
}

static void a_seeded_network_agrees_at_every_batch_size(void **state) {
    (void)state;
    need_device();
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    struct fn_engine *reference = open_engine(model, "reference", 16, false);
    struct fn_engine *opencl = open_engine(model, "auto", 16, false);
    size_t out = (size_t)model->network.embedding_size * sizeof(int32_t);
    int32_t *expected = run_pictures(model, reference, 16);
    for (int n = 1; n <= 16; n++) {
        int32_t *found = run_pictures(model, opencl, n);
        assert_memory_equal(expected, found, (size_t)n * out);
        free(found);
    }
    free(expected);
    fn_engine_close(opencl);
    fn_engine_close(reference);
    free(model);
    fn_model_draft_free(draft);
}

static void sharing_the_arena_changes_nothing(void **state) {
    (void)state;
    need_device();
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    struct fn_engine *reference = open_engine(model, "reference", BATCH, true);
    struct fn_engine *apart = open_engine(model, "auto", BATCH, true);
    int32_t *expected = run_pictures(model, reference, BATCH);
    int32_t *found = run_pictures(model, apart, BATCH);
    compare_tensors(model, reference, apart);
    assert_memory_equal(expected, found,
                        BATCH * (size_t)model->network.embedding_size * sizeof *expected);
    free(expected);
    free(found);
    fn_engine_close(apart);
    fn_engine_close(reference);
    free(model);
    fn_model_draft_free(draft);
}

static void the_real_network_passes_its_self_test(void **state) {
    (void)state;
    const char *path = getenv("FACENET_MODEL"); /* else what `make run` has made */
    struct fn_model *model = NULL;
    struct fn_error err = {0};
    if (!path) path = "build/models/facenet-512-npy.safetensors";
    if (access(path, R_OK) != 0) skip();
    need_device();
    assert_ok(fn_model_open(path, &model, &err), err);
    struct fn_engine *engine = open_engine(model, "auto", 16, false);
    assert_ok(fn_engine_self_test(engine, &err), err);
    fn_engine_close(engine);
    fn_model_close(model);
}

/* Compilers without the wide vectors take the other spelling of dot.cl.h. */
static void the_portable_kernels_agree_too(void **state) {
    need_device();
    char dir[PATH_MAX + 64], path[PATH_MAX + 128];
    (void)snprintf(dir, sizeof dir, "%s", temporary_path("kernels"));
    assert_int_equal(mkdir(dir, 0700), 0);
    for (const struct fn_kernel_source *s = fn_kernel_sources; s->name; s++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, s->name);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        if (strcmp(s->name, "generic.cl") == 0) assert_true(fputs("#undef FN_WIDE\n", file) >= 0);
        assert_true(fputs(s->text, file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
    kernel_dir = dir;
    branches_land_side_by_side_in_a_concat(state);
    signed_inputs_agree(state);
    accumulators_at_both_ends_of_int32_agree(state);
    a_seeded_network_agrees_at_every_batch_size(state);
    kernel_dir = NULL;
}

static void a_profile_times_every_layer(void **state) {
    (void)state;
    need_device();
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    const struct fn_engine_options options = {
        .cache_dir = cache_dir, .max_batch = 1, .profile = true};
    struct fn_engine *engine = NULL;
    struct fn_error err = {0};
    assert_ok(fn_engine_open(model, &options, &engine, &err), err);
    free(run_pictures(model, engine, 1));
    const double *seconds = fn_engine_profile(engine);
    assert_non_null(seconds);
    for (int i = 0; i < model->network.n_layers; i++)
        assert_true(seconds[i] > 0 && seconds[i] < 10);
    fn_engine_close(engine);
    engine = open_engine(model, "auto", 1, false);
    assert_null(fn_engine_profile(engine));
    fn_engine_close(engine);
    free(model);
    fn_model_draft_free(draft);
}

/* ---- devices, kernels and the program cache ---- */

static fn_status try_open(const struct fn_engine_options *options, struct fn_error *err) {
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    struct fn_engine *engine = NULL;
    fn_status status = fn_engine_open(model, options, &engine, err);
    fn_engine_close(engine);
    free(model);
    fn_model_draft_free(draft);
    return status;
}

/* In a child, as the ICD loader looks for platforms once in a process. Must be the first test:
 * after OpenCL has started threads, a child of this process has lost them. */
static void without_a_platform_one_line_says_so(void **state) {
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct fn_error err = {0};
        (void)setenv("OCL_ICD_VENDORS", "/nonexistent", 1);
        fn_status status = try_open(&(struct fn_engine_options){.device = "auto"}, &err);
        bool good = status == FN_NO_DEVICE && strstr(err.text, "no OpenCL platform") &&
                    !strchr(err.text, '\n');
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void an_unknown_device_is_refused_with_the_list_of_those_there(void **state) {
    (void)state;
    need_device();
    struct fn_error err = {0};
    const struct fn_engine_options options = {.device = "no such board"};
    assert_int_equal(try_open(&options, &err), FN_NO_DEVICE);
    assert_non_null(strstr(err.text, "'no such board'"));
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    struct fn_engine *engine = open_engine(model, "", 1, false);
    struct fn_engine_description d;
    fn_engine_describe(engine, &d);
    assert_non_null(strstr(err.text, d.platform));
    assert_string_equal(d.backend, "opencl");
    assert_string_equal(d.kernel_family, "generic");
    assert_non_null(strstr(d.label, d.device));
    fn_engine_close(engine);
    free(model);
    fn_model_draft_free(draft);
}

static void a_device_is_found_by_part_of_its_name_in_any_case(void **state) {
    (void)state;
    need_device();
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    struct fn_engine *engine = open_engine(model, "auto", 1, false);
    struct fn_engine_description d;
    char part[16];
    fn_engine_describe(engine, &d);
    (void)snprintf(part, sizeof part, "%s", d.platform + 1);
    for (char *c = part; *c; c++)
        if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
    struct fn_engine *again = open_engine(model, part, 1, false);
    fn_engine_close(again);
    fn_engine_close(engine);
    free(model);
    fn_model_draft_free(draft);
}

static void an_unknown_kernel_family_is_refused(void **state) {
    (void)state;
    struct fn_error err = {0};
    assert_int_equal(try_open(&(struct fn_engine_options){.kernel_family = "quantum"}, &err),
                     FN_USAGE);
    assert_non_null(strstr(err.text, "'quantum'"));
}

static void write_kernel(const char *name, const char *text) {
    FILE *file = fopen(temporary_path(name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_kernel_that_does_not_build_fails_with_the_compilers_line(void **state) {
    (void)state;
    need_device();
    struct fn_error err = {0};
    write_kernel("generic.cl", "#include \"part.h\"\n__kernel void conv(void) { nonsense; }\n");
    write_kernel("part.h", "/* nothing */\n");
    const struct fn_engine_options options = {.kernel_dir = temporary_dir};
    assert_int_equal(try_open(&options, &err), FN_DEVICE_FAILED);
    assert_non_null(strstr(err.text, "nonsense"));
    assert_null(strchr(err.text, '\n'));
}

static void a_kernel_that_includes_itself_or_nothing_is_refused(void **state) {
    (void)state;
    need_device();
    struct fn_error err = {0};
    const struct fn_engine_options options = {.kernel_dir = temporary_dir};
    write_kernel("generic.cl", "#include \"generic.cl\"\n");
    assert_int_equal(try_open(&options, &err), FN_IO);
    write_kernel("generic.cl", "#include \"absent.h\"\n");
    assert_int_equal(try_open(&options, &err), FN_IO);
    assert_non_null(strstr(err.text, "absent.h"));
}

/* The only program in the directory. */
static void find_program(const char *dir, char ret_path[PATH_MAX]) {
    DIR *d = opendir(dir);
    int n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        int length = snprintf(ret_path, PATH_MAX, "%s/%s", dir, e->d_name);
        assert_true(length < PATH_MAX);
        n++;
    }
    (void)closedir(d);
    assert_int_equal(n, 1);
}

static void damage(const char *path, long offset, bool truncate_there) {
    if (truncate_there) {
        assert_int_equal(truncate(path, offset), 0);
        return;
    }
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 0x55, file), EOF);
    assert_int_equal(fclose(file), 0);
}

static void a_cached_program_gives_the_same_bits_and_a_damaged_one_is_rebuilt(void **state) {
    (void)state;
    need_device();
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    char shared[PATH_MAX + 64], path[PATH_MAX];
    struct stat built, kept;
    (void)snprintf(shared, sizeof shared, "%s", cache_dir);
    (void)snprintf(cache_dir, sizeof cache_dir, "%s", temporary_path("fresh-cache"));
    size_t size = 2 * (size_t)model->network.embedding_size * sizeof(int32_t);
    int32_t *expected = NULL;
    for (int round = 0; round < 4; round++) {
        struct fn_engine *engine = open_engine(model, "auto", 2, false);
        int32_t *found = run_pictures(model, engine, 2);
        fn_engine_close(engine);
        find_program(cache_dir, path);
        if (round == 0) {
            expected = found;
            assert_int_equal(stat(path, &built), 0);
            continue;
        }
        assert_memory_equal(expected, found, size);
        free(found);
        assert_int_equal(stat(path, &kept), 0);
        if (round == 1) {
            assert_int_equal(kept.st_ino, built.st_ino); /* a hit writes nothing */
            damage(path, kept.st_size / 2, false);
        } else {
            assert_int_not_equal(kept.st_ino, built.st_ino);
            damage(path, kept.st_size / 2, true);
        }
        built = kept;
    }
    free(expected);
    (void)snprintf(cache_dir, sizeof cache_dir, "%s", shared);
    free(model);
    fn_model_draft_free(draft);
}

static int prepare(void **state) {
    if (temporary_make(state) != 0) return -1;
    (void)snprintf(cache_dir, sizeof cache_dir, "%s", temporary_path("cache"));
    return 0;
}

/* After the test that forks. */
static void there_is_a_device_or_the_rest_is_skipped(void **state) {
    (void)state;
    struct fn_error err = {0};
    fn_status status = try_open(&(struct fn_engine_options){.cache_dir = cache_dir}, &err);
    if (status == FN_NO_DEVICE) skip();
    if (status != FN_OK) fail_msg("%s", err.text);
    has_device = true;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_platform_one_line_says_so),
        cmocka_unit_test(there_is_a_device_or_the_rest_is_skipped),
        cmocka_unit_test(convolutions_of_any_width_agree),
        cmocka_unit_test(kernels_of_any_shape_stride_and_padding_agree),
        cmocka_unit_test(a_kernel_as_large_as_the_picture_agrees),
        cmocka_unit_test(signed_inputs_agree),
        cmocka_unit_test(accumulators_at_both_ends_of_int32_agree),
        cmocka_unit_test(residuals_of_any_shift_agree),
        cmocka_unit_test(branches_land_side_by_side_in_a_concat),
        cmocka_unit_test(pools_of_any_shift_agree),
        cmocka_unit_test(heads_of_any_size_agree),
        cmocka_unit_test(a_seeded_network_agrees_at_every_batch_size),
        cmocka_unit_test(sharing_the_arena_changes_nothing),
        cmocka_unit_test(the_real_network_passes_its_self_test),
        cmocka_unit_test(the_portable_kernels_agree_too),
        cmocka_unit_test(a_profile_times_every_layer),
        cmocka_unit_test(an_unknown_device_is_refused_with_the_list_of_those_there),
        cmocka_unit_test(a_device_is_found_by_part_of_its_name_in_any_case),
        cmocka_unit_test(an_unknown_kernel_family_is_refused),
        cmocka_unit_test(a_kernel_that_does_not_build_fails_with_the_compilers_line),
        cmocka_unit_test(a_kernel_that_includes_itself_or_nothing_is_refused),
        cmocka_unit_test(a_cached_program_gives_the_same_bits_and_a_damaged_one_is_rebuilt),
    };
    return cmocka_run_group_tests_name("opencl", tests, prepare, temporary_remove);
}
