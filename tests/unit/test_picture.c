/* SPDX-License-Identifier: Apache-2.0
 *
 * test_picture.c -- PNG and WebP to exact pixels, orientation, limits, refusals and crops. JPEG's
 * own matters are in test_picture_jpeg.c, digests of whole crops in test_picture_golden.c. */
#include "engine/picture/codec.h"
#include "tests/unit/picture_files.h"

/* ---- exact pixels ------------------------------------------------------------------------- */

static uint8_t over_white(int colour, int alpha) {
    /* Nearest integer to the real quotient, by comparing remainders. */
    int sum = colour * alpha + 255 * (255 - alpha);
    int q = sum / 255, r = sum % 255;
    return (uint8_t)(2 * r > 255 ? q + 1 : q);
}

static void formula_rgba(int x, int y, uint8_t ret_rgb[3]) {
    formula_rgb(x, y, ret_rgb);
    for (int c = 0; c < 3; c++) ret_rgb[c] = over_white(ret_rgb[c], 3 * (x + y));
}

static void formula_grey_alpha(int x, int y, uint8_t ret_rgb[3]) {
    memset(ret_rgb, over_white((5 * x + 8 * y) / 2, 3 * (x + y)), 3);
}

static void formula_grey1(int x, int y, uint8_t ret_rgb[3]) {
    memset(ret_rgb, ((x + y) & 1) * 255, 3);
}

static void formula_grey2(int x, int y, uint8_t ret_rgb[3]) {
    memset(ret_rgb, ((x + y) & 3) * 85, 3);
}

static void formula_grey4(int x, int y, uint8_t ret_rgb[3]) {
    memset(ret_rgb, ((x + y) & 15) * 17, 3);
}

/* 16-bit samples that share the key's high byte but not its low one stay. */
static void formula_grey16_key(int x, int y, uint8_t ret_rgb[3]) {
    formula_grey(x, y, ret_rgb);
    if (x == 10 && ret_rgb[0] == (50 + 80) / 2) memset(ret_rgb, 255, 3);
}

static void formula_rgb_key(int x, int y, uint8_t ret_rgb[3]) {
    formula_rgb(x, y, ret_rgb);
    if (x == 10 && y == 10) memset(ret_rgb, 255, 3);
}

static void formula_palette(int x, int y, uint8_t ret_rgb[3]) {
    (void)y;
    ret_rgb[0] = (uint8_t)(5 * x);
    ret_rgb[1] = (uint8_t)(255 - 5 * x);
    ret_rgb[2] = (uint8_t)(2 * x);
}

static void formula_palette_alpha(int x, int y, uint8_t ret_rgb[3]) {
    formula_palette(x, y, ret_rgb);
    for (int c = 0; c < 3 && x < 16; c++) ret_rgb[c] = over_white(ret_rgb[c], 16 * x);
}

static void png_of_every_colour_type_gives_exact_pixels(void **state) {
    (void)state;
    expect_formula("rgb8.png", formula_rgb, 0);
    expect_formula("rgb8_interlaced.png", formula_rgb, 0);
    expect_formula("rgb16.png", formula_rgb, 0);
    expect_formula("grey8.png", formula_grey, 0);
    expect_formula("grey1.png", formula_grey1, 0);
    expect_formula("grey2.png", formula_grey2, 0);
    expect_formula("grey4.png", formula_grey4, 0);
    expect_formula("palette.png", formula_palette, 0);
}

static void png_alpha_is_composited_over_white(void **state) {
    (void)state;
    expect_formula("rgba8.png", formula_rgba, 0);
    expect_formula("rgba8_interlaced.png", formula_rgba, 0);
    expect_formula("rgba16.png", formula_rgba, 0);
    expect_formula("greya8.png", formula_grey_alpha, 0);
    expect_formula("palette_alpha.png", formula_palette_alpha, 0);
    expect_formula("grey16_key.png", formula_grey16_key, 0);
    expect_formula("rgb8_key.png", formula_rgb_key, 0);
}

