/* SPDX-License-Identifier: Apache-2.0
 *
 * sstable.c -- see sstable.h. The last 48 bytes lead to the index block, whose values lead to the
 * data blocks; both kinds have the same form. */
#include "model/sources/sstable.h"

#include <string.h>

#include "model/sources/crc32c.h"
#include "model/sources/wire.h"

#define FOOTER_SIZE  48
#define TRAILER_SIZE 5 /* of a block: type, crc32c */
#define MAX_BLOCKS   65536

static const uint8_t magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};

struct table {
    const char *name;
    const uint8_t *bytes;
    size_t size;
    fn_sstable_visit visit;
    void *context;
    size_t n_blocks;
};

static fn_status damaged(const struct table *table, size_t at, const char *what,
                         struct fn_error *err) {
    return fn_fail(err, FN_BAD_SOURCE, "%s: damaged table, byte %zu: %s", table->name, at, what);
}

bool fn_sstable_recognise(const uint8_t *tail, size_t size) {
    return size >= sizeof magic && memcmp(tail + size - sizeof magic, magic, sizeof magic) == 0;
}

static uint32_t little32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The block a handle (offset, size) leads to, its type and CRC checked. */
static fn_status find_block(struct table *table, struct fn_wire *handle, const uint8_t **ret_block,
                            size_t *ret_size, struct fn_error *err) {
    uint64_t offset, size;
    if (!fn_wire_varint(handle, &offset) || !fn_wire_varint(handle, &size) ||
        offset > table->size || size > table->size - offset ||
        table->size - offset - size < TRAILER_SIZE)
        return damaged(table, table->size, "a block handle leads beyond the end", err);
    if (++table->n_blocks > MAX_BLOCKS)
        return damaged(table, (size_t)offset, "too many blocks", err);
    const uint8_t *block = table->bytes + offset;
    uint32_t crc = fn_crc32c_mask(fn_crc32c(0, block, (size_t)size + 1));
    if (crc != little32(block + size + 1))
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: damaged table: the block at byte %llu has crc32c %08x, expected %08x",
                       table->name, (unsigned long long)offset, crc, little32(block + size + 1));
    if (block[size] != 0)
        return damaged(table, (size_t)offset, "a compressed block; TensorFlow writes none", err);
    *ret_block = block;
    *ret_size = (size_t)size;
    return FN_OK;
}

/* One key, cut short by what it shares with the one before it, and its value. */
static bool next_entry(struct fn_wire *entries, char key[FN_SSTABLE_MAX_KEY], size_t *key_size,
                       struct fn_wire *ret_value) {
    uint64_t shared, own, value;
    if (!fn_wire_varint(entries, &shared) || !fn_wire_varint(entries, &own) ||
        !fn_wire_varint(entries, &value) || shared > *key_size ||
        own >= FN_SSTABLE_MAX_KEY - shared || own > fn_wire_size(entries) ||
        value > fn_wire_size(entries) - own)
        return false;
    memcpy(key + shared, entries->at, (size_t)own);
    *key_size = (size_t)(shared + own);
    key[*key_size] = '\0';
    *ret_value = fn_wire_of(entries->at + own, (size_t)value);
    entries->at += own + value;
    return true;
}

/* The entries of a block, before its restart points. */
static fn_status find_entries(const struct table *table, const uint8_t *block, size_t size,
                              struct fn_wire *ret, struct fn_error *err) {
    size_t at = (size_t)(block - table->bytes);
    if (size < 4) return damaged(table, at, "a block without restart points", err);
    uint64_t restarts = little32(block + size - 4);
    if (restarts > (size - 4) / 4) return damaged(table, at, "too many restart points", err);
    *ret = fn_wire_of(block, size - 4 - (size_t)restarts * 4);
    return FN_OK;
}

static fn_status read_data_block(struct table *table, struct fn_wire *handle,
                                 struct fn_error *err) {
    const uint8_t *block;
    size_t size, key_size = 0;
    char key[FN_SSTABLE_MAX_KEY];
    struct fn_wire entries, value;
    fn_status status = find_block(table, handle, &block, &size, err);
    if (status == FN_OK) status = find_entries(table, block, size, &entries, err);
    while (status == FN_OK && entries.at < entries.end) {
        if (!next_entry(&entries, key, &key_size, &value))
            return damaged(table, (size_t)(entries.at - table->bytes),
                           "an entry with wrong lengths", err);
        status = table->visit(table->context, key, key_size, value.at, fn_wire_size(&value), err);
    }
    return status;
}

fn_status fn_sstable_read(const char *name, const uint8_t *bytes, size_t size,
                          fn_sstable_visit visit, void *context, struct fn_error *err) {
    struct table table = {
        .name = name, .bytes = bytes, .size = size, .visit = visit, .context = context};
    if (size < FOOTER_SIZE || !fn_sstable_recognise(bytes, size))
        return fn_fail(err, FN_BAD_SOURCE,
                       "%s: no LevelDB table (no magic in its last 8 bytes; truncated?)", name);
    struct fn_wire footer = fn_wire_of(bytes + size - FOOTER_SIZE, FOOTER_SIZE - sizeof magic);
    uint64_t meta_offset, meta_size;
    if (!fn_wire_varint(&footer, &meta_offset) || !fn_wire_varint(&footer, &meta_size))
        return damaged(&table, size - FOOTER_SIZE, "its footer cannot be read", err);
    const uint8_t *index;
    size_t index_size, key_size = 0;
    char key[FN_SSTABLE_MAX_KEY];
    struct fn_wire entries, handle;
    fn_status status = find_block(&table, &footer, &index, &index_size, err);
    if (status == FN_OK) status = find_entries(&table, index, index_size, &entries, err);
    while (status == FN_OK && entries.at < entries.end) {
        if (!next_entry(&entries, key, &key_size, &handle))
            return damaged(&table, (size_t)(entries.at - bytes), "an entry with wrong lengths",
                           err);
        status = read_data_block(&table, &handle, err);
    }
    return status;
}
