/* SPDX-License-Identifier: Apache-2.0
 *
 * cleanup.h -- scope-bound ownership with the gcc/clang cleanup attribute.
 *
 *     FN_DEFINE_CLEANUP(struct fn_model *, fn_model_close)
 *     ...
 *     FN_CLEANUP(fn_model_close) struct fn_model *model = NULL;
 *     *ret_model = FN_TAKE(model);     // hand over: `model` is NULL afterwards
 */
#ifndef FN_CLEANUP_H
#define FN_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>

#define FN_CLEANUP(free_function) __attribute__((cleanup(free_function##_cleanup)))
#define FN_DEFINE_CLEANUP(type, free_function)                                                     \
    static inline void free_function##_cleanup(type *owned) {                                      \
        if (*owned) free_function(*owned);                                                         \
    }

#define FN_TAKE(owned)                                                                             \
    __extension__({                                                                                \
        __typeof__(owned) taken_ = (owned);                                                        \
        (owned) = NULL;                                                                            \
        taken_;                                                                                    \
    })

static inline void fn_free_cleanup(void *owned) {
    free(*(void **)owned);
}
#define FN_CLEANUP_FREE __attribute__((cleanup(fn_free_cleanup)))

static inline void fclose_cleanup(FILE **owned) {
    if (*owned) (void)fclose(*owned);
}

#endif
