/* SPDX-License-Identifier: Apache-2.0
 *
 * test_safetensors.c -- files written are read back; damaged ones are refused with reasons. */
#include "engine/safetensors.h"

#include <string.h>

#include "tests/unit/support/cmocka_all.h"
#include "tests/unit/support/temporary.h"

/* Open header + data and return the reason for refusal; NULL when it opens. */
static const char *refusal(const char *header, size_t data_size) {
    static struct fn_error err;
    uint8_t file[1024] = {0};
    size_t length = strlen(header);
    memcpy(file, &(uint64_t){length}, 8);
    memcpy(file + 8, header, length);
    struct fn_safetensors *opened = NULL;
    fn_status status = fn_safetensors_open_memory("x", file, 8 + length + data_size, &opened, &err);
    fn_safetensors_close(opened);
    if (status == FN_OK) return NULL;
    assert_int_equal(status, FN_BAD_MODEL);
    assert_null(strchr(err.text, '\n'));
    return err.text;
}

#define ENTRY(dtype, shape, offsets)                                                               \
    "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void assert_refused(const char *header, size_t data_size, const char *words) {
    const char *text = refusal(header, data_size);
    if (!text) fail_msg("opened: %s", header);
    if (!strstr(text, words)) fail_msg("\"%s\" does not say \"%s\"", text, words);
}

static void a_sound_file_opens(void **state) {
    (void)state;
    assert_null(refusal(ENTRY("\"I32\"", "[2,3]", "[0,24]"), 24));
    assert_null(refusal(ENTRY("\"F16\"", "[]", "[0,2]"), 2));
    assert_null(refusal(ENTRY("\"I8\"", "[0]", "[0,0]"), 0));
    assert_null(refusal("{\"__metadata__\":{\"a\":\"b\"}}", 0));
}

