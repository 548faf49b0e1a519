/* SPDX-License-Identifier: Apache-2.0
 *
 * names.c -- see names.h. Pictures are known by how they begin, as the server knows them: names say
 * nothing. */
#include "clients/cli/names.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/cli/args.h"

bool cli_names_add(struct cli_names *names, const char *name) {
    if (names->n == names->capacity) {
        size_t capacity = names->capacity ? 2 * names->capacity : 256;
        char **grown = reallocarray(names->name, capacity, sizeof *grown);
        if (!grown) return false;
        names->name = grown;
        names->capacity = capacity;
    }
    names->name[names->n] = strdup(name);
    if (!names->name[names->n]) return false;
    names->n++;
    return true;
}

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void cli_names_sort(struct cli_names *names) {
    if (names->n) qsort(names->name, names->n, sizeof *names->name, compare);
}

bool cli_names_have(const struct cli_names *names, const char *name) {
    return names->n && bsearch(&name, names->name, names->n, sizeof *names->name, compare) != NULL;
}

void cli_names_done(struct cli_names *names) {
    for (size_t i = 0; i < names->n; i++) free(names->name[i]);
    free(names->name);
    *names = (struct cli_names){NULL, 0, 0};
}

static bool is_picture(const char *path) {
    uint8_t head[12] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat about;
    ssize_t n = -1;
    if (fd >= 0 && fstat(fd, &about) == 0) n = S_ISREG(about.st_mode) ? read(fd, head, 12) : 0;
    if (n < 0) (void)cli_fail("%s: left out: %s", path, strerror(errno));
    if (fd >= 0) (void)close(fd);
    return n == 12 &&
           (memcmp(head, "\xff\xd8\xff", 3) == 0 || memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0 ||
            (memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WEBP", 4) == 0));
}

bool cli_names_of_pictures(const char *folder, struct cli_names *ret_names) {
    char *copy = strdup(folder);
    size_t size = strlen(folder);
    bool ok = copy != NULL;
    /* fts leaves slashes at the end in its paths. */
    while (copy && size > 1 && copy[size - 1] == '/') copy[--size] = '\0';
    size_t skip = copy && strcmp(copy, "/") == 0 ? 1 : size + 1;
    char *const roots[] = {copy, NULL};
    FTS *tree = ok ? fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL) : NULL;
    ok = tree != NULL;
    for (const FTSENT *entry; ok && (entry = fts_read(tree));) {
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
            (void)cli_fail("%s: %s", entry->fts_path, strerror(entry->fts_errno));
            ok = entry->fts_level > 0; /* a folder inside that is closed to us is left out */
        } else if (entry->fts_level == 0 && entry->fts_info != FTS_D && entry->fts_info != FTS_DP) {
            (void)cli_fail("%s: is not a folder", folder);
            ok = false;
        } else if ((entry->fts_info == FTS_F || entry->fts_info == FTS_SL) &&
                   is_picture(entry->fts_path)) {
            ok = cli_names_add(ret_names, entry->fts_path + skip);
            if (!ok) (void)cli_fail("no memory for the names in %s", folder);
        }
    }
    if (!tree) (void)cli_fail("%s: %s", folder, strerror(errno));
    if (tree) (void)fts_close(tree);
    free(copy);
    cli_names_sort(ret_names);
    return ok;
}
