/* SPDX-License-Identifier: Apache-2.0
 *
 * pickle.c -- the pickle machine (Python's pickletools.py has the opcodes): a stack, a memo, and
 * marks on the stack. Protocols 0 to 5 are told apart by opcodes, not by their number; opcodes that
 * a state dict has no use for are refused.
 *
 * Cost is bounded by the input: an opcode makes at most one value, and no value is copied. */
#include "model/sources/pickle_values.h"

#include <stdarg.h>
#include <string.h>

#define MAX_PICKLE_SIZE ((size_t)16 << 20)

struct machine {
    struct fn_pickle *pickle;
    const char *name;
    const uint8_t *bytes;
    size_t size, at, opcode_at;
    struct fn_pickle_value **stack; /* NULL entries are marks */
    size_t n_stack, stack_capacity;
    struct fn_pickle_value **memo; /* [n_memo], NULL: unset */
    size_t n_memo, memo_end;       /* one above the last entry set */
    struct fn_error *err;
};

/* What a state dict is made of. */
static const char *const allowed[] = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch FloatStorage",
    "torch DoubleStorage",
    "torch HalfStorage",
    "torch BFloat16Storage",
    "torch LongStorage",
    "torch IntStorage",
    "torch ShortStorage",
    "torch CharStorage",
    "torch ByteStorage",
    "torch BoolStorage",
    "torch Size",
    "torch float32",
    "torch float64",
    "torch float16",
    "torch bfloat16",
    "torch int64",
    "torch.nn.parameter Parameter",
    "builtins set",
    "builtins dict",
};

static fn_status refuse(const struct machine *m, const char *format, ...) FN_PRINTF(2, 3);
static fn_status refuse(const struct machine *m, const char *format, ...) {
    char text[200];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fn_fail(m->err, FN_BAD_SOURCE, "%s: pickle, byte %zu: %s", m->name, m->opcode_at, text);
}

static fn_status no_memory(const struct machine *m) {
    return fn_fail(m->err, FN_NO_MEMORY, "%s: no memory", m->name);
}

/* ---- values --------------------------------------------------------------------------------- */

static fn_status make(struct machine *m, enum fn_pickle_kind kind, struct fn_pickle_value **ret) {
    if (m->pickle->n_values == FN_PICKLE_MAX_VALUES)
        return refuse(m, "more than %zu values", FN_PICKLE_MAX_VALUES), FN_BAD_SOURCE;
    struct fn_pickle_value *value = fn_pickle_make(m->pickle, kind);
    if (!value) return no_memory(m);
    *ret = value;
    return FN_OK;
}

static fn_status push(struct machine *m, struct fn_pickle_value *value) {
    if (m->n_stack == m->stack_capacity) {
        size_t more = m->stack_capacity ? 2 * m->stack_capacity : 64;
        struct fn_pickle_value **grown = reallocarray(m->stack, more, sizeof(void *));
        if (!grown) return no_memory(m);
        m->stack = grown;
        m->stack_capacity = more;
    }
    m->stack[m->n_stack++] = value;
    return FN_OK;
}

static fn_status push_new(struct machine *m, enum fn_pickle_kind kind, int64_t integer) {
    struct fn_pickle_value *value = NULL;
    fn_status status = make(m, kind, &value);
    if (status != FN_OK) return status;
    value->integer = integer;
    return push(m, value);
}

/* The value `depth` below the top, no mark; NULL after a refusal. */
static struct fn_pickle_value *peek(struct machine *m, size_t depth, fn_status *status) {
    if (m->n_stack > depth && m->stack[m->n_stack - 1 - depth])
        return m->stack[m->n_stack - 1 - depth];
    *status = refuse(m, "the stack is empty where a value is needed");
    return NULL;
}

static fn_status append(struct machine *m, struct fn_pickle_value *to,
                        struct fn_pickle_value *const *items, size_t n) {
    return fn_pickle_append(to, items, n) ? FN_OK : no_memory(m);
}

/* Values above the last mark: their number, the mark not counted. */
static fn_status count_to_mark(struct machine *m, size_t *ret_n) {
    for (size_t i = m->n_stack; i-- > 0;)
        if (!m->stack[i]) {
            *ret_n = m->n_stack - i - 1;
            return FN_OK;
        }
    return refuse(m, "no mark on the stack");
}

