/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lfw.c -- files of pairs, right and wrong, and the pictures they name. */
#include <string.h>
#include <sys/stat.h>

#include "model/evaluate/lfw.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"

static fn_status parse(const char *text, struct fn_lfw *lfw, struct fn_error *err) {
    return fn_lfw_parse("p.txt", text, strlen(text), lfw, err);
}

#define TWO_FOLDS                                                                                  \
    "2\t1\r\nBo\t2\t1\r\nBo\t1\tAl\t1\r\n"                                                         \
    "Al\t1\t12345\r\nCy_Li\t3\tBo\t2\r\n"

static void folds_pairs_and_pictures_are_read(void **state) {
    (void)state;
    struct fn_lfw lfw;
    struct fn_error err = {0};
    assert_ok(parse(TWO_FOLDS, &lfw, &err), err);
    assert_int_equal(lfw.n_folds, 2);
    assert_int_equal(lfw.n_pairs, 4);
    static const char *const keys[] = {"Al/Al_0001", "Al/Al_12345", "Bo/Bo_0001", "Bo/Bo_0002",
                                       "Cy_Li/Cy_Li_0003"};
    static const int lines[] = {3, 4, 2, 2, 5};
    assert_int_equal(lfw.n_pictures, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(lfw.pictures[i].key, keys[i]);
        assert_int_equal(lfw.pictures[i].line, lines[i]);
    }
    assert_int_equal(lfw.pictures[1].person, lfw.pictures[0].person);
    assert_int_not_equal(lfw.pictures[2].person, lfw.pictures[1].person);
    static const struct fn_lfw_pair pairs[] = {
        {3, 2, true, 0}, {2, 0, false, 0}, {0, 1, true, 1}, {4, 3, false, 1}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(lfw.pairs[i].a, pairs[i].a);
        assert_int_equal(lfw.pairs[i].b, pairs[i].b);
        assert_int_equal(lfw.pairs[i].same, pairs[i].same);
        assert_int_equal(lfw.pairs[i].fold, pairs[i].fold);
    }
    fn_lfw_done(&lfw);
}

static void one_number_is_one_set(void **state) {
    (void)state;
    struct fn_lfw lfw;
    struct fn_error err = {0};
    assert_ok(parse("1\nAl\t1\t2\nAl\t1\tBo\t1", &lfw, &err), err); /* no newline at the end */
    assert_int_equal(lfw.n_folds, 1);
    assert_int_equal(lfw.n_pairs, 2);
    fn_lfw_done(&lfw);
}

static void every_mistake_is_named_with_its_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "p.txt:1:"},
        {"ten\n", "p.txt:1:"},
        {"0\nAl\t1\t2\nAl\t1\tBo\t1\n", "p.txt:1:"},
        {"1\t1\t1\nAl\t1\t2\nAl\t1\tBo\t1\n", "p.txt:1:"},
        {"1000\t1000\nAl\t1\t2\nAl\t1\tBo\t1\n", "p.txt:1:"},
        {"100\t1000\nAl\t1\t2\nAl\t1\tBo\t1\n", "too short"},
        {"1\nAl\t1\nAl\t1\tBo\t1\n", "p.txt:2: expected name, number, number"},
        {"1\nAl\t0\t2\nAl\t1\tBo\t1\n", "p.txt:2: expected a picture's number"},
        {"1\nAl\t1\t99999999\nAl\t1\tBo\t1\n", "p.txt:2: expected a picture's number"},
        {"1\nAl\t1\t-2\nAl\t1\tBo\t1\n", "p.txt:2: expected a picture's number"},
        {"1\n../x\t1\t2\nAl\t1\tBo\t1\n", "p.txt:2: expected a person's name"},
        {"1\na/b\t1\t2\nAl\t1\tBo\t1\n", "p.txt:2: expected a person's name"},
        {"1\n\t1\t2\nAl\t1\tBo\t1\n", "p.txt:2: expected a person's name"},
        {"1\nAl\t1\t2\nAl\t1\tBo\n", "p.txt:3: expected name, number, name"},
        {"1\nAl\t1\t2\nAl\t1\tAl\t2\n", "p.txt:3: expected two different people"},
        {"1\nAl\t1\t2\nAl\t1\tBo\t1\tCy\t1\t2\n", "p.txt:3:"},
        {"1\nAl\t1\t2222222222\n", "p.txt:2:"},
        {"1\nAl\t1\t2\nAl\t1\tBo\t1\nAl\t1\t3\n", "p.txt:4: expected the end"},
        {"2\nAl\t1\t2\nAl\t1\t3\nAl\t1\tBo\t1\n", "p.txt:5: expected a pair of two people"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fn_lfw lfw;
        struct fn_error err = {0};
        assert_int_equal(parse(cases[i].text, &lfw, &err), FN_BAD_SOURCE);
        if (!strstr(err.text, cases[i].says))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.text, cases[i].says);
    }
}

