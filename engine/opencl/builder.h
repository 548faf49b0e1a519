/* SPDX-License-Identifier: Apache-2.0
 *
 * builder.h -- have another process build a program into the cache. */
#ifndef FN_OPENCL_BUILDER_H
#define FN_OPENCL_BUILDER_H

#include "engine/engine.h"

/* Run `options->builder` for a family (engine.h) and wait for it. FN_OK when it has ended by
 * itself, whatever it says: the cache shows what it did. FN_DEVICE_FAILED when a signal ended it,
 * as LLVM ends a process when it meets something it does not know, or when it took minutes. */
FN_MUST fn_status fn_builder_run(const struct fn_engine_options *options, const char *family,
                                 struct fn_error *err);

#endif