/* Replace the top n values (and the mark below them) by a value that holds them. */
static fn_status collect(struct machine *m, enum fn_pickle_kind kind, size_t n, bool marked) {
    fn_status status = FN_OK;
    for (size_t i = 0; i < n; i++)
        if (!peek(m, i, &status)) return status;
    if (kind == FN_PICKLE_DICT && n % 2) return refuse(m, "a key without a value");
    struct fn_pickle_value *value = NULL;
    status = make(m, kind, &value);
    if (status == FN_OK) status = append(m, value, m->stack + m->n_stack - n, n);
    if (status != FN_OK) return status;
    m->n_stack -= n + marked;
    return push(m, value);
}

/* Append the top n values (above a mark, which goes too) to the container below them. */
static fn_status extend(struct machine *m, enum fn_pickle_kind kind, size_t n, bool marked) {
    fn_status status = FN_OK;
    for (size_t i = 0; i < n; i++)
        if (!peek(m, i, &status)) return status;
    struct fn_pickle_value *to = peek(m, n + marked, &status);
    if (!to) return status;
    if (to->kind != kind) return refuse(m, "items for something that holds none");
    if (kind == FN_PICKLE_DICT && n % 2) return refuse(m, "a key without a value");
    status = append(m, to, m->stack + m->n_stack - n, n);
    m->n_stack -= n + marked;
    return status;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* `n` bytes of the input, or NULL after a refusal. */
static const uint8_t *take(struct machine *m, uint64_t n, fn_status *status) {
    if (n > m->size - m->at) {
        *status = refuse(m, "the data end in the middle of it (%llu bytes needed, %zu left)",
                         (unsigned long long)n, m->size - m->at);
        return NULL;
    }
    m->at += n;
    return m->bytes + m->at - n;
}

static fn_status take_integer(struct machine *m, size_t width, uint64_t *ret) {
    fn_status status = FN_OK;
    const uint8_t *p = take(m, width, &status);
    if (!p) return status;
    *ret = 0;
    for (size_t i = 0; i < width; i++) *ret |= (uint64_t)p[i] << (8 * i);
    return FN_OK;
}

static fn_status push_string(struct machine *m, size_t length_width) {
    uint64_t length;
    fn_status status = take_integer(m, length_width, &length);
    if (status != FN_OK) return status;
    const uint8_t *text = take(m, length, &status);
    if (!text) return status;
    struct fn_pickle_value *value = NULL;
    status = make(m, FN_PICKLE_STRING, &value);
    if (status != FN_OK) return status;
    value->text = (const char *)text;
    value->size = (size_t)length;
    return push(m, value);
}

/* Little-endian two's complement of any length; what does not fit 64 bits is refused. */
static fn_status push_long(struct machine *m, size_t length_width) {
    uint64_t length, bits = 0;
    fn_status status = take_integer(m, length_width, &length);
    if (status != FN_OK) return status;
    if (length > 8) return refuse(m, "an integer of %llu bytes", (unsigned long long)length);
    status = take_integer(m, (size_t)length, &bits);
    if (status != FN_OK) return status;
    if (length > 0 && length < 8 && bits >> (8 * length - 1) & 1)
        bits |= UINT64_MAX << (8 * length);
    return push_new(m, FN_PICKLE_INT, (int64_t)bits);
}

static fn_status push_float(struct machine *m) {
    fn_status status = FN_OK;
    const uint8_t *p = take(m, 8, &status);
    if (!p) return status;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) bits = bits << 8 | p[i];
    struct fn_pickle_value *value = NULL;
    status = make(m, FN_PICKLE_FLOAT, &value);
    if (status != FN_OK) return status;
    memcpy(&value->real, &bits, sizeof bits);
    return push(m, value);
}

/* ---- globals and calls ---------------------------------------------------------------------- */

static fn_status push_global(struct machine *m, const char *module, size_t module_size,
                             const char *name, size_t name_size) {
    char text[128];
    int length =
        snprintf(text, sizeof text, "%.*s %.*s", (int)(module_size > 60 ? 60 : module_size), module,
                 (int)(name_size > 60 ? 60 : name_size), name);
    bool known = false;
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        known |= strcmp(text, allowed[i]) == 0;
    if (!known || length < 0) {
        char *space = strchr(text, ' ');
        if (space) *space = '.';
        for (char *c = text; *c; c++)
            if (*c < ' ' || *c > '~') *c = '?';
        return refuse(m,
                      "it names %s, which is no part of a state dict and is not run; save the "
                      "model's state_dict() alone",
                      text);
    }
    struct fn_pickle_value *value = NULL;
    fn_status status = make(m, FN_PICKLE_GLOBAL, &value);
    if (status != FN_OK) return status;
    const char *copy = fn_pickle_keep(m->pickle, text);
    if (!copy) return no_memory(m);
    value->text = copy;
    value->size = strlen(copy);
    return push(m, value);
}

