/* SPDX-License-Identifier: Apache-2.0
 *
 * test_picture_jpeg.c -- JPEG: colour spaces, DCT scaling, what counts as damage, and pictures made
 * to exhaust the decoder. */
#include "tests/unit/picture_files.h"

#include <time.h>

#include <jpeglib.h>

/* ---- pixels -----------------------------------------------------------------------------------
 */

/* make_pictures.py's CMYK pictures: formula_rgb under 4y of black ink. */
static void formula_under_black(int x, int y, uint8_t ret_rgb[3]) {
    formula_rgb(x, y, ret_rgb);
    for (int c = 0; c < 3; c++)
        ret_rgb[c] = (uint8_t)((2 * ret_rgb[c] * (255 - 4 * y) + 255) / 510);
}

static void jpeg_of_every_colour_space_comes_close_to_its_pixels(void **state) {
    (void)state;
    expect_formula("444.jpg", formula_rgb, 6);
    expect_formula("progressive.jpg", formula_rgb, 6);
    expect_formula("420_restart.jpg", formula_rgb, 16); /* chroma at half resolution */
    expect_formula("grey.jpg", formula_grey, 4);
    expect_formula("cmyk_adobe.jpg", formula_under_black, 6);
    expect_formula("cmyk_plain.jpg", formula_under_black, 6);
    expect_formula("ycck.jpg", formula_under_black, 6);
}

struct jpeg {
    unsigned char *bytes; /* owned */
    unsigned long size;
};

/* A grey picture: sample (x, y) is 255x / width. */
static struct jpeg encode_ramp(unsigned width, unsigned height, const jpeg_scan_info *scans,
                               int n_scans) {
    struct jpeg_compress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg out = {NULL, 0};
    cinfo.err = jpeg_std_error(&errors);
    jpeg_create_compress(&cinfo);
    jpeg_mem_dest(&cinfo, &out.bytes, &out.size);
    cinfo.image_width = width;
    cinfo.image_height = height;
    cinfo.input_components = 1;
    cinfo.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&cinfo);
    cinfo.scan_info = scans;
    cinfo.num_scans = n_scans;
    jpeg_start_compress(&cinfo, TRUE);
    uint8_t *row = malloc(width);
    assert_non_null(row);
    for (unsigned x = 0; x < width; x++) row[x] = (uint8_t)(255 * (uint64_t)x / width);
    for (unsigned y = 0; y < height; y++) (void)jpeg_write_scanlines(&cinfo, &row, 1);
    free(row);
    jpeg_finish_compress(&cinfo);
    jpeg_destroy_compress(&cinfo);
    return out;
}

static void expect_scaled(unsigned width, unsigned height, int want_width, int want_height) {
    struct jpeg jpeg = encode_ramp(width, height, NULL, 0);
    struct fn_picture *picture = NULL;
    struct fn_error err;
    if (fn_picture_decode(jpeg.bytes, jpeg.size, 1 << 30, &picture, &err) != FN_OK)
        fail_msg("%u x %u: %s", width, height, err.text);
    assert_int_equal(picture->full_width, width);
    assert_int_equal(picture->full_height, height);
    assert_int_equal(picture->width, want_width);
    assert_int_equal(picture->height, want_height);
    for (int y = 0; y < want_height; y += 97)
        for (int x = 0; x < want_width; x += 7) {
            int got = pixel_at(picture, x, y)[0];
            assert_in_range(got + 4, 255 * x / want_width, 255 * x / want_width + 8);
        }
    fn_picture_free(picture);
    free(jpeg.bytes);
}

static void jpeg_over_12_megapixels_is_scaled_down(void **state) {
    (void)state;
    expect_scaled(4000, 3000, 4000, 3000); /* 12,000,000 exactly */
    expect_scaled(4001, 3000, 2001, 1500);
    expect_scaled(8000, 6000, 4000, 3000);
    expect_scaled(8000, 6002, 2000, 1501);
    expect_scaled(65500, 2940, 8188, 368); /* 1/4 is 16,375 x 735 = 12,035,625 */
}

/* ---- damage -----------------------------------------------------------------------------------
 */

static void a_jpeg_cut_anywhere_is_damage(void **state) {
    (void)state;
    expect_prefixes_fail("420_odd.jpg", 0);
    expect_prefixes_fail("420_restart.jpg", 0);
    expect_prefixes_fail("progressive.jpg", 0);
    expect_prefixes_fail("cmyk_adobe.jpg", 0);
}

static size_t find_marker(const uint8_t *bytes, size_t size, uint8_t marker) {
    for (size_t i = 0; i + 1 < size; i++)
        if (bytes[i] == 0xff && bytes[i + 1] == marker) return i;
    fail_msg("no marker 0x%02x", marker);
    return 0;
}

static void put_end(uint8_t *at) {
    at[0] = 0xff;
    at[1] = 0xd9;
}

static void entropy_data_that_stop_before_the_end_marker_are_damage(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = read_picture("444.jpg", &size);
    size_t scan = find_marker(bytes, size, 0xda);
    for (size_t length = scan + 20; length + 10 < size; length += 10) {
        uint8_t *cut = malloc(length + 2);
        assert_non_null(cut);
        memcpy(cut, bytes, length);
        if (cut[length - 1] == 0xff) cut[length - 1] = 0;
        put_end(cut + length); /* as a careless download tool "repairs" it */
        (void)expect_failure(cut, length + 2, FN_PICTURE_DAMAGED);
        free(cut);
    }
    free(bytes);
}

