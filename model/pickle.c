/* SPDX-License-Identifier: Apache-2.0
 *
 * pickle.c -- a stack machine for the few instructions that build dictionaries of arrays.
 *
 * Invariants: at <= end, and nothing at or beyond end is read; every value and every cell of a
 * container counts towards MAX_OBJECTS; values never change their kind, so that a value reached
 * through the memo is as good as the one on the stack. Containers may contain themselves: nothing
 * here walks deeper than dictionary, dictionary, array, tuple. */
#include "model/pickle.h"

#include <string.h>

#define MAX_OBJECTS 8192
#define MAX_STACK   1024
#define MAX_MEMO    4096

static const char npy_magic[] = "\x93NUMPY";

enum kind { MARK, NONE, INTEGER, STRING, TUPLE, LIST, DICTIONARY, NAME, ARRAY, DTYPE };

enum name { NAME_RECONSTRUCT, NAME_NDARRAY, NAME_DTYPE };

/* One element of a tuple or list; a dictionary has keys and values in turn. */
struct cell {
    struct value *value;
    struct cell *next;
};

struct value {
    enum kind kind;
    int64_t integer;  /* INTEGER (truth values too), NAME: which */
    const char *text; /* STRING and DTYPE ("f4"): borrowed from the bytes */
    size_t size;
    struct cell *first, *last; /* TUPLE, LIST, DICTIONARY */
    size_t n;
    const struct value *state; /* ARRAY, DTYPE: the tuple that BUILD gave, or NULL */
};

struct fn_pickle {
    const char *name;
    const uint8_t *at, *end;
    struct fn_error *err; /* of fn_pickle_open() */
    struct value *stack[MAX_STACK], *memo[MAX_MEMO];
    size_t n_stack, n_memo, n_values, n_cells;
    struct value values[MAX_OBJECTS];
    struct cell cells[MAX_OBJECTS];
};

static fn_status refuse(struct fn_pickle *p, const char *found) {
    return fn_fail(
        p->err, FN_BAD_SOURCE,
        "%s: %s, %zu bytes before its end; expected a pickled dictionary of NumPy arrays", p->name,
        found, (size_t)(p->end - p->at));
}

/* ---- reading and making --------------------------------------------------------------------- */

/* A little-endian number of `size` bytes. */
static bool take_number(struct fn_pickle *p, size_t size, uint64_t *ret) {
    if ((size_t)(p->end - p->at) < size) return false;
    *ret = 0;
    for (size_t i = 0; i < size; i++) *ret |= (uint64_t)p->at[i] << (8 * i);
    p->at += size;
    return true;
}

static fn_status push(struct fn_pickle *p, struct value *value) {
    if (p->n_stack == MAX_STACK) return refuse(p, "too deep a stack");
    p->stack[p->n_stack++] = value;
    return FN_OK;
}

static fn_status push_new(struct fn_pickle *p, struct value value) {
    if (p->n_values == MAX_OBJECTS) return refuse(p, "too many values");
    p->values[p->n_values] = value;
    return push(p, &p->values[p->n_values++]);
}

/* The value on top, which must be of that kind; NULL otherwise. */
static struct value *top(const struct fn_pickle *p, enum kind kind) {
    struct value *value = p->n_stack ? p->stack[p->n_stack - 1] : NULL;
    return value && value->kind == kind ? value : NULL;
}

static bool append(struct fn_pickle *p, struct value *container, struct value *value) {
    if (p->n_cells == MAX_OBJECTS) return false;
    struct cell *cell = &p->cells[p->n_cells++];
    *cell = (struct cell){value, NULL};
    if (container->last)
        container->last->next = cell;
    else
        container->first = cell;
    container->last = cell;
    container->n++;
    return true;
}

static const struct value *item(const struct value *container, size_t index) {
    const struct cell *cell = container->first;
    while (cell && index-- > 0) cell = cell->next;
    return cell ? cell->value : NULL;
}

static bool is_text(const struct value *value, const char *text) {
    return value && value->kind == STRING && value->size == strlen(text) &&
           memcmp(value->text, text, value->size) == 0;
}

/* ---- instructions --------------------------------------------------------------------------- */

/* A string whose length takes `length_size` bytes. */
static fn_status load_string(struct fn_pickle *p, size_t length_size) {
    uint64_t length;
    if (!take_number(p, length_size, &length) || length > (size_t)(p->end - p->at))
        return refuse(p, "a string longer than the file");
    const char *text = (const char *)p->at;
    p->at += length;
    return push_new(p, (struct value){.kind = STRING, .text = text, .size = (size_t)length});
}

