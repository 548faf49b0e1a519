/* SPDX-License-Identifier: Apache-2.0
 *
 * npy_pickle.c -- the .npy file around the pickle, and arrays out of the dictionary it built.
 *
 * Containers may contain themselves: nothing here walks deeper than dictionary, dictionary, array,
 * tuple. */
#include "model/sources/npy_pickle_machine.h"

#include <string.h>

static const char npy_magic[] = "\x93NUMPY";

/* ---- the dictionary ------------------------------------------------------------------------- */

/* Parts of an array's state: (version, shape, dtype, fortran order, data). NULL: it has none. */
static const struct fn_npy_value *array_part(const struct fn_npy_value *array, size_t index,
                                             enum fn_npy_kind kind) {
    if (!array || array->kind != FN_NPY_ARRAY || !array->state || array->state->n != 5) return NULL;
    const struct fn_npy_value *part = fn_npy_value_item(array->state, index);
    return part->kind == kind ? part : NULL;
}

/* The dictionary in the one element of the array of rank 0 on the stack. */
static const struct fn_npy_value *outermost(const struct fn_npy_pickle *p) {
    const struct fn_npy_value *shape = array_part(p->stack[0], 1, FN_NPY_TUPLE);
    const struct fn_npy_value *data = array_part(p->stack[0], 4, FN_NPY_LIST);
    if (!shape || shape->n != 0 || !data || data->n != 1) return NULL;
    const struct fn_npy_value *dictionary = data->first->value;
    return dictionary->kind == FN_NPY_DICTIONARY ? dictionary : NULL;
}

static const struct fn_npy_value *look_up(const struct fn_npy_value *dictionary, const char *key) {
    if (!dictionary || dictionary->kind != FN_NPY_DICTIONARY) return NULL;
    const struct fn_npy_value *found = NULL;
    for (const struct fn_npy_cell *cell = dictionary->first; cell; cell = cell->next->next)
        if (fn_npy_value_is(cell->value, key)) found = cell->next->value;
    return found;
}

static bool read_dtype(const struct fn_npy_value *dtype, enum fn_dtype *ret_dtype) {
    static const struct {
        const char *code;
        enum fn_dtype dtype;
    } known[] = {{"f2", FN_DTYPE_F16}, {"f4", FN_DTYPE_F32}, {"f8", FN_DTYPE_F64}};
    const struct fn_npy_value *order = dtype->state ? fn_npy_value_item(dtype->state, 1) : NULL;
    if (!fn_npy_value_is(order, "<") && !fn_npy_value_is(order, "=")) return false;
    const struct fn_npy_value code = {
        .kind = FN_NPY_STRING, .text = dtype->text, .size = dtype->size};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (fn_npy_value_is(&code, known[i].code)) {
            *ret_dtype = known[i].dtype;
            return true;
        }
    return false;
}

static bool read_shape(const struct fn_npy_value *shape, struct fn_npy *array) {
    if (shape->n > FN_NPY_MAX_RANK) return false;
    array->rank = (int)shape->n;
    int i = 0;
    for (const struct fn_npy_cell *cell = shape->first; cell; cell = cell->next, i++) {
        if (cell->value->kind != FN_NPY_INTEGER || cell->value->integer < 0) return false;
        array->shape[i] = cell->value->integer;
    }
    return true;
}

bool fn_npy_pickle_find(const struct fn_npy_pickle *pickle, const char *outer, const char *inner,
                        struct fn_npy *ret_array) {
    const struct fn_npy_value *array = look_up(look_up(outermost(pickle), outer), inner);
    const struct fn_npy_value *shape = array_part(array, 1, FN_NPY_TUPLE);
    const struct fn_npy_value *dtype = array_part(array, 2, FN_NPY_DTYPE);
    const struct fn_npy_value *fortran = array_part(array, 3, FN_NPY_INTEGER);
    const struct fn_npy_value *data = array_part(array, 4, FN_NPY_STRING);
    struct fn_npy found = {0};
    if (!shape || !dtype || !fortran || !data) return false;
    if (!read_dtype(dtype, &found.dtype) || !read_shape(shape, &found)) return false;
    int64_t count = 1, most = (int64_t)(data->size / fn_dtype_size(found.dtype));
    for (int k = 0; k < found.rank; k++) {
        int axis = fortran->integer ? k : found.rank - 1 - k;
        found.stride[axis] = count;
        if (__builtin_mul_overflow(count, found.shape[axis], &count) || count > most) return false;
    }
    if ((size_t)count * fn_dtype_size(found.dtype) != data->size) return false;
    found.count = count;
    found.data = data->text;
    *ret_array = found;
    return true;
}

/* ---- the file ------------------------------------------------------------------------------- */

/* Where the pickle begins; 0 when the bytes are no .npy file of objects. */
static size_t find_begin(const uint8_t *bytes, size_t size) {
    static const char objects[] = "{'descr': '|O', 'fortran_order': False, 'shape': (), }";
    size_t magic = sizeof npy_magic - 1, text = sizeof objects - 1;
    if (size < 10 || memcmp(bytes, npy_magic, magic) != 0 || bytes[6] != 1) return 0;
    size_t length = bytes[8] | (size_t)bytes[9] << 8;
    if (length < text || length > size - 10 || memcmp(bytes + 10, objects, text) != 0) return 0;
    return 10 + length;
}

bool fn_npy_pickle_recognise(const void *bytes, size_t size) {
    return find_begin(bytes, size) > 0;
}

fn_status fn_npy_pickle_open(const char *name, const void *bytes, size_t size,
                             struct fn_npy_pickle **ret_pickle, struct fn_error *err) {
    size_t begin = find_begin(bytes, size);
    if (begin == 0)
        return fn_fail(err, FN_BAD_SOURCE, "%s: not a .npy file of one Python object", name);
    FN_CLEANUP(fn_npy_pickle_close) struct fn_npy_pickle *pickle = calloc(1, sizeof *pickle);
    if (!pickle) return fn_fail(err, FN_NO_MEMORY, "%s: no memory to read it", name);
    pickle->name = name;
    pickle->at = (const uint8_t *)bytes + begin;
    pickle->end = (const uint8_t *)bytes + size;
    pickle->err = err;
    fn_status status = fn_npy_pickle_run(pickle);
    if (status == FN_OK && !outermost(pickle))
        status = fn_fail(err, FN_BAD_SOURCE, "%s: holds no dictionary of arrays", name);
    pickle->err = NULL;
    if (status == FN_OK) *ret_pickle = FN_TAKE(pickle);
    return status;
}

void fn_npy_pickle_close(struct fn_npy_pickle *pickle) {
    free(pickle);
}