static void what_other_programs_append_is_no_damage(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = read_picture("444.jpg", &size);
    uint8_t *longer = calloc(1, size + 64);
    struct fn_picture *picture = NULL;
    struct fn_error err;
    assert_non_null(longer);
    memcpy(longer, bytes, size); /* after the end marker */
    assert_int_equal(fn_picture_decode(longer, size + 64, 1 << 20, &picture, &err), FN_OK);
    fn_picture_free(picture);
    memset(longer + size - 2, 0, 66); /* and before it: a warning of libjpeg's that passes */
    put_end(longer + size + 62);
    assert_int_equal(fn_picture_decode(longer, size + 64, 1 << 20, &picture, &err), FN_OK);
    fn_picture_free(picture);
    free(longer);
    free(bytes);
}

static void a_component_without_data_is_damage(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = read_picture("progressive.jpg", &size);
    /* Keep the first scan and call it one of component 1 alone: 2 and 3 then have none. */
    size_t scan = find_marker(bytes, size, 0xda);
    uint8_t *one = malloc(size);
    assert_non_null(one);
    memcpy(one, bytes, scan);
    static const uint8_t header[10] = {0xff, 0xda, 0, 8, 1, 1, 0x00, 0, 0, 0x01};
    memcpy(one + scan, header, sizeof header);
    size_t from = scan + 14, next = from + find_marker(bytes + from, size - from, 0xc4);
    memcpy(one + scan + 10, bytes + from, next - from);
    size_t end = scan + 10 + (next - from);
    put_end(one + end);
    const char *text = expect_failure(one, end + 2, FN_PICTURE_DAMAGED);
    if (!strstr(text, "component 2 of 3")) fail_msg("\"%s\" does not name the component", text);
    free(one);
    free(bytes);
}

static void kinds_that_libjpeg_lacks_are_unsupported_not_damaged(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = read_picture("444.jpg", &size);
    size_t frame = find_marker(bytes, size, 0xc0);
    bytes[frame + 4] = 12; /* bits a sample */
    (void)expect_failure(bytes, size, FN_UNSUPPORTED_FORMAT);
    bytes[frame + 4] = 8;
    bytes[frame + 1] = 0xc3; /* lossless */
    (void)expect_failure(bytes, size, FN_UNSUPPORTED_FORMAT);
    free(bytes);
}

/* ---- exhaustion ---------------------------------------------------------------------------------
 */

/* DC, 63 single coefficients, then refinements of some of them. */
static struct jpeg encode_scans(int n_scans) {
    jpeg_scan_info scans[80] = {{1, {0}, 0, 0, 0, 0}};
    for (int i = 1; i < n_scans; i++)
        scans[i] = i <= 63 ? (jpeg_scan_info){1, {0}, i, i, 0, 1}
                           : (jpeg_scan_info){1, {0}, i - 63, i - 63, 1, 0};
    return encode_ramp(40, 40, scans, n_scans);
}

static void a_progressive_picture_has_at_most_64_scans(void **state) {
    (void)state;
    struct fn_picture *picture = NULL;
    struct fn_error err;
    struct jpeg most = encode_scans(64), more = encode_scans(65);
    assert_int_equal(fn_picture_decode(most.bytes, most.size, 1600, &picture, &err), FN_OK);
    fn_picture_free(picture);
    const char *text = expect_failure(more.bytes, more.size, FN_PICTURE_DAMAGED);
    if (!strstr(text, "64 scans")) fail_msg("\"%s\" does not name the limit", text);
    free(most.bytes);
    free(more.bytes);
}

static void a_header_of_50_megapixels_without_data_costs_nothing(void **state) {
    (void)state;
    struct jpeg jpeg = encode_ramp(8, 8, NULL, 0);
    size_t frame = find_marker(jpeg.bytes, jpeg.size, 0xc0);
    static const uint8_t size[4] = {7000 >> 8, 7000 & 255, 7000 >> 8, 7000 & 255};
    memcpy(jpeg.bytes + frame + 5, size, sizeof size);
    /* 200 of them: a decoder that fills the missing 49 megapixels in takes some 10 s. */
    clock_t before = clock();
    for (int i = 0; i < 200; i++) (void)expect_failure(jpeg.bytes, jpeg.size, FN_PICTURE_DAMAGED);
    assert_true(clock() - before < 5 * CLOCKS_PER_SEC);
    free(jpeg.bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jpeg_of_every_colour_space_comes_close_to_its_pixels),
        cmocka_unit_test(jpeg_over_12_megapixels_is_scaled_down),
        cmocka_unit_test(a_jpeg_cut_anywhere_is_damage),
        cmocka_unit_test(entropy_data_that_stop_before_the_end_marker_are_damage),
        cmocka_unit_test(what_other_programs_append_is_no_damage),
        cmocka_unit_test(a_component_without_data_is_damage),
        cmocka_unit_test(kinds_that_libjpeg_lacks_are_unsupported_not_damaged),
        cmocka_unit_test(a_progressive_picture_has_at_most_64_scans),
        cmocka_unit_test(a_header_of_50_megapixels_without_data_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
