/* SPDX-License-Identifier: Apache-2.0
 *
 * lfw_find.c -- from LFW's names of pictures to files; lfw.h has the contract. */
#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

#include "model/evaluate/lfw.h"

static const char *const extensions[] = {".jpg", ".png", ".jpeg", ".webp"};
#define N_EXTENSIONS (sizeof extensions / sizeof extensions[0])

/* ".../<name>/<name>_<digits>.<extension>" to "<name>/<name>_<digits>"; NULL for any other path. */
static char *key_of(const char *path) {
    const char *file = strrchr(path, '/');
    const char *dot = file ? strrchr(file, '.') : NULL;
    bool known = false;
    for (size_t i = 0; i < N_EXTENSIONS && dot; i++) known |= strcmp(dot, extensions[i]) == 0;
    if (!known) return NULL;
    const char *folder = file;
    while (folder > path && folder[-1] != '/') folder--;
    size_t name = (size_t)(file - folder), stem = (size_t)(dot - file - 1);
    if (name == 0 || stem < name + 5 || strncmp(file + 1, folder, name) != 0) return NULL;
    if (file[1 + name] != '_') return NULL;
    for (const char *c = file + 2 + name; c < dot; c++)
        if (!isdigit((unsigned char)*c)) return NULL;
    return strndup(folder, name + 1 + stem);
}

static int compare_pictures(const void *a, const void *b) {
    const struct fn_lfw_picture *x = a, *y = b;
    return strcmp(x->key, y->key);
}

/* What the pictures were called before their array was sorted anew. */
static void renumber(struct fn_lfw *lfw, char *const *old_keys) {
    for (size_t i = 0; i < lfw->n_pairs; i++) {
        size_t *ends[] = {&lfw->pairs[i].a, &lfw->pairs[i].b};
        for (int k = 0; k < 2; k++) {
            const struct fn_lfw_picture wanted = {.key = old_keys[*ends[k]]};
            const struct fn_lfw_picture *found = bsearch(&wanted, lfw->pictures, lfw->n_pictures,
                                                         sizeof *lfw->pictures, compare_pictures);
            *ends[k] = (size_t)(found - lfw->pictures);
        }
    }
    size_t person = 0;
    for (size_t i = 0; i < lfw->n_pictures; i++) {
        size_t length = strcspn(lfw->pictures[i].key, "/") + 1;
        if (i && strncmp(lfw->pictures[i - 1].key, lfw->pictures[i].key, length) != 0) person++;
        lfw->pictures[i].person = person;
    }
}

/* Add the pictures under `dir` that no pair names. */
static fn_status add_everyone(const char *dir, struct fn_lfw *lfw, struct fn_error *err) {
    FN_CLEANUP(fn_paths_done) struct fn_paths paths = {0};
    fn_status status = fn_paths_list(dir, &paths, err);
    if (status != FN_OK) return status;
    size_t named = lfw->n_pictures;
    FN_CLEANUP_FREE char **old_keys = calloc(named + 1, sizeof *old_keys);
    struct fn_lfw_picture *grown = reallocarray(lfw->pictures, named + paths.n + 1, sizeof *grown);
    if (grown) lfw->pictures = grown;
    if (!old_keys || !grown) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", dir);
    for (size_t i = 0; i < named; i++) old_keys[i] = lfw->pictures[i].key;
    for (size_t i = 0; i < paths.n; i++) {
        const struct fn_lfw_picture picture = {.key = key_of(paths.path[i])};
        if (!picture.key) continue;
        /* Paths are sorted, so the same picture in two formats comes twice in a row. */
        bool twice = lfw->n_pictures > named &&
                     strcmp(lfw->pictures[lfw->n_pictures - 1].key, picture.key) == 0;
        if (twice || bsearch(&picture, lfw->pictures, named, sizeof picture, compare_pictures))
            free(picture.key);
        else
            lfw->pictures[lfw->n_pictures++] = picture;
    }
    qsort(lfw->pictures, lfw->n_pictures, sizeof *lfw->pictures, compare_pictures);
    renumber(lfw, old_keys);
    return FN_OK;
}

/* The file of a picture, owned by the caller. */
static fn_status find_file(const char *pairs_path, const char *dir,
                           const struct fn_lfw_picture *picture, char **ret_path,
                           struct fn_error *err) {
    for (size_t i = 0; i < N_EXTENSIONS; i++) {
        FN_CLEANUP_FREE char *path = NULL;
        struct stat info;
        if (asprintf(&path, "%s/%s%s", dir, picture->key, extensions[i]) < 0) {
            path = NULL;
            return fn_fail(err, FN_NO_MEMORY, "%s: no memory", dir);
        }
        if (stat(path, &info) != 0) continue;
        *ret_path = FN_TAKE(path);
        return FN_OK;
    }
    return fn_fail(err, FN_IO, "%s:%d: %s/%s.jpg is missing (nor is there a .png, .jpeg or .webp)",
                   pairs_path, picture->line, dir, picture->key);
}

fn_status fn_lfw_find(const char *pairs_path, const char *dir, bool everyone, struct fn_lfw *lfw,
                      struct fn_paths *ret_paths, struct fn_error *err) {
    fn_status status = everyone ? add_everyone(dir, lfw, err) : FN_OK;
    if (status != FN_OK) return status;
    struct fn_paths paths = {.path = calloc(lfw->n_pictures + 1, sizeof *paths.path)};
    if (!paths.path) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", dir);
    for (; paths.n < lfw->n_pictures && status == FN_OK; paths.n += status == FN_OK)
        status = find_file(pairs_path, dir, &lfw->pictures[paths.n], &paths.path[paths.n], err);
    if (status != FN_OK) {
        fn_paths_done(&paths);
        return status;
    }
    *ret_paths = paths;
    return FN_OK;
}
