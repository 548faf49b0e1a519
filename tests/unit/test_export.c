/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory images: every format read back by a parser of its own here, the tiled order against its
 * definition, and the Verilog ones by Icarus Verilog. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ctype.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/model_writer.h"
#include "model/inspect/export.h"

#define WORD  8
#define DEPTH 9001 /* above one 64 KiB segment of Intel-HEX */

static uint8_t bytes[DEPTH * WORD];
static char folder[] = P_tmpdir "/facenetd-export.XXXXXX";

/* Fixed commands, on a folder of the test's own. */
static int shell(const char *command) {
    return system(command); /* NOLINT(cert-env33-c) */
}

static int set_up(void **state) {
    (void)state;
    uint32_t r = 1;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)((r = r * 1664525 + 1013904223) >> 24);
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char command[PATH_MAX];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return shell(command);
}

static char *written(enum fn_image_format format, const struct fn_image *image) {
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    fn_image_write(to, format, image);
    assert_int_equal(fclose(to), 0);
    return text;
}

static const struct fn_image whole = {"whole", bytes, DEPTH, WORD, 1};

/* Hex digits, most significant first, to little-endian bytes; returns where they end. */
static const char *read_hex_word(const char *text, uint8_t *ret) {
    for (int i = WORD - 1; i >= 0; i--, text += 2) {
        char digits[3] = {text[0], text[1], 0}, *end;
        ret[i] = (uint8_t)strtoul(digits, &end, 16);
        assert_ptr_equal(end, digits + 2);
    }
    return text;
}

static void a_mif_file_reads_back(void **state) {
    (void)state;
    char *text = written(FN_IMAGE_MIF, &whole);
    assert_non_null(strstr(text, "WIDTH=64;\nDEPTH=9001;\nADDRESS_RADIX=HEX;\nDATA_RADIX=HEX;\n"));
    const char *at = strstr(text, "BEGIN\n") + 6;
    for (size_t i = 0; i < DEPTH; i++) {
        uint8_t word[WORD];
        char *end;
        assert_int_equal(strtoul(at, &end, 16), i);
        assert_memory_equal(end, " : ", 3);
        at = read_hex_word(end + 3, word);
        assert_memory_equal(word, bytes + i * WORD, WORD);
        assert_memory_equal(at, ";\n", 2);
        at += 2;
    }
    assert_string_equal(at, "END;\n");
    free(text);
}

static void a_coe_file_reads_back(void **state) {
    (void)state;
    char *text = written(FN_IMAGE_COE, &whole);
    assert_non_null(strstr(text, "memory_initialization_radix=16;\n"));
    const char *at = strstr(text, "vector=\n") + 8;
    for (size_t i = 0; i < DEPTH; i++) {
        uint8_t word[WORD];
        at = read_hex_word(at, word);
        assert_memory_equal(word, bytes + i * WORD, WORD);
        assert_memory_equal(at, i + 1 < DEPTH ? ",\n" : ";\n", 2);
        at += 2;
    }
    assert_int_equal(*at, 0);
    free(text);
}

static void an_intel_hex_file_reads_back_with_its_checksums(void **state) {
    (void)state;
    char *text = written(FN_IMAGE_HEX, &whole);
    static uint8_t found[sizeof bytes];
    size_t upper = 0, n = 0;
    bool ended = false;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        uint8_t record[64] = {0}, sum = 0;
        size_t size = strlen(line) / 2;
        assert_int_equal(line[0], ':');
        assert_false(ended);
        for (size_t i = 0; i < size; i++) {
            char digits[3] = {line[1 + 2 * i], line[2 + 2 * i], 0};
            record[i] = (uint8_t)strtoul(digits, NULL, 16);
            sum = (uint8_t)(sum + record[i]);
        }
        assert_int_equal(sum, 0);
        assert_int_equal(record[0] + 5, size);
        size_t address = upper + ((size_t)record[1] << 8 | record[2]);
        if (record[3] == 4) upper = ((size_t)record[4] << 8 | record[5]) << 16;
        if (record[3] == 0) {
            memcpy(found + address, record + 4, record[0]);
            n += record[0];
        }
        ended = record[3] == 1;
    }
    assert_true(ended);
    assert_int_equal(n, sizeof bytes);
    assert_memory_equal(found, bytes, sizeof bytes);
    free(text);
}

static void bits_and_c_arrays_read_back(void **state) {
    (void)state;
    char *text = written(FN_IMAGE_BITS, &whole);
    for (size_t i = 0; i < sizeof bytes; i++) {
        char line[9];
        memcpy(line, text + 9 * i, 8);
        line[8] = '\0';
        assert_int_equal(strtoul(line, NULL, 2), bytes[i]);
        assert_int_equal(text[9 * i + 8], '\n');
    }
    free(text);
    text = written(FN_IMAGE_C, &whole);
    assert_memory_equal(text, "static const int8_t whole[72008] = {", 36);
    char *at = strchr(text, '{') + 1;
    for (size_t i = 0; i < sizeof bytes; i++) {
        assert_int_equal(strtol(at, &at, 10), (int8_t)bytes[i]);
        assert_int_equal(*at++, ',');
    }
    free(text);
}

