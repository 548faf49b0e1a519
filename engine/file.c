/* SPDX-License-Identifier: Apache-2.0
 *
 * file.c -- whole files in, whole files out; file.h has the contract. */
#include "engine/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/cleanup.h"

static void close_cleanup(const int *fd) {
    if (*fd >= 0) (void)close(*fd);
}

static fn_status fail_errno(struct fn_error *err, const char *path, const char *what) {
    return fn_fail(err, FN_IO, "%s: %s: %s", path, what, strerror(errno));
}

fn_status fn_file_read(const char *path, size_t max_size, uint8_t **ret_bytes, size_t *ret_size,
                       struct fn_error *err) {
    __attribute__((cleanup(close_cleanup))) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail_errno(err, path, "cannot be opened");
    struct stat info;
    if (fstat(fd, &info) != 0) return fail_errno(err, path, "cannot be read");
    if (!S_ISREG(info.st_mode)) return fn_fail(err, FN_IO, "%s: is not a regular file", path);
    if ((uint64_t)info.st_size > max_size)
        return fn_fail(err, FN_IO, "%s: is %lld bytes long, expected at most %zu", path,
                       (long long)info.st_size, max_size);
    size_t size = (size_t)info.st_size, at = 0;
    FN_CLEANUP_FREE uint8_t *bytes = malloc(size + 1);
    if (!bytes) return fn_fail(err, FN_NO_MEMORY, "%s: no memory for %zu bytes", path, size);
    while (at < size) {
        ssize_t n = read(fd, bytes + at, size - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(err, path, "cannot be read");
        if (n == 0) return fn_fail(err, FN_IO, "%s: became shorter while it was read", path);
        at += (size_t)n;
    }
    bytes[size] = 0;
    *ret_bytes = FN_TAKE(bytes);
    *ret_size = size;
    return FN_OK;
}

static int write_all(int fd, const struct fn_piece *piece) {
    const uint8_t *bytes = piece->bytes;
    for (size_t at = 0; at < piece->size;) {
        ssize_t n = write(fd, bytes + at, piece->size - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        at += (size_t)n;
    }
    return 0;
}

static int write_pieces(int fd, const struct fn_piece *pieces, size_t n_pieces) {
    for (size_t i = 0; i < n_pieces; i++)
        if (write_all(fd, &pieces[i]) != 0) return -1;
    mode_t mask = umask(0);
    (void)umask(mask);
    if (fchmod(fd, 0666 & ~mask) != 0) return -1;
    return fsync(fd);
}

fn_status fn_file_write(const char *path, const struct fn_piece *pieces, size_t n_pieces,
                        struct fn_error *err) {
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof temporary)
        return fn_fail(err, FN_IO, "%.80s...: path is too long", path);
    __attribute__((cleanup(close_cleanup))) int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) return fail_errno(err, path, "cannot be created");
    if (write_pieces(fd, pieces, n_pieces) != 0 || rename(temporary, path) != 0) {
        fn_status status = fail_errno(err, path, "cannot be written");
        (void)unlink(temporary);
        return status;
    }
    return FN_OK;
}
