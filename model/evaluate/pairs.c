/* SPDX-License-Identifier: Apache-2.0
 *
 * pairs.c -- lines to pairs; a hash table gives pictures their numbers. */
#include "model/evaluate/pairs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/evaluate/lfw.h"

#define MAX_LINE   1024
#define MAX_FIELDS 5

struct reader {
    const char *name;
    size_t line;
    struct fn_pairs pairs;
    size_t pictures_capacity, pairs_capacity;
    uint32_t *slots; /* [n_slots]: picture + 1, or 0; owned */
    size_t n_slots;  /* a power of two, at least twice the pictures */
    struct fn_error *err;
};

/* One line, cut into fields. */
struct line {
    char text[MAX_LINE];
    char *fields[MAX_FIELDS];
    int n;
};

static fn_status refuse(const struct reader *r, const char *expected) {
    return fn_fail(r->err, FN_BAD_SOURCE, "%s:%zu: expected %s", r->name, r->line, expected);
}

/* ---- pictures ------------------------------------------------------------------------------- */

static uint64_t hash(const char *text) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++) h = (h ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return h;
}

/* The slot of a picture, or the free one where it belongs. */
static uint32_t *find_slot(const struct reader *r, const char *picture) {
    size_t i = hash(picture) & (r->n_slots - 1);
    while (r->slots[i] && strcmp(r->pairs.pictures[r->slots[i] - 1], picture) != 0)
        i = (i + 1) & (r->n_slots - 1);
    return &r->slots[i];
}

static bool grow_pictures(struct reader *r) {
    size_t capacity = r->pictures_capacity ? 2 * r->pictures_capacity : 256;
    char **pictures = realloc(r->pairs.pictures, capacity * sizeof *pictures);
    if (pictures) r->pairs.pictures = pictures;
    uint32_t *slots = calloc(2 * capacity, sizeof *slots);
    if (!pictures || !slots) {
        free(slots);
        return false;
    }
    free(r->slots);
    r->slots = slots;
    r->n_slots = 2 * capacity;
    r->pictures_capacity = capacity;
    for (size_t i = 0; i < r->pairs.n_pictures; i++)
        *find_slot(r, r->pairs.pictures[i]) = (uint32_t)i + 1;
    return true;
}

static fn_status add_picture(struct reader *r, const char *picture, uint32_t *ret_index) {
    if (r->pairs.n_pictures == r->pictures_capacity && !grow_pictures(r))
        return fn_fail(r->err, FN_NO_MEMORY, "%s: no memory for its pictures", r->name);
    uint32_t *slot = find_slot(r, picture);
    if (!*slot) {
        if (r->pairs.n_pictures == FN_MAX_PICTURES) return refuse(r, "at most 200000 pictures");
        char *copy = strdup(picture);
        if (!copy) return fn_fail(r->err, FN_NO_MEMORY, "%s: no memory for a name", r->name);
        r->pairs.pictures[r->pairs.n_pictures++] = copy;
        *slot = (uint32_t)r->pairs.n_pictures;
    }
    *ret_index = *slot - 1;
    return FN_OK;
}

static fn_status add_pair(struct reader *r, const char *a, const char *b, bool same) {
    struct fn_pair pair = {.same = same};
    if (r->pairs.n_pairs == r->pairs_capacity) {
        size_t capacity = r->pairs_capacity ? 2 * r->pairs_capacity : 1024;
        struct fn_pair *pairs = realloc(r->pairs.pairs, capacity * sizeof *pairs);
        if (!pairs) return fn_fail(r->err, FN_NO_MEMORY, "%s: no memory for its pairs", r->name);
        r->pairs.pairs = pairs;
        r->pairs_capacity = capacity;
    }
    if (r->pairs.n_pairs == FN_MAX_PAIRS) return refuse(r, "at most 5000000 pairs");
    fn_status status = add_picture(r, a, &pair.a);
    if (status == FN_OK) status = add_picture(r, b, &pair.b);
    if (status == FN_OK && pair.a == pair.b) status = refuse(r, "two different pictures");
    if (status == FN_OK) r->pairs.pairs[r->pairs.n_pairs++] = pair;
    return status;
}

