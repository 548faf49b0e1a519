/* SPDX-License-Identifier: Apache-2.0
 *
 * npy.c -- the .npy header: magic, version, length, then
 * {'descr': '<f2', 'fortran_order': False, 'shape': (32, 3, 3, 32), } padded with spaces.
 *
 * Invariant of the cursor: text <= end, and nothing at or beyond end is read. */
#include "model/sources/npy.h"

#include <string.h>

static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

struct cursor {
    const char *text, *end;
    const char *name; /* of the file, for messages */
    struct fn_error *err;
};

static fn_status refuse(const struct cursor *c, const char *expected) {
    return fn_fail(c->err, FN_BAD_SOURCE,
                   "%s: damaged .npy header: expected %s, %zu bytes before its end", c->name,
                   expected, (size_t)(c->end - c->text));
}

static void skip_space(struct cursor *c) {
    while (c->text < c->end && (*c->text == ' ' || *c->text == '\n' || *c->text == '\t')) c->text++;
}

static bool take(struct cursor *c, const char *word) {
    skip_space(c);
    size_t length = strlen(word);
    if ((size_t)(c->end - c->text) < length || memcmp(c->text, word, length) != 0) return false;
    c->text += length;
    return true;
}

/* A quoted string without escapes, of fewer than `size` characters. */
static bool take_string(struct cursor *c, char *ret_string, size_t size) {
    skip_space(c);
    if (c->text == c->end || (*c->text != '\'' && *c->text != '"')) return false;
    char quote = *c->text;
    const char *begin = c->text + 1, *p = begin;
    while (p < c->end && *p != quote && *p != '\\') p++;
    if (p == c->end || *p != quote || (size_t)(p - begin) >= size) return false;
    memcpy(ret_string, begin, (size_t)(p - begin));
    ret_string[p - begin] = '\0';
    c->text = p + 1;
    return true;
}

static bool take_integer(struct cursor *c, int64_t *ret_value) {
    skip_space(c);
    const char *begin = c->text;
    int64_t value = 0;
    while (c->text < c->end && *c->text >= '0' && *c->text <= '9') {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *c->text - '0', &value))
            return false;
        c->text++;
    }
    if (c->text == begin) return false;
    (void)take(c, "L"); /* Python 2 wrote long integers so */
    *ret_value = value;
    return true;
}

static fn_status parse_shape(struct cursor *c, struct fn_npy *array) {
    if (!take(c, "(")) return refuse(c, "a tuple as 'shape'");
    array->rank = 0;
    while (!take(c, ")")) {
        if (array->rank == FN_NPY_MAX_RANK) return refuse(c, "at most 8 dimensions");
        if (!take_integer(c, &array->shape[array->rank++]))
            return refuse(c, "a dimension below 2^63");
        if (take(c, ",")) continue;
        if (!take(c, ")")) return refuse(c, "',' or ')' in 'shape'");
        break;
    }
    return FN_OK;
}

static fn_status parse_descr(struct cursor *c, struct fn_npy *array) {
    static const struct {
        const char *descr;
        enum fn_dtype dtype;
    } known[] = {{"<f2", FN_DTYPE_F16}, {"<f4", FN_DTYPE_F32}, {"<f8", FN_DTYPE_F64}};
    char descr[16];
    if (!take_string(c, descr, sizeof descr)) return refuse(c, "a plain type as 'descr'");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(descr, known[i].descr) == 0) {
            array->dtype = known[i].dtype;
            return FN_OK;
        }
    return fn_fail(
        c->err, FN_BAD_SOURCE,
        "%s: numbers of type '%s'; expected '<f2', '<f4' or '<f8' (little-endian floats)", c->name,
        descr);
}

