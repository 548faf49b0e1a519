/* SPDX-License-Identifier: Apache-2.0
 *
 * test_opencl.c -- choosing a device and a kernel family, kernels from files, and the cache of
 * built programs. What the kernels compute is tested in test_opencl_layers.c and
 * test_opencl_networks.c. Skipped where there is no OpenCL device. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/prng.h"
#include "tests/unit/support/kernel_copy.h"
#include "tests/unit/support/opencl_engines.h"

/* Accumulators of n pictures, [n][embedding_size]. */
static int32_t *run_pictures(const struct fn_model *model, struct fn_engine *engine, int n) {
    size_t size = (size_t)n * tensor_size(model, 0);
    int8_t *input = malloc(size);
    int32_t *accumulators =
        calloc((size_t)n * (size_t)model->network.embedding_size, sizeof *accumulators);
    struct fn_prng prng = {77};
    struct fn_error err = {0};
    assert_true(input && accumulators);
    fn_prng_fill(&prng, input, size);
    assert_ok(fn_engine_run_tensors(engine, input, n, accumulators, &err), err);
    free(input);
    return accumulators;
}

/* On a device, with the family that is chosen for it. */
static struct fn_engine *open_any(const struct fn_model *model, const char *device, int batch) {
    const struct fn_engine_options options = {
        .device = device, .cache_dir = cache_dir, .max_batch = batch};
    struct fn_engine *engine = NULL;
    struct fn_error err = {0};
    assert_ok(fn_engine_open(model, &options, &engine, &err), err);
    return engine;
}

/* Compilers without the wide vectors take the other spelling of dot.cl.h. */
static void the_portable_kernels_agree_too(void **state) {
    (void)state;
    need_device();
    char dir[PATH_MAX];
    kernel_copy("kernels", "generic.cl", "#undef FN_WIDE", dir);
    kernel_dir = dir;
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    struct fn_engine *reference = open_engine(model, NULL, 3, true);
    struct fn_engine *opencl = open_engine(model, "generic", 3, true);
    free(run_pictures(model, reference, 3));
    free(run_pictures(model, opencl, 3));
    compare_tensors(model, reference, opencl, 3);
    fn_engine_close(opencl);
    fn_engine_close(reference);
    free(model);
    fn_model_draft_free(draft);
    kernel_dir = NULL;
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
    struct fn_engine *engine = open_any(model, "", 1);
    struct fn_engine_description d;
    fn_engine_describe(engine, &d);
    assert_non_null(strstr(err.text, d.platform));
    assert_string_equal(d.backend, "opencl");
    assert_non_null(strstr(d.label, d.kernel_family));
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
    struct fn_engine *engine = open_any(model, "auto", 1);
    struct fn_engine_description d;
    char part[16];
    fn_engine_describe(engine, &d);
    (void)snprintf(part, sizeof part, "%s", d.platform + 1);
    for (char *c = part; *c; c++)
        if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
    struct fn_engine *again = open_any(model, part, 1);
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
        struct fn_engine *engine = open_any(model, "auto", 2);
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

/* A program that is started as the builder is: argument 3 is the family. */
static const char *write_builder(const char *script) {
    write_kernel("builder", script);
    assert_int_equal(chmod(temporary_path("builder"), 0700), 0);
    return temporary_path("builder");
}

static void a_compiler_that_aborts_costs_its_family_and_not_the_process(void **state) {
    (void)state;
    need_device();
    if (!has_family[1]) skip(); /* there is generic alone */
    char builder[PATH_MAX], cache[PATH_MAX];
    (void)snprintf(builder, sizeof builder, "%s",
                   write_builder("#!/bin/sh\ncase $3 in x86-*) kill -ABRT $$ ;; esac\n"));
    (void)snprintf(cache, sizeof cache, "%s", temporary_path("abort-cache"));
    struct fn_engine_options options = {.cache_dir = cache, .builder = builder, .max_batch = 1};
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    struct fn_engine *engine = NULL;
    struct fn_engine_description description;
    struct fn_error err = {0};
    assert_ok(fn_engine_open(model, &options, &engine, &err), err);
    fn_engine_describe(engine, &description);
    assert_string_equal(description.kernel_family, "generic");
    assert_non_null(strstr(description.note, "signal 6"));
    fn_engine_close(engine);
    options.kernel_family = "x86";
    assert_int_equal(fn_engine_open(model, &options, &engine, &err), FN_DEVICE_FAILED);
    free(model);
    fn_model_draft_free(draft);
}

static void kernels_can_be_built_without_a_model(void **state) {
    (void)state;
    need_device();
    char cache[PATH_MAX], path[PATH_MAX];
    struct stat built, kept;
    struct fn_error err = {0};
    (void)snprintf(cache, sizeof cache, "%s", temporary_path("built-cache"));
    struct fn_engine_options options = {
        .device = "auto", .kernel_family = "generic", .cache_dir = cache, .max_batch = 1};
    assert_ok(fn_engine_build_kernels(&options, &err), err);
    find_program(cache, path);
    assert_int_equal(stat(path, &built), 0);
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = seeded_model(&draft);
    struct fn_engine *engine = NULL;
    options.builder = "/nonexistent/builder"; /* not needed any more */
    assert_ok(fn_engine_open(model, &options, &engine, &err), err);
    fn_engine_close(engine);
    find_program(cache, path);
    assert_int_equal(stat(path, &kept), 0);
    assert_int_equal(kept.st_ino, built.st_ino);
    free(model);
    fn_model_draft_free(draft);
    options.kernel_family = "nonsense";
    assert_int_equal(fn_engine_build_kernels(&options, &err), FN_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_platform_one_line_says_so),
        cmocka_unit_test(families_of_this_machine_open_or_the_rest_is_skipped),
        cmocka_unit_test(the_portable_kernels_agree_too),
        cmocka_unit_test(an_unknown_device_is_refused_with_the_list_of_those_there),
        cmocka_unit_test(a_device_is_found_by_part_of_its_name_in_any_case),
        cmocka_unit_test(an_unknown_kernel_family_is_refused),
        cmocka_unit_test(a_kernel_that_does_not_build_fails_with_the_compilers_line),
        cmocka_unit_test(a_kernel_that_includes_itself_or_nothing_is_refused),
        cmocka_unit_test(a_cached_program_gives_the_same_bits_and_a_damaged_one_is_rebuilt),
        cmocka_unit_test(a_compiler_that_aborts_costs_its_family_and_not_the_process),
        cmocka_unit_test(kernels_can_be_built_without_a_model),
    };
    return cmocka_run_group_tests_name("opencl", tests, make_cache, temporary_remove);
}