static void touch(const char *folder, const char *file) {
    char name[64];
    (void)mkdir(temporary_path(folder), 0700);
    (void)snprintf(name, sizeof name, "%s/%s", folder, file);
    FILE *stream = fopen(temporary_path(name), "w");
    assert_non_null(stream);
    assert_int_equal(fclose(stream), 0);
}

static void make_tree(void) {
    touch("Al", "Al_0001.jpg");
    touch("Al", "Al_12345.png");
    touch("Bo", "Bo_0001.jpg");
    touch("Bo", "Bo_0002.jpg");
    touch("Bo", "Bo_0002.png"); /* the same picture again */
    touch("Cy_Li", "Cy_Li_0003.webp");
    touch("Abe", "Abe_0001.jpg");
    touch("Abe", "Abe_1.jpg");   /* not LFW's form */
    touch("Abe", "Bo_0001.jpg"); /* of somebody else's name */
    touch("Abe", "Abe_0002.txt");
}

static void pictures_are_found_in_any_format(void **state) {
    (void)state;
    make_tree();
    struct fn_lfw lfw;
    struct fn_paths paths;
    struct fn_error err = {0};
    assert_ok(parse(TWO_FOLDS, &lfw, &err), err);
    assert_ok(fn_lfw_find("p.txt", temporary_dir, false, &lfw, &paths, &err), err);
    assert_int_equal(paths.n, 5);
    assert_string_equal(paths.path[1], temporary_path("Al/Al_12345.png"));
    assert_string_equal(paths.path[3], temporary_path("Bo/Bo_0002.jpg"));
    fn_paths_done(&paths);
    fn_lfw_done(&lfw);
}

static void everyone_adds_the_others_and_keeps_the_pairs(void **state) {
    (void)state;
    make_tree();
    struct fn_lfw lfw;
    struct fn_paths paths;
    struct fn_error err = {0};
    assert_ok(parse(TWO_FOLDS, &lfw, &err), err);
    assert_ok(fn_lfw_find("p.txt", temporary_dir, true, &lfw, &paths, &err), err);
    assert_int_equal(lfw.n_pictures, 6);
    assert_int_equal(paths.n, 6);
    assert_string_equal(lfw.pictures[0].key, "Abe/Abe_0001");
    assert_string_equal(lfw.pictures[lfw.pairs[0].a].key, "Bo/Bo_0002");
    assert_string_equal(lfw.pictures[lfw.pairs[3].a].key, "Cy_Li/Cy_Li_0003");
    for (size_t i = 1; i < 6; i++)
        assert_int_equal(lfw.pictures[i].person - lfw.pictures[i - 1].person,
                         i == 1 || i == 3 || i == 5);
    fn_paths_done(&paths);
    fn_lfw_done(&lfw);
}

static void a_missing_picture_is_named_with_its_line(void **state) {
    (void)state;
    make_tree();
    assert_int_equal(remove(temporary_path("Cy_Li/Cy_Li_0003.webp")), 0);
    struct fn_lfw lfw;
    struct fn_paths paths;
    struct fn_error err = {0};
    assert_ok(parse(TWO_FOLDS, &lfw, &err), err);
    assert_int_equal(fn_lfw_find("p.txt", temporary_dir, false, &lfw, &paths, &err), FN_IO);
    assert_non_null(strstr(err.text, "p.txt:5:"));
    assert_non_null(strstr(err.text, "Cy_Li/Cy_Li_0003.jpg"));
    fn_lfw_done(&lfw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folds_pairs_and_pictures_are_read),
        cmocka_unit_test(one_number_is_one_set),
        cmocka_unit_test(every_mistake_is_named_with_its_line),
        cmocka_unit_test_setup_teardown(pictures_are_found_in_any_format, temporary_make,
                                        temporary_remove),
        cmocka_unit_test_setup_teardown(everyone_adds_the_others_and_keeps_the_pairs,
                                        temporary_make, temporary_remove),
        cmocka_unit_test_setup_teardown(a_missing_picture_is_named_with_its_line, temporary_make,
                                        temporary_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
