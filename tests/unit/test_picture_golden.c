/* SPDX-License-Identifier: Apache-2.0
 *
 * test_picture_golden.c -- every test picture gives the pixels and the crop that it gave on the
 * machine of crops.sha256, with the libraries' SIMD and without.
 *
 * test_picture_golden --digests prints crops.sha256 anew, for the files that it lists. */
#include <sys/wait.h>
#include <unistd.h>

#include "engine/sha256.h"
#include "tests/unit/picture_files.h"

#define GOLDEN      PICTURES "crops.sha256" /* lines of "digest  file" */
#define NAME_OFFSET 66

/* The digest of the file's pixels and of its whole crop, together. */
static void digest_picture(const char *name, char ret_hex[FN_SHA256_HEX_SIZE]) {
    struct fn_picture *picture = decode_picture(name);
    static uint8_t crop[FN_CROP_SIZE];
    struct fn_rect whole = {0, 0, picture->width, picture->height};
    struct fn_error err;
    assert_int_equal(fn_picture_crop(picture, whole, crop, &err), FN_OK);
    struct fn_sha256 *sha = fn_sha256_new();
    assert_non_null(sha);
    fn_sha256_add(sha, picture->rgb, 3 * (size_t)picture->width * (size_t)picture->height);
    fn_sha256_add(sha, crop, sizeof crop);
    fn_sha256_finish(sha, ret_hex);
    fn_picture_free(picture);
}

/* What crops.sha256 should be, for the names that it lists. */
static void print_digests(FILE *out) {
    FILE *list = fopen(GOLDEN, "r");
    if (!list) fail_msg("%s cannot be read (run tests in the root of the repository)", GOLDEN);
    char line[256], hex[FN_SHA256_HEX_SIZE];
    while (fgets(line, sizeof line, list)) {
        line[strcspn(line, "\n")] = 0;
        assert_true(strlen(line) > NAME_OFFSET);
        digest_picture(line + NAME_OFFSET, hex);
        (void)fprintf(out, "%s  %s\n", hex, line + NAME_OFFSET);
    }
    (void)fclose(list);
}

/* Every line of `from` is the next one of crops.sha256, and there are as many. */
static void expect_golden(FILE *from) {
    FILE *list = fopen(GOLDEN, "r");
    assert_non_null(list);
    char want[256], got[256];
    int n_lines = 0;
    for (; fgets(want, sizeof want, list); n_lines++) {
        if (!fgets(got, sizeof got, from)) fail_msg("no digest, expected %s", want);
        assert_string_equal(got, want);
    }
    assert_null(fgets(got, sizeof got, from));
    assert_true(n_lines > 40); /* the list is there */
    (void)fclose(list);
}

static void golden_crops_have_the_stated_digests(void **state) {
    (void)state;
    FILE *out = tmpfile();
    assert_non_null(out);
    print_digests(out);
    rewind(out);
    expect_golden(out);
    (void)fclose(out);
}

/* libjpeg-turbo looks at the variable once a process, so this takes another one. */
static void golden_crops_are_the_same_without_jpeg_simd(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)setenv("JSIMD_FORCENONE", "1", 1);
        (void)execl("/proc/self/exe", "test_picture_golden", "--digests", (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    FILE *from = fdopen(ends[0], "r");
    assert_non_null(from);
    expect_golden(from);
    (void)fclose(from);
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--digests") == 0) {
        print_digests(stdout);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_crops_have_the_stated_digests),
        cmocka_unit_test(golden_crops_are_the_same_without_jpeg_simd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
