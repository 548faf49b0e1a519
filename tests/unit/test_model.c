/* SPDX-License-Identifier: Apache-2.0
 *
 * test_model.c -- model files: written, opened, and refused when any field lies. */
#include "engine/model.h"

#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "engine/file.h"
#include "engine/model_writer.h"
#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"

#define CONV "InceptionResnetV1/Conv2d_2a_3x3"

static struct fn_model_draft *draft; /* the smallest network */
static uint8_t *sound;               /* its file */
static size_t sound_size;

static int make_sound(void **state) {
    struct fn_error err;
    if (temporary_make(state) != 0) return -1;
    const char *path = temporary_path("sound.safetensors");
    if (fn_untrained_draft(7, 1, 8, &draft, &err) != FN_OK) return -1;
    if (fn_model_write(draft, path, &err) != FN_OK) return -1;
    return fn_file_read(path, SIZE_MAX / 2, &sound, &sound_size, &err) == FN_OK ? 0 : -1;
}

static int free_sound(void **state) {
    fn_model_draft_free(draft);
    free(sound);
    return temporary_remove(state);
}

static fn_status open_bytes(const void *bytes, size_t size, struct fn_error *err) {
    struct fn_model *model = NULL;
    fn_status status = fn_model_open_memory("m", bytes, size, &model, err);
    fn_model_close(model);
    return status;
}

/* Open the sound file with its header changed by `change`; returns the reason for refusal. */
static const char *refusal(void (*change)(json_t *header, const void *argument),
                           const void *argument) {
    static struct fn_error err;
    uint64_t length;
    memcpy(&length, sound, 8);
    json_t *header = json_loadb((const char *)sound + 8, length, 0, NULL);
    change(header, argument);
    char *text = json_dumps(header, JSON_COMPACT);
    size_t text_size = (strlen(text) + 7) / 8 * 8, data_size = sound_size - 8 - length;
    uint8_t *file = malloc(8 + text_size + data_size);
    memset(file, ' ', 8 + text_size);
    memcpy(file, &(uint64_t){text_size}, 8);
    memcpy(file + 8, text, strlen(text));
    memcpy(file + 8 + text_size, sound + 8 + length, data_size);
    fn_status status = open_bytes(file, 8 + text_size + data_size, &err);
    free(file);
    free(text);
    json_decref(header);
    if (status == FN_OK) return NULL;
    assert_int_equal(status, FN_BAD_MODEL);
    return err.text;
}

struct setting {
    const char *key, *value; /* value NULL: remove */
};

static void set_metadata(json_t *header, const void *argument) {
    const struct setting *setting = argument;
    json_t *metadata = json_object_get(header, "__metadata__");
    if (setting->value)
        json_object_set_new(metadata, setting->key, json_string(setting->value));
    else
        json_object_del(metadata, setting->key);
}

static void assert_metadata_refused(const char *key, const char *value, const char *words) {
    const char *text = refusal(set_metadata, &(struct setting){key, value});
    if (!text) fail_msg("opened with %s = %s", key, value ? value : "(none)");
    if (!strstr(text, words)) fail_msg("\"%s\" does not say \"%s\"", text, words);
}

static void a_written_model_opens_with_what_was_written(void **state) {
    (void)state;
    struct fn_error err;
    struct fn_model *model;
    assert_ok(fn_model_open(temporary_path("sound.safetensors"), &model, &err), err);
    assert_true(model->untrained);
    assert_memory_equal(model->id, "untrained-", 10);
    assert_int_equal(strlen(model->id), 26);
    assert_int_equal(model->network.embedding_size, 8);
    assert_memory_equal(model->frac_bits, draft->frac_bits, sizeof model->frac_bits);
    for (int i = 0; i < model->network.n_layers; i++) {
        const struct fn_layer *l = &model->network.layers[i];
        if (l->op == FN_OP_POOL) continue;
        assert_memory_equal(model->params[i].bias, draft->params[i].bias,
                            (size_t)l->out_channels * 4);
    }
    fn_model_close(model);
}

