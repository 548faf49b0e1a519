/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_source_keras.c -- any bytes as a Keras file (libhdf5 in its own process: its crashes are no
 * finding, ours are). In a file with a name: libhdf5 resolves links, and those in /proc lead
 * nowhere. */
#include "tests/fuzz/source_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[] = P_tmpdir "/facenetd-fuzz.XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    try_path(&fn_source_keras, path);
    (void)close(fd);
    (void)unlink(path);
    return 0;
}
