/* SPDX-License-Identifier: Apache-2.0
 *
 * test_memory_faults.c -- each allocation of our code fails in turn, alone and with all after it:
 * always a clean status, nothing given back, nothing leaked (under AddressSanitizer), and whole
 * again as soon as there is memory. */
#include <stdlib.h>
#include <string.h>

#include "daemon/api/body.h"
#include "daemon/config.h"
#include "daemon/keys.h"
#include "engine/engine.h"
#include "engine/picture/picture.h"
#include "tests/faults/memory_wrap.h"
#include "tests/unit/picture_files.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"
#include "tests/unit/support/tiny_model.h"

FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)

static char model_path[PATH_MAX];
static float expected[TINY_EMBEDDING];
static uint8_t crop[FN_CROP_SIZE];

/* Run `life` again and again, failing one allocation later each time, until all succeed. `ours`:
 * all allocations are our own, and then want of memory is called by its name; jansson takes its own
 * for a fault of the text. Returns how many places there were. */
static int fail_everywhere(const char *name, fn_status (*life)(struct fn_error *err), bool ours) {
    const char *proof = getenv("FACENETD_PROOF");
    bool every_place = proof && strcmp(proof, "check") != 0;
    int places = 0;
    fn_memory_wrap_jansson(!ours);
    for (int all_after = 0; all_after < 2; all_after++) {
        for (int n = 1;; n += ours || every_place ? 1 : 1 + n / 16) {
            struct fn_error err = {.text = ""};
            fn_memory_fail(n, all_after);
            fn_status status = life(&err);
            bool failed = fn_memory_has_failed();
            fn_memory_fail(0, false);
            if (status != FN_OK && (status != err.status || !err.text[0]))
                fail_msg("%s, allocation %d: status %d without a word", name, n, status);
            if (status != FN_OK && status != FN_NO_MEMORY && ours)
                fail_msg("%s, allocation %d: %s (%s)", name, n, err.text, fn_status_code(status));
            if (!failed) {
                assert_int_equal(status, FN_OK);
                places = n - 1;
                break;
            }
        }
    }
    fn_memory_wrap_jansson(false);
    return places;
}

static void exhaust(const char *name, fn_status (*life)(struct fn_error *err), int least) {
    int ours = fail_everywhere(name, life, true);
    int all = fail_everywhere(name, life, false);
    print_message("%s: %d places of ours, about %d with jansson's\n", name, ours, all);
    assert_true(ours >= least);
}

/* ---- an engine's life -------------------------------------------------------------------- */

static fn_status embed(const char *device, struct fn_error *err) {
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    const struct fn_engine_options options = {.device = device, .max_batch = 1};
    struct fn_engine *engine = NULL;
    float embedding[TINY_EMBEDDING] = {0};
    fn_status status = fn_model_open(model_path, &model, err);
    if (status == FN_OK) status = fn_engine_open(model, &options, &engine, err);
    if (status == FN_OK) status = fn_engine_run(engine, crop, 1, embedding, NULL, err);
    fn_engine_close(engine);
    const void *ours = embedding, *right = expected;
    if (status == FN_OK && memcmp(ours, right, sizeof expected) != 0) fail_msg("a wrong embedding");
    return status;
}

static fn_status live_on_the_reference(struct fn_error *err) {
    return embed("reference", err);
}

static void a_model_is_opened_and_run_or_there_is_no_memory(void **state) {
    (void)state;
    exhaust("model and reference engine", live_on_the_reference, 50);
}

/* ---- what requests bring ----------------------------------------------------------------- */

static const char *picture_name;

static fn_status decode(struct fn_error *err) {
    static uint8_t *bytes; /* kept: the test's own memory is not the subject */
    static size_t size;
    static const char *read;
    struct fn_picture *picture = NULL;
    uint8_t cut[FN_CROP_SIZE];
    if (read != picture_name) {
        free(bytes);
        fn_memory_fail(0, false);
        bytes = read_picture(picture_name, &size);
        read = picture_name;
        fn_memory_fail(1, false);
    }
    fn_status status = fn_picture_decode(bytes, size, FN_MAX_PIXELS_DEFAULT, &picture, err);
    if (status == FN_OK)
        status = fn_picture_crop(picture, (struct fn_rect){0, 0, picture->width, picture->height},
                                 cut, err);
    fn_picture_free(picture);
    return status;
}

