/* SPDX-License-Identifier: Apache-2.0
 *
 * npy_pickle_machine.c -- a stack machine for the few instructions that build dictionaries of
 * arrays. The invariants stand in the header. */
#include "model/sources/npy_pickle_machine.h"

#include <string.h>

enum name { NAME_RECONSTRUCT, NAME_NDARRAY, NAME_DTYPE };

static fn_status refuse(struct fn_npy_pickle *p, const char *found) {
    return fn_fail(
        p->err, FN_BAD_SOURCE,
        "%s: %s, %zu bytes before its end; expected a pickled dictionary of NumPy arrays", p->name,
        found, (size_t)(p->end - p->at));
}

/* ---- reading and making --------------------------------------------------------------------- */

/* A little-endian number of `size` bytes. */
static bool take_number(struct fn_npy_pickle *p, size_t size, uint64_t *ret) {
    if ((size_t)(p->end - p->at) < size) return false;
    *ret = 0;
    for (size_t i = 0; i < size; i++) *ret |= (uint64_t)p->at[i] << (8 * i);
    p->at += size;
    return true;
}

static fn_status push(struct fn_npy_pickle *p, struct fn_npy_value *value) {
    if (p->n_stack == FN_NPY_MAX_STACK) return refuse(p, "too deep a stack");
    p->stack[p->n_stack++] = value;
    return FN_OK;
}

static fn_status push_new(struct fn_npy_pickle *p, struct fn_npy_value value) {
    if (p->n_values == FN_NPY_MAX_OBJECTS) return refuse(p, "too many values");
    p->values[p->n_values] = value;
    return push(p, &p->values[p->n_values++]);
}

/* The value on top, which must be of that kind; NULL otherwise. */
static struct fn_npy_value *top(const struct fn_npy_pickle *p, enum fn_npy_kind kind) {
    struct fn_npy_value *value = p->n_stack ? p->stack[p->n_stack - 1] : NULL;
    return value && value->kind == kind ? value : NULL;
}

static bool append(struct fn_npy_pickle *p, struct fn_npy_value *container,
                   struct fn_npy_value *value) {
    if (p->n_cells == FN_NPY_MAX_OBJECTS) return false;
    struct fn_npy_cell *cell = &p->cells[p->n_cells++];
    *cell = (struct fn_npy_cell){value, NULL};
    if (container->last)
        container->last->next = cell;
    else
        container->first = cell;
    container->last = cell;
    container->n++;
    return true;
}

const struct fn_npy_value *fn_npy_value_item(const struct fn_npy_value *container, size_t index) {
    const struct fn_npy_cell *cell = container->first;
    while (cell && index-- > 0) cell = cell->next;
    return cell ? cell->value : NULL;
}

bool fn_npy_value_is(const struct fn_npy_value *value, const char *text) {
    return value && value->kind == FN_NPY_STRING && value->size == strlen(text) &&
           memcmp(value->text, text, value->size) == 0;
}

/* ---- instructions --------------------------------------------------------------------------- */

/* A string whose length takes `length_size` bytes. */
static fn_status load_string(struct fn_npy_pickle *p, size_t length_size) {
    uint64_t length;
    if (!take_number(p, length_size, &length) || length > (size_t)(p->end - p->at))
        return refuse(p, "a string longer than the file");
    const char *text = (const char *)p->at;
    p->at += length;
    return push_new(
        p, (struct fn_npy_value){.kind = FN_NPY_STRING, .text = text, .size = (size_t)length});
}

static fn_status load_integer(struct fn_npy_pickle *p, size_t size, bool is_signed) {
    uint64_t bits = 0;
    if (size > 8 || !take_number(p, size, &bits)) return refuse(p, "an integer out of range");
    if (is_signed && size > 0 && size < 8 && bits >> (8 * size - 1) != 0)
        bits |= UINT64_MAX << (8 * size);
    return push_new(p, (struct fn_npy_value){.kind = FN_NPY_INTEGER, .integer = (int64_t)bits});
}

static fn_status load_long(struct fn_npy_pickle *p) {
    uint64_t size;
    if (!take_number(p, 1, &size)) return refuse(p, "an integer out of range");
    return load_integer(p, (size_t)size, true);
}

/* Index of what follows the topmost mark; the mark goes. False when there is none. */
static bool find_mark(const struct fn_npy_pickle *p, size_t *ret_first) {
    for (size_t i = p->n_stack; i-- > 0;)
        if (p->stack[i]->kind == FN_NPY_MARK) {
            *ret_first = i + 1;
            return true;
        }
    return false;
}