static fn_status load_integer(struct fn_pickle *p, size_t size, bool is_signed) {
    uint64_t bits = 0;
    if (size > 8 || !take_number(p, size, &bits)) return refuse(p, "an integer out of range");
    if (is_signed && size > 0 && size < 8 && bits >> (8 * size - 1) != 0)
        bits |= UINT64_MAX << (8 * size);
    return push_new(p, (struct value){.kind = INTEGER, .integer = (int64_t)bits});
}

static fn_status load_long(struct fn_pickle *p) {
    uint64_t size;
    if (!take_number(p, 1, &size)) return refuse(p, "an integer out of range");
    return load_integer(p, (size_t)size, true);
}

/* Index of what follows the topmost mark; the mark goes. False when there is none. */
static bool find_mark(const struct fn_pickle *p, size_t *ret_first) {
    for (size_t i = p->n_stack; i-- > 0;)
        if (p->stack[i]->kind == MARK) {
            *ret_first = i + 1;
            return true;
        }
    return false;
}

static fn_status make_tuple(struct fn_pickle *p, size_t first) {
    struct value tuple = {.kind = TUPLE};
    for (size_t i = first; i < p->n_stack; i++) {
        if (p->stack[i]->kind == MARK) return refuse(p, "a mark inside a tuple");
        if (!append(p, &tuple, p->stack[i])) return refuse(p, "too many values");
    }
    p->n_stack = first;
    return push_new(p, tuple);
}

static fn_status make_marked_tuple(struct fn_pickle *p) {
    size_t first;
    if (!find_mark(p, &first)) return refuse(p, "a tuple without a mark");
    fn_status status = make_tuple(p, first);
    if (status != FN_OK) return status;
    p->stack[first - 1] = p->stack[first]; /* in the mark's place */
    p->n_stack = first;
    return FN_OK;
}

static fn_status make_counted_tuple(struct fn_pickle *p, size_t n) {
    return p->n_stack < n ? refuse(p, "an empty stack") : make_tuple(p, p->n_stack - n);
}

/* Add the values from `first` on to the container below them, of that kind. */
static fn_status extend(struct fn_pickle *p, size_t first, bool marked, enum kind kind) {
    size_t at = first - (marked ? 2 : 1);
    if (first < (marked ? 2U : 1U) || p->stack[at]->kind != kind)
        return refuse(p, "values without a container");
    if (kind == DICTIONARY && (p->n_stack - first) % 2 != 0)
        return refuse(p, "a key without a value");
    for (size_t i = first; i < p->n_stack; i++) {
        if (p->stack[i]->kind == MARK) return refuse(p, "a mark inside a container");
        if (!append(p, p->stack[at], p->stack[i])) return refuse(p, "too many values");
    }
    p->n_stack = at + 1;
    return FN_OK;
}

static fn_status extend_marked(struct fn_pickle *p, enum kind kind) {
    size_t first;
    if (!find_mark(p, &first)) return refuse(p, "values without a mark");
    return extend(p, first, true, kind);
}

static fn_status extend_counted(struct fn_pickle *p, size_t n, enum kind kind) {
    return p->n_stack < n + 1 ? refuse(p, "an empty stack")
                              : extend(p, p->n_stack - n, false, kind);
}

static fn_status put_memo(struct fn_pickle *p, uint64_t index) {
    if (index >= MAX_MEMO || p->n_stack == 0) return refuse(p, "a memo out of range");
    p->memo[index] = p->stack[p->n_stack - 1];
    if (index >= p->n_memo) p->n_memo = (size_t)index + 1;
    return FN_OK;
}

static fn_status get_memo(struct fn_pickle *p, uint64_t index) {
    if (index >= p->n_memo || !p->memo[index]) return refuse(p, "a memo that was never put");
    return push(p, p->memo[index]);
}

/* A sized memo instruction. */
static fn_status use_memo(struct fn_pickle *p, size_t index_size,
                          fn_status (*use)(struct fn_pickle *p, uint64_t index)) {
    uint64_t index;
    if (!take_number(p, index_size, &index)) return refuse(p, "an instruction cut off");
    return use(p, index);
}

/* ---- names and what they build -------------------------------------------------------------- */

static fn_status push_name(struct fn_pickle *p, const char *module, size_t module_size,
                           const char *word, size_t word_size) {
    static const struct {
        const char *module, *word;
        enum name name;
    } known[] = {{"numpy.core.multiarray", "_reconstruct", NAME_RECONSTRUCT},
                 {"numpy._core.multiarray", "_reconstruct", NAME_RECONSTRUCT},
                 {"numpy", "ndarray", NAME_NDARRAY},
                 {"numpy", "dtype", NAME_DTYPE}};
    const struct value a = {.kind = STRING, .text = module, .size = module_size};
    const struct value b = {.kind = STRING, .text = word, .size = word_size};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (is_text(&a, known[i].module) && is_text(&b, known[i].word))
            return push_new(p, (struct value){.kind = NAME, .integer = known[i].name});
    return fn_fail(p->err, FN_BAD_SOURCE,
                   "%s: refers to %.*s.%.*s, which is not run; expected NumPy arrays only", p->name,
                   module_size > 40 ? 40 : (int)module_size, module,
                   word_size > 40 ? 40 : (int)word_size, word);
}

