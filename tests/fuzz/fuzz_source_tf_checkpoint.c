/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_source_tf_checkpoint.c -- any bytes as the index of a TensorFlow checkpoint, beside a data
 * file of 256 bytes. CRCs keep most changes out, so the first byte says whether the table's blocks
 * get good ones first. */
#include <string.h>

#include "model/sources/crc32c.h"
#include "tests/fuzz/source_folder.h"
#include "tests/fuzz/source_target.h"

#define MAX_INDEX 65536

static void set_up(void) {
    static const uint8_t numbers[256];
    make_folder();
    write_file("m.data-00000-of-00001", numbers, sizeof numbers);
}

/* Put the right CRC behind every block that the footer and the index could mean: after each offset
 * where a type byte of 0 is followed by four bytes, as found by walking handles once. */
static void repair(uint8_t *bytes, size_t size) {
    if (size < 48 + 10) return;
    uint64_t handle[4] = {0};
    const uint8_t *p = bytes + size - 48;
    for (int i = 0; i < 4; i++) {
        int shift = 0;
        for (; *p & 128 && shift < 63; shift += 7) handle[i] |= (uint64_t)(*p++ & 127) << shift;
        handle[i] |= (uint64_t)(*p++ & 127) << shift;
        if (p > bytes + size - 16) return;
    }
    /* The blocks of a small table: data from 0 to the meta index, the meta index, the index. */
    const uint64_t blocks[3][2] = {
        {0, handle[0] < 5 ? 0 : handle[0] - 5}, {handle[0], handle[1]}, {handle[2], handle[3]}};
    for (int i = 0; i < 3; i++) {
        if (blocks[i][0] > size || blocks[i][1] > size - blocks[i][0] ||
            size - blocks[i][0] - blocks[i][1] < 5)
            continue;
        uint8_t *block = bytes + blocks[i][0];
        uint32_t crc = fn_crc32c_mask(fn_crc32c(0, block, (size_t)blocks[i][1] + 1));
        for (int k = 0; k < 4; k++) block[blocks[i][1] + 1 + (uint64_t)k] = (uint8_t)(crc >> 8 * k);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t bytes[MAX_INDEX];
    if (size < 1 || size > MAX_INDEX) return 0;
    static bool ready;
    if (!ready) set_up();
    ready = true;
    memcpy(bytes, data + 1, size - 1);
    if (data[0] & 1) repair(bytes, size - 1);
    write_file("m.index", bytes, size - 1);
    try_path(&fn_source_tf_checkpoint, temporary_path("m"));
    return 0;
}
