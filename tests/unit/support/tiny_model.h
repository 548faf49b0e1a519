/* SPDX-License-Identifier: Apache-2.0
 *
 * tiny_model.h -- a whole model file of the smallest width, for tests that need one on disk. */
#ifndef FN_TESTS_TINY_MODEL_H
#define FN_TESTS_TINY_MODEL_H

#include "engine/model.h"
#include "engine/model_writer.h"
#include "tests/unit/support/cmocka_all.h"

#define TINY_EMBEDDING 128

/* Write it; the same bytes every time. */
static inline void tiny_write(const char *path) {
    struct fn_error err = {0};
    struct fn_model_draft *draft = NULL;
    assert_ok(fn_untrained_draft(1, 2, TINY_EMBEDDING, &draft, &err), err);
    assert_ok(fn_model_write(draft, path, &err), err);
    fn_model_draft_free(draft);
}

#endif