static fn_status make_tuple(struct fn_npy_pickle *p, size_t first) {
    struct fn_npy_value tuple = {.kind = FN_NPY_TUPLE};
    for (size_t i = first; i < p->n_stack; i++) {
        if (p->stack[i]->kind == FN_NPY_MARK) return refuse(p, "a mark inside a tuple");
        if (!append(p, &tuple, p->stack[i])) return refuse(p, "too many values");
    }
    p->n_stack = first;
    return push_new(p, tuple);
}

static fn_status make_marked_tuple(struct fn_npy_pickle *p) {
    size_t first;
    if (!find_mark(p, &first)) return refuse(p, "a tuple without a mark");
    fn_status status = make_tuple(p, first);
    if (status != FN_OK) return status;
    p->stack[first - 1] = p->stack[first]; /* in the mark's place */
    p->n_stack = first;
    return FN_OK;
}

static fn_status make_counted_tuple(struct fn_npy_pickle *p, size_t n) {
    return p->n_stack < n ? refuse(p, "an empty stack") : make_tuple(p, p->n_stack - n);
}

/* Add the values from `first` on to the container below them, of that kind. */
static fn_status extend(struct fn_npy_pickle *p, size_t first, bool marked, enum fn_npy_kind kind) {
    size_t at = first - (marked ? 2 : 1);
    if (first < (marked ? 2U : 1U) || p->stack[at]->kind != kind)
        return refuse(p, "values without a container");
    if (kind == FN_NPY_DICTIONARY && (p->n_stack - first) % 2 != 0)
        return refuse(p, "a key without a value");
    for (size_t i = first; i < p->n_stack; i++) {
        if (p->stack[i]->kind == FN_NPY_MARK) return refuse(p, "a mark inside a container");
        if (!append(p, p->stack[at], p->stack[i])) return refuse(p, "too many values");
    }
    p->n_stack = at + 1;
    return FN_OK;
}

static fn_status extend_marked(struct fn_npy_pickle *p, enum fn_npy_kind kind) {
    size_t first;
    if (!find_mark(p, &first)) return refuse(p, "values without a mark");
    return extend(p, first, true, kind);
}

static fn_status extend_counted(struct fn_npy_pickle *p, size_t n, enum fn_npy_kind kind) {
    return p->n_stack < n + 1 ? refuse(p, "an empty stack")
                              : extend(p, p->n_stack - n, false, kind);
}

static fn_status put_memo(struct fn_npy_pickle *p, uint64_t index) {
    if (index >= FN_NPY_MAX_MEMO || p->n_stack == 0) return refuse(p, "a memo out of range");
    p->memo[index] = p->stack[p->n_stack - 1];
    if (index >= p->n_memo) p->n_memo = (size_t)index + 1;
    return FN_OK;
}

static fn_status get_memo(struct fn_npy_pickle *p, uint64_t index) {
    if (index >= p->n_memo || !p->memo[index]) return refuse(p, "a memo that was never put");
    return push(p, p->memo[index]);
}

/* A sized memo instruction. */
static fn_status use_memo(struct fn_npy_pickle *p, size_t index_size,
                          fn_status (*use)(struct fn_npy_pickle *p, uint64_t index)) {
    uint64_t index;
    if (!take_number(p, index_size, &index)) return refuse(p, "an instruction cut off");
    return use(p, index);
}

/* ---- names and what they build -------------------------------------------------------------- */

static fn_status push_name(struct fn_npy_pickle *p, const char *module, size_t module_size,
                           const char *word, size_t word_size) {
    static const struct {
        const char *module, *word;
        enum name name;
    } known[] = {{"numpy.core.multiarray", "_reconstruct", NAME_RECONSTRUCT},
                 {"numpy._core.multiarray", "_reconstruct", NAME_RECONSTRUCT},
                 {"numpy", "ndarray", NAME_NDARRAY},
                 {"numpy", "dtype", NAME_DTYPE}};
    const struct fn_npy_value a = {.kind = FN_NPY_STRING, .text = module, .size = module_size};
    const struct fn_npy_value b = {.kind = FN_NPY_STRING, .text = word, .size = word_size};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (fn_npy_value_is(&a, known[i].module) && fn_npy_value_is(&b, known[i].word))
            return push_new(p,
                            (struct fn_npy_value){.kind = FN_NPY_NAME, .integer = known[i].name});
    return fn_fail(p->err, FN_BAD_SOURCE,
                   "%s: refers to %.*s.%.*s, which is not run; expected NumPy arrays only", p->name,
                   module_size > 40 ? 40 : (int)module_size, module,
                   word_size > 40 ? 40 : (int)word_size, word);
}

