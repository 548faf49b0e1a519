/* SPDX-License-Identifier: Apache-2.0
 *
 * lfw.c -- the parser of pairs files; lfw_find.c finds the pictures. While parsing, pictures are in
 * order of appearance, one per mention; sort_pictures() makes them unique and renumbers the pairs.
 */
#include "model/evaluate/lfw.h"

#include <string.h>

#include "engine/file.h"

#define MAX_FILE_SIZE   ((size_t)64 << 20)
#define MAX_NAME_LENGTH 120
#define MAX_FIELDS      5 /* one more than a line may have */

struct parser {
    const char *name, *text, *end;
    int line;
    struct fn_error *err;
    struct fn_lfw lfw;
};

struct field {
    const char *text;
    size_t length;
};

static fn_status refuse(const struct parser *p, const char *expected) {
    return fn_fail(p->err, FN_BAD_SOURCE, "%s:%d: expected %s", p->name, p->line, expected);
}

/* Split the next line at tabs. Returns the number of fields, MAX_FIELDS for too many. */
static int next_line(struct parser *p, struct field *ret_fields) {
    const char *end = memchr(p->text, '\n', (size_t)(p->end - p->text));
    const char *next = end ? end + 1 : p->end;
    if (!end) end = p->end;
    if (end > p->text && end[-1] == '\r') end--;
    int n = 0;
    for (const char *at = p->text;; at++) {
        const char *tab = at < end ? memchr(at, '\t', (size_t)(end - at)) : NULL;
        const char *stop = tab ? tab : end;
        ret_fields[n++] = (struct field){at, (size_t)(stop - at)};
        if (!tab || n == MAX_FIELDS) break;
        at = tab;
    }
    p->text = next;
    p->line++;
    return n;
}

static bool read_integer(struct field f, int max, int *ret) {
    int value = 0;
    if (f.length == 0 || f.length > 7) return false;
    for (size_t i = 0; i < f.length; i++) {
        if (f.text[i] < '0' || f.text[i] > '9') return false;
        value = 10 * value + (f.text[i] - '0');
    }
    *ret = value;
    return value >= 1 && value <= max;
}

/* A folder's name and nothing else: it becomes part of a path. */
static bool is_name(struct field f) {
    return f.length > 0 && f.length <= MAX_NAME_LENGTH && f.text[0] != '.' &&
           !memchr(f.text, '/', f.length) && !memchr(f.text, '\0', f.length);
}

/* Append a mention of a picture; `number` is the field with i. */
static fn_status mention(struct parser *p, struct field name, struct field number,
                         size_t *ret_index) {
    int i;
    if (!is_name(name)) return refuse(p, "a person's name of at most 120 bytes, without '/'");
    if (!read_integer(number, 9999999, &i)) return refuse(p, "a picture's number from 1 on");
    struct fn_lfw_picture *picture = &p->lfw.pictures[p->lfw.n_pictures];
    *picture = (struct fn_lfw_picture){.line = p->line};
    if (asprintf(&picture->key, "%.*s/%.*s_%04d", (int)name.length, name.text, (int)name.length,
                 name.text, i) < 0) {
        picture->key = NULL;
        return fn_fail(p->err, FN_NO_MEMORY, "%s: no memory", p->name);
    }
    *ret_index = p->lfw.n_pictures++;
    return FN_OK;
}

static fn_status parse_pair(struct parser *p, bool same, int fold) {
    struct field f[MAX_FIELDS];
    struct fn_lfw_pair *pair = &p->lfw.pairs[p->lfw.n_pairs];
    *pair = (struct fn_lfw_pair){.same = same, .fold = fold};
    if (p->text == p->end) {
        p->line++;
        return refuse(p, same ? "a pair of one person, found the end of the file"
                              : "a pair of two people, found the end of the file");
    }
    int n = next_line(p, f);
    if (n != (same ? 3 : 4))
        return refuse(p, same ? "name, number, number, separated by tabs"
                              : "name, number, name, number, separated by tabs");
    fn_status status = mention(p, f[0], f[1], &pair->a);
    if (status == FN_OK) status = mention(p, f[same ? 0 : 2], f[n - 1], &pair->b);
    if (status != FN_OK) return status;
    if (!same && f[0].length == f[2].length && memcmp(f[0].text, f[2].text, f[0].length) == 0)
        return refuse(p, "two different people");
    p->lfw.n_pairs++;
    return FN_OK;
}

