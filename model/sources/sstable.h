/* SPDX-License-Identifier: Apache-2.0
 *
 * sstable.h -- read a LevelDB table (LevelDB doc/table_format.md): sorted keys in blocks, each
 * block with its masked crc32c, which is checked. Compressed blocks are refused: TensorFlow writes
 * none. */
#ifndef FN_SSTABLE_H
#define FN_SSTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/status.h"

#define FN_SSTABLE_MAX_KEY 512

/* Called with each key (NUL-terminated; its length as it may hold more NULs) and value in order;
 * anything but FN_OK stops. */
typedef fn_status (*fn_sstable_visit)(void *context, const char *key, size_t key_size,
                                      const uint8_t *value, size_t value_size,
                                      struct fn_error *err);

/* Whether the last 8 of these bytes are those of a table. */
bool fn_sstable_recognise(const uint8_t *tail, size_t size);

/* FN_BAD_SOURCE; `name` stands in messages. */
FN_MUST fn_status fn_sstable_read(const char *name, const uint8_t *bytes, size_t size,
                                  fn_sstable_visit visit, void *context, struct fn_error *err);

#endif