static void a_picture_of_any_kind_is_decoded_or_there_is_no_memory(void **state) {
    (void)state;
    static const char *const names[] = {"444.jpg",       "cmyk_adobe.jpg",   "progressive.jpg",
                                        "palette.png",   "orientation6.jpg", "orientation6.png",
                                        "lossless.webp", "lossy_alpha.webp"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        picture_name = names[i];
        exhaust(picture_name, decode, 2);
    }
}

static const char *content_type, *content;

static fn_status read_body(struct fn_error *err) {
    static const struct fn_body_field fields[] = {{"img1", FN_FIELD_PICTURE, 0},
                                                  {"embedding2", FN_FIELD_EMBEDDING, 1}};
    const struct fn_body_rules rules = {fields, 2, false, FN_OPTION_ALIGN | FN_OPTION_ENCODING};
    const struct fn_body_limits limits = {32, 4, false};
    struct fn_http_request request = {
        .target = (char[]){"/distance?align=none"},
        .n_headers = 1,
        .headers = {{"Content-Type", content_type, 12, strlen(content_type)}},
        .body = (uint8_t *)(uintptr_t)content,
        .body_size = strlen(content)};
    struct fn_body *body = NULL;
    fn_status status = fn_body_read(&request, &rules, &limits, &body, err);
    if (status == FN_OK) assert_string_equal(body->pictures[0].name, "img1");
    fn_body_free(body);
    return status;
}

static void a_body_is_read_or_there_is_no_memory(void **state) {
    (void)state;
    content_type = "application/json";
    content = "{\"img1\": \"aGVsbG8=\", \"embedding2\": [1, 0.5, [0]], \"encoding\": \"base64\"}";
    exhaust("JSON", read_body, 2);
    content_type = "multipart/form-data; boundary=xyz";
    content = "--xyz\r\nContent-Disposition: form-data; name=\"img1\"\r\n\r\nhello\r\n"
              "--xyz\r\nContent-Disposition: form-data; name=\"embedding2\"\r\n\r\n[1, 2]\r\n"
              "--xyz\r\nContent-Disposition: form-data; name=\"encoding\"\r\n\r\nbase64\r\n--xyz--";
    exhaust("multipart", read_body, 2);
}

/* ---- what the administrator writes ------------------------------------------------------- */

static fn_status configure(struct fn_error *err) {
    static const char text[] = "{\"listen\": [\"127.0.0.1:0\", \"unix:/run/f\"], \"max_batch\": 4,"
                               " \"allowed_hosts\": [\"a\", \"b\"], \"keys_file\": \"/k\"}";
    struct fn_config *config = NULL;
    fn_status status = fn_config_new(&config, err);
    if (status == FN_OK) status = fn_config_apply(config, "text", text, sizeof text - 1, err);
    fn_config_free(config);
    return status;
}

static fn_status read_keys(struct fn_error *err) {
    static const char text[] =
        "# ours\n"
        "one infer 1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f 5\n"
        "two infer,metrics 2f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f\n";
    const struct fn_key_rate rate = {0};
    struct fn_keys *keys = NULL;
    fn_status status = fn_keys_parse("text", text, sizeof text - 1, &rate, NULL, &keys, err);
    fn_keys_free(keys);
    return status;
}

static void a_configuration_is_read_or_there_is_no_memory(void **state) {
    (void)state;
    exhaust("configuration", configure, 5);
    exhaust("keys", read_keys, 1);
}

static int prepare(void **state) {
    if (temporary_make(state) != 0) return -1;
    (void)snprintf(model_path, sizeof model_path, "%s", temporary_path("tiny.safetensors"));
    tiny_write(model_path);
    for (size_t i = 0; i < sizeof crop; i++) crop[i] = (uint8_t)(i * 7 + i / 480);
    FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
    const struct fn_engine_options options = {.device = "reference", .max_batch = 1};
    struct fn_engine *engine = NULL;
    struct fn_error err = {0};
    assert_ok(fn_model_open(model_path, &model, &err), err);
    assert_ok(fn_engine_open(model, &options, &engine, &err), err);
    assert_ok(fn_engine_run(engine, crop, 1, expected, NULL, &err), err);
    fn_engine_close(engine);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_opened_and_run_or_there_is_no_memory),
        cmocka_unit_test(a_picture_of_any_kind_is_decoded_or_there_is_no_memory),
        cmocka_unit_test(a_body_is_read_or_there_is_no_memory),
        cmocka_unit_test(a_configuration_is_read_or_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, prepare, temporary_remove);
}