static fn_status parse_header(struct parser *p, int *ret_per_fold) {
    struct field f[MAX_FIELDS];
    int n = next_line(p, f);
    p->lfw.n_folds = 1;
    if (n < 1 || n > 2 || (n == 2 && !read_integer(f[0], FN_LFW_MAX_FOLDS, &p->lfw.n_folds)) ||
        !read_integer(f[n - 1], FN_LFW_MAX_PAIRS, ret_per_fold) ||
        p->lfw.n_folds > FN_LFW_MAX_PAIRS / *ret_per_fold)
        return refuse(p, "\"<folds><TAB><pairs>\" or \"<pairs>\" as the first line");
    /* A line of a pair has at least 5 bytes: a header cannot ask for more memory than that. */
    if ((size_t)p->lfw.n_folds * (size_t)*ret_per_fold * 2 > (size_t)(p->end - p->text) / 5 + 1)
        return fn_fail(p->err, FN_BAD_SOURCE,
                       "%s: %d folds of %d + %d pairs announced; the file is too short for them",
                       p->name, p->lfw.n_folds, *ret_per_fold, *ret_per_fold);
    return FN_OK;
}

static fn_status parse_all(struct parser *p) {
    int per_fold = 0;
    fn_status status = parse_header(p, &per_fold);
    if (status != FN_OK) return status;
    size_t n = 2 * (size_t)p->lfw.n_folds * (size_t)per_fold;
    p->lfw.pairs = calloc(n, sizeof *p->lfw.pairs);
    p->lfw.pictures = calloc(2 * n, sizeof *p->lfw.pictures);
    if (!p->lfw.pairs || !p->lfw.pictures)
        return fn_fail(p->err, FN_NO_MEMORY, "%s: no memory for %zu pairs", p->name, n);
    for (int fold = 0; fold < p->lfw.n_folds; fold++)
        for (int i = 0; i < 2 * per_fold; i++) {
            status = parse_pair(p, i < per_fold, fold);
            if (status != FN_OK) return status;
        }
    while (p->text < p->end) {
        struct field f[MAX_FIELDS];
        if (next_line(p, f) != 1 || f[0].length) return refuse(p, "the end of the file");
    }
    return FN_OK;
}

struct mention_order {
    const char *key;
    size_t index;
};

static int compare_mentions(const void *a, const void *b) {
    const struct mention_order *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

static bool same_person(const char *key, const char *other) {
    size_t length = strcspn(key, "/");
    return strncmp(key, other, length + 1) == 0;
}

/* Sort the mentions by key, keep each picture once, renumber the pairs. */
static fn_status sort_pictures(struct parser *p) {
    size_t n = p->lfw.n_pictures, kept = 0, person = 0;
    FN_CLEANUP_FREE struct mention_order *order = calloc(n + 1, sizeof *order);
    FN_CLEANUP_FREE size_t *moved = calloc(n + 1, sizeof *moved);
    FN_CLEANUP_FREE struct fn_lfw_picture *sorted = calloc(n + 1, sizeof *sorted);
    if (!order || !moved || !sorted)
        return fn_fail(p->err, FN_NO_MEMORY, "%s: no memory for %zu pictures", p->name, n);
    for (size_t i = 0; i < n; i++) order[i] = (struct mention_order){p->lfw.pictures[i].key, i};
    qsort(order, n, sizeof *order, compare_mentions);
    const char *last = NULL; /* key of the latest picture kept */
    for (size_t i = 0; i < n; i++) {
        struct fn_lfw_picture *from = &p->lfw.pictures[order[i].index];
        if (last && strcmp(last, from->key) == 0) {
            free(from->key);
        } else {
            if (last && !same_person(last, from->key)) person++;
            last = from->key;
            sorted[kept] = *from;
            sorted[kept++].person = person;
        }
        from->key = NULL;
        moved[order[i].index] = kept - 1;
    }
    for (size_t i = 0; i < p->lfw.n_pairs; i++) {
        p->lfw.pairs[i].a = moved[p->lfw.pairs[i].a];
        p->lfw.pairs[i].b = moved[p->lfw.pairs[i].b];
    }
    free(p->lfw.pictures);
    p->lfw.pictures = FN_TAKE(sorted);
    p->lfw.n_pictures = kept;
    return FN_OK;
}

fn_status fn_lfw_parse(const char *name, const char *text, size_t size, struct fn_lfw *ret_lfw,
                       struct fn_error *err) {
    struct parser p = {.name = name, .text = text, .end = text + size, .err = err};
    fn_status status = parse_all(&p);
    if (status == FN_OK) status = sort_pictures(&p);
    if (status != FN_OK) {
        fn_lfw_done(&p.lfw);
        return status;
    }
    *ret_lfw = p.lfw;
    return FN_OK;
}

fn_status fn_lfw_read(const char *path, struct fn_lfw *ret_lfw, struct fn_error *err) {
    FN_CLEANUP_FREE uint8_t *bytes = NULL;
    size_t size = 0;
    fn_status status = fn_file_read(path, MAX_FILE_SIZE, &bytes, &size, err);
    if (status != FN_OK) return status;
    return fn_lfw_parse(path, (const char *)bytes, size, ret_lfw, err);
}

void fn_lfw_done(struct fn_lfw *lfw) {
    for (size_t i = 0; i < lfw->n_pictures; i++) free(lfw->pictures[i].key);
    free(lfw->pictures);
    free(lfw->pairs);
    *lfw = (struct fn_lfw){0};
}
