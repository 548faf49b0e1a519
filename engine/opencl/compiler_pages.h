/* SPDX-License-Identifier: Apache-2.0
 *
 * compiler_pages.h -- memory that a CPU runtime's compiler holds when it has nothing more to do. */
#ifndef FN_OPENCL_COMPILER_PAGES_H
#define FN_OPENCL_COMPILER_PAGES_H

/* Give back what the compiler inside this process's OpenCL runtime holds and can do without: the
 * code of its libraries, which is read from their files again if it ever runs again, and freed
 * heap. Changes no result; does nothing where there is no such compiler. Any thread, any time. */
void fn_compiler_pages_release(void);

#endif
