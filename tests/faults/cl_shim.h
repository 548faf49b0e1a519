/* SPDX-License-Identifier: Apache-2.0
 *
 * cl_shim.h -- stands before libOpenCL and makes it misbehave on demand. Linked into a test it is
 * steered by the calls below; preloaded into a program (cl_shim.so) by the file that $FN_SHIM_PLAN
 * names, which may change while the program runs.
 *
 * A plan is one line, "" for none: "CALL WHICH ACTION [NUMBER [NUMBER [NUMBER]]]".
 *   CALL    an OpenCL function, or * for every one
 *   WHICH   N: the Nth such call since the plan was made; N+: that and all after it
 *   ACTION  error CODE      fail with that OpenCL error, and do nothing
 *           skip            say that it worked, and do nothing: wrong results
 *           flip            do it, and turn one bit of what was read
 *           hang            do nothing until the plan changes
 *           slow US         wait first
 *           cost US EACH [COPY]
 *                   for clEnqueueReadBuffer: be a device of known capacity. A batch takes US and
 *                   EACH a picture, one batch after the other; before that its pictures take COPY
 *                   each to come, which runs beside what other queues do. A batch that was computed
 *                   before is not computed again: its answer is remembered, and the processor is
 *                   left to whoever measures */
#ifndef FN_TESTS_CL_SHIM_H
#define FN_TESTS_CL_SHIM_H

void fn_shim_plan(const char *line);
/* Calls since the plan was made; the name of the nth of them, from 1 (NULL: beyond the record). */
int fn_shim_calls(void);
const char *fn_shim_call_name(int nth);

#endif