static void every_colour_and_alpha_is_rounded_to_nearest(void **state) {
    (void)state;
    for (int alpha = 0; alpha < 256; alpha++)
        for (int colour = 0; colour < 256; colour++) {
            uint8_t pixels[8] = {1, 2, 3, 255, (uint8_t)colour, 0, 255, (uint8_t)alpha};
            const uint8_t want[6] = {1, 2, 3, over_white(colour, alpha), over_white(0, alpha), 255};
            fn_picture_flatten(pixels, 2);
            assert_memory_equal(pixels, want, sizeof want);
        }
}

static void png_gamma_changes_nothing(void **state) {
    (void)state;
    expect_formula("rgb8_gamma.png", formula_rgb, 0);
}

static void webp_gives_the_pixels_that_were_encoded(void **state) {
    (void)state;
    expect_formula("lossless.webp", formula_rgb, 0);
    expect_formula("lossless_alpha.webp", formula_rgba, 0);
    expect_formula("lossy.webp", formula_rgb, 24); /* chroma at half resolution */
    expect_formula("lossy_alpha.webp", formula_rgba, 24);
}

static void of_an_animation_the_first_frame_is_put_on_white(void **state) {
    (void)state;
    struct fn_picture *picture = decode_picture("animated.webp");
    assert_int_equal(picture->width, 60);
    assert_int_equal(picture->height, 40);
    for (int y = 0; y < 40; y++)
        for (int x = 0; x < 60; x++) {
            uint8_t want[3] = {255, 255, 255};
            if (x >= 6 && x < 6 + WIDTH && y >= 4 && y < 4 + HEIGHT)
                formula_rgba(x - 6, y - 4, want);
            assert_memory_equal(pixel_at(picture, x, y), want, 3);
        }
    fn_picture_free(picture);
}

/* ---- orientation ---------------------------------------------------------------------------- */

/* Where the stored pixel (x, y) of a w x h picture is shown, by the words of the EXIF standard:
 * what the stored row 0 and column 0 are when shown. */
static void show(int orientation, int w, int h, int x, int y, int *ret_x, int *ret_y) {
    int right = w - 1 - x, bottom = h - 1 - y;
    switch (orientation) {
    case 1:
        *ret_x = x, *ret_y = y;
        break; /* row 0 top, column 0 left */
    case 2:
        *ret_x = right, *ret_y = y;
        break; /* top, right */
    case 3:
        *ret_x = right, *ret_y = bottom;
        break; /* bottom, right */
    case 4:
        *ret_x = x, *ret_y = bottom;
        break; /* bottom, left */
    case 5:
        *ret_x = y, *ret_y = x;
        break; /* row 0 left, column 0 top */
    case 6:
        *ret_x = bottom, *ret_y = x;
        break; /* right, top */
    case 7:
        *ret_x = bottom, *ret_y = right;
        break; /* right, bottom */
    default:
        *ret_x = y, *ret_y = right;
        break; /* left, bottom */
    }
}

static void expect_orientations(const char *ending) {
    char name[64];
    (void)snprintf(name, sizeof name, "orientation1.%s", ending);
    struct fn_picture *stored = decode_picture(name);
    for (int o = 1; o <= 8; o++) {
        (void)snprintf(name, sizeof name, "orientation%d.%s", o, ending);
        struct fn_picture *shown = decode_picture(name);
        assert_int_equal(shown->orientation, o);
        assert_int_equal(shown->width, o < 5 ? WIDTH : HEIGHT);
        assert_int_equal(shown->height, o < 5 ? HEIGHT : WIDTH);
        assert_int_equal(shown->full_width, shown->width);
        assert_int_equal(shown->full_height, shown->height);
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) {
                int at_x, at_y;
                show(o, WIDTH, HEIGHT, x, y, &at_x, &at_y);
                assert_memory_equal(pixel_at(shown, at_x, at_y), pixel_at(stored, x, y), 3);
            }
        fn_picture_free(shown);
    }
    fn_picture_free(stored);
}

