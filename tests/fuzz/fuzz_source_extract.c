/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_source_extract.c -- any bytes as the manifest of a folder that `extract` wrote, beside one
 * file of numbers. */
#include <limits.h>
#include <string.h>

#include "model/inspect/extract.h"
#include "tests/fuzz/source_target.h"

static char folder[] = P_tmpdir "/facenetd-fuzz.XXXXXX";

static void write_file(const char *name, const void *bytes, size_t size) {
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) abort();
}

static void clean_up(void) {
    static const char *const names[] = {FN_EXTRACT_MANIFEST, "ones.npy"};
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

/* numpy.ones(3, numpy.float32), as the seeds' digest expects it. */
static void set_up(void) {
    static const char header[] = "\x93NUMPY\1\0\x76\0{'descr': '<f4', 'fortran_order': False, "
                                 "'shape': (3,), }";
    static const float ones[3] = {1, 1, 1};
    uint8_t file[128 + sizeof ones];
    if (!mkdtemp(folder)) abort();
    memset(file, ' ', sizeof file);
    memcpy(file, header, sizeof header - 1);
    file[127] = '\n';
    memcpy(file + 128, ones, sizeof ones);
    write_file("ones.npy", file, sizeof file);
    (void)atexit(clean_up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool ready;
    if (!ready) set_up();
    ready = true;
    write_file(FN_EXTRACT_MANIFEST, data, size);
    try_path(&fn_source_extract, folder);
    return 0;
}
