/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_npy_pickle.c -- pickled dictionaries of arrays; every number of an array found is read. */
#include <stdlib.h>
#include <string.h>

#include "model/sources/npy_pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const struct fn_npy *array) {
    static volatile unsigned char sink;
    const unsigned char *bytes = array->data;
    int64_t last = 0;
    for (int k = 0; k < array->rank; k++) last += (array->shape[k] - 1) * array->stride[k];
    if (array->count == 0) return;
    for (size_t i = 0; i < (size_t)array->count * fn_dtype_size(array->dtype); i++)
        sink = (unsigned char)(sink ^ bytes[i]);
    if (last < 0 || last >= array->count) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fn_npy_pickle *pickle = NULL;
    struct fn_error err;
    struct fn_npy array;
    if (fn_npy_pickle_open("fuzz", data, size, &pickle, &err) != FN_OK) return 0;
    if (fn_npy_pickle_find(pickle, "conv1", "weights", &array)) read_all(&array);
    if (fn_npy_pickle_find(pickle, "conv1", "biases", &array)) read_all(&array);
    if (fn_npy_pickle_find(pickle, "PReLU1", "alpha", &array)) read_all(&array);
    fn_npy_pickle_close(pickle);
    return 0;
}
