/* SPDX-License-Identifier: Apache-2.0
 *
 * builder.h -- have another process build a program into the cache. */
#ifndef FN_OPENCL_BUILDER_H
#define FN_OPENCL_BUILDER_H

#include "engine/engine.h"
#include "engine/opencl/cl.h"

/* Give `cl` a program as fn_cl_build() does, out of the cache or from source. Where `options` have
 * a builder and a cache, the builder compiles it first, as what `family` says (engine.h), and ends
 * before this goes on. FN_DEVICE_FAILED when a signal ended it, as LLVM ends a process when it
 * meets something it does not know, or when it took minutes; one that ends by itself without a
 * program in the cache is none, and then it is compiled here. */
FN_MUST fn_status fn_builder_build(const struct fn_engine_options *options, const char *family,
                                   struct fn_cl *cl, const char *source, const char *flags,
                                   struct fn_error *err);

#endif
