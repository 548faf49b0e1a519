/* SPDX-License-Identifier: Apache-2.0
 *
 * zip.c -- see zip.h. The central directory is what counts; a member's local header is only
 * skipped. (PKWARE APPNOTE 6.3: 4.3.16 end of central directory, 4.3.14 ZIP64, 4.3.12 central
 * directory.) */
#include "model/sources/zip.h"

#include <stdbool.h>
#include <string.h>
#include <zlib.h>

#define END_SIZE     22
#define LOCATOR_SIZE 20
#define END64_SIZE   56
#define ENTRY_SIZE   46
#define LOCAL_SIZE   30
#define MAX_COMMENT  65535
#define MAX_MEMBERS  65536

struct member {
    char name[160]; /* "" when it does not fit: never asked for */
    uint64_t offset, size, stored_size;
    uint32_t crc;
    uint16_t flags, method;
};

struct fn_zip {
    const char *name;
    const uint8_t *bytes;
    size_t size;
    struct member *members; /* [n], owned */
    size_t n;
};

static uint64_t little(const uint8_t *p, int width) {
    uint64_t value = 0;
    for (int i = 0; i < width; i++) value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static fn_status damaged(const struct fn_zip *zip, const char *what, struct fn_error *err) {
    return fn_fail(err, FN_BAD_SOURCE, "%s: damaged ZIP file: %s", zip->name, what);
}

struct directory {
    uint64_t offset, size, n;
};

/* The 64-bit fields, when the 32-bit ones say that they are needed. */
static fn_status find_directory64(const struct fn_zip *zip, size_t end, struct directory *dir,
                                  struct fn_error *err) {
    if (end < LOCATOR_SIZE || little(zip->bytes + end - LOCATOR_SIZE, 4) != 0x07064b50)
        return damaged(zip, "no ZIP64 locator before its end record", err);
    uint64_t at = little(zip->bytes + end - LOCATOR_SIZE + 8, 8);
    if (at > zip->size || zip->size - at < END64_SIZE || little(zip->bytes + at, 4) != 0x06064b50)
        return damaged(zip, "the ZIP64 locator leads to no end record", err);
    dir->n = little(zip->bytes + at + 32, 8);
    dir->size = little(zip->bytes + at + 40, 8);
    dir->offset = little(zip->bytes + at + 48, 8);
    return FN_OK;
}

static fn_status find_directory(const struct fn_zip *zip, struct directory *ret,
                                struct fn_error *err) {
    if (zip->size < END_SIZE) return damaged(zip, "shorter than an end record", err);
    size_t lowest = zip->size > END_SIZE + MAX_COMMENT ? zip->size - END_SIZE - MAX_COMMENT : 0;
    size_t end = zip->size - END_SIZE + 1;
    do {
        if (end-- == lowest)
            return damaged(zip, "no end record (truncated, or not a ZIP file)", err);
    } while (little(zip->bytes + end, 4) != 0x06054b50);
    const uint8_t *p = zip->bytes + end;
    struct directory dir = {
        .n = little(p + 10, 2), .size = little(p + 12, 4), .offset = little(p + 16, 4)};
    if (dir.n == UINT16_MAX || dir.size == UINT32_MAX || dir.offset == UINT32_MAX) {
        fn_status status = find_directory64(zip, end, &dir, err);
        if (status != FN_OK) return status;
    }
    if (dir.offset > zip->size || dir.size > zip->size - dir.offset)
        return damaged(zip, "its directory lies outside the file", err);
    if (dir.n > MAX_MEMBERS || dir.n * ENTRY_SIZE > dir.size)
        return damaged(zip, "more members than its directory has room for", err);
    *ret = dir;
    return FN_OK;
}

/* 64-bit sizes and offset, in this order, as far as the 32-bit ones are all ones. */
static void read_extra(const uint8_t *extra, size_t size, struct member *member) {
    for (size_t at = 0; size - at >= 4;) {
        size_t length = (size_t)little(extra + at + 2, 2);
        if (length > size - at - 4) return;
        if (little(extra + at, 2) == 1) {
            const uint8_t *p = extra + at + 4, *end = p + length;
            uint64_t *const wide[] = {&member->size, &member->stored_size, &member->offset};
            for (int i = 0; i < 3; i++)
                if (*wide[i] == UINT32_MAX && end - p >= 8) {
                    *wide[i] = little(p, 8);
                    p += 8;
                }
        }
        at += 4 + length;
    }
}

static fn_status read_directory(struct fn_zip *zip, const struct directory *dir,
                                struct fn_error *err) {
    const uint8_t *p = zip->bytes + dir->offset, *end = p + dir->size;
    for (; zip->n < dir->n; zip->n++) {
        if (end - p < ENTRY_SIZE || little(p, 4) != 0x02014b50)
            return damaged(zip, "its directory ends early", err);
        size_t name = (size_t)little(p + 28, 2), extra = (size_t)little(p + 30, 2);
        size_t total = ENTRY_SIZE + name + extra + (size_t)little(p + 32, 2);
        if ((size_t)(end - p) < total) return damaged(zip, "its directory ends early", err);
        struct member *m = &zip->members[zip->n];
        if (name < sizeof m->name) memcpy(m->name, p + ENTRY_SIZE, name);
        m->flags = (uint16_t)little(p + 8, 2);
        m->method = (uint16_t)little(p + 10, 2);
        m->crc = (uint32_t)little(p + 16, 4);
        m->stored_size = little(p + 20, 4);
        m->size = little(p + 24, 4);
        m->offset = little(p + 42, 4);
        read_extra(p + ENTRY_SIZE + name, extra, m);
        p += total;
    }
    return FN_OK;
}

fn_status fn_zip_open(const char *name, const uint8_t *bytes, size_t size, struct fn_zip **ret_zip,
                      struct fn_error *err) {
    FN_CLEANUP(fn_zip_close) struct fn_zip *zip = calloc(1, sizeof *zip);
    if (!zip) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", name);
    zip->name = name;
    zip->bytes = bytes;
    zip->size = size;
    struct directory dir = {0};
    fn_status status = find_directory(zip, &dir, err);
    if (status != FN_OK) return status;
    zip->members = calloc(dir.n ? dir.n : 1, sizeof *zip->members);
    if (!zip->members) return fn_fail(err, FN_NO_MEMORY, "%s: no memory", name);
    status = read_directory(zip, &dir, err);
    if (status != FN_OK) return status;
    *ret_zip = FN_TAKE(zip);
    return FN_OK;
}

void fn_zip_close(struct fn_zip *zip) {
    if (!zip) return;
    free(zip->members);
    free(zip);
}

size_t fn_zip_count(const struct fn_zip *zip) {
    return zip->n;
}

const char *fn_zip_name(const struct fn_zip *zip, size_t index) {
    return zip->members[index].name;
}

size_t fn_zip_find(const struct fn_zip *zip, const char *member) {
    for (size_t i = 0; i < zip->n; i++)
        if (strcmp(zip->members[i].name, member) == 0) return i;
    return zip->n;
}

fn_status fn_zip_member(const struct fn_zip *zip, size_t index, const uint8_t **ret_bytes,
                        size_t *ret_size, struct fn_error *err) {
    const struct member *m = &zip->members[index];
    if (m->method == 0 && !(m->flags & 1) && m->size != m->stored_size)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: %s is stored in %llu bytes but has %llu; expected the same", zip->name,
                       m->name, (unsigned long long)m->stored_size, (unsigned long long)m->size);
    if (m->method != 0 || m->flags & 1)
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: %s is compressed or encrypted (method %d); expected a stored member",
                       zip->name, m->name, m->method);
    if (m->offset > zip->size || zip->size - m->offset < LOCAL_SIZE ||
        little(zip->bytes + m->offset, 4) != 0x04034b50)
        return fn_fail(err, FN_BAD_SOURCE, "%s: %s has no header at byte %llu", zip->name, m->name,
                       (unsigned long long)m->offset);
    const uint8_t *local = zip->bytes + m->offset;
    uint64_t begin = m->offset + LOCAL_SIZE + little(local + 26, 2) + little(local + 28, 2);
    if (begin > zip->size || m->size > zip->size - begin)
        return fn_fail(err, FN_BAD_SOURCE, "%s: %s ends beyond the end of the file (truncated?)",
                       zip->name, m->name);
    uint32_t crc = (uint32_t)crc32_z(0, zip->bytes + begin, (size_t)m->size);
    if (crc != m->crc)
        return fn_fail(err, FN_BAD_SOURCE, "%s: %s is damaged: CRC-32 %08x, expected %08x",
                       zip->name, m->name, crc, m->crc);
    *ret_bytes = zip->bytes + begin;
    *ret_size = (size_t)m->size;
    return FN_OK;
}
