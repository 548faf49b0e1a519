/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pairs.c -- lists of pairs in both formats, and who is who. */
#include "model/evaluate/pairs.h"

#include <string.h>
#include <unistd.h>

#include "engine/file.h"
#include "tests/unit/support/cmocka_all.h"

static struct fn_pairs parsed;

static void parse(const char *text) {
    struct fn_error err;
    fn_pairs_done(&parsed);
    assert_ok(fn_pairs_parse("list", text, strlen(text), &parsed, &err), err);
}

static void lfw_lists_name_people_and_numbers(void **state) {
    (void)state;
    parse("2\t1\nAnn_Lee\t1\t12\nAnn_Lee\t1\tBo\t3\r\nBo\t3\t4\nBo\t4\tAnn_Lee\t1\n\n");
    assert_int_equal(parsed.n_pairs, 4);
    assert_int_equal(parsed.n_pictures, 4);
    assert_int_equal(parsed.n_people, 2);
    assert_string_equal(parsed.pictures[1], "Ann_Lee/Ann_Lee_0012.jpg");
    assert_string_equal(parsed.pictures[2], "Bo/Bo_0003.jpg");
    assert_true(parsed.pairs[0].same && !parsed.pairs[1].same && parsed.pairs[2].same);
    assert_true(parsed.pairs[1].a == 0 && parsed.pairs[1].b == 2);
    assert_true(parsed.people[0] == 0 && parsed.people[1] == 0 && parsed.people[3] == 1);
}

static void csv_lists_name_pictures_and_a_verdict(void **state) {
    (void)state;
    parse("first,second,same\na.jpg, b.jpg "
          ",1\nb.jpg,c.jpg,true\nc.jpg,d.jpg,different\nx/1.png,x/2.png,same\n"
          "x/1.png,a.jpg,0");
    assert_int_equal(parsed.n_pairs, 5);
    assert_int_equal(parsed.n_pictures, 6);
    assert_int_equal(parsed.n_people, 3); /* a b c; d; x */
    assert_true(parsed.people[0] == parsed.people[2] && parsed.people[3] == 1);
    assert_true(parsed.people[4] == 2 && parsed.people[5] == 2);
}

static void pictures_of_one_folder_are_one_person_unsaid(void **state) {
    (void)state;
    parse("x/1.png,y/1.png,0\nx/2.png,y/2.png,0\nxy/1.png,y/2.png,0\n1.png,2.png,0\n");
    assert_int_equal(parsed.n_people, 5);
    assert_true(parsed.people[0] == parsed.people[2] && parsed.people[1] == parsed.people[3]);
}

static void a_thousand_pictures_keep_their_numbers(void **state) {
    (void)state;
    char text[64000];
    size_t n = 0;
    for (int i = 0; i < 1000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "p%d/a.jpg,p%d/b.jpg,1\n", i, i);
    parse(text);
    assert_int_equal(parsed.n_pictures, 2000);
    assert_int_equal(parsed.n_people, 1000);
    for (size_t i = 0; i < 1000; i++) {
        assert_true(parsed.pairs[i].a == 2 * i && parsed.pairs[i].b == 2 * i + 1);
        assert_int_equal(parsed.people[2 * i + 1], i);
    }
}

static void what_is_no_pair_is_refused_by_line(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"", "as the first line"},
        {"first,second,same\n", "no pairs"},
        {"300\n", "too short"},
        {"1\nAnn\t1\n", "list:"},
        {"1\nAnn\t1\t1\nAnn\t1\tBo\t1\n", "list:2: expected two different pictures"},
        {"1\n../Ann\t1\t2\nAnn\t1\tBo\t1\n", "list:2"},
        {"a.jpg,b.jpg,1\nc.jpg,d.jpg,maybe\n", "list:2: expected \"a.jpg,b.jpg,1\""},
        {"a.jpg,b.jpg,1\nc.jpg,d.jpg\n", "list:2"},
        {"a.jpg,b.jpg,1\n/etc/passwd,d.jpg,1\n", "below the folder"},
        {"a.jpg,b.jpg,1\nx/../../y,d.jpg,1\n", "below the folder"},
        {"a.jpg,b.jpg,1\n,d.jpg,1\n", "below the folder"},
        {"x/a.jpg,x/b.jpg,0\n", "said to be two people"},
        {"a.jpg,b.jpg,1\nb.jpg,c.jpg,1\nc.jpg,a.jpg,0\n", "said to be two people"}};
    struct fn_error err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fn_status status = fn_pairs_parse("list", bad[i][0], strlen(bad[i][0]), &parsed, &err);
        assert_int_equal(status, FN_BAD_SOURCE);
        if (!strstr(err.text, bad[i][1]))
            fail_msg("\"%s\" gives \"%s\", expected \"%s\"", bad[i][0], err.text, bad[i][1]);
    }
    assert_int_equal(fn_pairs_parse("list", "a,b,1\n\0", 7, &parsed, &err), FN_BAD_SOURCE);
}

static void the_list_of_fold_1_is_read(void **state) {
    (void)state;
    uint8_t *bytes;
    size_t size;
    struct fn_error err;
    if (access("../shared/data/lfw-fold1/pairs.txt", F_OK) != 0) skip();
    assert_ok(fn_file_read("../shared/data/lfw-fold1/pairs.txt", 1 << 20, &bytes, &size, &err),
              err);
    fn_pairs_done(&parsed);
    assert_ok(fn_pairs_parse("pairs.txt", (const char *)bytes, size, &parsed, &err), err);
    assert_int_equal(parsed.n_pairs, 600);
    assert_int_equal(parsed.n_pictures, 807);
    free(bytes);
}

static int done(void **state) {
    (void)state;
    fn_pairs_done(&parsed);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lfw_lists_name_people_and_numbers),
        cmocka_unit_test(csv_lists_name_pictures_and_a_verdict),
        cmocka_unit_test(pictures_of_one_folder_are_one_person_unsaid),
        cmocka_unit_test(a_thousand_pictures_keep_their_numbers),
        cmocka_unit_test(what_is_no_pair_is_refused_by_line),
        cmocka_unit_test(the_list_of_fold_1_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