/* "c" module \n name \n */
static fn_status read_global(struct machine *m) {
    const char *line[2];
    size_t size[2];
    for (int i = 0; i < 2; i++) {
        const uint8_t *end = memchr(m->bytes + m->at, '\n', m->size - m->at);
        if (!end) return refuse(m, "a global without an end");
        line[i] = (const char *)m->bytes + m->at;
        size[i] = (size_t)(end - m->bytes) - m->at;
        m->at += size[i] + 1;
    }
    return push_global(m, line[0], size[0], line[1], size[1]);
}

static fn_status stack_global(struct machine *m) {
    fn_status status = FN_OK;
    const struct fn_pickle_value *name = peek(m, 0, &status);
    const struct fn_pickle_value *module = name ? peek(m, 1, &status) : NULL;
    if (!module) return status;
    if (name->kind != FN_PICKLE_STRING || module->kind != FN_PICKLE_STRING)
        return refuse(m, "a global whose names are not text");
    m->n_stack -= 2;
    return push_global(m, module->text, module->size, name->text, name->size);
}

/* A call stays a record, but for an empty ordered dictionary, which is one. */
static fn_status record_call(struct machine *m) {
    fn_status status = FN_OK;
    const struct fn_pickle_value *args = peek(m, 0, &status);
    const struct fn_pickle_value *callee = args ? peek(m, 1, &status) : NULL;
    if (!callee) return status;
    if (callee->kind != FN_PICKLE_GLOBAL || args->kind != FN_PICKLE_TUPLE)
        return refuse(m, "a call of something that has no name");
    if (args->n == 0 && (fn_pickle_is_global(callee, "collections OrderedDict") ||
                         fn_pickle_is_global(callee, "builtins dict"))) {
        m->n_stack -= 2;
        return push_new(m, FN_PICKLE_DICT, 0);
    }
    return collect(m, FN_PICKLE_CALL, 2, false);
}

/* ---- memo ----------------------------------------------------------------------------------- */

static fn_status memo_put(struct machine *m, uint64_t index) {
    fn_status status = FN_OK;
    struct fn_pickle_value *value = peek(m, 0, &status);
    if (!value) return status;
    if (index >= FN_PICKLE_MAX_VALUES) return refuse(m, "memo %llu", (unsigned long long)index);
    if (index >= m->n_memo) {
        size_t more = index < 512 ? 1024 : 2 * (size_t)index;
        struct fn_pickle_value **grown = reallocarray(m->memo, more, sizeof(void *));
        if (!grown) return no_memory(m);
        memset(grown + m->n_memo, 0, (more - m->n_memo) * sizeof(void *));
        m->memo = grown;
        m->n_memo = more;
    }
    m->memo[index] = value;
    if (index >= m->memo_end) m->memo_end = (size_t)index + 1;
    return FN_OK;
}

static fn_status memo_get(struct machine *m, uint64_t index) {
    if (index >= m->n_memo || !m->memo[index])
        return refuse(m, "memo %llu was never set", (unsigned long long)index);
    return push(m, m->memo[index]);
}

/* ---- opcodes -------------------------------------------------------------------------------- */

/* Opcodes with an argument of fixed width; *ret_handled says whether it was one. */
static fn_status step_number(struct machine *m, uint8_t opcode, bool *ret_handled) {
    static const struct {
        uint8_t opcode, width;
    } table[] = {{0x80, 1}, {'K', 1}, {'M', 2}, {'J', 4}, {'q', 1},
                 {'r', 4},  {'h', 1}, {'j', 4}, {0x95, 8}};
    uint64_t n = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].opcode != opcode) continue;
        *ret_handled = true;
        fn_status status = take_integer(m, table[i].width, &n);
        if (status != FN_OK) return status;
    }
    switch (opcode) {
    case 0x80: /* protocol */
        return n <= 5 ? FN_OK
                      : refuse(m, "protocol %llu; expected at most 5", (unsigned long long)n);
    case 'K':
    case 'M':
        return push_new(m, FN_PICKLE_INT, (int64_t)n);
    case 'J':
        return push_new(m, FN_PICKLE_INT, (int32_t)(uint32_t)n);
    case 'q':
    case 'r':
        return memo_put(m, n);
    case 'h':
    case 'j':
        return memo_get(m, n);
    default: /* 0x95: the length of a frame says nothing we need */
        return FN_OK;
    }
}