static void sign_and_magnitude_is_the_original_form(void **state) {
    (void)state;
    uint8_t weights[] = {0, 1, 127, 0xff, 0x81, 0x80};
    const uint8_t expected[] = {0, 1, 127, 0x81, 0xff, 0xff};
    fn_image_sign_magnitude(weights, 6, 1);
    assert_memory_equal(weights, expected, 6);
    int32_t biases[] = {5, -5, INT32_MIN};
    const uint32_t wide[] = {5, 0x80000005u, 0xffffffffu};
    fn_image_sign_magnitude((uint8_t *)biases, 3, 4);
    assert_memory_equal(biases, wide, sizeof wide);
}

/* A bench that loads an image and prints its words. */
static void load_in_icarus(enum fn_image_format format, const char *task) {
    if (shell("command -v iverilog > /dev/null 2>&1") != 0) skip();
    const struct fn_image image = {"small", bytes, 300, WORD, 1};
    char path[PATH_MAX], command[3 * PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/small.mem", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fn_image_write(file, format, &image);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(path, sizeof path, "%s/bench.v", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fprintf(file,
                  "module bench;\n  reg [63:0] memory [0:299];\n  integer i;\n  initial begin\n"
                  "    %s(\"%s/small.mem\", memory);\n"
                  "    for (i = 0; i < 300; i = i + 1) $display(\"%%h\", memory[i]);\n  end\n"
                  "endmodule\n",
                  task, folder);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(command, sizeof command,
                   "cd '%s' && iverilog -o bench bench.v && vvp -n bench > out", folder);
    assert_int_equal(shell(command), 0);
    (void)snprintf(path, sizeof path, "%s/out", folder);
    file = fopen(path, "r");
    assert_non_null(file);
    for (size_t i = 0; i < 300; i++) {
        char line[64];
        uint8_t word[WORD];
        assert_non_null(fgets(line, sizeof line, file));
        (void)read_hex_word(line, word);
        assert_memory_equal(word, bytes + i * WORD, WORD);
    }
    (void)fclose(file);
}

static void icarus_verilog_loads_memh(void **state) {
    (void)state;
    load_in_icarus(FN_IMAGE_MEMH, "$readmemh");
}

static void icarus_verilog_loads_memb(void **state) {
    (void)state;
    load_in_icarus(FN_IMAGE_MEMB, "$readmemb");
}

static void every_order_holds_every_weight_where_it_says(void **state) {
    (void)state;
    struct fn_model_draft *draft = NULL;
    struct fn_model *model = NULL;
    assert_int_equal(fn_untrained_draft(7, 3, 16, &draft, NULL), FN_OK);
    assert_int_equal(fn_model_draft_view(draft, &model, NULL), FN_OK);
    for (int layer = 0; layer < model->network.n_layers; layer++) {
        const struct fn_layer *l = &model->network.layers[layer];
        if (l->op == FN_OP_POOL) continue;
        for (int order = FN_EXPORT_TILED; order <= FN_EXPORT_HWIO; order++) {
            struct fn_export_options options = fn_export_defaults();
            options.order = (enum fn_export_order)order;
            options.vec = 4;
            options.lanes = 6;
            uint8_t *image = NULL;
            size_t depth = 0, total = 0;
            assert_int_equal(fn_export_weights(model, layer, &options, &image, &depth, NULL),
                             FN_OK);
            size_t oc = (size_t)l->out_channels, kh = (size_t)l->kernel_h, kw = (size_t)l->kernel_w,
                   ic = (size_t)l->in_channels;
            size_t vecs = (ic + 3) / 4;
            for (size_t o = 0; o < oc; o++)
                for (size_t h = 0; h < kh; h++)
                    for (size_t w = 0; w < kw; w++)
                        for (size_t i = 0; i < ic; i++, total++) {
                            const size_t at[] = {
                                ((((o / 6 * kh + h) * kw + w) * vecs + i / 4) * 6 + o % 6) * 4 +
                                    i % 4,
                                ((o * kh + h) * kw + w) * ic + i,
                                ((o * ic + i) * kh + h) * kw + w,
                                ((h * kw + w) * ic + i) * oc + o,
                            };
                            assert_true(at[order] < depth * 4);
                            assert_int_equal(
                                (int8_t)image[at[order]],
                                model->params[layer].weights[((o * kh + h) * kw + w) * ic + i]);
                        }
            size_t zeros = 0; /* padding is zero: all other bytes are weights */
            for (size_t k = 0; k < depth * 4; k++) zeros += image[k] == 0;
            for (size_t k = 0; k < total; k++) zeros -= model->params[layer].weights[k] == 0;
            assert_int_equal(zeros, depth * 4 - total);
            free(image);
        }
    }
    free(model);
    fn_model_draft_free(draft);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mif_file_reads_back),
        cmocka_unit_test(a_coe_file_reads_back),
        cmocka_unit_test(an_intel_hex_file_reads_back_with_its_checksums),
        cmocka_unit_test(bits_and_c_arrays_read_back),
        cmocka_unit_test(sign_and_magnitude_is_the_original_form),
        cmocka_unit_test(icarus_verilog_loads_memh),
        cmocka_unit_test(icarus_verilog_loads_memb),
        cmocka_unit_test(every_order_holds_every_weight_where_it_says),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
