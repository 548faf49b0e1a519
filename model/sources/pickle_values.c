/* SPDX-License-Identifier: Apache-2.0
 *
 * pickle_values.c -- the values of a pickle: made by the machine in pickle.c, read by anyone. */
#include "model/sources/pickle_values.h"

#include <string.h>

struct fn_pickle_value *fn_pickle_make(struct fn_pickle *pickle, enum fn_pickle_kind kind) {
    size_t block = pickle->n_values / FN_PICKLE_BLOCK;
    if (pickle->n_values % FN_PICKLE_BLOCK == 0) {
        struct fn_pickle_value **grown =
            reallocarray(pickle->blocks, block + 1, sizeof(struct fn_pickle_value *));
        if (!grown) return NULL;
        pickle->blocks = grown;
        grown[block] = calloc(FN_PICKLE_BLOCK, sizeof **grown);
        if (!grown[block]) return NULL;
    }
    struct fn_pickle_value *value = &pickle->blocks[block][pickle->n_values % FN_PICKLE_BLOCK];
    pickle->n_values++;
    value->kind = kind;
    return value;
}

bool fn_pickle_append(struct fn_pickle_value *to, struct fn_pickle_value *const *items, size_t n) {
    if (n > to->capacity - to->n) {
        size_t more = 2 * to->capacity > to->n + n ? 2 * to->capacity : to->n + n;
        struct fn_pickle_value **grown =
            reallocarray(to->items, more, sizeof(struct fn_pickle_value *));
        if (!grown) return false;
        to->items = grown;
        to->capacity = more;
    }
    if (n) memcpy(to->items + to->n, items, n * sizeof(struct fn_pickle_value *));
    to->n += n;
    return true;
}

const char *fn_pickle_keep(struct fn_pickle *pickle, const char *text) {
    char **grown = reallocarray(pickle->texts, pickle->n_texts + 1, sizeof *grown);
    if (!grown) return NULL;
    pickle->texts = grown;
    char *copy = strdup(text);
    if (copy) grown[pickle->n_texts++] = copy;
    return copy;
}

void fn_pickle_free(struct fn_pickle *pickle) {
    if (!pickle) return;
    for (size_t i = 0; i < pickle->n_values; i++)
        free(pickle->blocks[i / FN_PICKLE_BLOCK][i % FN_PICKLE_BLOCK].items);
    for (size_t i = 0; i < pickle->n_values; i += FN_PICKLE_BLOCK)
        free(pickle->blocks[i / FN_PICKLE_BLOCK]);
    for (size_t i = 0; i < pickle->n_texts; i++) free(pickle->texts[i]);
    free(pickle->blocks);
    free(pickle->texts);
    free(pickle);
}

const struct fn_pickle_value *fn_pickle_root(const struct fn_pickle *pickle) {
    return pickle->root;
}

size_t fn_pickle_count(const struct fn_pickle *pickle) {
    return pickle->n_values;
}

const struct fn_pickle_value *fn_pickle_at(const struct fn_pickle *pickle, size_t index) {
    return &pickle->blocks[index / FN_PICKLE_BLOCK][index % FN_PICKLE_BLOCK];
}

bool fn_pickle_is_text(const struct fn_pickle_value *value, const char *text) {
    return value->kind == FN_PICKLE_STRING && value->size == strlen(text) &&
           memcmp(value->text, text, value->size) == 0;
}

bool fn_pickle_is_global(const struct fn_pickle_value *value, const char *module_and_name) {
    return value->kind == FN_PICKLE_GLOBAL && strcmp(value->text, module_and_name) == 0;
}

const struct fn_pickle_value *fn_pickle_get(const struct fn_pickle_value *dict, const char *key) {
    if (dict->kind != FN_PICKLE_DICT) return NULL;
    for (size_t i = 0; i + 1 < dict->n; i += 2)
        if (fn_pickle_is_text(dict->items[i], key)) return dict->items[i + 1];
    return NULL;
}