/* ---- lines ---------------------------------------------------------------------------------- */

/* A name stays below the folder of pictures. */
static bool is_safe(const char *name) {
    return name[0] && name[0] != '/' && strcmp(name, "..") != 0 && strncmp(name, "../", 3) != 0 &&
           !strstr(name, "/../");
}

static bool read_verdict(const char *word, bool *ret_same) {
    static const char *const words[] = {"1", "true", "same", "0", "false", "different"};
    for (int i = 0; i < 6; i++)
        if (strcmp(word, words[i]) == 0) {
            *ret_same = i < 3;
            return true;
        }
    return false;
}

/* Names of columns, not of files. */
static bool is_heading(const struct line *line) {
    return line->n == 3 && !strpbrk(line->fields[0], "./") && !strpbrk(line->fields[1], "./");
}

static fn_status read_csv(struct reader *r, const struct line *line) {
    bool same = false;
    if (r->line == 1 && is_heading(line)) return FN_OK;
    if (line->n != 3 || !read_verdict(line->fields[2], &same))
        return refuse(r, "\"a.jpg,b.jpg,1\", or 0 for two people");
    if (!is_safe(line->fields[0]) || !is_safe(line->fields[1]))
        return refuse(r, "names below the folder of pictures");
    return add_pair(r, line->fields[0], line->fields[1], same);
}

static void split(struct line *line) {
    char *at = line->text;
    for (line->n = 0; line->n < MAX_FIELDS; line->n++) {
        at += strspn(at, " \t");
        if (!*at && line->n == 0) return;
        line->fields[line->n] = at;
        char *end = at + strcspn(at, ",");
        bool more = *end != '\0';
        at = end + (more ? 1 : 0);
        while (end > line->fields[line->n] && (end[-1] == ' ' || end[-1] == '\t')) end--;
        *end = '\0';
        if (!more || !*at) {
            line->n++;
            return;
        }
    }
}

/* Copy the next line without its end; false when there is none or it is too long or has a NUL. */
static bool take_line(const char **at, const char *end, struct line *ret_line) {
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    size_t length = (size_t)((newline ? newline : end) - *at);
    if (length >= MAX_LINE || memchr(*at, '\0', length)) return false;
    memcpy(ret_line->text, *at, length);
    if (length > 0 && ret_line->text[length - 1] == '\r') length--;
    ret_line->text[length] = '\0';
    *at = newline ? newline + 1 : end;
    return true;
}

static fn_status read_lines(struct reader *r, const char *text, size_t size) {
    const char *at = text, *end = text + size;
    while (at < end) {
        struct line line;
        r->line++;
        if (!take_line(&at, end, &line)) return refuse(r, "text of fewer than 1024 bytes a line");
        split(&line);
        if (line.n == 0) continue;
        fn_status status = read_csv(r, &line);
        if (status != FN_OK) return status;
    }
    return r->pairs.n_pairs ? FN_OK : fn_fail(r->err, FN_BAD_SOURCE, "%s: holds no pairs", r->name);
}

/* LFW's format is lfw.c's business. */
static fn_status read_lfw(struct reader *r, const char *text, size_t size) {
    FN_CLEANUP(fn_lfw_done) struct fn_lfw lfw = {0};
    fn_status status = fn_lfw_parse(r->name, text, size, &lfw, r->err);
    for (size_t i = 0; i < lfw.n_pairs && status == FN_OK; i++) {
        const struct fn_lfw_picture *a = &lfw.pictures[lfw.pairs[i].a];
        const struct fn_lfw_picture *b = &lfw.pictures[lfw.pairs[i].b];
        char names[2][MAX_LINE];
        (void)snprintf(names[0], sizeof names[0], "%s.jpg", a->key);
        (void)snprintf(names[1], sizeof names[1], "%s.jpg", b->key);
        r->line = (size_t)a->line;
        status = add_pair(r, names[0], names[1], lfw.pairs[i].same);
    }
    return status;
}

/* ---- people --------------------------------------------------------------------------------- */

static uint32_t root_of(uint32_t *parents, uint32_t i) {
    while (parents[i] != i) i = parents[i] = parents[parents[i]];
    return i;
}