static void all_eight_orientations_are_turned_upright(void **state) {
    (void)state;
    expect_orientations("jpg");
    expect_orientations("png");
    expect_orientations("webp");
}

static void png_orientation_may_follow_the_pixels(void **state) {
    (void)state;
    struct fn_picture *picture = decode_picture("orientation6_last.png");
    assert_int_equal(picture->orientation, 6);
    assert_int_equal(picture->width, HEIGHT);
    fn_picture_free(picture);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void other_formats_are_named_and_refused(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *name;
    } others[] = {
        {"", 0, "no bytes"},
        {"GIF89a\1\0\1\0", 10, "GIF"},
        {"\0\0\0\x18"
         "ftypheic\0\0\0\0",
         16, "heif-convert"},
        {"\0\0\0\x1c"
         "ftypavif\0\0\0\0",
         16, "avifdec"},
        {"BM6\0\0\0", 6, "BMP"},
        {"II*\0\x08\0\0\0", 8, "TIFF"},
        {"MM\0*\0\0\0\x08", 8, "TIFF"},
        {"%PDF-1.7", 8, "PDF"},
        {"hello, this is a text", 21, "text"},
        {"/9j/4AAQSkZJRg", 14, "as JSON"},
        {"RIFF\4\0\0\0WAVE", 12, "RIFF"},
        {"\xff\xd8", 2, "no known picture format"},
        {"\0\1\2\3", 4, "no known picture format"},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const char *text = expect_failure(others[i].bytes, others[i].size, FN_UNSUPPORTED_FORMAT);
        if (!strstr(text, others[i].name) || !strstr(text, "JPEG, PNG or WebP"))
            fail_msg("\"%s\" does not say \"%s\" and what is accepted", text, others[i].name);
    }
    (void)expect_failure(NULL, 0, FN_UNSUPPORTED_FORMAT);
}

static void large_headers_are_refused_before_decoding(void **state) {
    (void)state;
    expect_file_fails("header_65500.jpg", FN_TOO_MANY_PIXELS, "65500 x 65500");
    expect_file_fails("header_65500.png", FN_TOO_MANY_PIXELS, "65500 x 65500");
    expect_file_fails("header_65500.webp", FN_TOO_MANY_PIXELS, "65500 x 65500");
    expect_file_fails("wide_70000.png", FN_TOO_MANY_PIXELS, "65535 a side");
    expect_file_fails("wide_100000.webp", FN_TOO_MANY_PIXELS, "65535 a side");
}

static void sizes_of_zero_are_damage(void **state) {
    (void)state;
    expect_file_fails("zero.png", FN_PICTURE_DAMAGED, "PNG");
    expect_file_fails("zero.jpg", FN_PICTURE_DAMAGED, "48 x 0");
}

static void the_limit_of_pixels_is_exact(void **state) {
    (void)state;
    static const char *const names[] = {"444.jpg",    "progressive.jpg", "rgb8.png",
                                        "rgba16.png", "lossless.webp",   "lossy_alpha.webp"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t size;
        uint8_t *bytes = read_picture(names[i], &size);
        struct fn_picture *picture = NULL;
        struct fn_error err;
        assert_int_equal(fn_picture_decode(bytes, size, N_PIXELS - 1, &picture, &err),
                         FN_TOO_MANY_PIXELS);
        assert_non_null(strstr(err.text, "1536 pixels, at most 1535"));
        assert_int_equal(fn_picture_decode(bytes, size, N_PIXELS, &picture, NULL), FN_OK);
        fn_picture_free(picture);
        free(bytes);
    }
}

static void a_file_cut_anywhere_is_damage(void **state) {
    (void)state;
    static const char *const pngs[] = {"rgb8.png", "rgba8_interlaced.png", "palette_alpha.png",
                                       "grey16_key.png", "orientation6_last.png"};
    static const char *const webps[] = {"lossless.webp", "lossy.webp", "lossy_alpha.webp",
                                        "orientation5.webp", "animated.webp"};
    /* The checksum of PNG's empty last chunk is not asked for. */
    for (size_t i = 0; i < sizeof pngs / sizeof pngs[0]; i++) expect_prefixes_fail(pngs[i], 4);
    for (size_t i = 0; i < sizeof webps / sizeof webps[0]; i++) expect_prefixes_fail(webps[i], 0);
}

