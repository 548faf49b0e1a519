/* SPDX-License-Identifier: Apache-2.0
 *
 * Before and after: figures against sums done here, names in both spellings, and the report's page
 * in a real browser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/model_writer.h"
#include "model/inspect/compare.h"
#include "model/inspect/report_page.h"

static const float beta[] = {0.11F, -0.52F, 0.0F, 1.7F, -0.003F};

static struct fn_source *source_with_beta(void) {
    struct fn_source *source = NULL;
    assert_int_equal(fn_source_new("test", &source, NULL), FN_OK);
    const struct fn_source_array array = {
        .data = beta, .dtype = FN_DTYPE_F32, .shape = {5, 1, 1, 1}, .stride = {1}};
    assert_int_equal(fn_source_add(source, "InceptionResnetV1/Block8/Branch_0/Conv2d_1x1",
                                   FN_PART_BETA, &array, NULL),
                     FN_OK);
    return source;
}

static void a_tensor_is_found_with_slashes_and_with_underscores(void **state) {
    (void)state;
    static const char *const names[] = {
        "InceptionResnetV1/Block8/Branch_0/Conv2d_1x1/BatchNorm/beta",
        "InceptionResnetV1_Block8_Branch_0_Conv2d_1x1_BatchNorm_beta",
        "InceptionResnetV1/Block8/Branch_0/Conv2d_1x1/BatchNorm_beta",
        "Block8/Branch_0/Conv2d_1x1/BatchNorm/beta:0"};
    struct fn_source *source = source_with_beta();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct fn_comparison c;
        assert_int_equal(fn_compare_source(source, names[i], 7, &c, NULL), FN_OK);
        assert_string_equal(c.name, names[0]);
        fn_comparison_done(&c);
    }
    struct fn_comparison none;
    struct fn_error err = {0};
    assert_int_equal(fn_compare_source(source, "Block8/beta", 7, &none, &err), FN_USAGE);
    assert_non_null(strstr(err.text, names[0]));
    fn_source_free(source);
}

static void before_after_and_figures_are_those_of_the_original_method(void **state) {
    (void)state;
    struct fn_source *source = source_with_beta();
    struct fn_comparison c;
    assert_int_equal(
        fn_compare_source(source, "Block8_Branch_0_Conv2d_1x1_BatchNorm_beta", 7, &c, NULL), FN_OK);
    static const char *const bits[] = {"00001110", "11000010", "00000001", "01111111", "10000001"};
    static const double after[] = {14 / 128., -66 / 128., 1 / 128., 127 / 128., -1 / 128.};
    double signal = 0, noise = 0, sum = 0;
    for (size_t i = 0; i < 5; i++) {
        double x = (double)beta[i], error = fabs(after[i] - x);
        assert_string_equal(c.elements[i].bits, bits[i]);
        assert_true(c.elements[i].before == x && c.elements[i].after == after[i]);
        signal += x * x;
        noise += error * error;
        sum += error;
    }
    const struct fn_comparison_summary s = fn_comparison_summarize(&c);
    assert_true(s.low == (double)beta[1] && s.high == (double)beta[3]);
    assert_int_equal(s.n_clipped, 3); /* too large, and two below the smallest step */
    assert_true(fabs(s.mean_error - sum / 5) < 1e-12);
    assert_true(fabs(s.worst_error - ((double)beta[3] - 127 / 128.)) < 1e-12);
    assert_true(fabs(s.sqnr_db - 10 * log10(signal / noise)) < 1e-9);
    fn_comparison_done(&c);
    fn_source_free(source);
}

static void without_an_n_the_one_of_least_error_is_taken(void **state) {
    (void)state;
    struct fn_source *source = source_with_beta();
    double least = INFINITY, found = 0;
    for (int n = -1; n <= 7; n++) {
        struct fn_comparison c;
        double noise = 0;
        assert_int_equal(
            fn_compare_source(source, "Block8_Branch_0_Conv2d_1x1_BatchNorm_beta", n, &c, NULL),
            FN_OK);
        for (size_t i = 0; i < c.n; i++)
            noise += pow(c.elements[i].after - c.elements[i].before, 2);
        if (n < 0)
            found = noise;
        else
            least = fmin(least, noise);
        fn_comparison_done(&c);
    }
    assert_true(found == least);
    fn_source_free(source);
}

/* The page of a small untrained model on one picture, as a file. */
static void write_page(const char *path, size_t *ret_outputs) {
    static struct fn_report_page report;
    static uint8_t crop[FN_CROP_SIZE];
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = NULL;
    for (size_t i = 0; i < sizeof crop; i++) crop[i] = (uint8_t)(i * i >> 3);
    assert_int_equal(fn_untrained_draft(1, 2, 16, &draft, NULL), FN_OK);
    assert_int_equal(fn_model_draft_view(draft, &model, NULL), FN_OK);
    (void)snprintf(model->id, sizeof model->id, "untrained-1");
    (void)snprintf(model->source, sizeof model->source, "<script>alert(1)</script>");
    assert_int_equal(fn_report_page_measure(model, NULL, crop, 1, &report, NULL), FN_OK);
    *ret_outputs = (size_t)report.layers[0].n_outputs;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fn_report_page_write(file, &report);
    assert_int_equal(fclose(file), 0);
    fn_report_page_done(&report);
    free(model);
    fn_model_draft_free(draft);
}

/* Fixed commands, on a folder of the test's own. */
static int shell(const char *command) {
    return system(command); /* NOLINT(cert-env33-c) */
}

static void the_report_is_one_page_that_a_browser_shows(void **state) {
    (void)state;
    char folder[] = P_tmpdir "/facenetd-report.XXXXXX", path[PATH_MAX], command[3 * PATH_MAX];
    static char page[1 << 20], shown[1 << 20];
    size_t outputs;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/report.html", folder);
    write_page(path, &outputs);
    assert_int_equal(outputs, 79 * 79 * 2);
    FILE *file = fopen(path, "r");
    size_t size = fread(page, 1, sizeof page - 1, file);
    (void)fclose(file);
    assert_true(size > 10000);
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "://"));
    assert_null(strstr(page, "nan"));
    assert_non_null(strstr(page, "&lt;script&gt;alert(1)"));
    bool browser = shell("command -v chromium > /dev/null 2>&1") == 0;
    if (browser) {
        (void)snprintf(command, sizeof command,
                       "timeout 60 chromium --headless --no-sandbox --disable-gpu "
                       "--user-data-dir='%s/profile' --dump-dom 'file://%s' > '%s/dom' 2>/dev/null",
                       folder, path, folder);
        assert_int_equal(shell(command), 0);
        (void)snprintf(path, sizeof path, "%s/dom", folder);
        file = fopen(path, "r");
        assert_non_null(file);
        assert_true(fread(shown, 1, sizeof shown - 1, file) > 0);
        (void)fclose(file);
    }
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(shell(command), 0);
    if (!browser) skip();
    assert_non_null(strstr(shown, "<h1>Quantization of model untrained-1</h1>"));
    assert_non_null(strstr(shown, "<svg"));
    size_t rows = 0;
    for (const char *at = shown; (at = strstr(at, "<tr>")); at++) rows++;
    assert_int_equal(rows, 1 + 136); /* the heading, 132 convolutions, three pools, the head */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tensor_is_found_with_slashes_and_with_underscores),
        cmocka_unit_test(before_after_and_figures_are_those_of_the_original_method),
        cmocka_unit_test(without_an_n_the_one_of_least_error_is_taken),
        cmocka_unit_test(the_report_is_one_page_that_a_browser_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
