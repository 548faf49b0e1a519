/* SPDX-License-Identifier: Apache-2.0
 *
 * new_folder.c -- see new_folder.h. */
#include "model/inspect/new_folder.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

fn_status fn_new_folder_begin(const char *directory, struct fn_new_folder *ret_folder,
                              struct fn_error *err) {
    struct fn_new_folder folder;
    int length = snprintf(folder.target, sizeof folder.target, "%s", directory);
    if (length < 1 || (size_t)length >= sizeof folder.target)
        return fn_fail(err, FN_USAGE, "the output folder's path is empty or too long");
    while (length > 1 && folder.target[length - 1] == '/') folder.target[--length] = '\0';
    if (rmdir(folder.target) != 0 && errno != ENOENT)
        return fn_fail(err, FN_USAGE, "%s: exists and is no empty folder", directory);
    (void)snprintf(folder.path, sizeof folder.path, "%s.XXXXXX", folder.target);
    if (!mkdtemp(folder.path))
        return fn_fail(err, FN_IO, "%s: cannot be created: %s", directory, strerror(errno));
    *ret_folder = folder;
    return FN_OK;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw) {
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

fn_status fn_new_folder_end(struct fn_new_folder *folder, fn_status status, struct fn_error *err) {
    mode_t mask = umask(0);
    (void)umask(mask);
    if (status == FN_OK &&
        (chmod(folder->path, 0777 & ~mask) != 0 || rename(folder->path, folder->target) != 0))
        status = fn_fail(err, FN_IO, "%s: cannot be created: %s", folder->target, strerror(errno));
    if (status != FN_OK) (void)nftw(folder->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return status;
}