/* "module\nname\n" */
static fn_status load_global(struct fn_pickle *p) {
    const char *lines[2];
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        const uint8_t *newline = memchr(p->at, '\n', (size_t)(p->end - p->at));
        if (!newline) return refuse(p, "a name without its end");
        lines[i] = (const char *)p->at;
        sizes[i] = (size_t)(newline - p->at);
        p->at = newline + 1;
    }
    return push_name(p, lines[0], sizes[0], lines[1], sizes[1]);
}

static fn_status load_stack_global(struct fn_pickle *p) {
    const struct value *word = top(p, STRING);
    const struct value *module = p->n_stack > 1 ? p->stack[p->n_stack - 2] : NULL;
    if (!word || !module || module->kind != STRING) return refuse(p, "a name that is no string");
    p->n_stack -= 2;
    return push_name(p, module->text, module->size, word->text, word->size);
}

/* A name called with a tuple. */
static fn_status reduce(struct fn_pickle *p) {
    const struct value *arguments = top(p, TUPLE);
    const struct value *name = p->n_stack > 1 ? p->stack[p->n_stack - 2] : NULL;
    if (!arguments || !name || name->kind != NAME)
        return refuse(p, "a call of something else than a name");
    p->n_stack -= 2;
    if (name->integer == NAME_RECONSTRUCT) return push_new(p, (struct value){.kind = ARRAY});
    const struct value *code = item(arguments, 0);
    if (name->integer != NAME_DTYPE || !code || code->kind != STRING)
        return refuse(p, "a call that makes no array");
    return push_new(p, (struct value){.kind = DTYPE, .text = code->text, .size = code->size});
}

static fn_status build(struct fn_pickle *p) {
    const struct value *state = top(p, TUPLE);
    struct value *object = p->n_stack > 1 ? p->stack[p->n_stack - 2] : NULL;
    if (!state || !object || (object->kind != ARRAY && object->kind != DTYPE) || object->state)
        return refuse(p, "a state of something else than an array");
    object->state = state;
    p->n_stack--;
    return FN_OK;
}

/* ---- the machine ---------------------------------------------------------------------------- */

/* Frames only help readers of streams. */
static fn_status skip_frame(struct fn_pickle *p) {
    uint64_t size;
    return take_number(p, 8, &size) ? FN_OK : refuse(p, "an instruction cut off");
}

static fn_status check_protocol(struct fn_pickle *p) {
    uint64_t protocol;
    if (!take_number(p, 1, &protocol) || protocol < 2 || protocol > 4)
        return refuse(p, "a pickle of another protocol than 2, 3 or 4");
    return FN_OK;
}

static fn_status run_one(struct fn_pickle *p, uint8_t instruction) {
    switch (instruction) {
    case 0x80:
        return check_protocol(p);
    case 0x95:
        return skip_frame(p);
    case '(':
        return push_new(p, (struct value){.kind = MARK});
    case 'N':
        return push_new(p, (struct value){.kind = NONE});
    case 0x88:
        return push_new(p, (struct value){.kind = INTEGER, .integer = 1});
    case 0x89:
        return push_new(p, (struct value){.kind = INTEGER, .integer = 0});
    case 'K':
        return load_integer(p, 1, false);
    case 'M':
        return load_integer(p, 2, false);
    case 'J':
        return load_integer(p, 4, true);
    case 0x8a:
        return load_long(p);
    case 'U':
    case 'C':
    case 0x8c:
        return load_string(p, 1);
    case 'T':
    case 'B':
    case 'X':
        return load_string(p, 4);
    case 0x8d:
    case 0x8e:
        return load_string(p, 8);
    case ')':
        return make_counted_tuple(p, 0);
    case 0x85:
        return make_counted_tuple(p, 1);
    case 0x86:
        return make_counted_tuple(p, 2);
    case 0x87:
        return make_counted_tuple(p, 3);
    case 't':
        return make_marked_tuple(p);
    case ']':
        return push_new(p, (struct value){.kind = LIST});
    case 'a':
        return extend_counted(p, 1, LIST);
    case 'e':
        return extend_marked(p, LIST);
    case '}':
        return push_new(p, (struct value){.kind = DICTIONARY});
    case 's':
        return extend_counted(p, 2, DICTIONARY);
    case 'u':
        return extend_marked(p, DICTIONARY);
    case 'q':
        return use_memo(p, 1, put_memo);
    case 'r':
        return use_memo(p, 4, put_memo);
    case 'h':
        return use_memo(p, 1, get_memo);
    case 'j':
        return use_memo(p, 4, get_memo);
    case 0x94:
        return put_memo(p, p->n_memo);
    case 'c':
        return load_global(p);
    case 0x93:
        return load_stack_global(p);
    case 'R':
        return reduce(p);
    case 'b':
        return build(p);
    default:
        return refuse(p, "an instruction that builds no array");
    }
}