static void the_same_seed_gives_the_same_bytes(void **state) {
    (void)state;
    struct fn_error err;
    struct fn_model_draft *again;
    uint8_t *bytes;
    size_t size;
    assert_ok(fn_untrained_draft(7, 1, 8, &again, &err), err);
    assert_ok(fn_model_write(again, temporary_path("again"), &err), err);
    assert_ok(fn_file_read(temporary_path("again"), SIZE_MAX / 2, &bytes, &size, &err), err);
    assert_int_equal(size, sound_size);
    assert_memory_equal(bytes, sound, size);
    free(bytes);
    fn_model_draft_free(again);
}

static void every_metadata_field_is_checked(void **state) {
    (void)state;
    static const char *const needed[] = {
        "preprocessing",
        "trained",
        "embedding_size",
        "golden_prng",
        "golden_seed",
        "activation_frac_bits",
        "source_name",
        "operating_points",
        "golden_accumulators_sha256",
        "crop",
        "golden_embedding_sha256",
    };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        assert_metadata_refused(needed[i], NULL, needed[i]);
    assert_metadata_refused("format", NULL, "format is missing");
    assert_metadata_refused("format", "gguf", "expected facenetd-model");
    assert_metadata_refused("format_version", "2", "format_version is 2, expected 1");
    assert_metadata_refused("data_sha256", NULL, "data_sha256 says nothing");
    assert_metadata_refused("data_sha256", "00", "data_sha256 says 00");
    assert_metadata_refused("preprocessing", "none", "expected fixed or per-image");
    assert_metadata_refused("preprocessing", "per-image", "7 fractional bits");
    assert_metadata_refused("trained", "maybe", "expected true or false");
    assert_metadata_refused("embedding_size", "9", "the Bottleneck makes 8");
    assert_metadata_refused("activation_frac_bits", "{}", "has 0 entries, expected an object");
    assert_metadata_refused("activation_frac_bits", "x", "expected an object");
    assert_metadata_refused("golden_prng", "mt19937", "expected splitmix64");
    assert_metadata_refused("golden_seed", "-1", "expected a decimal number");
    assert_metadata_refused("golden_seed", "99999999999999999999", "expected a decimal number");
    assert_metadata_refused("golden_embedding_sha256", "abc", "64 hex digits");
    assert_metadata_refused("operating_points", "{}", "is not a list");
    assert_metadata_refused("operating_points", "[{}]", "operating point 0 is not complete");
    assert_metadata_refused("evaluations", "{}", "is not a list");
    assert_metadata_refused("evaluations", "[{}, 3]", "is not a list");
    assert_metadata_refused("evaluations", "[", "is not a list");
    assert_metadata_refused("crop", "a name that is longer than the field has room for",
                            "longer than");
}

static void set_frac_bits(json_t *header, const void *argument) {
    json_t *metadata = json_object_get(header, "__metadata__");
    json_t *bits =
        json_loads(json_string_value(json_object_get(metadata, "activation_frac_bits")), 0, NULL);
    json_object_set_new(bits, CONV, json_integer(*(const int *)argument));
    char *text = json_dumps(bits, 0);
    json_object_set_new(metadata, "activation_frac_bits", json_string(text));
    free(text);
    json_decref(bits);
}

static void fractional_bits_that_break_a_limit_are_refused(void **state) {
    (void)state;
    const struct {
        int bits;
        const char *words;
    } cases[] = {{99, "expected -20...30"},
                 {300, "not a small integer"},
                 {30, CONV " channel 0: accumulator may reach"},
                 {-20, "expected int32, s 0...30"}};
    for (size_t i = 0; i < 4; i++) {
        const char *text = refusal(set_frac_bits, &cases[i].bits);
        assert_non_null(text);
        if (!strstr(text, cases[i].words)) fail_msg("%s", text);
    }
}

static void rename_tensor(json_t *header, const void *argument) {
    json_t *entry = json_incref(json_object_get(header, CONV "/bias"));
    json_object_del(header, CONV "/bias");
    json_object_set_new(header, argument, entry);
}

static void retype_tensor(json_t *header, const void *argument) {
    json_t *entry = json_object_get(header, CONV "/frac_bits");
    json_object_set_new(entry, "dtype", json_string(argument));
}