static void every_field_of_the_header_is_checked(void **state) {
    (void)state;
    assert_refused("[]", 0, "not a JSON object");
    assert_refused("{", 0, "not JSON");
    assert_refused("{\"t\":1}", 0, "expected exactly dtype, shape and data_offsets");
    assert_refused("{\"t\":{\"dtype\":\"I8\"}}", 0, "expected exactly dtype");
    assert_refused("{\"__metadata__\":{\"a\":1}}", 0, "is not a string");
    assert_refused("{\"__metadata__\":7}", 0, "is not an object");
    assert_refused(ENTRY("\"Q4\"", "[1]", "[0,1]"), 1, "dtype \"Q4\"");
    assert_refused(ENTRY("8", "[1]", "[0,1]"), 1, "has no dtype");
    assert_refused(ENTRY("\"I8\"", "4", "[0,4]"), 4, "shape is not a list");
    assert_refused(ENTRY("\"I8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, "shape is not a list");
    assert_refused(ENTRY("\"I8\"", "[-1]", "[0,1]"), 1, "size 0 of its shape");
    assert_refused(ENTRY("\"I8\"", "[1.5]", "[0,1]"), 1, "size 0 of its shape");
    assert_refused(ENTRY("\"I8\"", "[4294967296]", "[0,1]"), 1, "size 0 of its shape");
    assert_refused(ENTRY("\"F64\"", "[2147483647,2147483647,2147483647]", "[0,1]"), 1, "too large");
    assert_refused(ENTRY("\"I8\"", "[4]", "[0,5]"), 8, "span 5 bytes, its shape needs 4");
    assert_refused(ENTRY("\"I8\"", "[4]", "[0,4]"), 3, "lie outside the 3 data bytes");
    assert_refused(ENTRY("\"I8\"", "[4]", "[-4,0]"), 4, "lie outside");
    assert_refused(ENTRY("\"I8\"", "[4]", "[4,0]"), 4, "lie outside");
    assert_refused(ENTRY("\"I8\"", "[4]", "[0]"), 4, "is not [begin, end]");
    assert_refused(ENTRY("\"I8\"", "[4]", "[0,4]"), 5, "after the last tensor");
    assert_refused(ENTRY("\"I8\"", "[4]", "[1,5]"), 5, "bytes unused");
}

static void overlapping_and_repeated_tensors_are_refused(void **state) {
    (void)state;
    assert_refused("{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                   "\"b\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
                   6, "tensors overlap");
    assert_refused("{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                   "\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                   1, "duplicate");
}

static void lengths_beyond_the_file_are_refused(void **state) {
    (void)state;
    struct fn_error err;
    struct fn_safetensors *file;
    for (size_t size = 0; size < 8; size++) {
        assert_int_equal(fn_safetensors_open_memory("x", "\2\0\0\0\0\0\0\0{}", size, &file, &err),
                         FN_BAD_MODEL);
        assert_non_null(strstr(err.text, "too short"));
    }
    const uint64_t lengths[] = {3, UINT32_MAX, UINT64_MAX, UINT64_C(1) << 63};
    for (size_t i = 0; i < 4; i++) {
        uint8_t bytes[10] = {0};
        memcpy(bytes, &lengths[i], 8);
        assert_int_equal(fn_safetensors_open_memory("x", bytes, sizeof bytes, &file, &err),
                         FN_BAD_MODEL);
        assert_non_null(strstr(err.text, "header is said to be"));
    }
}

static void what_is_written_is_read_back(void **state) {
    (void)state;
    struct fn_error err;
    const int8_t bytes[] = {1, -2, 3};
    const int32_t words[] = {INT32_MIN, 7};
    const struct fn_stored_tensor tensors[] = {
        {.name = "b", .dtype = FN_DTYPE_I8, .rank = 1, .shape = {3}, .data = bytes, .size = 3},
        {.name = "a", .dtype = FN_DTYPE_I32, .rank = 2, .shape = {1, 2}, .data = words, .size = 8},
    };
    const struct fn_metadata metadata[] = {{"key", "value with \"quotes\""}};
    const char *path = temporary_path("two.safetensors");
    assert_ok(fn_safetensors_write(path, tensors, 2, metadata, 1, &err), err);
    struct fn_safetensors *file;
    assert_ok(fn_safetensors_open(path, &file, &err), err);
    assert_int_equal(fn_safetensors_count(file), 2);
    assert_string_equal(fn_safetensors_at(file, 0)->name, "a");
    assert_null(fn_safetensors_at(file, 2));
    assert_null(fn_safetensors_find(file, "c"));
    const struct fn_stored_tensor *a = fn_safetensors_find(file, "a");
    assert_int_equal(a->rank, 2);
    assert_int_equal(a->shape[1], 2);
    assert_memory_equal(a->data, words, sizeof words);
    assert_int_equal((uintptr_t)a->data % 4, 0);
    assert_memory_equal(fn_safetensors_find(file, "b")->data, bytes, sizeof bytes);
    assert_string_equal(fn_safetensors_metadata(file, "key"), "value with \"quotes\"");
    assert_null(fn_safetensors_metadata(file, "other"));
    fn_safetensors_close(file);
}

static void a_failed_write_leaves_nothing_behind(void **state) {
    (void)state;
    struct fn_error err;
    assert_int_equal(fn_safetensors_write(temporary_path("missing/x"), NULL, 0, NULL, 0, &err),
                     FN_IO);
    assert_non_null(strstr(err.text, "cannot be created"));
}

static void files_that_cannot_be_read_are_named(void **state) {
    (void)state;
    struct fn_error err;
    struct fn_safetensors *file;
    assert_int_equal(fn_safetensors_open(temporary_path("none"), &file, &err), FN_IO);
    assert_non_null(strstr(err.text, "none: cannot be opened: No such file"));
    assert_int_equal(fn_safetensors_open(temporary_dir, &file, &err), FN_IO);
    assert_non_null(strstr(err.text, "is not a regular file"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_file_opens),
        cmocka_unit_test(every_field_of_the_header_is_checked),
        cmocka_unit_test(overlapping_and_repeated_tensors_are_refused),
        cmocka_unit_test(lengths_beyond_the_file_are_refused),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(a_failed_write_leaves_nothing_behind),
        cmocka_unit_test(files_that_cannot_be_read_are_named),
    };
    return cmocka_run_group_tests_name("safetensors", tests, temporary_make, temporary_remove);
}