static fn_status run(struct fn_pickle *p) {
    while (p->at < p->end) {
        uint8_t instruction = *p->at++;
        if (instruction == '.') return p->n_stack == 1 ? FN_OK : refuse(p, "an unfinished value");
        fn_status status = run_one(p, instruction);
        if (status != FN_OK) return status;
    }
    return refuse(p, "an end without a stop");
}

/* ---- the dictionary ------------------------------------------------------------------------- */

/* Parts of an array's state: (version, shape, dtype, fortran order, data). NULL: it has none. */
static const struct value *array_part(const struct value *array, size_t index, enum kind kind) {
    if (!array || array->kind != ARRAY || !array->state || array->state->n != 5) return NULL;
    const struct value *part = item(array->state, index);
    return part->kind == kind ? part : NULL;
}

/* The dictionary in the one element of the array of rank 0 on the stack. */
static const struct value *outermost(const struct fn_pickle *p) {
    const struct value *shape = array_part(p->stack[0], 1, TUPLE);
    const struct value *data = array_part(p->stack[0], 4, LIST);
    if (!shape || shape->n != 0 || !data || data->n != 1) return NULL;
    const struct value *dictionary = data->first->value;
    return dictionary->kind == DICTIONARY ? dictionary : NULL;
}

static const struct value *look_up(const struct value *dictionary, const char *key) {
    if (!dictionary || dictionary->kind != DICTIONARY) return NULL;
    const struct value *found = NULL;
    for (const struct cell *cell = dictionary->first; cell; cell = cell->next->next)
        if (is_text(cell->value, key)) found = cell->next->value;
    return found;
}

static bool read_dtype(const struct value *dtype, enum fn_dtype *ret_dtype) {
    static const struct {
        const char *code;
        enum fn_dtype dtype;
    } known[] = {{"f2", FN_DTYPE_F16}, {"f4", FN_DTYPE_F32}, {"f8", FN_DTYPE_F64}};
    const struct value *order = dtype->state ? item(dtype->state, 1) : NULL;
    if (!is_text(order, "<") && !is_text(order, "=")) return false;
    const struct value code = {.kind = STRING, .text = dtype->text, .size = dtype->size};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (is_text(&code, known[i].code)) {
            *ret_dtype = known[i].dtype;
            return true;
        }
    return false;
}

static bool read_shape(const struct value *shape, struct fn_npy *array) {
    if (shape->n > FN_NPY_MAX_RANK) return false;
    array->rank = (int)shape->n;
    int i = 0;
    for (const struct cell *cell = shape->first; cell; cell = cell->next, i++) {
        if (cell->value->kind != INTEGER || cell->value->integer < 0) return false;
        array->shape[i] = cell->value->integer;
    }
    return true;
}

bool fn_pickle_find(const struct fn_pickle *pickle, const char *outer, const char *inner,
                    struct fn_npy *ret_array) {
    const struct value *array = look_up(look_up(outermost(pickle), outer), inner);
    const struct value *shape = array_part(array, 1, TUPLE);
    const struct value *dtype = array_part(array, 2, DTYPE);
    const struct value *fortran = array_part(array, 3, INTEGER);
    const struct value *data = array_part(array, 4, STRING);
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

bool fn_pickle_recognise(const void *bytes, size_t size) {
    return find_begin(bytes, size) > 0;
}

fn_status fn_pickle_open(const char *name, const void *bytes, size_t size,
                         struct fn_pickle **ret_pickle, struct fn_error *err) {
    size_t begin = find_begin(bytes, size);
    if (begin == 0)
        return fn_fail(err, FN_BAD_SOURCE, "%s: not a .npy file of one Python object", name);
    FN_CLEANUP(fn_pickle_close) struct fn_pickle *pickle = calloc(1, sizeof *pickle);
    if (!pickle) return fn_fail(err, FN_NO_MEMORY, "%s: no memory to read it", name);
    pickle->name = name;
    pickle->at = (const uint8_t *)bytes + begin;
    pickle->end = (const uint8_t *)bytes + size;
    pickle->err = err;
    fn_status status = run(pickle);
    if (status == FN_OK && !outermost(pickle))
        status = fn_fail(err, FN_BAD_SOURCE, "%s: holds no dictionary of arrays", name);
    pickle->err = NULL;
    if (status == FN_OK) *ret_pickle = FN_TAKE(pickle);
    return status;
}

void fn_pickle_close(struct fn_pickle *pickle) {
    free(pickle);
}