static fn_status step_marked(struct machine *m, uint8_t opcode) {
    size_t n = 0;
    fn_status status = count_to_mark(m, &n);
    if (status != FN_OK) return status;
    switch (opcode) {
    case 't':
    case 'l':
        return collect(m, FN_PICKLE_TUPLE, n, true);
    case 'd':
        return collect(m, FN_PICKLE_DICT, n, true);
    case 'u':
        return extend(m, FN_PICKLE_DICT, n, true);
    case '1':
        m->n_stack -= n + 1;
        return FN_OK;
    default: /* 'e', 0x90 */
        return extend(m, FN_PICKLE_TUPLE, n, true);
    }
}

/* BUILD sets attributes: of a dictionary they are of no interest (a state dict's `_metadata`). */
static fn_status drop_state(struct machine *m) {
    fn_status status = FN_OK;
    if (!peek(m, 0, &status) || !peek(m, 1, &status)) return status;
    m->n_stack--;
    return FN_OK;
}

static fn_status step(struct machine *m, uint8_t opcode) {
    bool handled = false;
    fn_status status = step_number(m, opcode, &handled);
    if (handled) return status;
    switch (opcode) {
    case '(':
        return push(m, NULL);
    case ')':
    case ']':
    case 0x8f: /* empty set */
        return push_new(m, FN_PICKLE_TUPLE, 0);
    case '}':
        return push_new(m, FN_PICKLE_DICT, 0);
    case 't':
    case 'l':
    case 'd':
    case 'u':
    case 'e':
    case 0x90:
    case '1':
        return step_marked(m, opcode);
    case 0x85:
    case 0x86:
    case 0x87:
        return collect(m, FN_PICKLE_TUPLE, (size_t)opcode - 0x84, false);
    case 's':
        return extend(m, FN_PICKLE_DICT, 2, false);
    case 'a':
        return extend(m, FN_PICKLE_TUPLE, 1, false);
    case 'N':
        return push_new(m, FN_PICKLE_NONE, 0);
    case 0x88:
    case 0x89:
        return push_new(m, FN_PICKLE_BOOL, opcode == 0x88);
    case 0x8a:
    case 0x8b:
        return push_long(m, opcode == 0x8a ? 1u : 4u);
    case 'G':
        return push_float(m);
    case 'X':
    case 'T':
    case 'B':
        return push_string(m, 4);
    case 0x8c:
    case 'U':
    case 'C':
        return push_string(m, 1);
    case 0x8d:
    case 0x8e:
        return push_string(m, 8);
    case 'c':
        return read_global(m);
    case 0x93:
        return stack_global(m);
    case 'R':
    case 0x81:
        return record_call(m);
    case 'b':
        return drop_state(m);
    case 'Q':
        return collect(m, FN_PICKLE_PERSISTENT, 1, false);
    case 0x94:
        return memo_put(m, m->memo_end);
    case '0':
        if (peek(m, 0, &status)) m->n_stack--;
        return status;
    default:
        return refuse(m, "opcode 0x%02x, which a state dict has no use for", opcode);
    }
}

static fn_status run(struct machine *m) {
    for (;;) {
        m->opcode_at = m->at;
        if (m->at == m->size) return refuse(m, "the data end before the pickle does");
        if (m->at == MAX_PICKLE_SIZE) return refuse(m, "longer than %zu bytes", MAX_PICKLE_SIZE);
        uint8_t opcode = m->bytes[m->at++];
        fn_status status = FN_OK;
        if (opcode == '.') {
            m->pickle->root = peek(m, 0, &status);
            return status;
        }
        status = step(m, opcode);
        if (status != FN_OK) return status;
    }
}

fn_status fn_pickle_read(const char *name, const uint8_t *bytes, size_t size,
                         struct fn_pickle **ret_pickle, size_t *ret_used, struct fn_error *err) {
    FN_CLEANUP(fn_pickle_free) struct fn_pickle *pickle = calloc(1, sizeof *pickle);
    if (!pickle) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", name);
    struct machine m = {.pickle = pickle, .name = name, .bytes = bytes, .size = size, .err = err};
    fn_status status = run(&m);
    free(m.stack);
    free(m.memo);
    if (status != FN_OK) return status;
    *ret_used = m.at;
    *ret_pickle = FN_TAKE(pickle);
    return FN_OK;
}