static void join(uint32_t *parents, uint32_t a, uint32_t b) {
    a = root_of(parents, a);
    b = root_of(parents, b);
    if (a < b)
        parents[b] = a;
    else
        parents[a] = b;
}

/* Join pictures of one folder: sorted by folder they are neighbours. */
struct placed {
    const char *name;
    size_t folder; /* length of the folder's name, 0: none */
    uint32_t index;
};

static int by_folder(const void *a, const void *b) {
    const struct placed *x = a, *y = b;
    size_t length = x->folder < y->folder ? x->folder : y->folder;
    int order = strncmp(x->name, y->name, length);
    if (order != 0) return order;
    if (x->folder != y->folder) return x->folder < y->folder ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static fn_status join_folders(struct reader *r, uint32_t *parents) {
    size_t n = r->pairs.n_pictures;
    FN_CLEANUP_FREE struct placed *placed = calloc(n + 1, sizeof *placed);
    if (!placed) return fn_fail(r->err, FN_NO_MEMORY, "%s: no memory for its people", r->name);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = r->pairs.pictures[i], *slash = strrchr(name, '/');
        placed[i] = (struct placed){name, slash ? (size_t)(slash - name) : 0, i};
    }
    qsort(placed, n, sizeof *placed, by_folder);
    for (size_t i = 1; i < n; i++)
        if (placed[i].folder > 0 && placed[i].folder == placed[i - 1].folder &&
            memcmp(placed[i].name, placed[i - 1].name, placed[i].folder) == 0)
            join(parents, placed[i - 1].index, placed[i].index);
    return FN_OK;
}

/* Joined pictures are one person; people are numbered in the order of their first picture. */
static fn_status number_people(struct reader *r) {
    size_t n = r->pairs.n_pictures;
    r->pairs.people = calloc(n + 1, sizeof *r->pairs.people);
    FN_CLEANUP_FREE uint32_t *parents = calloc(n + 1, sizeof *parents);
    if (!parents || !r->pairs.people)
        return fn_fail(r->err, FN_NO_MEMORY, "%s: no memory for its people", r->name);
    for (uint32_t i = 0; i < n; i++) parents[i] = i;
    fn_status status = join_folders(r, parents);
    if (status != FN_OK) return status;
    for (size_t i = 0; i < r->pairs.n_pairs; i++)
        if (r->pairs.pairs[i].same) join(parents, r->pairs.pairs[i].a, r->pairs.pairs[i].b);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t root = root_of(parents, i); /* never after i */
        r->pairs.people[i] = root == i ? r->pairs.n_people++ : r->pairs.people[root];
    }
    for (size_t i = 0; i < r->pairs.n_pairs; i++) {
        const struct fn_pair *pair = &r->pairs.pairs[i];
        if (!pair->same && r->pairs.people[pair->a] == r->pairs.people[pair->b])
            return fn_fail(r->err, FN_BAD_SOURCE,
                           "%s: %s and %s are said to be two people, but by their folders or other "
                           "pairs they are one",
                           r->name, r->pairs.pictures[pair->a], r->pairs.pictures[pair->b]);
    }
    return FN_OK;
}

fn_status fn_pairs_parse(const char *name, const char *text, size_t size,
                         struct fn_pairs *ret_pairs, struct fn_error *err) {
    struct reader reader = {.name = name, .err = err};
    const char *newline = size ? memchr(text, '\n', size) : NULL;
    size_t first = newline ? (size_t)(newline - text) : size;
    bool csv = first && memchr(text, ',', first);
    fn_status status = csv ? read_lines(&reader, text, size) : read_lfw(&reader, text, size);
    if (status == FN_OK) status = number_people(&reader);
    free(reader.slots);
    if (status == FN_OK)
        *ret_pairs = reader.pairs;
    else
        fn_pairs_done(&reader.pairs);
    return status;
}

void fn_pairs_done(struct fn_pairs *pairs) {
    for (size_t i = 0; i < pairs->n_pictures; i++) free(pairs->pictures[i]);
    free(pairs->pictures);
    free(pairs->people);
    free(pairs->pairs);
    *pairs = (struct fn_pairs){0};
}
