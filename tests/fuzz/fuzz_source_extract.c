/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_source_extract.c -- any bytes as the manifest of a folder that `extract` wrote, beside one
 * file of numbers. */
#include <string.h>

#include "model/inspect/extract.h"
#include "tests/fuzz/source_folder.h"
#include "tests/fuzz/source_target.h"

/* numpy.ones(3, numpy.float32), as the seeds' digest expects it. */
static void set_up(void) {
    static const char header[] = "\x93NUMPY\1\0\x76\0{'descr': '<f4', 'fortran_order': False, "
                                 "'shape': (3,), }";
    static const float ones[3] = {1, 1, 1};
    uint8_t file[128 + sizeof ones];
    memset(file, ' ', sizeof file);
    memcpy(file, header, sizeof header - 1);
    file[127] = '\n';
    memcpy(file + 128, ones, sizeof ones);
    make_folder();
    write_file("ones.npy", file, sizeof file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool ready;
    if (!ready) set_up();
    ready = true;
    write_file(FN_EXTRACT_MANIFEST, data, size);
    try_path(&fn_source_extract, temporary_dir);
    return 0;
}