/* "module\nname\n" */
static fn_status load_global(struct fn_npy_pickle *p) {
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

static fn_status load_stack_global(struct fn_npy_pickle *p) {
    const struct fn_npy_value *word = top(p, FN_NPY_STRING);
    const struct fn_npy_value *module = p->n_stack > 1 ? p->stack[p->n_stack - 2] : NULL;
    if (!word || !module || module->kind != FN_NPY_STRING)
        return refuse(p, "a name that is no string");
    p->n_stack -= 2;
    return push_name(p, module->text, module->size, word->text, word->size);
}

/* A name called with a tuple. */
static fn_status reduce(struct fn_npy_pickle *p) {
    const struct fn_npy_value *arguments = top(p, FN_NPY_TUPLE);
    const struct fn_npy_value *name = p->n_stack > 1 ? p->stack[p->n_stack - 2] : NULL;
    if (!arguments || !name || name->kind != FN_NPY_NAME)
        return refuse(p, "a call of something else than a name");
    p->n_stack -= 2;
    if (name->integer == NAME_RECONSTRUCT)
        return push_new(p, (struct fn_npy_value){.kind = FN_NPY_ARRAY});
    const struct fn_npy_value *code = fn_npy_value_item(arguments, 0);
    if (name->integer != NAME_DTYPE || !code || code->kind != FN_NPY_STRING)
        return refuse(p, "a call that makes no array");
    return push_new(
        p, (struct fn_npy_value){.kind = FN_NPY_DTYPE, .text = code->text, .size = code->size});
}

static fn_status build(struct fn_npy_pickle *p) {
    const struct fn_npy_value *state = top(p, FN_NPY_TUPLE);
    struct fn_npy_value *object = p->n_stack > 1 ? p->stack[p->n_stack - 2] : NULL;
    if (!state || !object || (object->kind != FN_NPY_ARRAY && object->kind != FN_NPY_DTYPE) ||
        object->state)
        return refuse(p, "a state of something else than an array");
    object->state = state;
    p->n_stack--;
    return FN_OK;
}

/* ---- the machine ---------------------------------------------------------------------------- */

/* Frames only help readers of streams. */
static fn_status skip_frame(struct fn_npy_pickle *p) {
    uint64_t size;
    return take_number(p, 8, &size) ? FN_OK : refuse(p, "an instruction cut off");
}

static fn_status check_protocol(struct fn_npy_pickle *p) {
    uint64_t protocol;
    if (!take_number(p, 1, &protocol) || protocol < 2 || protocol > 4)
        return refuse(p, "a pickle of another protocol than 2, 3 or 4");
    return FN_OK;
}

static fn_status run_one(struct fn_npy_pickle *p, uint8_t instruction) {
    switch (instruction) {
    case 0x80:
        return check_protocol(p);
    case 0x95:
        return skip_frame(p);
    case '(':
        return push_new(p, (struct fn_npy_value){.kind = FN_NPY_MARK});
    case 'N':
        return push_new(p, (struct fn_npy_value){.kind = FN_NPY_NONE});
    case 0x88:
        return push_new(p, (struct fn_npy_value){.kind = FN_NPY_INTEGER, .integer = 1});
    case 0x89:
        return push_new(p, (struct fn_npy_value){.kind = FN_NPY_INTEGER, .integer = 0});
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
        return push_new(p, (struct fn_npy_value){.kind = FN_NPY_LIST});
    case 'a':
        return extend_counted(p, 1, FN_NPY_LIST);
    case 'e':
        return extend_marked(p, FN_NPY_LIST);
    case '}':
        return push_new(p, (struct fn_npy_value){.kind = FN_NPY_DICTIONARY});
    case 's':
        return extend_counted(p, 2, FN_NPY_DICTIONARY);
    case 'u':
        return extend_marked(p, FN_NPY_DICTIONARY);
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

fn_status fn_npy_pickle_run(struct fn_npy_pickle *p) {
    while (p->at < p->end) {
        uint8_t instruction = *p->at++;
        if (instruction == '.') return p->n_stack == 1 ? FN_OK : refuse(p, "an unfinished value");
        fn_status status = run_one(p, instruction);
        if (status != FN_OK) return status;
    }
    return refuse(p, "an end without a stop");
}