static void a_png_with_a_wrong_checksum_is_damage(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = read_picture("rgb8.png", &size);
    bytes[size - 12 - 5] ^= 1; /* the last byte before the checksum of IDAT */
    (void)expect_failure(bytes, size, FN_PICTURE_DAMAGED);
    free(bytes);
}

/* ---- crops ------------------------------------------------------------------------------------
 */

static void a_crop_lies_inside_the_picture(void **state) {
    (void)state;
    struct fn_picture *picture = decode_picture("rgb8.png");
    static uint8_t crop[FN_CROP_SIZE];
    static const struct fn_rect bad[] = {{0, 0, 49, 32}, {0, 0, 48, 33},
                                         {1, 0, 48, 32}, {0, 1, 48, 32},
                                         {-1, 0, 9, 9},  {0, -1, 9, 9},
                                         {0, 0, 0, 9},   {0, 0, 9, 0},
                                         {48, 0, 1, 1},  {2147483647, 0, 2147483647, 1}};
    struct fn_error err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(fn_picture_crop(picture, bad[i], crop, &err), FN_USAGE);
    /* One pixel becomes the whole crop. */
    assert_int_equal(fn_picture_crop(picture, (struct fn_rect){47, 31, 1, 1}, crop, &err), FN_OK);
    uint8_t want[3];
    formula_rgb(47, 31, want);
    for (size_t i = 0; i < FN_CROP_SIZE; i++) assert_int_equal(crop[i], want[i % 3]);
    fn_picture_free(picture);
}

static void an_encoded_png_gives_the_same_pixels_and_bytes(void **state) {
    (void)state;
    struct fn_picture *picture = decode_picture("420_odd.jpg"), *again = NULL;
    uint8_t *one, *two;
    size_t one_size, two_size;
    struct fn_error err;
    int w = picture->width, h = picture->height;
    assert_int_equal(fn_picture_encode_png(picture->rgb, w, h, &one, &one_size, &err), FN_OK);
    assert_int_equal(fn_picture_encode_png(picture->rgb, w, h, &two, &two_size, &err), FN_OK);
    assert_int_equal(one_size, two_size);
    assert_memory_equal(one, two, one_size);
    assert_int_equal(fn_picture_decode(one, one_size, FN_MAX_PIXELS_DEFAULT, &again, &err), FN_OK);
    assert_int_equal(again->format, FN_PICTURE_PNG);
    assert_int_equal(again->width, w);
    assert_int_equal(again->height, h);
    assert_memory_equal(again->rgb, picture->rgb, 3 * (size_t)w * (size_t)h);
    free(one);
    free(two);
    fn_picture_free(again);
    fn_picture_free(picture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_of_every_colour_type_gives_exact_pixels),
        cmocka_unit_test(png_alpha_is_composited_over_white),
        cmocka_unit_test(every_colour_and_alpha_is_rounded_to_nearest),
        cmocka_unit_test(png_gamma_changes_nothing),
        cmocka_unit_test(webp_gives_the_pixels_that_were_encoded),
        cmocka_unit_test(of_an_animation_the_first_frame_is_put_on_white),
        cmocka_unit_test(all_eight_orientations_are_turned_upright),
        cmocka_unit_test(png_orientation_may_follow_the_pixels),
        cmocka_unit_test(other_formats_are_named_and_refused),
        cmocka_unit_test(large_headers_are_refused_before_decoding),
        cmocka_unit_test(sizes_of_zero_are_damage),
        cmocka_unit_test(the_limit_of_pixels_is_exact),
        cmocka_unit_test(a_file_cut_anywhere_is_damage),
        cmocka_unit_test(a_png_with_a_wrong_checksum_is_damage),
        cmocka_unit_test(a_crop_lies_inside_the_picture),
        cmocka_unit_test(an_encoded_png_gives_the_same_pixels_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