static void reshape_kernel(json_t *header, const void *argument) {
    (void)argument;
    json_t *shape = json_object_get(json_object_get(header, CONV "/weights"), "shape");
    json_int_t channels = json_integer_value(json_array_get(shape, 3));
    json_array_set_new(shape, 3, json_integer(channels * 9));
    json_array_set_new(shape, 1, json_integer(1));
    json_array_set_new(shape, 2, json_integer(1));
}

static void missing_retyped_and_misshapen_tensors_are_refused(void **state) {
    (void)state;
    const char *text = refusal(rename_tensor, "other");
    assert_non_null(strstr(text, CONV "/bias is missing"));
    text = refusal(rename_tensor, "MTCNN/other");
    assert_non_null(strstr(text, "tensors outside MTCNN/"));
    text = refusal(retype_tensor, "U8");
    assert_non_null(strstr(text, CONV "/frac_bits is U8 of rank 1"));
    text = refusal(reshape_kernel, NULL);
    assert_non_null(strstr(text, CONV "/weights has shape [1][1][1]["));
}

static void a_flipped_bit_anywhere_is_found(void **state) {
    (void)state;
    struct fn_error err;
    uint8_t *copy = malloc(sound_size);
    uint64_t length;
    memcpy(&length, sound, 8);
    for (size_t at = 8 + length; at < sound_size; at += sound_size / 50) {
        memcpy(copy, sound, sound_size);
        copy[at] ^= 4;
        assert_int_equal(open_bytes(copy, sound_size, &err), FN_BAD_MODEL);
        assert_non_null(strstr(err.text, "tensors have sha256"));
    }
    free(copy);
}

static void a_truncated_file_is_refused_at_every_length(void **state) {
    (void)state;
    struct fn_error err;
    for (size_t size = 0; size < sound_size; size += 1 + sound_size / 100)
        assert_int_equal(open_bytes(sound, size, &err), FN_BAD_MODEL);
    assert_int_equal(open_bytes(sound, sound_size - 1, &err), FN_BAD_MODEL);
}

static void a_draft_that_breaks_a_limit_is_not_written(void **state) {
    (void)state;
    struct fn_error err;
    int8_t kept = draft->params[1].frac_bits[0];
    const char *path = temporary_path("broken.safetensors");
    draft->params[1].frac_bits[0] = -6;
    assert_false(fn_model_draft_channel_fits(draft, 1, 0));
    assert_int_equal(fn_model_write(draft, path, &err), FN_BAD_MODEL);
    assert_int_not_equal(access(path, F_OK), 0);
    draft->params[1].frac_bits[0] = kept;
    assert_true(fn_model_draft_channel_fits(draft, 1, 0));
}

static void provenance_is_outside_the_id_and_weights_are_inside(void **state) {
    (void)state;
    struct fn_error err;
    char ids[3][FN_MODEL_ID_SIZE];
    const char *path = temporary_path("id.safetensors");
    for (int i = 0; i < 3; i++) {
        struct fn_model *model;
        if (i == 1) draft->source_name[0] ^= 1;
        if (i == 2) draft->params[2].bias[0] ^= 1;
        assert_ok(fn_model_write(draft, path, &err), err);
        assert_ok(fn_model_open(path, &model, &err), err);
        memcpy(ids[i], model->id, sizeof ids[i]);
        fn_model_close(model);
    }
    draft->params[2].bias[0] ^= 1;
    assert_string_equal(ids[0], ids[1]);
    assert_string_not_equal(ids[0], ids[2]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_written_model_opens_with_what_was_written),
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(every_metadata_field_is_checked),
        cmocka_unit_test(fractional_bits_that_break_a_limit_are_refused),
        cmocka_unit_test(missing_retyped_and_misshapen_tensors_are_refused),
        cmocka_unit_test(a_flipped_bit_anywhere_is_found),
        cmocka_unit_test(a_truncated_file_is_refused_at_every_length),
        cmocka_unit_test(a_draft_that_breaks_a_limit_is_not_written),
        cmocka_unit_test(provenance_is_outside_the_id_and_weights_are_inside),
    };
    return cmocka_run_group_tests_name("model", tests, make_sound, free_sound);
}