static fn_status parse_dictionary(struct cursor *c, struct fn_npy *array, bool *ret_fortran) {
    enum { DESCR = 1, ORDER = 2, SHAPE = 4, ALL = 7 };
    int seen = 0;
    if (!take(c, "{")) return refuse(c, "a dictionary");
    while (!take(c, "}")) {
        char key[16];
        if (!take_string(c, key, sizeof key) || !take(c, ":")) return refuse(c, "a key and ':'");
        int which = strcmp(key, "descr") == 0           ? DESCR
                    : strcmp(key, "fortran_order") == 0 ? ORDER
                    : strcmp(key, "shape") == 0         ? SHAPE
                                                        : 0;
        if (!which || (seen & which))
            return refuse(c, "each of 'descr', 'fortran_order' and 'shape' once");
        seen |= which;
        fn_status status = FN_OK;
        if (which == DESCR) status = parse_descr(c, array);
        if (which == SHAPE) status = parse_shape(c, array);
        if (which == ORDER) {
            *ret_fortran = take(c, "True");
            if (!*ret_fortran && !take(c, "False")) return refuse(c, "True or False");
        }
        if (status != FN_OK) return status;
        if (take(c, ",")) continue;
        if (!take(c, "}")) return refuse(c, "',' or '}'");
        break;
    }
    skip_space(c);
    if (c->text != c->end) return refuse(c, "nothing after the dictionary");
    return seen == ALL ? FN_OK : refuse(c, "'descr', 'fortran_order' and 'shape'");
}

/* Strides and count of the shape; the product must not overflow. */
static fn_status lay_out(const char *name, bool fortran, struct fn_npy *array,
                         struct fn_error *err) {
    int64_t count = 1;
    for (int k = 0; k < array->rank; k++) {
        int axis = fortran ? k : array->rank - 1 - k;
        array->stride[axis] = count;
        if (__builtin_mul_overflow(count, array->shape[axis], &count) || count > INT64_MAX / 8)
            return fn_fail(err, FN_BAD_SOURCE, "%s: the shape in the .npy header overflows", name);
    }
    array->count = count;
    return FN_OK;
}

/* Where the dictionary begins and ends. */
static fn_status find_header(const char *name, const unsigned char *bytes, size_t size,
                             size_t *ret_begin, size_t *ret_end, struct fn_error *err) {
    if (size < 10 || memcmp(bytes, magic, sizeof magic) != 0)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: not a .npy file (no NumPy magic in its first bytes)", name);
    int major = bytes[6];
    if (major < 1 || major > 3 || bytes[7] != 0)
        return fn_fail(err, FN_BAD_SOURCE, "%s: .npy version %d.%d; expected 1.0, 2.0 or 3.0", name,
                       major, bytes[7]);
    size_t begin = major == 1 ? 10 : 12;
    if (size < begin) return fn_fail(err, FN_BAD_SOURCE, "%s: ends within its header", name);
    size_t length = bytes[8] | (size_t)bytes[9] << 8;
    if (major > 1) length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (length > size - begin)
        return fn_fail(err, FN_BAD_SOURCE, "%s: a header of %zu bytes, only %zu follow", name,
                       length, size - begin);
    *ret_begin = begin;
    *ret_end = begin + length;
    return FN_OK;
}

fn_status fn_npy_parse(const char *name, const void *bytes, size_t size, struct fn_npy *ret_array,
                       struct fn_error *err) {
    size_t begin = 0, end = 0;
    fn_status status = find_header(name, bytes, size, &begin, &end, err);
    if (status != FN_OK) return status;
    struct cursor c = {(const char *)bytes + begin, (const char *)bytes + end, name, err};
    struct fn_npy array = {0};
    bool fortran = false;
    status = parse_dictionary(&c, &array, &fortran);
    if (status == FN_OK) status = lay_out(name, fortran, &array, err);
    if (status != FN_OK) return status;
    size_t need = (size_t)array.count * fn_dtype_size(array.dtype);
    if (size - end != need)
        return fn_fail(err, FN_BAD_SOURCE, "%s: %zu bytes of numbers; the shape needs %zu", name,
                       size - end, need);
    array.data = (const char *)bytes + end;
    *ret_array = array;
    return FN_OK;
}
